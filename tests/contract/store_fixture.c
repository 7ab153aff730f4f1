#include "store_fixture.h"

bool fixture_open(struct fixture *f, struct test_backend *backend) {
    size_t n;
    int applied;
    const struct migration *migrations = store_migrations(&n);
    *f = (struct fixture){.backend = backend};
    struct db_options options = backend->options;
    if (!CHECK_OK(db_migrate(&options, migrations, n, &applied, &f->err), &f->err)) {
        return false;
    }
    CHECK_INT(applied, n);
    if (backend->kind == DB_POSTGRES) {
        options.role = STORE_GATEWAY_ROLE;
    }
    return CHECK_OK(db_open(&options, &f->db, &f->err), &f->err);
}

int64_t number_of(struct fixture *f, const struct db_sql *sql) {
    if (f->backend->kind == DB_POSTGRES) {
        return test_pg_number(f->backend->url, sql->text);
    }
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(f->db, STR_EMPTY, DB_READ);
    size_t q = db_tx_add_values(tx, sql, NULL, 0);
    return CHECK_OK(db_tx_run(tx, &f->err), &f->err) ? db_get_int(tx, q, 0, 0) : -1;
}

void fixture_close(struct fixture *f) {
    static const struct db_sql open_turns =
        DB_SQL("check_open", "SELECT COUNT(*) FROM threads h WHERE open_turns <> (SELECT COUNT(*) "
                             "FROM turns t WHERE t.user_id = h.user_id AND t.thread_id = h.id "
                             "AND t.state IN ('queued', 'running'))");
    static const struct db_sql message_seq =
        DB_SQL("check_seq", "SELECT COUNT(*) FROM threads h WHERE message_seq <> (SELECT COUNT(*) "
                            "FROM messages m WHERE m.user_id = h.user_id AND m.thread_id = h.id)");
    static const struct db_sql bytes =
        DB_SQL("check_bytes", "SELECT COUNT(*) FROM messages WHERE bytes < LENGTH(content)");
    if (f->db) {
        CHECK_INT(number_of(f, &open_turns), 0);
        CHECK_INT(number_of(f, &message_seq), 0);
        CHECK_INT(number_of(f, &bytes), 0);
        db_close(f->db);
    }
    arena_done(&f->arena);
    f->db = NULL;
}

int accept_turn(struct fixture *f, const char *thread, const char *id, const char *text,
                struct turn_accepted *ret) {
    struct turn_accept a = {
        .user_id = ME,
        .thread_id = str_z(thread),
        .turn_id = str_z(id),
        .message_id = arena_printf(&f->arena, "m-%s", id),
        .message_json = arena_printf(&f->arena, "{\"role\":\"user\",\"content\":\"%s\"}", text),
        .plain = true,
        .input = STR("{\"model\":\"\"}"),
        .owner = STR("p1"),
        .agent = STR("cos"),
    };
    return turn_accept(f->db, &a, ret, &f->err);
}

struct turn_step step_of(const char *thread, const char *id, int64_t step) {
    return (struct turn_step){.key = turn(id),
                              .thread_id = str_z(thread),
                              .position = 1,
                              .step = step,
                              .node = STR("model"),
                              .state = STR("{}"),
                              .message_seq = 1};
}

int end_turn(struct fixture *f, const char *thread, const char *id, int64_t position, int64_t epoch,
             int64_t step, int64_t seq) {
    static const struct turn_usage usage = {.provider = {"anthropic", 9},
                                            .model = {"m", 1},
                                            .key_owner = {"operator", 8},
                                            .input_tokens = 10,
                                            .output_tokens = 3,
                                            .cost_microusd = 7};
    struct turn_message answer = {.seq = seq,
                                  .id = arena_printf(&f->arena, "a-%s", id),
                                  .role = STR("assistant"),
                                  .plain = true,
                                  .json = STR("{\"role\":\"assistant\",\"content\":\"yes\"}")};
    bool cancel;
    struct turn_step s = step_of(thread, id, step);
    s.position = position;
    s.epoch = epoch;
    s.messages = &answer;
    s.n_messages = 1;
    s.message_seq = seq;
    s.usage = &usage;
    s.events = arena_printf(&f->arena, "%lld {\"type\":\"RUN_FINISHED\"}\n",
                            (long long)(epoch * 1000 + step));
    s.events_last_seq = epoch * 1000 + step;
    s.end = true;
    s.end_state = TURN_DONE;
    return turn_step_store(f->db, &s, &cancel, &f->err);
}
