/* Full-text search over a user's messages: what the user and the assistant said. May yield, names
 * the user. */
#pragma once
#include "base/arena.h"
#include "db/db.h"

struct search_place { /* of a message; in the order of hits */
    int64_t created_us, seq;
    struct str thread_id;
};
struct search_hit {
    struct search_place place;
    struct str title, message_id, role;
    struct str snippet; /* one line; what matched stands between SEARCH_MARK and SEARCH_UNMARK */
};
enum { SEARCH_MARK = 2, SEARCH_UNMARK = 3 };

/* Makes the index know what was said since, newest threads first, until patience_ms are over:
 * *ret_complete is false then, and the next call goes on. */
may_yield int search_update(struct db *db, struct str user_id, int64_t patience_ms,
                            bool *ret_complete, struct err *err) must_check;
/* Before a thread without open turns is deleted, in the same transaction: what the database does
 * not do by itself. */
void search_forget_thread(struct db_tx *tx, struct db *db, struct str user_id,
                          struct str thread_id);
/* Messages that have all words of the text, the last one as the beginning of a word; newest first,
 * from behind a place (NULL: from the newest). No text is an error: what is no word is passed over,
 * and without a word there is no hit. */
may_yield int search_messages(struct db *db, struct str user_id, struct str text,
                              const struct search_place *behind, size_t max, struct arena *arena,
                              struct search_hit **ret, size_t *ret_n, struct err *err) must_check;
