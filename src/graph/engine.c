/* The engine's life: its lease, its housekeeping, its books. */
#include "graph/turn.h"

#include <assert.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "graph/internal.h"
#include "graph/remote_call.h"

enum {
    SWEEP_EVERY_MS = 60 * 1000,
    SWEEP_ROWS = 500,
    RENEWALS_A_LEASE = 3,
    SILENCE_LOOK_MS = 1000,
    SILENCE_AGAIN_MS = 20 * 1000,
};

struct turn_engine *turn_engine_new(const struct turn_engine_options *options) {
    struct turn_engine *e = mem_alloc(sizeof *e);
    e->options = *options;
    e->process_id = arena_str(&e->arena, options->process_id);
    e->remote_calls = options->bridges ? remote_calls_new(options->bridges) : NULL;
    list_init(&e->turns);
    fiber_scope_init(&e->turn_scope);
    fiber_scope_init(&e->house_scope);
    fiber_cond_init(&e->changed);
    return e;
}

void turn_engine_free(struct turn_engine *e) {
    if (e) {
        assert(list_empty(&e->turns));
        map_done(&e->known);
        map_done(&e->threads);
        map_done(&e->distilling);
        map_done(&e->open_of_user);
        arena_done(&e->arena);
        mem_free(e);
    }
}

struct turn_engine_stats turn_engine_stats(const struct turn_engine *e) {
    return e->stats;
}

/* ---- housekeeping ---- */

static int renew(struct turn_engine *e, struct err *err) {
    int64_t until_us = clock_now_us() + e->options.profile->lease_ms * 1000;
    if (lease_renew(e->options.db, e->process_id, until_us, err) < 0) {
        return -(int)err->code;
    }
    e->lapsed = e->lapsed || clock_now_us() > e->lease_until_us;
    e->lease_until_us = until_us;
    return 0;
}

/* Should it fail for too long, others adopt our turns, and the epoch keeps us from writing to them;
 * turn_claim_loop lets go of them. */
static void renew_loop(void *engine) {
    struct turn_engine *e = engine;
    struct err err;
    while (fiber_sleep(e->options.profile->lease_ms / RENEWALS_A_LEASE) == 0) {
        if (renew(e, &err) < 0 && err.code != ERR_CANCELLED) {
            log_warn("graph", "renewing the lease failed: %s", err.msg);
        }
    }
}

static void sweep_loop(void *engine) {
    struct turn_engine *e = engine;
    struct err err;
    while (fiber_sleep(SWEEP_EVERY_MS) == 0) {
        int64_t before_us = clock_now_us() - e->options.profile->event_retention_s * 1000000;
        size_t deleted = SWEEP_ROWS;
        while (deleted == SWEEP_ROWS) {
            if (events_sweep(e->options.db, before_us, SWEEP_ROWS, &deleted, &err) < 0) {
                if (err.code != ERR_CANCELLED) {
                    log_warn("graph", "sweeping old events failed: %s", err.msg);
                }
                break;
            }
        }
    }
}

/* Somebody who waits is told so within ten seconds, and then once in a while. */
static void silence_loop(void *engine) {
    struct turn_engine *e = engine;
    while (fiber_sleep(SILENCE_LOOK_MS) == 0) {
        int64_t now_us = clock_mono_us();
        list_each (node, &e->turns) {
            struct turn *t = list_entry(node, struct turn, in_engine);
            if (t->silent_since_us && now_us >= t->tell_silence_at_us) {
                t->tell_silence_at_us = now_us + SILENCE_AGAIN_MS * INT64_C(1000);
                turn_tell_silence(t);
            }
        }
    }
}

