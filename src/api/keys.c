/* Keys over REST: one's own, and for admins everybody's. */
#include "store/keys.h"

#include "api/handlers.h"
#include "api/json_output.h"
#include "api/ws_session.h"
#include "base/clock.h"
#include "store/audit.h"

enum { PAGE_DEFAULT = 50, PAGE_MAX = 200 };

static struct str actor_of(struct call *c) {
    return audit_actor(&c->arena, c->principal.user_id, c->principal.key_hash);
}

static void key_changed(struct call *c, const struct key_row *row) {
    auth_key_changed(c->gateway->auth, row->user_id, row->key_hash);
    feed_settings(c->gateway->feed, row->user_id, FEED_KEYS);
}

/* ---- keys as JSON ---- */

/* The object is left open. */
static void write_members(struct jsonw *w, const struct call *c, const struct key_row *k) {
    jsonw_object(w);
    jsonw_kstr(w, "hash", str_head(k->key_hash, AUDIT_KEY_PREFIX));
    jsonw_kstr(w, "user_id", k->user_id);
    jsonw_kstr(w, "role", k->profile_name);
    json_put_text(w, "label", k->label);
    json_put_time(w, "created_at", k->created_us);
    json_put_time(w, "last_used_at", k->last_used_us);
    jsonw_kbool(w, "revoked", k->is_revoked);
    jsonw_kbool(w, "allow_operator_llm", k->allow_operator_llm);
    jsonw_kbool(w, "current", str_eq(k->key_hash, c->principal.key_hash));
}

static int respond_key(struct call *c, const struct key_row *k, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(4096);
    struct jsonw w = jsonw_begin(&out);
    write_members(&w, c, k);
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}

/* ---- listing ---- */

static int respond_list(struct call *c, struct str user_id, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(1024 * 1024);
    struct key_page page = {.user_id = user_id, .before_hash = STR_EMPTY};
    struct key_row *rows;
    int64_t limit = PAGE_DEFAULT;
    size_t n;
    if (call_query_int(c, "limit", 1, PAGE_MAX, &limit, err) < 0 ||
        call_query_cursor(c, &page.before_us, &page.before_hash, err) < 0) {
        return -(int)err->code;
    }
    page.max = (size_t)limit + 1;
    if (key_list_page(c->gateway->db, &page, &c->arena, &rows, &n, err) < 0) {
        return -(int)err->code;
    }
    size_t shown = MIN(n, (size_t)limit);
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_key(&w, "keys");
    jsonw_array(&w);
    for (size_t i = 0; i < shown; i++) {
        write_members(&w, c, &rows[i]);
        jsonw_end_object(&w);
    }
    jsonw_end_array(&w);
    if (n > shown) {
        const struct key_row *last = &rows[shown - 1];
        json_put_cursor(&w, last->created_us, str_head(last->key_hash, AUDIT_KEY_PREFIX));
    }
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}

int handle_key_list(struct call *c, struct err *err) {
    return respond_list(c, c->principal.user_id, err);
}

int handle_admin_key_list(struct call *c, struct err *err) {
    struct str user = STR_EMPTY;
    if (call_query(c, "user", AUTH_MAX_NAME_BYTES, &user, err) < 0) {
        return -(int)err->code;
    }
    return respond_list(c, user, err);
}

/* ---- making ---- */

static int want_name(const json_t *body, const char *key, struct str *ret, struct err *err) {
    if (json_want_str(body, key, AUTH_MAX_NAME_BYTES, ret, err) < 0) {
        return -(int)err->code;
    }
    if (ret->n > 0 && !auth_name_valid(*ret)) {
        return err_set(err, ERR_INVALID, "%s: must be text without control characters", key);
    }
    return 0;
}

/* The first key ends an open instance: everybody needs one from then on. Were it not an admin's,
 * nobody could make the next one from here. */
static int check_first(struct call *c, struct str role, struct err *err) {
    if (auth_mode(c->gateway->auth) == AUTH_OPEN && !str_eq(role, STR("admin"))) {
        return err_set(err, ERR_CONFLICT,
                       "this instance is open, and its first key closes it: make one with the "
                       "role admin first");
    }
    return 0;
}

