#include "store/keys.h"

#include "base/crypto.h"
#include "base/json.h"
#include "store/audit.h"
#include "store/rows.h"

enum { MAX_DETAIL_BYTES = 4096 };
#define END_OF_TIME_US INT64_C(253402300799000000) /* 9999-12-31T23:59:59Z */

#define KEY_COLUMNS                                                                                \
    "k.key_hash, k.user_id, k.profile_name, k.label, k.created_at, k.last_used, k.is_revoked, "    \
    "k.allow_operator_llm "

static struct key_row key_at(struct arena *arena, const struct db_tx *tx, size_t q, size_t row) {
    return (struct key_row){
        .key_hash = row_text(arena, tx, q, row, 0),
        .user_id = row_text(arena, tx, q, row, 1),
        .profile_name = row_text(arena, tx, q, row, 2),
        .label = row_text(arena, tx, q, row, 3),
        .created_us = db_get_time(tx, q, row, 4),
        .last_used_us = db_get_time(tx, q, row, 5),
        .is_revoked = db_get_bool(tx, q, row, 6),
        .allow_operator_llm = db_get_bool(tx, q, row, 7),
    };
}

/* ---- keys ---- */

static const struct db_sql sql_user =
    DB_SQL("key_user", "INSERT INTO users (user_id, created_at) VALUES ($1, $2) "
                       "ON CONFLICT (user_id) DO NOTHING");
static const struct db_sql sql_insert =
    DB_SQL("key_insert", "INSERT INTO api_keys (key_hash, user_id, profile_name, label, "
                         "created_at, allow_operator_llm) VALUES ($1, $2, $3, $4, $5, $6)");
static const struct db_sql sql_get =
    DB_SQL("key_get", "SELECT " KEY_COLUMNS "FROM api_keys k WHERE k.key_hash = $1");
static const struct db_sql sql_list =
    DB_SQL("key_list", "SELECT " KEY_COLUMNS "FROM api_keys k ORDER BY k.created_at, k.key_hash");
static const struct db_sql sql_count = DB_SQL("key_count", "SELECT COUNT(*) FROM api_keys");
static const struct db_sql sql_touch =
    DB_SQL("key_touch", "UPDATE api_keys SET last_used = $2 WHERE key_hash = $1");

static const struct db_sql sql_may_have_more =
    DB_SQL("key_may_have_more",
           "SELECT adjutant_require((SELECT COUNT(*) FROM api_keys WHERE user_id = $1 AND NOT "
           "is_revoked) < $2, 'too_many')");
/* Every page is of one list or the other, each with an index of its own. */
#define KEY_PAGE(whose)                                                                            \
    "SELECT " KEY_COLUMNS "FROM api_keys k WHERE " whose                                           \
    "(k.created_at, k.key_hash) < ($2, $3) ORDER BY k.created_at DESC, k.key_hash DESC LIMIT $4"
static const struct db_sql sql_page_of_user =
    DB_SQL("key_page_of_user", KEY_PAGE("k.user_id = $1 AND "));
static const struct db_sql sql_page = DB_SQL("key_page", KEY_PAGE("$1 = '' AND "));
static const struct db_sql sql_count_admins =
    DB_SQL("key_count_admins",
           "SELECT COUNT(*) FROM api_keys WHERE profile_name = 'admin' AND NOT is_revoked");

/* The tag of a requirement that did not hold. */
static bool is_tag(const struct err *err, const char *tag) {
    return err->code == ERR_PRECONDITION && str_eq(str_z(err->msg), str_z(tag));
}

static int refused_insert(struct err *err) {
    if (is_tag(err, "too_many")) {
        return err_set(err, ERR_CONFLICT, "a user has at most %d valid keys: revoke one first",
                       KEY_MAX_PER_USER);
    }
    return err->code == ERR_CONFLICT ? err_set(err, ERR_CONFLICT, "the key exists already")
                                     : -(int)err->code;
}

