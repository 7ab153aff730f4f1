/* Submitting and cancelling turns.
 *
 * A submitted turn starts to walk at once, while its message is being stored: the model's answer is
 * on its way when the commit is done. Its run is held until then, so nothing leaves before the
 * message is durable, and it stores nothing itself before that. When the commit tells that the turn
 * must wait behind another, or fails, what had begun is dropped. */
#include "base/clock.h"
#include "base/log.h"
#include "event/event.h"
#include "graph/internal.h"
#include "store/threads.h"

enum { ACCEPT_WAIT_MS = 60 * 1000, ACCEPT_TRIES = 3, MAX_LOOKS = 5, ACCEPT_PAUSE_MS = 200 };

/* ---- checks before anything is written ---- */

int check_engine_open(struct turn_engine *e, struct str user_id, struct err *err) {
    int64_t max_open = e->options.profile->user_max_turns;
    if (e->stopping) {
        return err_set(err, ERR_UNAVAILABLE, "the gateway is stopping; try again in a moment");
    }
    if ((int64_t)user_open_count(e, user_id) >= max_open) {
        return err_set(err, ERR_BUSY, "you have %lld turns open; wait for one to end",
                       (long long)max_open);
    }
    if (e->stats.running >= TURN_MAX_RUNNING) {
        return err_set(err, ERR_BUSY, "the gateway is busy; try again in a moment");
    }
    return 0;
}

static int check_submission(struct turn_engine *e, const struct turn_submission *s,
                            struct endpoints *ret, struct err *err) {
    struct endpoints_request q = engine_endpoints(e, s->user_id, s->allow_operator_llm);
    if (s->thread_id.n && !thread_id_valid(s->thread_id)) {
        return err_set(err, ERR_INVALID,
                       "thread_id: 1 to 128 printable ASCII characters without "
                       "space and /, not . or ..");
    }
    if (s->turn_id.n && !thread_id_valid(s->turn_id)) {
        return err_set(err, ERR_INVALID,
                       "turn_id: 1 to 128 printable ASCII characters without "
                       "space and /, not . or ..");
    }
    if (s->agent.n && !str_eq(s->agent, STR("cos"))) {
        return err_set(err, ERR_NOT_FOUND, "there is no agent of this name");
    }
    if (check_engine_open(e, s->user_id, err) < 0) {
        return -(int)err->code;
    }
    q.model = s->model;
    return endpoints_resolve(&q, ret, err);
}

void turn_ticket_fill(struct turn_ticket *ret, struct str thread_id, struct str turn_id) {
    *ret = (struct turn_ticket){0};
    snprintf(ret->thread_id, sizeof ret->thread_id, "%.*s", STR_ARG(thread_id));
    snprintf(ret->turn_id, sizeof ret->turn_id, "%.*s", STR_ARG(turn_id));
}

/* ---- a turn that was submitted before ---- */

static int follow_existing(struct turn_engine *e, struct str user_id, struct str turn_id,
                           struct turn_ticket *ret, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct turn_row row;
    struct turn_key key = {user_id, turn_id};
    if (turn_get(e->options.db, key, &arena, &row, err) < 0) {
        return -(int)err->code;
    }
    turn_ticket_fill(ret, row.thread_id, turn_id);
    ret->existed = true;
    ret->queued = row.state == TURN_QUEUED;
    return run_reader_open(e->options.runs, user_id, turn_id, 0, &ret->reader, err);
}

/* The same submission may be on its way in another request, or was just given up: waits until it is
 * durable or gone. */
static int wait_until_known(struct turn_engine *e, struct str user_id, struct str turn_id,
                            struct err *err) {
    int64_t deadline_us = clock_mono_us() + ACCEPT_WAIT_MS * 1000;
    for (struct turn *t; (t = turn_find(e, user_id, turn_id)) && t->accepted != ACCEPT_DONE;) {
        int64_t left_ms = (deadline_us - clock_mono_us()) / 1000;
        int rc = left_ms > 0 ? fiber_wait(&e->changed, left_ms) : -ERR_TIMEOUT;
        if (rc < 0) {
            return err_set(err, (enum err_code) - rc,
                           "waiting for an earlier submission of this turn");
        }
    }
    return 0;
}

/* ---- a new one ---- */