int turn_engine_start(struct turn_engine *e, struct err *err) {
    fiber_point();
    if (renew(e, err) < 0) {
        return err_prefix(err, "taking the lease");
    }
    if (engine_listen(e, err) < 0 ||
        fiber_spawn(&e->house_scope, "lease", renew_loop, e, NULL, err) < 0 ||
        fiber_spawn(&e->house_scope, "claim", turn_claim_loop, e, NULL, err) < 0 ||
        fiber_spawn(&e->house_scope, "silence", silence_loop, e, NULL, err) < 0 ||
        fiber_spawn(&e->house_scope, "sweep", sweep_loop, e, NULL, err) < 0) {
        return -(int)err->code;
    }
    return 0;
}

void turn_engine_stop(struct turn_engine *e, int64_t grace_ms) {
    struct err err;
    int64_t deadline_us = clock_mono_us() + grace_ms * 1000;
    e->stopping = true;
    db_unlisten(e->options.db, e);
    fiber_scope_done(&e->house_scope);
    while (!list_empty(&e->turns) && clock_mono_us() < deadline_us) {
        if (fiber_wait(&e->changed, (deadline_us - clock_mono_us()) / 1000 + 1) < 0) {
            break;
        }
    }
    if (!list_empty(&e->turns)) {
        log_info("graph", "%u turns go on in another process or after the next start",
                 e->stats.running);
    }
    fiber_scope_done(&e->turn_scope);
    remote_calls_free(take(e->remote_calls));
    if (lease_drop(e->options.db, e->process_id, &err) < 0) {
        log_warn("graph", "giving the lease back failed: %s", err.msg);
    }
}

/* ---- the books ---- */

/* Names may be the same for two users; ids contain no line ends. */
struct str engine_key(struct str user_id, struct str id, struct strbuf *out) {
    strbuf_add(out, user_id);
    strbuf_addc(out, '\n');
    strbuf_add(out, id);
    return strbuf_str(out);
}

void turn_enter(struct turn *t) {
    struct turn_engine *e = t->engine;
    struct strbuf key cleanup(strbuf_done) = STRBUF(1024);
    map_put(&e->threads, engine_key(t->user_id, t->thread_id, &key), t);
    list_push(&e->turns, &t->in_engine);
    e->stats.running++;
    user_open_add(e, t->user_id, 1);
}

void turn_leave(struct turn *t) {
    struct turn_engine *e = t->engine;
    struct strbuf key cleanup(strbuf_done) = STRBUF(1024);
    struct str thread = engine_key(t->user_id, t->thread_id, &key);
    if (map_get(&e->threads, thread) == t) {
        map_remove(&e->threads, thread);
    }
    list_remove(&t->in_engine);
    e->stats.running--;
    user_open_add(e, t->user_id, -1);
    struct arena arena cleanup(arena_done) = {0};
    struct str user_id = arena_str(&arena, t->user_id);
    struct str thread_id = arena_str(&arena, t->thread_id);
    bool has_followers = t->has_followers;
    turn_free(t); /* first, as the next one may be the same turn, which was queued after all */
    if (has_followers && !e->stopping) {
        fiber_shield_enter(); /* also behind one that was cancelled */
        turn_take_next(e, user_id, thread_id);
        fiber_shield_leave();
    }
}

struct endpoints_request engine_endpoints(const struct turn_engine *e, struct str user_id,
                                          bool allow_operator_llm) {
    return (struct endpoints_request){.profile = e->options.profile,
                                      .vault = e->options.vault,
                                      .user_id = user_id,
                                      .allow_operator_llm = allow_operator_llm};
}

void engine_doubt(struct turn_engine *e) {
    e->doubt_us = clock_mono_us();
}

size_t user_open_count(struct turn_engine *e, struct str user_id) {
    return (size_t)(uintptr_t)map_get(&e->open_of_user, user_id);
}

void user_open_add(struct turn_engine *e, struct str user_id, int n) {
    size_t count = user_open_count(e, user_id) + (size_t)n;
    if (count == 0) {
        map_remove(&e->open_of_user, user_id);
    } else {
        map_put(&e->open_of_user, user_id, (void *)(uintptr_t)count);
    }
}