int key_insert(struct db *db, const struct key_row *row, struct str actor, struct err *err) {
    struct strbuf detail cleanup(strbuf_done) = STRBUF(MAX_DETAIL_BYTES);
    struct jsonw w = jsonw_begin(&detail);
    jsonw_object(&w);
    jsonw_kstr(&w, "role", row->profile_name);
    jsonw_kstr(&w, "label", row->label);
    jsonw_kbool(&w, "allow_operator_llm", row->allow_operator_llm);
    jsonw_end_object(&w);
    struct audit_entry entry = {.user_id = row->user_id,
                                .actor = actor,
                                .action = STR("key.create"),
                                .subject = str_head(row->key_hash, AUDIT_KEY_PREFIX),
                                .detail = strbuf_str(&detail)};
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, row->user_id, DB_WRITE);
    db_tx_add(tx, &sql_may_have_more, db_text(row->user_id), db_int(KEY_MAX_PER_USER));
    db_tx_add(tx, &sql_user, db_text(row->user_id), db_time(row->created_us));
    db_tx_add(tx, &sql_insert, db_text(row->key_hash), db_text(row->user_id),
              db_text(row->profile_name), db_text_or_null(row->label), db_time(row->created_us),
              db_bool(row->allow_operator_llm));
    audit_add(tx, &entry);
    return db_tx_run(tx, err) < 0 ? refused_insert(err) : 0;
}

int key_get(struct db *db, struct str key_hash, struct arena *arena, struct key_row *ret,
            struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_READ);
    size_t q = db_tx_add(tx, &sql_get, db_text(key_hash));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    if (db_rows(tx, q) == 0) {
        return err_set(err, ERR_NOT_FOUND, "no such key");
    }
    *ret = key_at(arena, tx, q, 0);
    return 0;
}

static void all_keys(struct arena *arena, const struct db_tx *tx, size_t q, struct key_row **ret,
                     size_t *ret_n) {
    size_t n = db_rows(tx, q);
    struct key_row *rows = arena_alloc(arena, n * sizeof *rows);
    for (size_t i = 0; i < n; i++) {
        rows[i] = key_at(arena, tx, q, i);
    }
    *ret = rows;
    *ret_n = n;
}

int key_list(struct db *db, struct arena *arena, struct key_row **ret, size_t *ret_n,
             struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_READ);
    size_t q = db_tx_add_values(tx, &sql_list, NULL, 0);
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    all_keys(arena, tx, q, ret, ret_n);
    return 0;
}

int key_list_page(struct db *db, const struct key_page *page, struct arena *arena,
                  struct key_row **ret, size_t *ret_n, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_READ);
    size_t q = db_tx_add(tx, page->user_id.n ? &sql_page_of_user : &sql_page,
                         db_text(page->user_id.n ? page->user_id : STR_EMPTY),
                         db_time(page->before_us ? page->before_us : END_OF_TIME_US),
                         db_text(page->before_hash), db_int((int64_t)page->max));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    all_keys(arena, tx, q, ret, ret_n);
    return 0;
}

static int number(struct db *db, const struct db_sql *sql, int64_t *ret, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_READ);
    size_t q = db_tx_add_values(tx, sql, NULL, 0);
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    *ret = db_get_int(tx, q, 0, 0);
    return 0;
}

int key_count(struct db *db, int64_t *ret, struct err *err) {
    return number(db, &sql_count, ret, err);
}

int key_count_admins(struct db *db, int64_t *ret, struct err *err) {
    return number(db, &sql_count_admins, ret, err);
}

int key_touch(struct db *db, struct str key_hash, int64_t now_us, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_WRITE);
    db_tx_add(tx, &sql_touch, db_text(key_hash), db_time(now_us));
    return db_tx_run(tx, err);
}

/* ---- what is named by the beginning of its hash ---- */

