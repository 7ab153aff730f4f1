#include "store/threads.h"

#include "base/clock.h"
#include "store/rows.h"
#include "store/search.h"

enum { MAX_ID = 128 };
#define END_OF_TIME_US INT64_C(253402300799000000) /* 9999-12-31T23:59:59Z */

bool thread_id_valid(struct str id) {
    for (size_t i = 0; i < id.n; i++) {
        if (id.p[i] <= ' ' || id.p[i] > '~' || id.p[i] == '/') {
            return false;
        }
    }
    /* As segments of a path these two mean another path. */
    return id.n > 0 && id.n <= MAX_ID && !str_eq(id, STR(".")) && !str_eq(id, STR(".."));
}

static int no_thread(struct err *err) {
    return err_set(err, ERR_NOT_FOUND, "no such thread");
}

/* ---- making ---- */

static const struct db_sql sql_create =
    DB_SQL("thread_create", "INSERT INTO threads (user_id, id, title, created_at, updated_at) "
                            "VALUES ($1, $2, $3, $4, $4)");

int thread_create(struct db *db, struct str user_id, struct str id, struct str title,
                  struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_WRITE);
    db_tx_add(tx, &sql_create, db_text(user_id), db_text(id), db_text_or_null(title),
              db_time(clock_now_us()));
    if (db_tx_run(tx, err) < 0) {
        return err->code == ERR_CONFLICT ? err_set(err, ERR_CONFLICT, "the thread exists already")
                                         : -(int)err->code;
    }
    return 0;
}

/* What a turn's checkpoint includes, given user, thread and turn as $1 to $3. */
#define FORKED_FROM "FROM turns u JOIN checkpoints c ON c.user_id = u.user_id AND c.turn_id = u.id "

static const struct db_sql sql_fork =
    DB_SQL("thread_fork",
           "INSERT INTO threads (user_id, id, title, agent, skill, model_provider, message_seq, "
           "forked_from, created_at, updated_at) "
           "SELECT $1, $4, t.title, t.agent, t.skill, t.model_provider, c.message_seq, t.id, $5, "
           "$5 " FORKED_FROM "JOIN threads t ON t.user_id = u.user_id AND t.id = u.thread_id "
           "WHERE u.user_id = $1 AND u.id = $3 AND u.thread_id = $2");
static const struct db_sql sql_fork_messages =
    DB_SQL("thread_fork_messages",
           "INSERT INTO messages (user_id, thread_id, seq, id, turn_id, role, plain, bytes, "
           "created_at, content) SELECT m.user_id, $4, m.seq, m.id, m.turn_id, m.role, m.plain, "
           "m.bytes, m.created_at, m.content " FORKED_FROM
           "JOIN messages m ON m.user_id = u.user_id AND m.thread_id = u.thread_id "
           "AND m.seq <= c.message_seq "
           "WHERE u.user_id = $1 AND u.id = $3 AND u.thread_id = $2");

int thread_fork(struct db *db, struct str user_id, struct str id, struct str turn_id,
                struct str new_id, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_WRITE);
    size_t made = db_tx_add(tx, &sql_fork, db_text(user_id), db_text(id), db_text(turn_id),
                            db_text(new_id), db_time(clock_now_us()));
    db_tx_add(tx, &sql_fork_messages, db_text(user_id), db_text(id), db_text(turn_id),
              db_text(new_id));
    if (db_tx_run(tx, err) < 0) {
        return err->code == ERR_CONFLICT ? err_set(err, ERR_CONFLICT, "the thread exists already")
                                         : -(int)err->code;
    }
    return db_rows_affected(tx, made)
               ? 0
               : err_set(err, ERR_NOT_FOUND, "the thread has no such turn, or it has not begun");
}

static const struct db_sql sql_fork_before =
    DB_SQL("thread_fork_before",
           "INSERT INTO threads (user_id, id, title, agent, skill, model_provider, message_seq, "
           "forked_from, created_at, updated_at) "
           "SELECT $1, $4, title, agent, skill, model_provider, $3 - 1, id, $5, $5 FROM threads "
           "WHERE user_id = $1 AND id = $2 AND $3 BETWEEN 1 AND message_seq");