static int insert_key(struct call *c, struct key_row *row, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(4096);
    struct secret *key cleanup(secret_free_p) = auth_key_new();
    char hash[SHA256_HEX + 1];
    crypto_sha256_hex(secret_reveal(key), hash);
    row->key_hash = str_z(hash);
    row->created_us = clock_now_us();
    bool was_open = auth_mode(c->gateway->auth) == AUTH_OPEN;
    if (check_first(c, row->profile_name, err) < 0 ||
        key_insert(c->gateway->db, row, actor_of(c), err) < 0) {
        return -(int)err->code;
    }
    key_changed(c, row);
    struct jsonw w = jsonw_begin(&out);
    write_members(&w, c, row);
    jsonw_kstr(&w, "key", secret_reveal(key));
    jsonw_kbool(&w, "closed_instance", was_open);
    jsonw_end_object(&w);
    int rc = call_respond(c, 201, &out, err);
    secret_wipe(out.p, out.n);
    if (was_open) {
        ws_watch_look(c->gateway, STR_EMPTY);
    }
    return rc;
}

int handle_admin_key_create(struct call *c, struct err *err) {
    json_auto_t *body = NULL;
    struct key_row row = {.profile_name = STR("personal"), .label = STR_EMPTY};
    enum role role;
    if (call_read_json(c, false, &body, err) < 0 ||
        want_name(body, "user_id", &row.user_id, err) < 0 ||
        want_name(body, "label", &row.label, err) < 0 ||
        json_want_str(body, "role", AUTH_MAX_NAME_BYTES, &row.profile_name, err) < 0 ||
        json_want_bool(body, "allow_operator_llm", &row.allow_operator_llm, err) < 0) {
        return -(int)err->code;
    }
    if (row.user_id.n == 0) {
        return err_set(err, ERR_INVALID, "user_id: is needed");
    }
    if (!role_parse(row.profile_name, &role)) {
        return err_set(err, ERR_INVALID, "role: must be personal, admin or cos_internal");
    }
    return insert_key(c, &row, err);
}

/* A further key is never worth more than the one it was made with. */
int handle_key_create(struct call *c, struct err *err) {
    json_auto_t *body = NULL;
    struct key_row row = {.user_id = c->principal.user_id,
                          .profile_name = str_z(role_name(c->principal.role)),
                          .label = STR_EMPTY,
                          .allow_operator_llm = c->principal.allow_operator_llm};
    if (call_read_json(c, true, &body, err) < 0 || want_name(body, "label", &row.label, err) < 0) {
        return -(int)err->code;
    }
    return insert_key(c, &row, err);
}

/* ---- revoking and changing ---- */

/* Under ASSISTANT_API_KEY there is always one admin more. */
static bool must_keep_an_admin(const struct call *c) {
    return auth_mode(c->gateway->auth) != AUTH_SHARED;
}

static int revoke_key(struct call *c, struct str user_id, struct key_row *ret, struct err *err) {
    struct key_order order = {.user_id = user_id, .actor = actor_of(c)};
    if (call_id(c, 0, &order.hash_prefix, err) < 0 ||
        key_revoke(c->gateway->db, &order, must_keep_an_admin(c), &c->arena, ret, err) < 0) {
        return -(int)err->code;
    }
    key_changed(c, ret);
    return 0;
}

int handle_key_revoke(struct call *c, struct err *err) {
    struct key_row row;
    if (revoke_key(c, c->principal.user_id, &row, err) < 0) {
        return -(int)err->code;
    }
    call_respond_empty(c, 204, NULL, 0);
    ws_watch_look(c->gateway, row.user_id);
    return 0;
}

int handle_admin_key_revoke(struct call *c, struct err *err) {
    struct key_row row;
    if (revoke_key(c, STR_EMPTY, &row, err) < 0) {
        return -(int)err->code;
    }
    int rc = respond_key(c, &row, err);
    ws_watch_look(c->gateway, row.user_id);
    return rc;
}

int handle_admin_key_change(struct call *c, struct err *err) {
    json_auto_t *body = NULL;
    struct key_order order = {.user_id = STR_EMPTY, .actor = actor_of(c)};
    struct key_change change = {0};
    struct key_row row;
    if (call_id(c, 0, &order.hash_prefix, err) < 0 || call_read_json(c, false, &body, err) < 0 ||
        want_name(body, "label", &change.label, err) < 0 ||
        json_want_bool(body, "allow_operator_llm", &change.allow_operator_llm, err) < 0) {
        return -(int)err->code;
    }
    change.sets_operator_llm = json_is_boolean(json_object_get(body, "allow_operator_llm"));
    if (!change.sets_operator_llm && !change.label.p) {
        return err_set(err, ERR_INVALID, "allow_operator_llm or label is needed");
    }
    if (key_change(c->gateway->db, &order, &change, &c->arena, &row, err) < 0) {
        return -(int)err->code;
    }
    key_changed(c, &row);
    return respond_key(c, &row, err);
}
