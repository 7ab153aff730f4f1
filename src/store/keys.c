#include "store/keys.h"

#include "base/crypto.h"
#include "store/rows.h"

enum { MIN_PREFIX = 8 };

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

int key_insert(struct db *db, const struct key_row *row, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, row->user_id, DB_WRITE);
    db_tx_add(tx, &sql_user, db_text(row->user_id), db_time(row->created_us));
    db_tx_add(tx, &sql_insert, db_text(row->key_hash), db_text(row->user_id),
              db_text(row->profile_name), db_text_or_null(row->label), db_time(row->created_us),
              db_bool(row->allow_operator_llm));
    if (db_tx_run(tx, err) < 0) {
        return err->code == ERR_CONFLICT ? err_set(err, ERR_CONFLICT, "the key exists already")
                                         : -(int)err->code;
    }
    return 0;
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

int key_list(struct db *db, struct arena *arena, struct key_row **ret, size_t *ret_n,
             struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_READ);
    size_t q = db_tx_add_values(tx, &sql_list, NULL, 0);
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    size_t n = db_rows(tx, q);
    struct key_row *rows = arena_alloc(arena, n * sizeof *rows);
    for (size_t i = 0; i < n; i++) {
        rows[i] = key_at(arena, tx, q, i);
    }
    *ret = rows;
    *ret_n = n;
    return 0;
}

int key_count(struct db *db, int64_t *ret, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_READ);
    size_t q = db_tx_add_values(tx, &sql_count, NULL, 0);
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    *ret = db_get_int(tx, q, 0, 0);
    return 0;
}

int key_touch(struct db *db, struct str key_hash, int64_t now_us, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_WRITE);
    db_tx_add(tx, &sql_touch, db_text(key_hash), db_time(now_us));
    return db_tx_run(tx, err);
}

/* ---- keys by a prefix of their hash ---- */

/* Hashes are lower-case hexadecimal, so all that begin with P stand between P and Pg. */
static const struct db_sql sql_find =
    DB_SQL("key_find", "SELECT " KEY_COLUMNS "FROM api_keys k WHERE k.key_hash >= $1 AND "
                       "k.key_hash < $2 LIMIT 2");
static const struct db_sql sql_revoke =
    DB_SQL("key_revoke", "UPDATE api_keys SET is_revoked = TRUE WHERE key_hash = $1");
static const struct db_sql sql_end_sessions =
    DB_SQL("key_end_sessions", "DELETE FROM sessions WHERE key_hash = $1");
static const struct db_sql sql_set_operator = DB_SQL(
    "key_set_operator_llm", "UPDATE api_keys SET allow_operator_llm = $2 WHERE key_hash = $1");

static bool is_prefix(struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        bool digit = s.p[i] >= '0' && s.p[i] <= '9';
        if (!digit && !(s.p[i] >= 'a' && s.p[i] <= 'f')) {
            return false;
        }
    }
    return s.n >= MIN_PREFIX && s.n <= SHA256_HEX;
}

static int find(struct db *db, struct str prefix, struct arena *arena, struct key_row *ret,
                struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_READ);
    if (!is_prefix(prefix)) {
        return err_set(err, ERR_INVALID, "a key is named by 8 to 64 hexadecimal digits");
    }
    struct str end = arena_printf(arena, "%.*sg", STR_ARG(prefix));
    size_t q = db_tx_add(tx, &sql_find, db_text(prefix), db_text(end));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    if (db_rows(tx, q) == 0) {
        return err_set(err, ERR_NOT_FOUND, "no such key");
    }
    if (db_rows(tx, q) > 1) {
        return err_set(err, ERR_CONFLICT, "several keys begin with %.*s", STR_ARG(prefix));
    }
    *ret = key_at(arena, tx, q, 0);
    return 0;
}

int key_revoke(struct db *db, struct str hash_prefix, struct arena *arena, struct key_row *ret,
               struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_WRITE);
    struct key_row row;
    if (find(db, hash_prefix, arena, &row, err) < 0) {
        return -(int)err->code;
    }
    db_tx_add(tx, &sql_revoke, db_text(row.key_hash));
    db_tx_add(tx, &sql_end_sessions, db_text(row.key_hash));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    row.is_revoked = true;
    *ret = row;
    return 0;
}

int key_set_operator_llm(struct db *db, struct str hash_prefix, bool allow, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_WRITE);
    struct key_row row;
    if (find(db, hash_prefix, &arena, &row, err) < 0) {
        return -(int)err->code;
    }
    db_tx_add(tx, &sql_set_operator, db_text(row.key_hash), db_bool(allow));
    return db_tx_run(tx, err);
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