static const struct db_sql sql_fork_before_messages =
    DB_SQL("thread_fork_before_messages",
           "INSERT INTO messages (user_id, thread_id, seq, id, turn_id, role, plain, bytes, "
           "created_at, content) SELECT user_id, $4, seq, id, turn_id, role, plain, bytes, "
           "created_at, content FROM messages WHERE user_id = $1 AND thread_id = $2 AND seq < $3 "
           "AND EXISTS (SELECT 1 FROM threads WHERE user_id = $1 AND id = $4)");

int thread_fork_before(struct db *db, struct str user_id, struct str id, int64_t before_seq,
                       struct str new_id, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_WRITE);
    size_t made = db_tx_add(tx, &sql_fork_before, db_text(user_id), db_text(id), db_int(before_seq),
                            db_text(new_id), db_time(clock_now_us()));
    db_tx_add(tx, &sql_fork_before_messages, db_text(user_id), db_text(id), db_int(before_seq),
              db_text(new_id));
    if (db_tx_run(tx, err) < 0) {
        return err->code == ERR_CONFLICT ? err_set(err, ERR_CONFLICT, "the thread exists already")
                                         : -(int)err->code;
    }
    return db_rows_affected(tx, made) ? 0 : no_thread(err);
}

/* ---- reading ---- */

/* Two statements, so that each has a plan. */
#define SAID "SELECT seq, content FROM messages WHERE user_id = $1 AND thread_id = $2 "
static const struct db_sql sql_said_message =
    DB_SQL("thread_said_message", SAID "AND id = $3 AND role = 'user'");
static const struct db_sql sql_said_turn =
    DB_SQL("thread_said_turn", SAID "AND turn_id = $3 AND role = 'user' ORDER BY seq LIMIT 1");

int thread_said(struct db *db, struct str user_id, struct str id, struct str message_id,
                struct str turn_id, struct arena *arena, struct thread_message *ret,
                struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_READ);
    size_t q = db_tx_add(tx, message_id.n ? &sql_said_message : &sql_said_turn, db_text(user_id),
                         db_text(id), db_text(message_id.n ? message_id : turn_id));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    if (db_rows(tx, q) == 0) {
        return err_set(err, ERR_NOT_FOUND, "the thread has no such message of yours");
    }
    *ret = (struct thread_message){.seq = db_get_int(tx, q, 0, 0),
                                   .json = row_text(arena, tx, q, 0, 1)};
    return 0;
}

/* Asked for the rows that are shown only, and there only when a turn is open. */
#define OPEN_TURN(column)                                                                          \
    "CASE WHEN t.open_turns > 0 THEN (SELECT o." column " FROM turns o WHERE "                     \
    "o.user_id = t.user_id AND o.thread_id = t.id AND o.state IN ('queued', 'running') "           \
    "ORDER BY o.position LIMIT 1) END"
#define THREAD_COLUMNS                                                                             \
    "SELECT t.id, t.title, t.agent, t.skill, t.model_provider, t.forked_from, "                    \
    "t.total_input_tokens, t.total_output_tokens, t.message_seq, t.created_at, t.updated_at, "     \
    "t.archived_at, " OPEN_TURN("id") ", " OPEN_TURN("state") " FROM threads t "

static const struct db_sql sql_get =
    DB_SQL("thread_get", THREAD_COLUMNS "WHERE t.user_id = $1 AND t.id = $2");
/* Two statements, as each of the two lists has an index of its own. */
#define LIST_THREADS(shown)                                                                        \
    THREAD_COLUMNS "WHERE t.user_id = $1 AND t.archived_at IS " shown                              \
                   " AND (t.updated_at, t.id) < ($2, $3) "                                         \
                   "ORDER BY t.updated_at DESC, t.id DESC LIMIT $4"
static const struct db_sql sql_list_shown = DB_SQL("thread_list", LIST_THREADS("NULL"));
static const struct db_sql sql_list_archived =
    DB_SQL("thread_list_archived", LIST_THREADS("NOT NULL"));

static const struct db_sql sql_list_by_id =
    DB_SQL("thread_list_by_id",
           THREAD_COLUMNS "WHERE t.user_id = $1 AND t.id > $2 ORDER BY t.id LIMIT $3");

