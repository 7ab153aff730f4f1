/* What a user is told without having asked. All may yield and name the user. */
#pragma once
#include "base/arena.h"
#include "db/db.h"

enum { NOTIFICATION_MAX_MESSAGE_BYTES = 4096 };

struct notification {
    struct str id;         /* a second one of the same id is not added */
    struct str from_agent; /* empty: the gateway itself */
    struct str message;
    struct str priority; /* "low", "normal", "high", "urgent"; empty: normal */
    int64_t created_us, delivered_us, read_us; /* 0: not yet; set by notification_add: created */
};

may_yield int notification_add(struct db *db, struct str user_id, const struct notification *n,
                               struct err *err) must_check;
/* Those that are read, or those that are not, newest first; strictly older than (before_us,
 * before_id), 0 and empty for the first page. */
may_yield int notification_list(struct db *db, struct str user_id, bool read, int64_t before_us,
                                struct str before_id, size_t max, struct arena *arena,
                                struct notification **ret, size_t *ret_n, struct err *err)
    must_check;
/* Reading again changes nothing. ERR_NOT_FOUND */
may_yield int notification_read(struct db *db, struct str user_id, struct str id, struct err *err)
    must_check;
