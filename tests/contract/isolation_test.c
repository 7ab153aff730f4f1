/* One user's rows in another's hands: every table of the catalog is attacked as the gateway's role,
 * with no, an empty and a foreign app.user_id; and every function of the store with foreign keys. A
 * new table is found by itself: it must be fenced, and needs a row among `seeds`. */
#include <libpq-fe.h>
#include <stdlib.h>

#include "base/mem.h"
#include "store/transcript.h"
#include "store_fixture.h"

#define VICTIM "victim"
#define INTRUDER "intruder"

/* Nobody's data: keys and sessions are read before the user is known. */
static const char *const ownerless[] = {"api_keys", "sessions", "leases", "agent_templates",
                                        "schema_migrations"};

/* A row of each table; %s is the user. */
static const char *const seeds[] = {
    "INSERT INTO users VALUES ('%s', 'n', 'UTC', now())",
    "INSERT INTO threads (user_id, id, message_seq, created_at, updated_at) "
    "VALUES ('%s', 't', 1, now(), now())",
    "INSERT INTO turns (user_id, id, thread_id, position, state, created_at, input) "
    "VALUES ('%s', 'r', 't', 1, 'done', now(), '{}')",
    "INSERT INTO messages VALUES ('%s', 't', 1, 'm', 'r', 'user', true, 2, now(), '{}')",
    "INSERT INTO checkpoints VALUES ('%s', 'r', 'n', 1, now(), '{}')",
    "INSERT INTO effects (user_id, turn_id, call_id, idempotency_key, tool, repeatable, state, "
    "created_at, arguments) VALUES ('%s', 'r', 'c', 'k', 'x', true, 'intent', now(), '{}')",
    "INSERT INTO events VALUES ('%s', 'r', 1, now(), '1 {}')",
    "INSERT INTO usage VALUES ('%s', now(), 'r', 1, 't', 'p', 'm', 'user', 1, 1, 1, 1, 1, 1)",
    "INSERT INTO user_credentials VALUES ('%s', 's', '1', 'n', 'c', NULL, NULL, now(), now())",
    "INSERT INTO scheduler (user_id, id, cron, created_at, updated_at) "
    "VALUES ('%s', 'i', '* * * * *', now(), now())",
    "INSERT INTO notifications (user_id, id, message, created_at) VALUES ('%s', 'i', 'm', now())",
    "INSERT INTO artifacts (user_id, id, type, created_at, content) "
    "VALUES ('%s', 'i', 't', now(), 'c')",
    "INSERT INTO agent_instances (user_id, name, type, created_at, updated_at) "
    "VALUES ('%s', 'a', 'task', now(), now())",
    "INSERT INTO cos_trust_registry (user_id, cos_id, trust_level, created_at, updated_at) "
    "VALUES ('%s', 'c', 'context_aware', now(), now())",
    "INSERT INTO tool_policies VALUES ('%s', 's', 't', 'allow', now())",
    "INSERT INTO interrupts (user_id, id, thread_id, turn_id, position, code, kind, state, "
    "created_at, expires_at, call_id, server, tool, name, digest, arguments) VALUES ('%s', 'i', "
    "'t', 'r', 1, 'K7Q2', 'approval', 'open', now(), now(), 'c', 's', 't', 'n', 'd', '{}')",
    "INSERT INTO search_rows (user_id, thread_id, seq, message_id, role, created_at, text) "
    "VALUES ('%s', 't', 1, 'm', 'user', now(), 'secret')",
    "INSERT INTO user_profiles VALUES ('%s', 'n', 'UTC', 'secret', now())",
    "INSERT INTO audit (user_id, id, created_at, actor, action) VALUES ('%s', 'i', now(), 'a', "
    "'b')",
};

static PGresult *sql(PGconn *conn, const char *format, ...) printf_like(2, 3);

static PGresult *sql(PGconn *conn, const char *format, ...) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(64 * 1024);
    va_list ap;
    va_start(ap, format);
    strbuf_addfv(&text, format, ap);
    va_end(ap);
    return PQexec(conn, strbuf_z(&text));
}