static struct thread_row thread_at(struct arena *arena, const struct db_tx *tx, size_t q,
                                   size_t row) {
    return (struct thread_row){
        .id = row_text(arena, tx, q, row, 0),
        .title = row_text(arena, tx, q, row, 1),
        .agent = row_text(arena, tx, q, row, 2),
        .skill = row_text(arena, tx, q, row, 3),
        .model_provider = row_text(arena, tx, q, row, 4),
        .forked_from = row_text(arena, tx, q, row, 5),
        .total_input_tokens = db_get_int(tx, q, row, 6),
        .total_output_tokens = db_get_int(tx, q, row, 7),
        .message_seq = db_get_int(tx, q, row, 8),
        .created_us = db_get_time(tx, q, row, 9),
        .updated_us = db_get_time(tx, q, row, 10),
        .archived_us = db_get_time(tx, q, row, 11),
        .open_turn_id = row_text(arena, tx, q, row, 12),
        .open_turn_state = row_text(arena, tx, q, row, 13),
    };
}

static void take_threads(const struct db_tx *tx, size_t q, struct arena *arena,
                         struct thread_row **ret, size_t *ret_n) {
    size_t n = db_rows(tx, q);
    struct thread_row *rows = arena_alloc(arena, n * sizeof *rows);
    for (size_t i = 0; i < n; i++) {
        rows[i] = thread_at(arena, tx, q, i);
    }
    *ret = rows;
    *ret_n = n;
}

int thread_get(struct db *db, struct str user_id, struct str id, struct arena *arena,
               struct thread_row *ret, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_READ);
    size_t q = db_tx_add(tx, &sql_get, db_text(user_id), db_text(id));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    if (db_rows(tx, q) == 0) {
        return no_thread(err);
    }
    *ret = thread_at(arena, tx, q, 0);
    return 0;
}

int thread_list(struct db *db, struct str user_id, bool archived, int64_t before_us,
                struct str before_id, size_t max, struct arena *arena, struct thread_row **ret,
                size_t *ret_n, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_READ);
    size_t q = db_tx_add(tx, archived ? &sql_list_archived : &sql_list_shown, db_text(user_id),
                         db_time(before_us ? before_us : END_OF_TIME_US), db_text(before_id),
                         db_int((int64_t)max));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    take_threads(tx, q, arena, ret, ret_n);
    return 0;
}

int thread_list_by_id(struct db *db, struct str user_id, struct str after_id, size_t max,
                      struct arena *arena, struct thread_row **ret, size_t *ret_n,
                      struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_READ);
    size_t q =
        db_tx_add(tx, &sql_list_by_id, db_text(user_id), db_text(after_id), db_int((int64_t)max));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    take_threads(tx, q, arena, ret, ret_n);
    return 0;
}

static const struct db_sql sql_messages =
    DB_SQL("thread_messages",
           "SELECT seq, created_at, id, turn_id, role, content FROM messages WHERE user_id = $1 "
           "AND thread_id = $2 AND seq < $3 ORDER BY seq DESC LIMIT $4");

int thread_messages(struct db *db, struct str user_id, struct str id, int64_t before_seq,
                    size_t max, struct arena *arena, struct thread_message **ret, size_t *ret_n,
                    struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_READ);
    size_t q = db_tx_add(tx, &sql_messages, db_text(user_id), db_text(id),
                         db_int(before_seq ? before_seq : INT64_MAX), db_int((int64_t)max));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    size_t n = db_rows(tx, q);
    struct thread_message *messages = arena_alloc(arena, n * sizeof *messages);
    for (size_t i = 0; i < n; i++) {
        messages[n - 1 - i] = (struct thread_message){.seq = db_get_int(tx, q, i, 0),
                                                      .created_us = db_get_time(tx, q, i, 1),
                                                      .id = row_text(arena, tx, q, i, 2),
                                                      .turn_id = row_text(arena, tx, q, i, 3),
                                                      .role = row_text(arena, tx, q, i, 4),
                                                      .json = row_text(arena, tx, q, i, 5)};
    }
    *ret = messages;
    *ret_n = n;
    return 0;
}

static const struct db_sql sql_checkpoints =
    DB_SQL("thread_checkpoints",
           "SELECT u.id, c.node, u.state, u.position, c.message_seq, c.created_at "
           "FROM turns u JOIN checkpoints c ON c.user_id = u.user_id AND c.turn_id = u.id "
           "WHERE u.user_id = $1 AND u.thread_id = $2 ORDER BY u.position DESC LIMIT $3");

