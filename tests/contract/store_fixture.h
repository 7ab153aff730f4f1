/* A migrated database, opened as the gateway opens it, and short forms of the store's functions. */
#pragma once
#include "backends.h"
#include "base/arena.h"
#include "base/clock.h"
#include "store/keys.h"
#include "store/migrations.h"
#include "store/threads.h"
#include "store/turns.h"
#include "store/usage.h"

struct fixture {
    struct test_backend *backend;
    struct db *db;
    struct arena arena;
    struct err err;
};

bool fixture_open(struct fixture *f, struct test_backend *backend);
/* For cleanup(), as an open database keeps the loop going. Also checks what must always hold. */
void fixture_close(struct fixture *f);

#define ME STR("me")
#define OTHER STR("other")

static inline struct turn_key turn(const char *id) {
    return (struct turn_key){ME, str_z(id)};
}

/* The user `me` says `text` in a thread; its process is "p1". */
int accept_turn(struct fixture *f, const char *thread, const char *id, const char *text,
                struct turn_accepted *ret);
/* A step of a turn at position 1, epoch 0, without a change; to be filled in. */
struct turn_step step_of(const char *thread, const char *id, int64_t step);
/* Ends a running turn at epoch with an answer of seq, at its given step. */
int end_turn(struct fixture *f, const char *thread, const char *id, int64_t position, int64_t epoch,
             int64_t step, int64_t seq);
/* A number from the database, past all fences. */
int64_t number_of(struct fixture *f, const struct db_sql *sql);