static bool succeeded(const PGresult *r) {
    ExecStatusType status = PQresultStatus(r);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

static void must(PGconn *conn, const char *text) {
    PGresult *r = PQexec(conn, text);
    if (!CHECK(succeeded(r))) {
        printf("  %s: %s", text, PQerrorMessage(conn));
    }
    PQclear(r);
}

/* ---- what an attack may give: nothing, or a refusal ---- */

static void complain(const char *table, const char *as, const char *what, const PGresult *r) {
    printf("  %s as %s: %s: %s\n", table, as, what, PQresultErrorMessage(r));
    CHECK(!"the fence holds");
}

static void check_touches(PGconn *conn, const char *table, const char *as, const char *rows,
                          const char *statement) {
    PGresult *r = PQexec(conn, statement);
    const char *got = PQresultStatus(r) == PGRES_TUPLES_OK ? PQgetvalue(r, 0, 0) : PQcmdTuples(r);
    if (succeeded(r) && strcmp(got, rows) != 0) {
        complain(table, as, statement, r);
    }
    PQclear(r);
    must(conn, "ROLLBACK");
}

static const char *const refusals[] = {
    "42501", /* insufficient privilege, row-level security too */
    "42704", /* app.user_id is not set */
    "23514", /* a CHECK */
    "55000", /* a view that cannot be written through */
};

static void check_refused(PGconn *conn, const char *table, const char *as, const char *statement) {
    PGresult *r = PQexec(conn, statement);
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    bool refusal = false;
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        refusal |= state && strcmp(state, refusals[i]) == 0;
    }
    if (!refusal) {
        complain(table, as, statement, r);
    }
    PQclear(r);
    must(conn, "ROLLBACK");
}

struct attack {
    PGconn *owner, *conn;
    const char *table;
    const char *as, *set, *rows; /* rows: how many of its own it may see */
};

static void touches(const struct attack *a, const char *statement) {
    char text[512];
    snprintf(text, sizeof text, "BEGIN; %s %s", a->set, statement);
    check_touches(a->conn, a->table, a->as, a->rows, text);
}

static void refused(const struct attack *a, const char *statement) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(64 * 1024);
    strbuf_addf(&text, "BEGIN; %s %s", a->set, statement);
    check_refused(a->conn, a->table, a->as, strbuf_z(&text));
}

/* A row that would be right, were it `user` who wrote it. */
static void insert_for(const struct attack *a, const char *user) {
    PGresult *row = sql(a->owner,
                        "SELECT quote_literal(jsonb_set(to_jsonb(t), '{user_id}', '\"%s\"')), "
                        "(SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute "
                        "WHERE attrelid = '%s'::regclass AND attnum > 0 AND NOT attisdropped AND "
                        "attgenerated = '') FROM %s t WHERE user_id = '" VICTIM "'",
                        user, a->table, a->table);
    struct strbuf text cleanup(strbuf_done) = STRBUF(64 * 1024);
    if (CHECK(PQntuples(row) == 1)) {
        const char *columns = PQgetvalue(row, 0, 1);
        strbuf_addf(&text, "INSERT INTO %s (%s) SELECT %s FROM json_populate_record(NULL::%s, %s)",
                    a->table, columns, columns, a->table, PQgetvalue(row, 0, 0));
        refused(a, strbuf_z(&text));
    }
    PQclear(row);
}

static void attack_table(const struct attack *a) {
    char text[256];
    static const char *const touching[][2] = {
        {"SELECT COUNT(*) FROM", ""},
        {"SELECT COUNT(*) FROM", "WHERE TRUE OR user_id = '" VICTIM "'"},
        {"UPDATE", "SET user_id = user_id"},
        {"DELETE FROM", ""},
    };
    bool append_only = strcmp(a->table, "audit") == 0;
    for (size_t i = 0; i < ARRAY_LEN(touching); i++) {
        snprintf(text, sizeof text, "%s %s %s", touching[i][0], a->table, touching[i][1]);
        append_only &&i >= 2 ? refused(a, text) : touches(a, text);
    }
    snprintf(text, sizeof text, "SELECT COUNT(*) FROM %s WHERE user_id = '" VICTIM "'", a->table);
    struct attack nothing = *a;
    nothing.rows = "0";
    touches(&nothing, text);
    snprintf(text, sizeof text, "DELETE FROM %s WHERE user_id = '" VICTIM "'", a->table);
    append_only ? refused(a, text) : touches(&nothing, text);
    insert_for(a, VICTIM);
    insert_for(a, ""); /* nobody's rows would be everybody's */
    snprintf(text, sizeof text, "TRUNCATE %s CASCADE", a->table);
    refused(a, text);
    snprintf(text, sizeof text, "ALTER TABLE %s DISABLE ROW LEVEL SECURITY", a->table);
    refused(a, text);
    snprintf(text, sizeof text, "DROP POLICY own_rows ON %s", a->table);
    refused(a, text);
    if (a->rows[0] == '1' && !append_only) { /* giving one's own row away */
        snprintf(text, sizeof text, "UPDATE %s SET user_id = '" VICTIM "'", a->table);
        refused(a, text);
    }
}

