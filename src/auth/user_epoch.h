/* Tells caches that something of a user changed (a credential, a policy), in every process at once.
 * A cache keeps the number it saw with what it keeps, and drops that when the number is another.
 * Numbers are kept in a table of fixed size by a hash of the user: two users may share one, which
 * costs a needless refresh and nothing else. A process that lost its line to the database counts
 * all of them up when it has it again. */
#pragma once
#include <stdint.h>

#include "db/db.h"

struct user_epochs;

struct user_epochs *user_epochs_new(struct db *db);
/* Listens to the other processes; on SQLite these are commands that run beside the server. */
may_yield int user_epochs_start(struct user_epochs *e, struct err *err) must_check;
may_yield void user_epochs_free(struct user_epochs *e); /* accepts NULL */
uint64_t user_epoch(const struct user_epochs *e, struct str user_id);
/* After the change is durable. Here it counts at once; the others are told, best effort. */
may_yield void user_epoch_changed(struct user_epochs *e, struct str user_id);