int thread_checkpoints(struct db *db, struct str user_id, struct str id, size_t max,
                       struct arena *arena, struct thread_checkpoint **ret, size_t *ret_n,
                       struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_READ);
    size_t q = db_tx_add(tx, &sql_checkpoints, db_text(user_id), db_text(id), db_int((int64_t)max));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    size_t n = db_rows(tx, q);
    struct thread_checkpoint *rows = arena_alloc(arena, n * sizeof *rows);
    for (size_t i = 0; i < n; i++) {
        rows[i] = (struct thread_checkpoint){.turn_id = row_text(arena, tx, q, i, 0),
                                             .node = row_text(arena, tx, q, i, 1),
                                             .turn_state = row_text(arena, tx, q, i, 2),
                                             .position = db_get_int(tx, q, i, 3),
                                             .message_seq = db_get_int(tx, q, i, 4),
                                             .created_us = db_get_time(tx, q, i, 5)};
    }
    *ret = rows;
    *ret_n = n;
    return 0;
}

/* ---- changing ---- */

static const struct db_sql sql_rename =
    DB_SQL("thread_rename", "UPDATE threads SET title = $3 WHERE user_id = $1 AND id = $2");
static const struct db_sql sql_archive =
    DB_SQL("thread_archive", "UPDATE threads SET archived_at = $3 WHERE user_id = $1 AND id = $2");
static const struct db_sql sql_delete = DB_SQL(
    "thread_delete", "DELETE FROM threads WHERE user_id = $1 AND id = $2 AND open_turns = 0");
static const struct db_sql sql_exists =
    DB_SQL("thread_exists", "SELECT 1 FROM threads WHERE user_id = $1 AND id = $2");

static int change(struct db *db, const struct db_sql *sql, struct str user_id, struct str id,
                  struct db_value value, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_WRITE);
    size_t q = db_tx_add(tx, sql, db_text(user_id), db_text(id), value);
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    return db_rows_affected(tx, q) ? 0 : no_thread(err);
}

int thread_rename(struct db *db, struct str user_id, struct str id, struct str title,
                  struct err *err) {
    return change(db, &sql_rename, user_id, id, db_text_or_null(title), err);
}

/* RETURNING shows the row as it became: with the title it had, or with this one. */
static const struct db_sql sql_title = DB_SQL(
    "thread_title", "UPDATE threads SET title = COALESCE(title, $3), "
                    "total_input_tokens = total_input_tokens + $4, "
                    "total_output_tokens = total_output_tokens + $5 WHERE user_id = $1 AND id = $2 "
                    "RETURNING title");

int thread_title_set(struct db *db, const struct thread_title *t, bool *ret_set, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, t->user_id, DB_WRITE);
    const struct turn_usage *u = &t->usage;
    struct usage_record record = {.user_id = t->user_id,
                                  .turn_id = t->turn_id,
                                  .thread_id = t->thread_id,
                                  .step = USAGE_STEP_TITLE,
                                  .now_us = clock_now_us(),
                                  .usage = u};
    size_t q = db_tx_add(tx, &sql_title, db_text(t->user_id), db_text(t->thread_id),
                         db_text_or_null(t->title), db_int(t->used ? u->input_tokens : 0),
                         db_int(t->used ? u->output_tokens : 0));
    if (t->used) {
        usage_add(tx, &record);
    }
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    *ret_set = db_rows(tx, q) > 0 && t->title.n > 0 && str_eq(db_get_text(tx, q, 0, 0), t->title);
    return 0;
}

int thread_archive(struct db *db, struct str user_id, struct str id, bool archived,
                   struct err *err) {
    return change(db, &sql_archive, user_id, id, archived ? db_time(clock_now_us()) : db_null(),
                  err);
}

int thread_delete(struct db *db, struct str user_id, struct str id, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_WRITE);
    search_forget_thread(tx, db, user_id, id);
    size_t deleted = db_tx_add(tx, &sql_delete, db_text(user_id), db_text(id));
    size_t left = db_tx_add(tx, &sql_exists, db_text(user_id), db_text(id));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    if (db_rows(tx, left) > 0) {
        return err_set(err, ERR_CONFLICT, "a turn of the thread is running or waiting");
    }
    return db_rows_affected(tx, deleted) ? 0 : no_thread(err);
}