/* Hashes are lower-case hexadecimal, so all that begin with P stand between P and Pg. */
static int prefix_range(struct str prefix, const char *what, struct arena *arena,
                        struct str *ret_end, struct err *err) {
    bool ok = prefix.n >= KEY_MIN_PREFIX && prefix.n <= SHA256_HEX;
    for (size_t i = 0; i < prefix.n; i++) {
        bool digit = prefix.p[i] >= '0' && prefix.p[i] <= '9';
        ok &= digit || (prefix.p[i] >= 'a' && prefix.p[i] <= 'f');
    }
    if (!ok) {
        return err_set(err, ERR_INVALID, "a %s is named by %d to %d hexadecimal digits", what,
                       KEY_MIN_PREFIX, SHA256_HEX);
    }
    *ret_end = arena_printf(arena, "%.*sg", STR_ARG(prefix));
    return 0;
}

static int one_row(const struct db_tx *tx, size_t q, const char *what, struct err *err) {
    if (db_rows(tx, q) == 1) {
        return 0;
    }
    return db_rows(tx, q) ? err_set(err, ERR_CONFLICT, "several %ss begin with these digits", what)
                          : err_set(err, ERR_NOT_FOUND, "no such %s", what);
}

/* ---- changing keys ---- */

static const struct db_sql sql_find =
    DB_SQL("key_find", "SELECT " KEY_COLUMNS "FROM api_keys k WHERE k.key_hash >= $1 AND "
                       "k.key_hash < $2 AND ($3 = '' OR k.user_id = $3) LIMIT 2");
/* Two admins who revoke each other's keys at the same moment wait for each other here. */
static const struct db_sql sql_lock_admins =
    DB_SQL("key_lock_admins", "UPDATE api_keys SET is_revoked = FALSE WHERE "
                              "profile_name = 'admin' AND NOT is_revoked");
static const struct db_sql sql_require_valid =
    DB_SQL("key_require_valid", "SELECT adjutant_require(EXISTS (SELECT 1 FROM api_keys WHERE "
                                "key_hash = $1 AND NOT is_revoked), 'revoked')");
static const struct db_sql sql_require_admin =
    DB_SQL("key_require_admin",
           "SELECT adjutant_require(EXISTS (SELECT 1 FROM api_keys WHERE key_hash <> $1 AND "
           "profile_name = 'admin' AND NOT is_revoked), 'last_admin')");
static const struct db_sql sql_revoke =
    DB_SQL("key_revoke", "UPDATE api_keys SET is_revoked = TRUE WHERE key_hash = $1");
static const struct db_sql sql_end_sessions =
    DB_SQL("key_end_sessions", "DELETE FROM sessions WHERE key_hash = $1");
static const struct db_sql sql_change =
    DB_SQL("key_change", "UPDATE api_keys SET label = $2, allow_operator_llm = $3 "
                         "WHERE key_hash = $1");

static int find(struct db *db, const struct key_order *o, struct arena *arena, struct key_row *ret,
                struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_READ);
    struct str end;
    if (prefix_range(o->hash_prefix, "key", arena, &end, err) < 0) {
        return -(int)err->code;
    }
    size_t q = db_tx_add(tx, &sql_find, db_text(o->hash_prefix), db_text(end),
                         db_text(o->user_id.n ? o->user_id : STR_EMPTY));
    if (db_tx_run(tx, err) < 0 || one_row(tx, q, "key", err) < 0) {
        return -(int)err->code;
    }
    *ret = key_at(arena, tx, q, 0);
    return 0;
}

static struct audit_entry entry_of(const struct key_row *row, const struct key_order *o,
                                   struct str action, struct str detail) {
    return (struct audit_entry){.user_id = row->user_id,
                                .actor = o->actor,
                                .action = action,
                                .subject = str_head(row->key_hash, AUDIT_KEY_PREFIX),
                                .detail = detail};
}

