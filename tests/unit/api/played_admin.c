/* Keys, sessions and what admins see. The flow tests look at these over both databases; here they
 * are answered with a failure, so that a test that comes by notices. */
#include "auth/auth.h"
#include "event/event.h"
#include "played.h"
#include "store/admin.h"
#include "store/keys.h"

#define NOT_PLAYED err_set(err, ERR_INTERNAL, "%s is not played", __func__)

/* ---- auth ---- */

uint64_t user_epoch(const struct user_epochs *e, struct str user_id) {
    (void)e, (void)user_id;
    return 0;
}

int auth_recheck(struct auth *auth, struct str key, struct str cookie, struct arena *arena,
                 struct principal *ret, struct err *err) {
    return played.recheck_fails ? err_set(err, ERR_UNAVAILABLE, "the database is away")
                                : auth_check(auth, key, cookie, STR_EMPTY, arena, ret, err);
}

void auth_key_changed(struct auth *auth, struct str user_id, struct str key_hash) {
    (void)auth, (void)user_id, (void)key_hash;
}

void auth_session_ended(struct auth *auth, struct str user_id, struct str token_hash) {
    (void)auth, (void)user_id, (void)token_hash;
}

struct str auth_shared_hash(const struct auth *auth) {
    (void)auth;
    return STR_EMPTY;
}

struct secret *auth_key_new(void) {
    return secret_new(STR("adj_played"));
}

bool auth_name_valid(struct str name) {
    return name.n > 0;
}

bool role_parse(struct str name, enum role *ret) {
    *ret = ROLE_PERSONAL;
    return str_eq(name, STR("personal"));
}

/* ---- store ---- */

struct str audit_actor(struct arena *arena, struct str user_id, struct str key_hash) {
    (void)arena, (void)key_hash;
    return user_id;
}

int key_insert(struct db *db, const struct key_row *row, struct str actor, struct err *err) {
    (void)db, (void)row, (void)actor;
    return NOT_PLAYED;
}

int key_list_page(struct db *db, const struct key_page *page, struct arena *arena,
                  struct key_row **ret, size_t *ret_n, struct err *err) {
    (void)db, (void)page, (void)arena, (void)ret, (void)ret_n;
    return NOT_PLAYED;
}

int key_revoke(struct db *db, const struct key_order *order, bool keep_an_admin,
               struct arena *arena, struct key_row *ret, struct err *err) {
    (void)db, (void)order, (void)keep_an_admin, (void)arena, (void)ret;
    return NOT_PLAYED;
}

int key_change(struct db *db, const struct key_order *order, const struct key_change *change,
               struct arena *arena, struct key_row *ret, struct err *err) {
    (void)db, (void)order, (void)change, (void)arena, (void)ret;
    return NOT_PLAYED;
}

int session_list(struct db *db, struct session_owner owner, int64_t now_us, size_t max,
                 struct arena *arena, struct session_row **ret, size_t *ret_n, struct err *err) {
    (void)db, (void)owner, (void)now_us, (void)max, (void)arena, (void)ret, (void)ret_n;
    return NOT_PLAYED;
}

int session_end(struct db *db, struct session_owner owner, struct str token_prefix,
                struct str actor, struct arena *arena, struct session_row *ret, struct err *err) {
    (void)db, (void)owner, (void)token_prefix, (void)actor, (void)arena, (void)ret;
    return NOT_PLAYED;
}

int admin_users(struct db *db, struct str after_id, size_t max, struct arena *arena,
                struct user_row **ret, size_t *ret_n, struct err *err) {
    (void)db, (void)after_id, (void)max, (void)arena, (void)ret, (void)ret_n;
    return NOT_PLAYED;
}

int admin_usage(struct db *db, enum admin_usage_by by, int64_t from_us, int64_t to_us, size_t max,
                struct arena *arena, struct admin_usage_row **ret, size_t *ret_n, struct err *err) {
    (void)db, (void)by, (void)from_us, (void)to_us, (void)max, (void)arena, (void)ret, (void)ret_n;
    return NOT_PLAYED;
}

int admin_audit(struct db *db, const struct admin_audit_page *page, struct arena *arena,
                struct audit_row **ret, size_t *ret_n, struct err *err) {
    (void)db, (void)page, (void)arena, (void)ret, (void)ret_n;
    return NOT_PLAYED;
}

/* ---- what /mcp needs beside ---- */

int event_message_text(struct strbuf *out, struct str json, struct err *err) {
    (void)out, (void)json;
    return NOT_PLAYED;
}
