#include "store/user_profiles.h"

#include "store/rows.h"

static const struct db_sql sql_get =
    DB_SQL("user_profile_get",
           "SELECT name, time_zone, about, updated_at FROM user_profiles WHERE user_id = $1");
static const struct db_sql sql_put =
    DB_SQL("user_profile_put",
           "INSERT INTO user_profiles (user_id, name, time_zone, about, updated_at) "
           "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (user_id) DO UPDATE SET "
           "name = excluded.name, time_zone = excluded.time_zone, about = excluded.about, "
           "updated_at = excluded.updated_at");

int user_profile_get(struct db *db, struct str user_id, struct arena *arena,
                     struct user_profile *ret, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_READ);
    size_t q = db_tx_add(tx, &sql_get, db_text(user_id));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    *ret = (struct user_profile){.name = STR_EMPTY, .time_zone = STR_EMPTY, .about = STR_EMPTY};
    if (db_rows(tx, q) > 0) {
        *ret = (struct user_profile){.name = row_text(arena, tx, q, 0, 0),
                                     .time_zone = row_text(arena, tx, q, 0, 1),
                                     .about = row_text(arena, tx, q, 0, 2),
                                     .updated_us = db_get_time(tx, q, 0, 3)};
    }
    return 0;
}

int user_profile_put(struct db *db, struct str user_id, const struct user_profile *p,
                     struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_WRITE);
    db_tx_add(tx, &sql_put, db_text(user_id), db_text_or_null(p->name),
              db_text_or_null(p->time_zone), db_text_or_null(p->about), db_time(p->updated_us));
    return db_tx_run(tx, err);
}