static struct turn *new_turn(struct turn_engine *e, const struct turn_submission *s,
                             struct err *err) {
    struct id thread_id = id_new(), turn_id = id_new();
    struct turn *t = turn_new(e, s->user_id, s->thread_id.n ? s->thread_id : id_str(&thread_id),
                              s->turn_id.n ? s->turn_id : id_str(&turn_id));
    t->agent = STR("cos");
    t->skill = arena_str(&t->arena, s->skill);
    t->model = arena_str(&t->arena, s->model);
    t->allow_operator_llm = s->allow_operator_llm;
    t->new_thread = s->thread_id.n == 0;
    t->plain_title = s->plain_title;
    if (turn_input_message(t, s, err) < 0) {
        turn_free(t);
        return NULL;
    }
    return t;
}

static void open_run(struct turn *t) {
    t->run = run_open(t->engine->options.runs, t->user_id, t->thread_id, t->turn_id, t->epoch);
    run_hold(t->run);
    event_run_started(turn_event(t), t->thread_id, t->turn_id);
    turn_emit(t);
    turn_enter(t);
}

/* From here on the turn belongs to its fiber. */
static int launch(struct turn *t, struct err *err) {
    return fiber_spawn(&t->engine->turn_scope, "turn", turn_walk_main, t, &t->fiber, err);
}

static void accepted(struct turn *t, const struct turn_accepted *a) {
    t->position = a->position;
    t->message_seq = a->message_seq;
    t->accepted = ACCEPT_DONE;
    /* It may be at its end already, which is not stored. */
    t->holding ? run_release_up_to(t->run, t->held_after) : run_release(t->run);
    fiber_broadcast(&t->accepted_changed);
    fiber_broadcast(&t->engine->changed);
    turn_publish(t, TURN_RUNNING);
}

static void drop(struct turn *t) {
    t->accepted = ACCEPT_DROPPED;
    fiber_broadcast(&t->accepted_changed);
    fiber_broadcast(&t->engine->changed);
    fiber_cancel(t->fiber);
}

int turn_accept_patiently(struct turn *t, struct turn_accept *a, struct turn_accepted *ret,
                          struct err *err) {
    a->user_id = t->user_id;
    a->thread_id = t->thread_id;
    a->turn_id = t->turn_id;
    a->input = turn_input_write(t);
    a->owner = t->engine->process_id;
    a->agent = t->agent;
    a->now_us = clock_now_us();
    int rc = turn_accept(t->engine->options.db, a, ret, err);
    /* A connection that broke says nothing about the commit; asking again does, even when the
     * client is gone meanwhile. */
    fiber_shield_enter();
    for (int i = 1; rc < 0 && outcome_unknown(err->code) && i < ACCEPT_TRIES; i++) {
        (void)fiber_sleep(ACCEPT_PAUSE_MS);
        rc = turn_accept(t->engine->options.db, a, ret, err);
    }
    fiber_shield_leave();
    if (rc < 0 && outcome_unknown(err->code)) {
        engine_doubt(t->engine);
    }
    return rc;
}

static int accept_in_store(struct turn *t, struct turn_accepted *ret, struct err *err) {
    struct turn_accept a = {.message_id = t->message_id,
                            .message_json = t->message,
                            .plain = t->message_plain,
                            .must_be_new_thread = t->new_thread};
    return turn_accept_patiently(t, &a, ret, err);
}

static struct turn *running_in_thread(struct turn_engine *e, struct str user_id,
                                      struct str thread_id) {
    struct strbuf key cleanup(strbuf_done) = STRBUF(1024);
    return map_get(&e->threads, engine_key(user_id, thread_id, &key));
}

/* The store knows that the turn waits; who runs before it here takes it when it ends. False: nobody
 * does. */
static bool queued(struct turn *t, struct turn_ticket *ret) {
    struct turn *first = running_in_thread(t->engine, t->user_id, t->thread_id);
    if (first) {
        first->has_followers = true;
    }
    ret->queued = true;
    turn_publish(t, TURN_QUEUED);
    return first != NULL;
}

/* The thread was free: the walk and the commit go side by side. The turn cannot go away meanwhile,
 * as it stores nothing before it is accepted, and its end needs that too. */
static int submit_to_free_thread(struct turn *t, struct turn_ticket *ret, struct err *err) {
    struct turn_accepted a;
    open_run(t);
    if (launch(t, err) < 0) {
        run_abandon(take(t->run));
        turn_leave(t);
        return -(int)err->code;
    }
    struct run_reader *reader = run_reader_open_live(t->run);
    int rc = accept_in_store(t, &a, err);
    if (rc == 0 && a.running) {
        t->engine->stats.accepted++;
        accepted(t, &a);
        ret->reader = reader;
        return 0;
    }
    drop(t);
    run_reader_close(reader);
    if (rc == 0) {
        t->engine->stats.accepted++;
        (void)queued(t, ret); /* at least what is left of t is there, and looks when it leaves */
    }
    return rc;
}

