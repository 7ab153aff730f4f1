/* What admins look at across users, keys apart: who is here, and who changed what. */
#include "store/admin.h"

#include "api/handlers.h"
#include "api/json_output.h"
#include "auth/auth.h"

enum { PAGE_DEFAULT = 50, PAGE_MAX = AUDIT_MAX_PAGE };

static int query_limit(struct call *c, int64_t *ret, struct err *err) {
    *ret = PAGE_DEFAULT;
    return call_query_int(c, "limit", 1, PAGE_MAX, ret, err);
}

/* A name of a user, as a filter or as a page's beginning. */
static int query_user(struct call *c, const char *name, struct str *ret, struct err *err) {
    struct str user = {0};
    if (call_query(c, name, AUTH_MAX_NAME_BYTES, &user, err) < 0) {
        return -(int)err->code;
    }
    if (user.p && !auth_name_valid(user)) {
        return err_set(err, ERR_INVALID, "%s: must be the name of a user", name);
    }
    *ret = user.p ? user : STR_EMPTY;
    return 0;
}

/* ---- users ---- */

static void write_user(struct jsonw *w, const struct user_row *u) {
    jsonw_object(w);
    jsonw_kstr(w, "user_id", u->user_id);
    json_put_time(w, "created_at", u->created_us);
    json_put_time(w, "last_activity_at", u->last_activity_us);
    jsonw_kint(w, "valid_keys", u->valid_keys);
    jsonw_kint(w, "threads", u->threads);
    jsonw_kint(w, "input_tokens", u->input_tokens);
    jsonw_kint(w, "output_tokens", u->output_tokens);
    jsonw_end_object(w);
}

int handle_admin_users(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(1024 * 1024);
    struct user_row *rows;
    struct str after;
    int64_t limit;
    size_t n;
    if (query_limit(c, &limit, err) < 0 || query_user(c, "cursor", &after, err) < 0 ||
        admin_users(c->gateway->db, after, (size_t)limit + 1, &c->arena, &rows, &n, err) < 0) {
        return -(int)err->code;
    }
    size_t shown = MIN(n, (size_t)limit);
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_key(&w, "users");
    jsonw_array(&w);
    for (size_t i = 0; i < shown; i++) {
        write_user(&w, &rows[i]);
    }
    jsonw_end_array(&w);
    if (n > shown) {
        jsonw_kstr(&w, "next_cursor", rows[shown - 1].user_id);
    }
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}

/* ---- the audit trail ---- */

static void write_entry(struct jsonw *w, const struct audit_row *r) {
    jsonw_object(w);
    jsonw_kstr(w, "id", r->id);
    json_put_time(w, "created_at", r->created_us);
    jsonw_kstr(w, "user_id", r->user_id);
    jsonw_kstr(w, "actor", r->actor);
    jsonw_kstr(w, "action", r->action);
    json_put_text(w, "subject", r->subject);
    jsonw_kraw(w, "detail", r->detail);
    jsonw_end_object(w);
}

int handle_admin_audit(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(CALL_MAX_REPLY_BYTES);
    struct admin_audit_page page = {.before_id = STR_EMPTY};
    struct audit_row *rows;
    int64_t limit;
    size_t n;
    if (query_limit(c, &limit, err) < 0 || query_user(c, "user", &page.user_id, err) < 0 ||
        call_query_cursor(c, &page.before_us, &page.before_id, err) < 0) {
        return -(int)err->code;
    }
    page.max = (size_t)limit + 1;
    if (admin_audit(c->gateway->db, &page, &c->arena, &rows, &n, err) < 0) {
        return -(int)err->code;
    }
    size_t shown = MIN(n, (size_t)limit);
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_key(&w, "entries");
    jsonw_array(&w);
    for (size_t i = 0; i < shown; i++) {
        write_entry(&w, &rows[i]);
    }
    jsonw_end_array(&w);
    if (n > shown) {
        json_put_cursor(&w, rows[shown - 1].created_us, rows[shown - 1].id);
    }
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}
