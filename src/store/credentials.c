#include "store/credentials.h"

#include <assert.h>

#include "store/rows.h"

/* ---- one user's ---- */

static const struct db_sql sql_get =
    DB_SQL("credential_get",
           "SELECT service, encryption_key_id, nonce, ciphertext, scopes, expires_at, created_at, "
           "updated_at FROM user_credentials WHERE user_id = $1 AND service = $2");
static const struct db_sql sql_room =
    DB_SQL("credential_room",
           "SELECT adjutant_require((SELECT COUNT(*) FROM user_credentials WHERE user_id = $1 AND "
           "service <> $2) < $3, 'services')");
static const struct db_sql sql_put =
    DB_SQL("credential_put",
           "INSERT INTO user_credentials (user_id, service, encryption_key_id, nonce, ciphertext, "
           "scopes, expires_at, created_at, updated_at) "
           "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) "
           "ON CONFLICT (user_id, service) DO UPDATE SET "
           "encryption_key_id = excluded.encryption_key_id, nonce = excluded.nonce, "
           "ciphertext = excluded.ciphertext, scopes = excluded.scopes, "
           "expires_at = excluded.expires_at, updated_at = excluded.updated_at "
           "WHERE user_credentials.encryption_key_id IN ($10, $11, $12, $13, $14, $15, $16, $17)");
static const struct db_sql sql_is_put =
    DB_SQL("credential_is_put",
           "SELECT adjutant_require(EXISTS (SELECT 1 FROM user_credentials WHERE user_id = $1 AND "
           "service = $2 AND nonce = $3), 'key')");
static const struct db_sql sql_is_there =
    DB_SQL("credential_is_there",
           "SELECT adjutant_require(EXISTS (SELECT 1 FROM user_credentials WHERE user_id = $1 AND "
           "service = $2), 'service')");
static const struct db_sql sql_delete =
    DB_SQL("credential_delete", "DELETE FROM user_credentials WHERE user_id = $1 AND service = $2");
static const struct db_sql sql_list =
    DB_SQL("credential_list",
           "SELECT service, encryption_key_id, NULL, NULL, scopes, expires_at, created_at, "
           "updated_at FROM user_credentials WHERE user_id = $1 ORDER BY service");
static const struct db_sql sql_rekey =
    DB_SQL("credential_rekey",
           "UPDATE user_credentials SET encryption_key_id = $4, nonce = $5, ciphertext = $6 "
           "WHERE user_id = $1 AND service = $2 AND nonce = $3");

static struct credential_row row_at(struct arena *arena, const struct db_tx *tx, size_t q,
                                    size_t row) {
    return (struct credential_row){
        .service = row_text(arena, tx, q, row, 0),
        .key_id = row_text(arena, tx, q, row, 1),
        .nonce = row_text(arena, tx, q, row, 2),
        .ciphertext = row_text(arena, tx, q, row, 3),
        .scopes = row_text(arena, tx, q, row, 4),
        .expires_us = db_get_time(tx, q, row, 5),
        .created_us = db_get_time(tx, q, row, 6),
        .updated_us = db_get_time(tx, q, row, 7),
    };
}

int credential_get(struct db *db, struct str user_id, struct str service, struct arena *arena,
                   struct credential_row *ret, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_READ);
    size_t q = db_tx_add(tx, &sql_get, db_text(user_id), db_text(service));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    if (db_rows(tx, q) == 0) {
        return err_set(err, ERR_NOT_FOUND, "there is no credential for this service");
    }
    *ret = row_at(arena, tx, q, 0);
    return 0;
}

static void add_put(struct db_tx *tx, const struct credential_put *put) {
    const struct credential_row *r = &put->row;
    struct db_value values[9 + CREDENTIALS_MAX_KEYS] = {
        db_text(put->user_id),
        db_text(r->service),
        db_text(r->key_id),
        db_bytes(r->nonce),
        db_bytes(r->ciphertext),
        db_text_or_null(r->scopes),
        r->expires_us ? db_time(r->expires_us) : db_null(),
        db_time(r->created_us),
        db_time(r->updated_us),
    };
    for (size_t i = 0; i < CREDENTIALS_MAX_KEYS; i++) {
        values[9 + i] = db_text(put->key_ids[i < put->n_key_ids ? i : 0]);
    }
    db_tx_add(tx, &sql_room, db_text(put->user_id), db_text(r->service),
              db_int((int64_t)put->max_services));
    db_tx_add_values(tx, &sql_put, values, ARRAY_LEN(values));
    db_tx_add(tx, &sql_is_put, db_text(put->user_id), db_text(r->service), db_bytes(r->nonce));
    if (put->audit) {
        audit_add(tx, put->audit);
    }
}