void turn_begin_accepted(struct turn *t, const struct turn_accepted *a, struct turn_ticket *ret) {
    struct err err;
    open_run(t);
    ret->reader = run_reader_open_live(t->run);
    accepted(t, a);
    if (launch(t, &err) < 0) {
        turn_fail(t, &err); /* durable by now: its failure is what its reader hears */
    }
}

/* A turn of this process is at work in the thread: this one waits in the store, or takes the place
 * that just became free. */
static int submit_behind(struct turn *t, struct turn_ticket *ret, struct err *err) {
    struct turn_accepted a;
    int rc = accept_in_store(t, &a, err);
    if (rc < 0) {
        turn_free(t);
        return rc;
    }
    t->engine->stats.accepted++;
    if (a.running) {
        turn_begin_accepted(t, &a, ret);
        return 0;
    }
    struct turn_engine *e = t->engine;
    struct arena arena cleanup(arena_done) = {0};
    struct str user_id = arena_str(&arena, t->user_id);
    bool awaited = queued(t, ret);
    turn_free(t);
    if (!awaited) { /* who ran before it ended while this was stored */
        turn_take(e, user_id, str_z(ret->turn_id));
    }
    return 0;
}

/* What comes of an earlier submission of the turn is not this one's when it failed. A look that set
 * out before the other submission was committed is repeated. */
int turn_follow_earlier(struct turn_engine *e, struct str user_id, struct str turn_id,
                        struct turn_ticket *ret, struct err *err) {
    for (int looks = 1;; looks++) {
        if (wait_until_known(e, user_id, turn_id, err) < 0) {
            return -(int)err->code;
        }
        int rc = follow_existing(e, user_id, turn_id, ret, err);
        if (rc != -ERR_NOT_FOUND || looks == MAX_LOOKS || !turn_find(e, user_id, turn_id)) {
            return rc;
        }
    }
}

/* `s` may have been moved to a fork, which is made when everything else is well. */
static int submit_new(struct turn_engine *e, const struct turn_submission *s,
                      const struct turn_branch *branch, struct endpoints *endpoints,
                      struct turn_ticket *ret, struct err *err) {
    struct turn *t = new_turn(e, s, err);
    if (!t) {
        return -(int)err->code;
    }
    t->endpoints = *endpoints;
    *endpoints = (struct endpoints){0};
    turn_ticket_fill(ret, t->thread_id, t->turn_id);
    if (turn_branch_make(t, branch, err) < 0) {
        turn_free(t);
        return -(int)err->code;
    }
    bool free_here = !running_in_thread(e, t->user_id, t->thread_id);
    int rc = free_here ? submit_to_free_thread(t, ret, err) : submit_behind(t, ret, err);
    if (rc == -ERR_CONFLICT && s->turn_id.n) {
        return follow_existing(e, s->user_id, s->turn_id, ret, err);
    }
    if (rc == 0 && !ret->reader) {
        rc =
            run_reader_open(e->options.runs, s->user_id, str_z(ret->turn_id), 0, &ret->reader, err);
    }
    return rc;
}

/* -ERR_NOT_FOUND: the turn is new. */
static int submit_known(struct turn_engine *e, const struct turn_submission *s,
                        struct turn_ticket *ret, struct err *err) {
    int rc = -ERR_NOT_FOUND;
    if (s->turn_id.n) {
        rc = turn_follow_earlier(e, s->user_id, s->turn_id, ret, err);
    }
    bool again = s->edit_of.n || s->regenerate.n;
    return rc == -ERR_NOT_FOUND && !again ? turn_answer_in_words(e, s, ret, err) : rc;
}

int turn_submit(struct turn_engine *e, const struct turn_submission *submission,
                struct turn_ticket *ret, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct endpoints endpoints cleanup(endpoints_done) = {0};
    struct turn_submission s;
    struct turn_branch branch;
    fiber_point();
    do {
        /* Before anything begins: a repetition must not even ask the model. */
        int rc = submit_known(e, submission, ret, err);
        if (rc != -ERR_NOT_FOUND) {
            return rc;
        }
        endpoints_done(&endpoints);
        if (turn_branch(e, submission, &arena, &branch, &s, err) < 0 ||
            check_submission(e, &s, &endpoints, err) < 0) {
            return -(int)err->code;
        }
        /* The same submission may have come in another request while this one looked. */
    } while (s.turn_id.n && turn_find(e, s.user_id, s.turn_id));
    return submit_new(e, &s, &branch, &endpoints, ret, err);
}

