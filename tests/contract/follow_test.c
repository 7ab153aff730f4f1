/* A turn of one process followed in another, through the messages of PostgreSQL. */
#include "house.h"

#define POSTGRES(name)                                                                             \
    static void name(struct test_backend *backend);                                                \
    TEST_FIBER(name) {                                                                             \
        test_on_backend(DB_POSTGRES, name);                                                        \
    }                                                                                              \
    static void name(struct test_backend *backend)

static const char kill_others[] = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                                  "WHERE datname = current_database() AND pid <> pg_backend_pid()";

static struct run_reader *follow(struct process *p, const char *id, int64_t since) {
    struct run_reader *reader = NULL;
    struct err err;
    CHECK_OK(run_reader_open(p->runs, ME, str_z(id), since, &reader, &err), &err);
    return reader;
}

static void check_same(const struct heard *a, const struct heard *b) {
    check_whole(a);
    check_whole(b);
    CHECK_STR(str_z(b->types), a->types);
    CHECK_STR(str_z(b->text), a->text);
    CHECK_STR(str_z(b->results), a->results);
    CHECK_INT(b->events, a->events);
    CHECK_INT(b->last_seq, a->last_seq);
}

struct opener {
    struct house *h;
    struct process *p;
};

/* Opens the gate when the process follows a turn of another one: what it can read in the store, it
 * has read. */
static void open_when_followed(void *arg) {
    struct opener *o = arg;
    int64_t until_us = clock_mono_us() + 20 * INT64_C(1000000);
    while (runs_stats(o->p->runs).remote_readers == 0 && clock_mono_us() < until_us) {
        (void)fiber_sleep(5);
    }
    CHECK_INT(runs_stats(o->p->runs).remote_readers, 1);
    house_open_gate(o->h);
}

POSTGRES(a_reader_elsewhere_sees_every_event_in_order) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct process b cleanup(process_close) = {0};
    struct turn_ticket ticket;
    struct heard here = {0}, there = {0};
    struct opener opener = {&h, &b};
    struct fiber_scope scope;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    process_open(&h, "b", &b);
    /* a result of a quarter of a million characters is far larger than a message may be */
    REQUIRE_OK(say(&a, "t", "r", "[tool wait_look {}] [tool loud {}] [then] [tokens 40] [delay 5]",
                   &ticket, &h.f.err),
               &h.f.err);
    CHECK(hear_until(ticket.reader, "TOOL_CALL_END", &here));
    struct run_reader *reader = follow(&b, "r", 0);
    fiber_scope_init(&scope);
    CHECK_OK(fiber_spawn(&scope, "opener", open_when_followed, &opener, NULL, &h.f.err), &h.f.err);
    hear(reader, &there);
    fiber_scope_join(&scope);
    hear(ticket.reader, &here);
    check_same(&here, &there);
    CHECK_INT(runs_stats(b.runs).remote_readers, 0);
}

POSTGRES(a_reader_elsewhere_begins_where_it_left_off) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct process b cleanup(process_close) = {0};
    struct turn_ticket ticket;
    struct heard here = {0}, there = {0};
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    process_open(&h, "b", &b);
    REQUIRE_OK(say(&a, "t", "r", "[tokens 40] [delay 10]", &ticket, &h.f.err), &h.f.err);
    CHECK(hear_until(ticket.reader, "TEXT_MESSAGE_CONTENT", &here));
    there = here;
    hear(follow(&b, "r", here.last_seq), &there);
    hear(ticket.reader, &here);
    check_same(&here, &there);
}

/* Every connection breaks: messages are lost, and the store fills the gap. */
POSTGRES(lost_messages_leave_no_gap) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct process b cleanup(process_close) = {0};
    struct turn_ticket ticket;
    struct heard here = {0}, there = {0};
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    process_open(&h, "b", &b);
    REQUIRE_OK(say(&a, "t", "r", "[tokens 120] [delay 10]", &ticket, &h.f.err), &h.f.err);
    struct run_reader *reader = follow(&b, "r", 0);
    CHECK(hear_until(reader, "TEXT_MESSAGE_CONTENT", &there));
    CHECK(test_pg_sql(backend->url, kill_others));
    while (there.rc >= 0 && there.ends == 0) {
        const struct run_event *events;
        struct err err;
        size_t n = 0;
        int rc = run_read(reader, 20000, &events, &n, &err);
        if (rc < 0) { /* the client comes again with its number */
            CHECK(rc == -ERR_UNAVAILABLE);
            run_reader_close(reader);
            reader = follow(&b, "r", there.last_seq);
            continue;
        }
        if (n == 0) {
            break;
        }
        heard_note(&there, events, n);
    }
    run_reader_close(reader);
    hear(ticket.reader, &here);
    check_same(&here, &there);
}

POSTGRES(a_reader_goes_on_when_its_own_process_adopts_the_turn) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct process b cleanup(process_close) = {0};
    struct turn_ticket ticket;
    struct heard there = {0};
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    REQUIRE_OK(say(&a, "t", "r", "[tokens 40] [delay 20]", &ticket, &h.f.err), &h.f.err);
    process_start(&h, "b", &b);
    struct run_reader *reader = follow(&b, "r", 0);
    CHECK(hear_until(reader, "TEXT_MESSAGE_CONTENT", &there));
    CHECK_INT(runs_stats(b.runs).remote_readers, 1);
    run_reader_close(ticket.reader);
    int64_t begun_us = clock_mono_us();
    process_close(&a); /* it leaves what it cannot finish */
    a = (struct process){0};
    hear(reader, &there);
    check_whole(&there);
    CHECK(strstr(there.types, "TEXT_MESSAGE_END MESSAGES_SNAPSHOT TEXT_MESSAGE_START"));
    CHECK_STR(state_of(&h, "r"), "done 1");
    CHECK(clock_mono_us() - begun_us < 15 * INT64_C(1000000)); /* not by its silence */
}

/* An owner that has nothing to tell is asked now and then, not as fast as it answers. */
POSTGRES(an_owner_that_knows_nothing_is_not_pressed) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct process b cleanup(process_close) = {0};
    struct turn_accepted accepted;
    struct turn_accept accept = {.user_id = ME,
                                 .thread_id = STR("t"),
                                 .turn_id = STR("r"),
                                 .input = STR("{}"),
                                 .owner = STR("a")};
    const struct run_event *events;
    size_t n;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    process_open(&h, "b", &b);
    REQUIRE_OK(turn_accept(h.f.db, &accept, &accepted, &h.f.err), &h.f.err);
    struct run_reader *reader = follow(&b, "r", 0);
    uint64_t before = db_stats(h.f.db).transactions;
    CHECK_FAILS(run_read(reader, 1000, &events, &n, &h.f.err), &h.f.err, ERR_TIMEOUT);
    CHECK(db_stats(h.f.db).transactions - before < 40);
    run_reader_close(reader);
}
