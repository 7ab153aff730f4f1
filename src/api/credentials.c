/* A user's credentials: what is there, never what they say. */
#include "api/handlers.h"
#include "api/json_output.h"
#include "base/clock.h"
#include "graph/llm_key.h"
#include "store/audit.h"

enum { MAX_SCOPES = 100, MAX_SCOPE_BYTES = 256, MAX_SCOPES_BYTES = 4096 };

/* ---- as JSON ---- */

/* The object is left open. */
static void write_members(struct jsonw *w, const struct vault_entry *e) {
    struct str rest = e->scopes;
    jsonw_object(w);
    jsonw_kstr(w, "service", e->service);
    jsonw_key(w, "scopes");
    jsonw_array(w);
    while (rest.n > 0) {
        struct str scope = str_cut(&rest, ' ');
        if (scope.n > 0) {
            jsonw_str(w, scope);
        }
    }
    jsonw_end_array(w);
    json_put_time(w, "expires_at", e->expires_us);
    json_put_time(w, "created_at", e->created_us);
    json_put_time(w, "updated_at", e->updated_us);
}

int handle_credential_list(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(CALL_MAX_REPLY_BYTES);
    struct vault_entry *entries;
    size_t n;
    if (vault_list(c->gateway->vault, c->principal.user_id, &c->arena, &entries, &n, err) < 0) {
        return -(int)err->code;
    }
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_key(&w, "credentials");
    jsonw_array(&w);
    for (size_t i = 0; i < n; i++) {
        write_members(&w, &entries[i]);
        jsonw_end_object(&w);
    }
    jsonw_end_array(&w);
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}

/* ---- storing ---- */

static bool scope_ok(struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || s.p[i] > '~') {
            return false;
        }
    }
    return s.n > 0 && s.n <= MAX_SCOPE_BYTES;
}

static int read_scopes(struct call *c, const json_t *body, struct str *ret, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(MAX_SCOPES_BYTES);
    const json_t *scopes = json_object_get(body, "scopes");
    if (!scopes || json_is_null(scopes)) {
        return 0;
    }
    if (!json_is_array(scopes) || json_array_size(scopes) > MAX_SCOPES) {
        return err_set(err, ERR_INVALID, "scopes: must be a list of at most %d words", MAX_SCOPES);
    }
    for (size_t i = 0; i < json_array_size(scopes); i++) {
        struct str scope = json_value_str(json_array_get(scopes, i));
        if (!scope_ok(scope)) {
            return err_set(err, ERR_INVALID,
                           "scopes: each must be 1 to %d printable characters without space",
                           MAX_SCOPE_BYTES);
        }
        strbuf_addz(&out, i ? " " : "");
        strbuf_add(&out, scope);
    }
    if (strbuf_check(&out, "scopes", err) < 0) {
        return -(int)err->code;
    }
    *ret = arena_str(&c->arena, strbuf_str(&out));
    return 0;
}

static int read_expiry(const json_t *body, int64_t *ret, struct err *err) {
    struct str text = STR_EMPTY;
    if (json_want_str(body, "expires_at", 40, &text, err) < 0) {
        return -(int)err->code;
    }
    return text.n == 0 || clock_parse(text, ret)
               ? 0
               : err_set(err, ERR_INVALID,
                         "expires_at: must be a time such as 2026-01-31T00:00:00Z");
}

/* An entry of an OAuth login says where its tokens, and the operator's client secret, are sent: it
 * is made of what servers answered, never of what users write. */
static int check_service(struct str service, struct err *err) {
    return str_starts(service, STR("mcp:"))
               ? err_set(err, ERR_FORBIDDEN,
                         "credentials of the name mcp:... come about by authorizing a server")
               : 0;
}

static int read_put(struct call *c, const json_t *body, struct vault_entry *ret,
                    struct strbuf *ret_value, struct err *err) {
    const json_t *value = json_object_get(body, "value");
    bool admin = c->principal.role == ROLE_ADMIN;
    *ret = (struct vault_entry){
        .service = c->params[0],
        .scopes = STR_EMPTY,
        .actor = audit_actor(&c->arena, c->principal.user_id, c->principal.key_hash)};
    if (!json_is_object(value)) {
        return err_set(err, ERR_INVALID, "value: is needed, a JSON object");
    }
    if (read_scopes(c, body, &ret->scopes, err) < 0 ||
        read_expiry(body, &ret->expires_us, err) < 0 ||
        llm_key_check_shape(ret->service, value, admin, err) < 0) {
        return -(int)err->code;
    }
    strbuf_room(ret_value, VAULT_MAX_VALUE_BYTES);
    json_write_tree(ret_value, value);
    return strbuf_check(ret_value, "the value", err);
}

/* As it is stored now. */
static int find_entry(struct call *c, struct str service, struct vault_entry *ret,
                      struct err *err) {
    struct vault_entry *entries;
    size_t n;
    if (vault_list(c->gateway->vault, c->principal.user_id, &c->arena, &entries, &n, err) < 0) {
        return -(int)err->code;
    }
    for (size_t i = 0; i < n; i++) {
        if (str_eq(entries[i].service, service)) {
            *ret = entries[i];
            return 0;
        }
    }
    return err_set(err, ERR_CONFLICT, "the credential was deleted at the same moment");
}

static int respond_put(struct call *c, struct str service, const struct llm_key_trial *trial,
                       struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(64 * 1024);
    struct vault_entry entry;
    if (find_entry(c, service, &entry, err) < 0) {
        return -(int)err->code;
    }
    struct jsonw w = jsonw_begin(&out);
    write_members(&w, &entry);
    if (!trial->verified) {
        jsonw_kbool(&w, "unverified", true);
        jsonw_kstrz(&w, "reason", trial->reason);
    }
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}

int handle_credential_put(struct call *c, struct err *err) {
    json_auto_t *body = NULL;
    struct strbuf value cleanup(secret_strbuf_done) = STRBUF(VAULT_MAX_VALUE_BYTES);
    struct vault_entry entry;
    struct llm_key_trial trial;
    if (check_service(c->params[0], err) < 0 || call_read_json(c, false, &body, err) < 0 ||
        read_put(c, body, &entry, &value, err) < 0 ||
        llm_key_try(c->gateway->profile, entry.service, json_object_get(body, "value"), &trial,
                    err) < 0 ||
        vault_put(c->gateway->vault, c->principal.user_id, &entry, strbuf_str(&value), err) < 0) {
        return -(int)err->code;
    }
    feed_settings(c->gateway->feed, c->principal.user_id, FEED_CREDENTIALS);
    return respond_put(c, entry.service, &trial, err);
}

int handle_credential_delete(struct call *c, struct err *err) {
    struct str actor = audit_actor(&c->arena, c->principal.user_id, c->principal.key_hash);
    if (vault_delete(c->gateway->vault, c->principal.user_id, c->params[0], actor, err) < 0) {
        return -(int)err->code;
    }
    feed_settings(c->gateway->feed, c->principal.user_id, FEED_CREDENTIALS);
    return call_respond_empty(c, 204, NULL, 0);
}