/* ---- cancelling ---- */

static void cancel_here(struct turn_engine *e, struct str user_id, struct str turn_id) {
    struct turn *t = turn_find(e, user_id, turn_id);
    if (t) {
        t->cancel_requested = true;
        if (t->run && t->fiber) { /* else it sees the mark when it begins, or has ended */
            fiber_cancel(t->fiber);
        }
    }
}

/* The owner in another process sees the mark in the store at its next step; a message makes it
 * quicker. */
static void tell_owner(struct turn_engine *e, const struct turn_row *row, struct str user_id,
                       struct str turn_id) {
    struct strbuf payload cleanup(strbuf_done) = STRBUF(DB_NOTIFY_MAX_BYTES);
    struct err err;
    char channel[64];
    struct jsonw w = jsonw_begin(&payload);
    jsonw_object(&w);
    jsonw_kstr(&w, "user_id", user_id);
    jsonw_kstr(&w, "turn_id", turn_id);
    jsonw_end_object(&w);
    engine_channel(row->lease_owner, channel);
    if (db_notify(e->options.db, channel, strbuf_str(&payload), &err) < 0) {
        log_warn("graph", "telling the turn's owner to cancel it failed: %s", err.msg);
    }
}

int turn_cancel(struct turn_engine *e, struct str user_id, struct str turn_id, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct turn_key key = {user_id, turn_id};
    struct turn_row row;
    enum turn_state state;
    fiber_point();
    if (wait_until_known(e, user_id, turn_id, err) < 0) {
        return -(int)err->code;
    }
    if (turn_request_cancel(e->options.db, key, &state, err) < 0) {
        return -(int)err->code;
    }
    if (state == TURN_RUNNING && turn_find(e, user_id, turn_id)) {
        cancel_here(e, user_id, turn_id);
        return 0;
    }
    bool ended_in_queue = state == TURN_CANCELLED && feed_wanted(e->options.feed, user_id);
    if (state != TURN_RUNNING && !ended_in_queue) {
        return 0;
    }
    if (turn_get(e->options.db, key, &arena, &row, err) < 0) {
        return -(int)err->code;
    }
    if (ended_in_queue) {
        feed_turn(e->options.feed, user_id, row.thread_id, turn_id, TURN_CANCELLED);
        feed_thread(e->options.feed, user_id, row.thread_id);
    }
    if (row.state == TURN_RUNNING && !str_eq(row.lease_owner, e->process_id)) {
        tell_owner(e, &row, user_id, turn_id);
    }
    return 0;
}

int turn_cancel_thread(struct turn_engine *e, struct str user_id, struct str thread_id,
                       struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct thread_row thread;
    struct str waiting;
    fiber_point();
    const struct turn *begun = running_in_thread(e, user_id, thread_id);
    if (begun) {
        struct str turn_id = arena_str(&arena, begun->turn_id);
        if (wait_until_known(e, user_id, turn_id, err) < 0) {
            return -(int)err->code;
        }
    }
    if (thread_get(e->options.db, user_id, thread_id, &arena, &thread, err) < 0) {
        return -(int)err->code;
    }
    /* Those that wait first: else one of them would begin when the running one ends. */
    while (turn_next_queued(e->options.db, user_id, thread_id, &arena, &waiting, err) == 0) {
        if (turn_cancel(e, user_id, waiting, err) < 0) {
            return -(int)err->code;
        }
    }
    if (err->code != ERR_NOT_FOUND) {
        return -(int)err->code;
    }
    return thread.open_turn_id.n ? turn_cancel(e, user_id, thread.open_turn_id, err) : 0;
}

void engine_channel(struct str process_id, char ret[64]) {
    size_t n = (size_t)snprintf(ret, 64, "adjutant_turns_");
    for (size_t i = 0; i < process_id.n && n < 63; i++) {
        char c = process_id.p[i];
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')) {
            ret[n++] = c;
        }
    }
    ret[n] = '\0';
}

static void on_cancel_message(struct str payload, void *engine) {
    json_auto_t *message = NULL;
    struct err err;
    if (json_read(payload, &message, &err) == 0) {
        cancel_here(engine, json_str(message, "user_id"), json_str(message, "turn_id"));
    }
}

int engine_listen(struct turn_engine *e, struct err *err) {
    char channel[64];
    if (db_backend(e->options.db) != DB_POSTGRES) {
        return 0;
    }
    engine_channel(e->process_id, channel);
    return db_listen(e->options.db, channel, on_cancel_message, NULL, e, err);
}