int key_revoke(struct db *db, const struct key_order *o, bool keep_an_admin, struct arena *arena,
               struct key_row *ret, struct err *err) {
    struct key_row row;
    if (find(db, o, arena, &row, err) < 0) {
        return -(int)err->code;
    }
    struct audit_entry entry = entry_of(&row, o, STR("key.revoke"), STR_EMPTY);
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, row.user_id, DB_WRITE);
    bool is_admin = str_eq(row.profile_name, STR("admin"));
    if (is_admin && keep_an_admin) {
        db_tx_add_values(tx, &sql_lock_admins, NULL, 0);
    }
    db_tx_add(tx, &sql_require_valid, db_text(row.key_hash));
    if (is_admin && keep_an_admin) {
        db_tx_add(tx, &sql_require_admin, db_text(row.key_hash));
    }
    db_tx_add(tx, &sql_revoke, db_text(row.key_hash));
    db_tx_add(tx, &sql_end_sessions, db_text(row.key_hash));
    audit_add(tx, &entry);
    int rc = db_tx_run(tx, err);
    if (rc < 0 && is_tag(err, "last_admin")) {
        return err_set(err, ERR_CONFLICT,
                       "it is the last valid key of an admin: make another one first");
    }
    if (rc < 0 && !is_tag(err, "revoked")) {
        return rc;
    }
    row.is_revoked = true;
    *ret = row;
    return 0;
}

int key_change(struct db *db, const struct key_order *o, const struct key_change *change,
               struct arena *arena, struct key_row *ret, struct err *err) {
    struct strbuf detail cleanup(strbuf_done) = STRBUF(MAX_DETAIL_BYTES);
    struct jsonw w = jsonw_begin(&detail);
    struct key_row row;
    if (find(db, o, arena, &row, err) < 0) {
        return -(int)err->code;
    }
    jsonw_object(&w);
    if (change->sets_operator_llm) {
        row.allow_operator_llm = change->allow_operator_llm;
        jsonw_kbool(&w, "allow_operator_llm", row.allow_operator_llm);
    }
    if (change->label.p) {
        row.label = arena_str(arena, change->label);
        jsonw_kstr(&w, "label", row.label);
    }
    jsonw_end_object(&w);
    struct audit_entry entry = entry_of(&row, o, STR("key.change"), strbuf_str(&detail));
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, row.user_id, DB_WRITE);
    db_tx_add(tx, &sql_change, db_text(row.key_hash), db_text_or_null(row.label),
              db_bool(row.allow_operator_llm));
    audit_add(tx, &entry);
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    *ret = row;
    return 0;
}

/* ---- sessions ---- */

static const struct db_sql sql_session_insert =
    DB_SQL("session_insert", "INSERT INTO sessions (token_hash, key_hash, created_at, expires_at) "
                             "VALUES ($1, $2, $3, $4)");
static const struct db_sql sql_session_bound =
    DB_SQL("session_bound",
           "DELETE FROM sessions WHERE key_hash = $1 AND token_hash NOT IN "
           "(SELECT token_hash FROM sessions WHERE key_hash = $1 ORDER BY created_at DESC "
           "LIMIT 100)");
static const struct db_sql sql_session_get =
    DB_SQL("session_get",
           "SELECT s.key_hash, k.user_id, k.profile_name, k.label, k.created_at, k.last_used, "
           "k.is_revoked, k.allow_operator_llm FROM sessions s LEFT JOIN api_keys k ON "
           "k.key_hash = s.key_hash WHERE s.token_hash = $1 AND s.expires_at > $2 AND "
           "NOT COALESCE(k.is_revoked, FALSE)");
static const struct db_sql sql_session_delete =
    DB_SQL("session_delete", "DELETE FROM sessions WHERE token_hash = $1");
static const struct db_sql sql_session_sweep =
    DB_SQL("session_sweep", "DELETE FROM sessions WHERE expires_at <= $1");

int session_insert(struct db *db, struct str token_hash, struct str key_hash, int64_t now_us,
                   int64_t expires_us, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_WRITE);
    db_tx_add(tx, &sql_session_insert, db_text(token_hash), db_text(key_hash), db_time(now_us),
              db_time(expires_us));
    db_tx_add(tx, &sql_session_bound, db_text(key_hash));
    return db_tx_run(tx, err);
}