static void check_owner_sees_its_own(PGconn *conn, const char *table) {
    PGresult *r = sql(conn,
                      "BEGIN; SELECT set_config('app.user_id', '" VICTIM "', true); "
                      "SELECT COUNT(*) FROM %s",
                      table);
    if (!succeeded(r) || strcmp(PQgetvalue(r, 0, 0), "1") != 0) {
        complain(table, VICTIM, "must see one row", r);
    }
    PQclear(r);
    PQclear(PQexec(conn, "ROLLBACK"));
}

/* ---- the catalog ---- */

static bool is_ownerless(const char *table) {
    for (size_t i = 0; i < ARRAY_LEN(ownerless); i++) {
        if (strcmp(table, ownerless[i]) == 0) {
            return true;
        }
    }
    return false;
}

static PGconn *connect_as_gateway(const char *url) {
    PGconn *conn = PQconnectdb(url);
    must(conn, "SET ROLE " STORE_GATEWAY_ROLE);
    return conn;
}

static void attack_from_everywhere(const char *url, PGconn *owner, const char *table) {
    PGconn *fresh = connect_as_gateway(url), *used = connect_as_gateway(url);
    must(used, "BEGIN; SELECT set_config('app.user_id', '" VICTIM "', true); COMMIT");
    const struct attack attacks[] = {
        {owner, fresh, table, "nobody", "", "0"},
        {owner, used, table, "nobody, after somebody", "", "0"},
        {owner, used, table, "the empty user", "SET LOCAL app.user_id = '';", "0"},
        {owner, used, table, INTRUDER, "SET LOCAL app.user_id = '" INTRUDER "';", "1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(attacks); i++) {
        attack_table(&attacks[i]);
    }
    check_owner_sees_its_own(used, table);
    PQfinish(fresh);
    PQfinish(used);
}

static void seed(PGconn *owner) {
    for (size_t i = 0; i < ARRAY_LEN(seeds); i++) {
        struct strbuf text cleanup(strbuf_done) = STRBUF(2048);
        struct str rest = str_z(seeds[i]);
        size_t at = str_find(rest, STR("%s"));
        strbuf_addf(&text, "%.*s" VICTIM "%s;", (int)at, seeds[i], seeds[i] + at + 2);
        strbuf_addf(&text, "%.*s" INTRUDER "%s", (int)at, seeds[i], seeds[i] + at + 2);
        must(owner, strbuf_z(&text));
    }
}

static void attack_all(const char *url) {
    PGconn *owner = PQconnectdb(url);
    seed(owner);
    PGresult *tables =
        PQexec(owner, "SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity, "
                      "EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND "
                      "a.attname = 'user_id' AND a.attnotnull), "
                      "pg_get_userbyid(c.relowner) = '" STORE_GATEWAY_ROLE "' "
                      "FROM pg_class c WHERE c.relkind IN ('r', 'p', 'm', 'f') AND "
                      "c.relnamespace = 'public'::regnamespace ORDER BY 1");
    int attacked = 0;
    for (int i = 0; i < PQntuples(tables); i++) {
        const char *table = PQgetvalue(tables, i, 0);
        CHECK_STR(str_z(PQgetvalue(tables, i, 3)), "f");
        if (is_ownerless(table)) {
            continue;
        }
        bool fenced = PQgetvalue(tables, i, 1)[0] == 't' && PQgetvalue(tables, i, 2)[0] == 't';
        if (!CHECK(fenced)) {
            printf("  %s has no user_id, or row-level security does not bind its owner\n", table);
        }
        attack_from_everywhere(url, owner, table);
        attacked++;
    }
    CHECK(attacked >= 15);
    PQclear(tables);
    PQfinish(owner);
}

TEST_FIBER(no_table_gives_a_row_to_another_user) {
    struct test_backend backend;
    struct fixture f cleanup(fixture_close) = {0};
    REQUIRE(test_backend_open(DB_POSTGRES, &backend));
    if (fixture_open(&f, &backend)) {
        attack_all(backend.url);
    }
    fixture_close(&f);
    test_backend_close(&backend);
}

/* The views past the fences show ids, times and amounts, and the audit trail; they cannot be
 * written through. */
TEST_FIBER(views_past_the_fences_show_what_they_must_only) {
    static const char *const writes[] = {"DELETE FROM credential_keys",
                                         "UPDATE open_turns SET state = 'done'",
                                         "DELETE FROM event_ages",
                                         "UPDATE user_overview SET threads = 0",
                                         "DELETE FROM usage_amounts",
                                         "DELETE FROM audit_trail",
                                         "UPDATE audit_trail SET actor = 'me'",
                                         "INSERT INTO audit_trail VALUES ('" VICTIM
                                         "', 'i', now(), 'a', 'b', 'c', '{}')"};
    struct test_backend backend;
    struct fixture f cleanup(fixture_close) = {0};
    REQUIRE(test_backend_open(DB_POSTGRES, &backend));
    if (fixture_open(&f, &backend)) {
        PGconn *conn = connect_as_gateway(backend.url);
        PGresult *r = PQexec(
            conn, "SELECT string_agg(view, '; ' ORDER BY view) FROM (SELECT table_name || ': ' || "
                  "string_agg(column_name, ' ' ORDER BY ordinal_position) AS view FROM "
                  "information_schema.columns WHERE table_schema = 'public' AND table_name IN "
                  "(SELECT viewname FROM pg_views) GROUP BY table_name) v");
        CHECK_STR(str_z(PQgetvalue(r, 0, 0)),
                  "audit_trail: user_id id created_at actor action subject detail; "
                  "credential_keys: user_id service encryption_key_id; "
                  "event_ages: user_id turn_id last_seq created_at ended_at; "
                  "open_turns: user_id turn_id thread_id position state lease_owner lease_until; "
                  "own_search_rows: user_id thread_id seq message_id role created_at text words; "
                  "usage_amounts: user_id created_at provider model key_owner input_tokens "
                  "output_tokens cached_input_tokens cache_write_tokens reasoning_tokens "
                  "cost_microusd; "
                  "user_overview: user_id created_at valid_keys threads last_activity_at "
                  "input_tokens output_tokens");
        PQclear(r);
        for (size_t i = 0; i < ARRAY_LEN(writes); i++) {
            char text[256];
            snprintf(text, sizeof text, "BEGIN; %s", writes[i]);
            check_refused(conn, "a view", "nobody", text);
        }
        PQfinish(conn);
    }
    fixture_close(&f);
    test_backend_close(&backend);
}

/* ---- the store's functions ---- */

static struct turn_key foreign(const char *id) {
    return (struct turn_key){OTHER, str_z(id)};
}

static void read_as_other(struct fixture *f) {
    struct turn_row row;
    struct turn_checkpoint checkpoint;
    struct turn_effect *effects;
    struct turn_message *messages;
    struct thread_row thread, *threads;
    struct thread_message *shown;
    struct thread_checkpoint *checkpoints;
    struct usage_row *usage;
    struct strbuf events cleanup(strbuf_done) = STRBUF(1000);
    struct str next;
    struct err *err = &f->err;
    size_t n = 1;

    CHECK_FAILS(turn_get(f->db, foreign("r1"), &f->arena, &row, err), err, ERR_NOT_FOUND);
    CHECK_FAILS(turn_checkpoint_get(f->db, foreign("r1"), STR("t"), &f->arena, &checkpoint, err),
                err, ERR_NOT_FOUND);
    CHECK_FAILS(turn_next_queued(f->db, OTHER, STR("t"), &f->arena, &next, err), err,
                ERR_NOT_FOUND);
    CHECK_FAILS(thread_get(f->db, OTHER, STR("t"), &f->arena, &thread, err), err, ERR_NOT_FOUND);
    CHECK_OK(turn_effects(f->db, foreign("r1"), &f->arena, &effects, &n, err), err);
    CHECK_INT(n, 0);
    CHECK_OK(turn_history(f->db, OTHER, STR("t"), STR_EMPTY, 99, 99, 9999, &f->arena, &messages, &n,
                          err),
             err);
    CHECK_INT(n, 0);
    CHECK_OK(turn_events(f->db, foreign("r1"), 0, &events, err), err);
    CHECK_INT(events.n, 0);
    CHECK_OK(thread_list(f->db, OTHER, false, 0, STR_EMPTY, 9, &f->arena, &threads, &n, err), err);
    CHECK_INT(n, 0);
    CHECK_OK(thread_messages(f->db, OTHER, STR("t"), 0, 9, &f->arena, &shown, &n, err), err);
    CHECK_INT(n, 0);
    CHECK_OK(thread_list_by_id(f->db, OTHER, STR_EMPTY, 9, &f->arena, &threads, &n, err), err);
    CHECK_INT(n, 0);
    struct transcript_piece piece = {.max_messages = 9, .max_bytes = 9999};
    struct transcript_end *ends;
    CHECK_OK(transcript_read(f->db, OTHER, STR("t"), &piece, &f->arena, &shown, &n, err), err);
    CHECK_INT(n, 0);
    CHECK_OK(transcript_queued(f->db, OTHER, STR("t"), 0, 9, &f->arena, &shown, &n, err), err);
    CHECK_INT(n, 0);
    CHECK_OK(transcript_ends(f->db, OTHER, STR("t"), 0, 99, &f->arena, &ends, &n, err), err);
    CHECK_INT(n, 0);
    CHECK_FAILS(transcript_message(f->db, OTHER, STR("t"), STR("m-r1"), &f->arena, &next, err), err,
                ERR_NOT_FOUND);
    CHECK_OK(thread_checkpoints(f->db, OTHER, STR("t"), 9, &f->arena, &checkpoints, &n, err), err);
    CHECK_INT(n, 0);
    struct usage_row sum = {.calls = 1};
    int64_t bounds_us[] = {0, clock_now_us() + 1};
    CHECK_OK(usage_sum_spans(f->db, OTHER, bounds_us, 1, &sum, err), err);
    CHECK_INT(sum.calls, 0);
    CHECK_OK(usage_sum(f->db, OTHER, 0, clock_now_us() + 1, &f->arena, &usage, &n, err), err);
    CHECK_INT(n, 0);
}

static void write_as_other(struct fixture *f) {
    struct turn_row row;
    enum turn_state state;
    struct err *err = &f->err;
    bool cancel;
    struct turn_step s = step_of("t", "r2", 1);
    s.key.user_id = OTHER;
    s.position = 2;

    CHECK_FAILS(turn_step_store(f->db, &s, &cancel, err), err, ERR_PRECONDITION);
    s.end = true;
    s.end_state = TURN_DONE;
    s.events = STR("1 {}\n");
    s.events_last_seq = 1;
    CHECK_FAILS(turn_step_store(f->db, &s, &cancel, err), err, ERR_PRECONDITION);
    CHECK_FAILS(turn_claim(f->db, foreign("r2"), STR("p9"), clock_now_us(), &f->arena, &row, err),
                err, ERR_CONFLICT);
    CHECK_FAILS(turn_request_cancel(f->db, foreign("r2"), &state, err), err, ERR_NOT_FOUND);
    CHECK_FAILS(thread_rename(f->db, OTHER, STR("t"), STR("x"), err), err, ERR_NOT_FOUND);
    CHECK_FAILS(thread_archive(f->db, OTHER, STR("t"), true, err), err, ERR_NOT_FOUND);
    CHECK_FAILS(thread_delete(f->db, OTHER, STR("t"), err), err, ERR_NOT_FOUND);
    CHECK_FAILS(thread_fork(f->db, OTHER, STR("t"), STR("r1"), STR("f"), err), err, ERR_NOT_FOUND);
}

BOTH_BACKENDS(no_function_reaches_another_users_rows) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a;
    struct thread_row thread;
    static const struct db_sql rows =
        DB_SQL("rows", "SELECT (SELECT COUNT(*) FROM threads) + (SELECT COUNT(*) FROM turns) + "
                       "(SELECT COUNT(*) FROM messages) + (SELECT COUNT(*) FROM checkpoints) + "
                       "(SELECT COUNT(*) FROM events) + (SELECT COUNT(*) FROM usage)");
    REQUIRE(fixture_open(&f, backend));
    REQUIRE_OK(accept_turn(&f, "t", "r1", "one", &a), &f.err);
    REQUIRE_OK(end_turn(&f, "t", "r1", 1, 0, 1, 2), &f.err);
    REQUIRE_OK(accept_turn(&f, "t", "r2", "two", &a), &f.err);
    int64_t before = number_of(&f, &rows);
    read_as_other(&f);
    write_as_other(&f);
    CHECK_INT(number_of(&f, &rows), before);
    REQUIRE_OK(thread_get(f.db, ME, STR("t"), &f.arena, &thread, &f.err), &f.err);
    CHECK_INT(thread.title.n, 0);
    CHECK_INT(thread.archived_us, 0);
    CHECK_STR(thread.open_turn_state, "running");
}