int credential_put(struct db *db, const struct credential_put *put, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, put->user_id, DB_WRITE);
    assert(put->n_key_ids > 0 && put->n_key_ids <= CREDENTIALS_MAX_KEYS);
    add_put(tx, put);
    if (db_tx_run(tx, err) == 0) {
        return 0;
    }
    if (err->code != ERR_PRECONDITION) {
        return -(int)err->code;
    }
    return strcmp(err->msg, "services") == 0
               ? err_set(err, ERR_LIMIT, "a user can keep %zu credentials", put->max_services)
               : err_set(err, ERR_CONFLICT, "what is stored stands under another key");
}

int credential_delete(struct db *db, struct str user_id, struct str service,
                      struct audit_entry *audit, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_WRITE);
    db_tx_add(tx, &sql_is_there, db_text(user_id), db_text(service));
    db_tx_add(tx, &sql_delete, db_text(user_id), db_text(service));
    if (audit) {
        audit_add(tx, audit);
    }
    if (db_tx_run(tx, err) == 0) {
        return 0;
    }
    return err->code == ERR_PRECONDITION
               ? err_set(err, ERR_NOT_FOUND, "there is no credential for this service")
               : -(int)err->code;
}

int credential_list(struct db *db, struct str user_id, struct arena *arena,
                    struct credential_row **ret, size_t *ret_n, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_READ);
    size_t q = db_tx_add(tx, &sql_list, db_text(user_id));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    size_t n = db_rows(tx, q);
    struct credential_row *rows = arena_alloc(arena, n * sizeof *rows);
    for (size_t i = 0; i < n; i++) {
        rows[i] = row_at(arena, tx, q, i);
    }
    *ret = rows;
    *ret_n = n;
    return 0;
}

int credential_rekey(struct db *db, struct str user_id, struct str old_nonce,
                     const struct credential_row *row, bool *ret_done, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_WRITE);
    size_t q =
        db_tx_add(tx, &sql_rekey, db_text(user_id), db_text(row->service), db_bytes(old_nonce),
                  db_text(row->key_id), db_bytes(row->nonce), db_bytes(row->ciphertext));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    *ret_done = db_rows_affected(tx, q) > 0;
    return 0;
}

/* ---- across users ---- */

static const struct db_sql sql_other =
    DB_SQL("credentials_other",
           "SELECT user_id, service FROM credential_keys WHERE encryption_key_id <> $1 AND "
           "(user_id > $2 OR (user_id = $2 AND service > $3)) ORDER BY user_id, service LIMIT $4");
static const struct db_sql sql_count =
    DB_SQL("credentials_count",
           "SELECT encryption_key_id, COUNT(*), COUNT(DISTINCT user_id) FROM credential_keys "
           "GROUP BY encryption_key_id ORDER BY encryption_key_id");

int credentials_under_other_keys(struct db *db, struct str key_id,
                                 const struct credential_name *after, size_t max,
                                 struct arena *arena, struct credential_name **ret, size_t *ret_n,
                                 struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_READ);
    size_t q = db_tx_add(tx, &sql_other, db_text(key_id), db_text(after->user_id),
                         db_text(after->service), db_int((int64_t)max));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    size_t n = db_rows(tx, q);
    struct credential_name *names = arena_alloc(arena, n * sizeof *names);
    for (size_t i = 0; i < n; i++) {
        names[i] =
            (struct credential_name){row_text(arena, tx, q, i, 0), row_text(arena, tx, q, i, 1)};
    }
    *ret = names;
    *ret_n = n;
    return 0;
}

int credentials_by_key(struct db *db, struct arena *arena, struct credential_count **ret,
                       size_t *ret_n, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_READ);
    size_t q = db_tx_add_values(tx, &sql_count, NULL, 0);
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    size_t n = db_rows(tx, q);
    struct credential_count *counts = arena_alloc(arena, n * sizeof *counts);
    for (size_t i = 0; i < n; i++) {
        counts[i] = (struct credential_count){.key_id = row_text(arena, tx, q, i, 0),
                                              .rows = db_get_int(tx, q, i, 1),
                                              .users = db_get_int(tx, q, i, 2)};
    }
    *ret = counts;
    *ret_n = n;
    return 0;
}