int session_get(struct db *db, struct str token_hash, int64_t now_us, struct arena *arena,
                struct key_row *ret, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_READ);
    size_t q = db_tx_add(tx, &sql_session_get, db_text(token_hash), db_time(now_us));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    if (db_rows(tx, q) == 0) {
        return err_set(err, ERR_NOT_FOUND, "no such session");
    }
    *ret = key_at(arena, tx, q, 0);
    return 0;
}

int session_delete(struct db *db, struct str token_hash, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_WRITE);
    db_tx_add(tx, &sql_session_delete, db_text(token_hash));
    return db_tx_run(tx, err);
}

int sessions_sweep(struct db *db, int64_t now_us, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_WRITE);
    db_tx_add(tx, &sql_session_sweep, db_time(now_us));
    return db_tx_run(tx, err);
}

/* ---- a user's own sessions ---- */

/* Of the user $1's keys, and of the key $2. */
#define OWN_SESSIONS                                                                               \
    "SELECT s.token_hash, s.key_hash, s.created_at, s.expires_at FROM sessions s WHERE "           \
    "(s.key_hash = $2 OR s.key_hash IN (SELECT k.key_hash FROM api_keys k WHERE k.user_id = $1 "   \
    "AND NOT k.is_revoked)) "
static const struct db_sql sql_session_list =
    DB_SQL("session_list",
           OWN_SESSIONS "AND s.expires_at > $3 ORDER BY s.created_at DESC, s.token_hash LIMIT $4");
static const struct db_sql sql_session_find =
    DB_SQL("session_find", OWN_SESSIONS "AND s.token_hash >= $3 AND s.token_hash < $4 LIMIT 2");

static struct session_row session_at(struct arena *arena, const struct db_tx *tx, size_t q,
                                     size_t row) {
    return (struct session_row){.token_hash = row_text(arena, tx, q, row, 0),
                                .key_hash = row_text(arena, tx, q, row, 1),
                                .created_us = db_get_time(tx, q, row, 2),
                                .expires_us = db_get_time(tx, q, row, 3)};
}

int session_list(struct db *db, struct session_owner owner, int64_t now_us, size_t max,
                 struct arena *arena, struct session_row **ret, size_t *ret_n, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_READ);
    size_t q = db_tx_add(tx, &sql_session_list, db_text(owner.user_id),
                         db_text(owner.key_without_row), db_time(now_us), db_int((int64_t)max));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    size_t n = db_rows(tx, q);
    struct session_row *rows = arena_alloc(arena, n * sizeof *rows);
    for (size_t i = 0; i < n; i++) {
        rows[i] = session_at(arena, tx, q, i);
    }
    *ret = rows;
    *ret_n = n;
    return 0;
}

static int find_session(struct db *db, struct session_owner owner, struct str token_prefix,
                        struct arena *arena, struct session_row *ret, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_READ);
    struct str end;
    if (prefix_range(token_prefix, "session", arena, &end, err) < 0) {
        return -(int)err->code;
    }
    size_t q = db_tx_add(tx, &sql_session_find, db_text(owner.user_id),
                         db_text(owner.key_without_row), db_text(token_prefix), db_text(end));
    if (db_tx_run(tx, err) < 0 || one_row(tx, q, "session", err) < 0) {
        return -(int)err->code;
    }
    *ret = session_at(arena, tx, q, 0);
    return 0;
}

int session_end(struct db *db, struct session_owner owner, struct str token_prefix,
                struct str actor, struct arena *arena, struct session_row *ret, struct err *err) {
    struct session_row row;
    if (find_session(db, owner, token_prefix, arena, &row, err) < 0) {
        return -(int)err->code;
    }
    struct audit_entry entry = {.user_id = owner.user_id,
                                .actor = actor,
                                .action = STR("session.end"),
                                .subject = str_head(row.token_hash, AUDIT_KEY_PREFIX)};
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, owner.user_id, DB_WRITE);
    db_tx_add(tx, &sql_session_delete, db_text(row.token_hash));
    audit_add(tx, &entry);
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    *ret = row;
    return 0;
}
