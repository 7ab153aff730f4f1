#include "oauth_fakes.h"

#include <assert.h>

#include "base/crypto.h"
#include "base/mem.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "store/notifications.h"
#include "test.h"

struct oauth_fakes fakes;

/* ---- the vault ---- */

static struct fake_row *row(struct str user, struct str service) {
    for (size_t i = 0; i < ARRAY_LEN(fakes.vault); i++) {
        struct fake_row *r = &fakes.vault[i];
        if (!r->user[0]) {
            snprintf(r->user, sizeof r->user, "%.*s", STR_ARG(user));
            snprintf(r->service, sizeof r->service, "%.*s", STR_ARG(service));
        }
        if (str_eq(str_z(r->user), user) && str_eq(str_z(r->service), service)) {
            return r;
        }
    }
    assert(false);
}

uint64_t user_epoch(const struct user_epochs *e, struct str user_id) {
    (void)e, (void)user_id;
    return fakes.epoch;
}

int vault_get(struct vault *v, struct str user_id, struct str service, struct secret **ret,
              struct vault_entry *ret_entry, struct arena *arena, struct err *err) {
    (void)v, (void)arena;
    fiber_yield();
    struct fake_row *r = row(user_id, service);
    fakes.gets++;
    if (!r->value) {
        return err_set(err, ERR_NOT_FOUND, "no such credential");
    }
    *ret = secret_new(str_z(r->value));
    *ret_entry = r->entry;
    return 0;
}

int vault_put(struct vault *v, struct str user_id, const struct vault_entry *entry,
              struct str value, struct err *err) {
    (void)v;
    fiber_yield();
    if (fakes.put_fails) {
        return err_set(err, fakes.put_fails, "the vault fails as it was told");
    }
    struct fake_row *r = row(user_id, entry->service);
    mem_free(r->value);
    r->value = str_dup_z(value);
    r->entry = (struct vault_entry){.expires_us = entry->expires_us};
    fakes.puts++;
    fakes.epoch++;
    return 0;
}

/* Anybody could read and write these: what is tested is who asks for which purpose. */
int vault_seal(const struct vault *v, const char *purpose, struct str plain, struct strbuf *ret,
               struct err *err) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(16 * 1024);
    (void)v;
    strbuf_addf(&text, "%s|%.*s", purpose, STR_ARG(plain));
    crypto_hex(ret, text.p, text.n);
    return strbuf_check(ret, "sealed text", err);
}

int vault_unseal(const struct vault *v, const char *purpose, struct str sealed, int64_t max_age_s,
                 struct strbuf *ret, struct err *err) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(16 * 1024);
    (void)v;
    struct str prefix = str_z(purpose);
    if (crypto_hex_decode(&text, sealed, err) < 0 || !str_starts(strbuf_str(&text), prefix) ||
        fakes.seals_older_s > max_age_s) {
        return err_set(err, ERR_INVALID, "the sealed text is not ours");
    }
    strbuf_add(ret, str_skip(strbuf_str(&text), prefix.n + 1));
    return 0;
}

void oauth_fakes_put(const char *user, const char *service, const char *value) {
    struct fake_row *r = row(str_z(user), str_z(service));
    mem_free(r->value);
    r->value = value ? str_dup_z(str_z(value)) : NULL;
    fakes.epoch++;
}

const char *oauth_fakes_get(const char *user, const char *service) {
    const char *value = row(str_z(user), str_z(service))->value;
    return value ? value : "";
}

int notification_add(struct db *db, struct str user_id, const struct notification *n,
                     struct err *err) {
    char text[512];
    (void)db, (void)err;
    snprintf(text, sizeof text, "%.*s %.*s: %.*s", STR_ARG(user_id), STR_ARG(n->id),
             STR_ARG(n->message));
    for (unsigned i = 0; i < fakes.n_notified; i++) {
        if (strcmp(fakes.notified[i], text) == 0) {
            return 0;
        }
    }
    assert(fakes.n_notified < ARRAY_LEN(fakes.notified));
    memcpy(fakes.notified[fakes.n_notified++], text, sizeof text);
    return 0;
}

/* ---- the servers ---- */

const char *oauth_fakes_parameter(const char *text, const char *name) {
    static char value[8192];
    const char *p = strchr(text, '?') ? strchr(text, '?') + 1 : text;
    size_t n = strlen(name), out = 0;
    while (strncmp(p, name, n) != 0 || p[n] != '=') {
        p = strchr(p, '&');
        if (!p++) {
            return "";
        }
    }
    for (p += n + 1; *p && *p != '&' && out + 1 < sizeof value; p++) {
        unsigned c = (unsigned char)*p;
        if (c == '%' && sscanf(p + 1, "%2x", &c) == 1) {
            p += 2;
        }
        value[out++] = (char)c;
    }
    value[out] = '\0';
    return value;
}

