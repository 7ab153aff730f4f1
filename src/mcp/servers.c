/* A set of definitions: what makes two of them the same, which a skill may use, who holds it. */
#include "base/crypto.h"
#include "base/mem.h"
#include "mcp/servers_internal.h"

enum { MAX_DEFINITION_BYTES = 16 * 1024 * 1024 };

static void mix(struct strbuf *out, struct str s) {
    strbuf_add_i64(out, (int64_t)s.n);
    strbuf_addc(out, ':');
    strbuf_add(out, s);
}

void server_identify(struct server *s) {
    struct strbuf all cleanup(strbuf_done) = STRBUF(MAX_DEFINITION_BYTES);
    strbuf_addf(&all, "%d %d %lld %d ", s->transport, s->pinned_era, (long long)s->timeout_ms,
                s->may_oauth);
    const struct str texts[] = {s->name,
                                s->url,
                                s->command,
                                s->credential.service,
                                s->credential.carrier,
                                s->credential.template,
                                s->oauth.client_id,
                                secret_reveal(s->oauth.client_secret),
                                s->oauth.scopes,
                                s->oauth.issuer};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        mix(&all, texts[i]);
    }
    for (size_t i = 0; i < s->n_args; i++) {
        mix(&all, s->args[i]);
    }
    strbuf_addz(&all, "values");
    for (size_t i = 0; i < s->n_values; i++) {
        mix(&all, s->values[i].name);
        mix(&all, secret_reveal(s->values[i].value));
    }
    crypto_sha256(strbuf_str(&all), s->identity);
    secret_wipe(all.p, all.cap);
}

struct servers *servers_preconfigured(void) {
    static const struct server standard[] = {
        {.name = {"journal-db", 10}, .url = {"http://journal-db:3333/mcp", 26}},
        {.name = {"garmin", 6},
         .url = {"http://garmin:5555/mcp", 22},
         .credential = {{"garmin", 6}, {"X-Garmin-Token", 14}, {"{*}", 3}}},
        {.name = {"google-workspace", 16},
         .url = {"http://google-workspace:3000/mcp", 32},
         .credential = {{"google", 6}, {"Authorization", 13}, {"Bearer {access_token}", 21}}},
        {.name = {"google-places", 13}, .url = {"http://google-places:1111/mcp", 29}},
        {.name = {"splitwise", 9},
         .url = {"http://splitwise:4000/mcp", 25},
         .credential = {{"splitwise", 9}, {"X-Splitwise-Key", 15}, {"{api_key}", 9}}},
    };
    struct servers *s = mem_alloc(sizeof *s);
    s->refs = 1;
    s->preconfigured = true;
    s->n = ARRAY_LEN(standard);
    s->servers = arena_alloc(&s->arena, sizeof standard);
    memcpy(s->servers, standard, sizeof standard);
    for (size_t i = 0; i < s->n; i++) {
        s->servers[i].preconfigured = true;
        server_identify(&s->servers[i]);
    }
    return s;
}

struct servers *servers_ref(struct servers *s) {
    s->refs++;
    return s;
}

void servers_unref(struct servers *s) {
    if (!s || --s->refs > 0) {
        return;
    }
    for (size_t i = 0; i < s->n; i++) {
        struct server *server = &s->servers[i];
        secret_free(server->oauth.client_secret);
        for (size_t k = 0; server->values && k <= server->n_values; k++) {
            secret_free(server->values[k].value);
        }
    }
    arena_done(&s->arena);
    mem_free(s);
}

const struct server *servers_find(const struct servers *s, struct str name) {
    for (size_t i = 0; i < s->n; i++) {
        if (str_eq(s->servers[i].name, name)) {
            return &s->servers[i];
        }
    }
    return NULL;
}

bool servers_skill_may_use(const struct servers *s, struct str skill, struct str server) {
    if (skill.n == 0 || str_eq(skill, STR("cos"))) {
        return true;
    }
    for (size_t i = 0; i < s->n_skills; i++) {
        if (!str_eq(s->skills[i].skill, skill)) {
            continue;
        }
        for (size_t k = 0; k < s->skills[i].n; k++) {
            if (str_eq(s->skills[i].servers[k], server) ||
                str_eq(s->skills[i].servers[k], STR("*"))) {
                return true;
            }
        }
        return false;
    }
    return true;
}