static void answer(struct http_request *r, int status, const char *json) {
    struct http_field challenge = {"WWW-Authenticate", STR("Bearer scope=\"read\"")};
    const struct http_response response = {.status = status,
                                           .content_type = "application/json",
                                           .fields = &challenge,
                                           .n_fields = status == 401,
                                           .body = str_z(json)};
    (void)http_respond(r, &response);
}

static void answer_token(struct http_request *r) {
    struct fake_as *as = &fakes.as;
    struct strbuf body cleanup(strbuf_done) = STRBUF(sizeof as->form - 1);
    struct strbuf out cleanup(strbuf_done) = STRBUF(1024);
    char last[32];
    struct err err;
    as->tokens++;
    (void)!http_read_body(r, body.max, &body, &err);
    snprintf(as->form, sizeof as->form, "%s", strbuf_z(&body));
    bool refresh = strcmp(oauth_fakes_parameter(as->form, "grant_type"), "refresh_token") == 0;
    as->refreshes += refresh;
    while (as->waits && fiber_wait(&fakes.gate, 5000) == 0) {
    }
    snprintf(last, sizeof last, "refresh-%d", as->n);
    bool spent = refresh && strcmp(oauth_fakes_parameter(as->form, "refresh_token"), last) != 0;
    if (as->status) {
        answer(r, as->status, "");
    } else if (as->refuses || spent) {
        strbuf_addf(&out, "{\"error\":\"%s\"}", as->refuses ? as->refuses : "invalid_grant");
        answer(r, 400, strbuf_z(&out));
    } else {
        as->n += !as->keeps_refresh;
        strbuf_addf(&out, "{\"token_type\":\"Bearer\",\"access_token\":\"access-%u\"", as->tokens);
        if (!as->without_refresh && !(refresh && as->keeps_refresh)) {
            strbuf_addf(&out, ",\"refresh_token\":\"refresh-%d\"", as->n);
        }
        if (as->expires_in) {
            strbuf_addf(&out, ",\"expires_in\":%d", (int)as->expires_in);
        }
        if (as->granted) {
            strbuf_addf(&out, ",\"scope\":\"%s\"", as->granted);
        }
        strbuf_addc(&out, '}');
        answer(r, 200, strbuf_z(&out));
    }
}

static void answer_metadata(struct http_request *r) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(2048);
    strbuf_addf(&out,
                "{\"issuer\":\"%s\",\"authorization_endpoint\":\"%s/authorize\","
                "\"token_endpoint\":\"%s/token\",\"code_challenge_methods_supported\":[\"S256\"],"
                "\"authorization_response_iss_parameter_supported\":true",
                fakes.issuer, fakes.issuer, fakes.issuer);
    if (!fakes.as.without_registration) {
        strbuf_addf(&out, ",\"registration_endpoint\":\"%s/register\"", fakes.issuer);
    }
    strbuf_addc(&out, '}');
    answer(r, 200, strbuf_z(&out));
}

static void handle(struct http_request *r, void *context) {
    struct str path = http_path(r);
    char json[256];
    (void)context;
    if (str_eq(path, STR("/mcp"))) {
        answer(r, 401, "{}");
    } else if (str_eq(path, STR("/open"))) {
        answer(r, 200, "{}");
    } else if (str_eq(path, STR("/.well-known/oauth-protected-resource/mcp"))) {
        snprintf(json, sizeof json, "{\"resource\":\"%s\"}", fakes.url);
        answer(r, 200, json);
    } else if (str_eq(path, STR("/.well-known/oauth-authorization-server"))) {
        answer_metadata(r);
    } else if (str_eq(path, STR("/register"))) {
        snprintf(json, sizeof json, "{\"client_id\":\"client-%u\",\"client_secret\":\"shh\"}",
                 ++fakes.as.registrations);
        answer(r, 201, json);
    } else if (str_eq(path, STR("/token"))) {
        answer_token(r);
    } else {
        answer(r, 404, "{}");
    }
}

void oauth_fakes_open_gate(void) {
    fakes.as.waits = false;
    fiber_broadcast(&fakes.gate);
}

bool oauth_fakes_start(void) {
    const struct http_server_options options = {.address = "127.0.0.1:0", .handler = handle};
    struct err err;
    fakes = (struct oauth_fakes){.epoch = 1};
    fiber_cond_init(&fakes.gate);
    if (!CHECK_OK(http_client_start(&err), &err) ||
        !CHECK_OK(http_server_start(&options, &fakes.server, &err), &err)) {
        return false;
    }
    snprintf(fakes.issuer, sizeof fakes.issuer, "http://%s", http_server_address(fakes.server));
    snprintf(fakes.url, sizeof fakes.url, "%.50s/mcp", fakes.issuer);
    return true;
}

void oauth_fakes_stop(void) {
    http_client_stop();
    http_server_stop(fakes.server, 1000);
    http_server_free(fakes.server);
    for (size_t i = 0; i < ARRAY_LEN(fakes.vault); i++) {
        mem_free(fakes.vault[i].value);
    }
}
