#include "store/search.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/strbuf.h"
#include "store/rows.h"

enum {
    MAX_WORDS = 12,
    MAX_WORD_BYTES = 60,
    MAX_TEXT_BYTES = 64 * 1024, /* of one message; what is beyond is not found */
    BATCH_THREADS = 12,         /* one statement each, beside one a message */
    BATCH_MESSAGES = 48,
    BATCH_BYTES = 4 * 1024 * 1024,
    MAX_CONFLICTS = 3,
};
#define END_OF_TIME_US INT64_C(253402300799000000) /* 9999-12-31T23:59:59Z */

/* ---- the index ---- */

/* Sizes are summed up before contents are read, and results of tools, which nobody looks for, count
 * and come as nothing. */
static const struct db_sql sql_unindexed = DB_SQL(
    "search_unindexed",
    "SELECT m.thread_id, m.seq, m.id, m.role, m.created_at, "
    "CASE WHEN m.role IN ('user', 'assistant') THEN m.content END FROM "
    "(SELECT k.thread_id, k.seq, k.bytes, SUM(k.bytes) OVER (ORDER BY k.thread_id, k.seq) AS total "
    "FROM (SELECT n.thread_id, n.seq, CASE WHEN n.role = 'tool' THEN 0 ELSE n.bytes END AS bytes "
    "FROM (SELECT id, indexed_seq FROM threads WHERE user_id = $1 AND message_seq > indexed_seq "
    "ORDER BY updated_at DESC, id DESC LIMIT $2) t JOIN messages n "
    "ON n.user_id = $1 AND n.thread_id = t.id AND n.seq > t.indexed_seq "
    "ORDER BY n.thread_id, n.seq LIMIT $3) k) b "
    "JOIN messages m ON m.user_id = $1 AND m.thread_id = b.thread_id AND m.seq = b.seq "
    "WHERE b.total - b.bytes < $4 ORDER BY m.thread_id, m.seq");
static const struct db_sql sql_indexed =
    DB_SQL("search_indexed", "UPDATE threads SET indexed_seq = $3 WHERE user_id = $1 AND id = $2 "
                             "AND indexed_seq < $3");
static const struct db_sql sql_index =
    DB_SQL("search_index", "INSERT INTO search_rows (user_id, thread_id, seq, message_id, role, "
                           "created_at, text) VALUES ($1, $2, $3, $4, $5, $6, $7) "
                           "ON CONFLICT (user_id, thread_id, seq) DO NOTHING");

/* SQLite: the rows above the newest one that the words have. */
static const struct db_sql sql_words = DB_SQL(
    "search_words", "INSERT INTO search_words (rowid, text) SELECT number, text FROM search_rows "
                    "WHERE number > (SELECT COALESCE(MAX(id), 0) FROM search_words_docsize)");
static const struct db_sql sql_forget =
    DB_SQL("search_forget",
           "INSERT INTO search_words (search_words, rowid, text) SELECT 'delete', number, text "
           "FROM search_rows WHERE user_id = $1 AND thread_id = $2 AND EXISTS "
           "(SELECT 1 FROM threads WHERE user_id = $1 AND id = $2 AND open_turns = 0)");

void search_forget_thread(struct db_tx *tx, struct db *db, struct str user_id,
                          struct str thread_id) {
    if (db_backend(db) == DB_SQLITE) {
        db_tx_add(tx, &sql_forget, db_text(user_id), db_text(thread_id));
    }
}

/* As one line: the marks of a snippet must not stand in the text itself. */
static void add_line(struct strbuf *out, struct str text) {
    for (size_t i = 0; i < text.n && out->n + 1 < MAX_TEXT_BYTES; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c > ' ' && c != 0x7f) {
            strbuf_addc(out, (char)c);
        } else if (out->n && strbuf_str(out).p[out->n - 1] != ' ') {
            strbuf_addc(out, ' ');
        }
    }
}

static struct str text_of(struct str json, struct arena *arena) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(MAX_TEXT_BYTES);
    json_auto_t *message = NULL;
    struct err err;
    size_t i;
    json_t *block;
    if (json.n == 0 || json_read(json, &message, &err) < 0) {
        return STR_EMPTY;
    }
    const json_t *content = json_object_get(message, "content");
    add_line(&out, json_value_str(content));
    json_array_foreach (content, i, block) {
        if (str_eq(json_str(block, "type"), STR("text"))) {
            add_line(&out, STR(" "));
            add_line(&out, json_str(block, "text"));
        }
    }
    return arena_str(arena, str_trim(str_utf8_head(strbuf_str(&out), MAX_TEXT_BYTES)));
}

/* A transaction that touches rows of a thread writes the thread's first. */
static void add_threads(struct db_tx *tx, const struct db_tx *found, struct str user_id) {
    size_t n = db_rows(found, 0);
    for (size_t i = 0; i < n; i++) {
        struct str id = db_get_text(found, 0, i, 0);
        if (i + 1 == n || !str_eq(id, db_get_text(found, 0, i + 1, 0))) {
            db_tx_add(tx, &sql_indexed, db_text(user_id), db_text(id),
                      db_int(db_get_int(found, 0, i, 1)));
        }
    }
}

static int index_batch(struct db *db, struct str user_id, size_t *ret_n, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct db_tx *found cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_READ);
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_WRITE);
    db_tx_add(found, &sql_unindexed, db_text(user_id), db_int(BATCH_THREADS),
              db_int(BATCH_MESSAGES), db_int(BATCH_BYTES));
    if (db_tx_run(found, err) < 0) {
        return -(int)err->code;
    }
    *ret_n = db_rows(found, 0);
    if (*ret_n == 0) {
        return 0;
    }
    add_threads(tx, found, user_id);
    for (size_t i = 0; i < *ret_n; i++) {
        struct str text = text_of(db_get_text(found, 0, i, 5), &arena);
        if (text.n) {
            db_tx_add(tx, &sql_index, db_text(user_id), db_text(db_get_text(found, 0, i, 0)),
                      db_int(db_get_int(found, 0, i, 1)), db_text(db_get_text(found, 0, i, 2)),
                      db_text(db_get_text(found, 0, i, 3)), db_time(db_get_time(found, 0, i, 4)),
                      db_text(text));
        }
    }
    if (db_backend(db) == DB_SQLITE) {
        db_tx_add_values(tx, &sql_words, NULL, 0);
    }
    return db_tx_run(tx, err);
}

int search_update(struct db *db, struct str user_id, int64_t patience_ms, bool *ret_complete,
                  struct err *err) {
    int64_t until_us = clock_mono_us() + patience_ms * 1000;
    size_t n = 1;
    int conflicts = 0;
    while (n > 0 && clock_mono_us() < until_us) {
        int rc = index_batch(db, user_id, &n, err);
        /* A thread that was deleted meanwhile is not found the next time. */
        if (rc == -ERR_CONFLICT && ++conflicts <= MAX_CONFLICTS) {
            continue;
        }
        if (rc < 0) {
            return rc;
        }
    }
    *ret_complete = n == 0;
    return 0;
}

/* ---- the query ---- */

static bool is_word_byte(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (unsigned char)c >= 0x80;
}

static struct str next_word(struct str *rest) {
    size_t n = 0;
    while (rest->n && !is_word_byte(rest->p[0])) {
        *rest = str_skip(*rest, 1);
    }
    while (n < rest->n && is_word_byte(rest->p[n])) {
        n++;
    }
    struct str word = str_head(*rest, n);
    *rest = str_skip(*rest, n);
    return word;
}

/* In the language of to_tsquery or of FTS5. A word consists of letters and digits, so nothing in it
 * can mean anything to either. Empty when there is no word. */
static struct str write_query(enum db_backend backend, struct str text, struct arena *arena) {
    bool postgres = backend == DB_POSTGRES;
    struct strbuf out cleanup(strbuf_done) = STRBUF(MAX_WORDS * (MAX_WORD_BYTES + 16));
    struct str word = next_word(&text);
    for (int i = 0; i < MAX_WORDS && word.n; i++) {
        struct str head = str_utf8_head(word, MAX_WORD_BYTES), next = next_word(&text);
        bool prefix = next.n == 0 || head.n < word.n;
        if (i > 0) {
            strbuf_addz(&out, postgres ? " & " : " ");
        }
        strbuf_addf(&out, postgres ? "'%.*s'%s" : "\"%.*s\"%s", STR_ARG(head),
                    !prefix    ? ""
                    : postgres ? ":*"
                               : "*");
        word = next;
    }
    return arena_str(arena, strbuf_str(&out));
}

/* The lexeme of a user's rows, as a tsquery. */
static struct str write_user(struct str user_id, struct arena *arena) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(2 * user_id.n + 16);
    strbuf_addz(&out, "'=");
    for (size_t i = 0; i < user_id.n; i++) {
        if (user_id.p[i] == '\'' || user_id.p[i] == '\\') {
            strbuf_addc(&out, user_id.p[i]);
        }
        strbuf_addc(&out, user_id.p[i]);
    }
    strbuf_addc(&out, '\'');
    return arena_str(arena, strbuf_str(&out));
}

/* Snippets are made of the hits that are shown only. A query of which the parser leaves nothing
 * finds nothing. */
static const struct db_sql sql_postgres = DB_SQL(
    "search_messages",
    "SELECT h.created_at, h.seq, h.thread_id, t.title, h.message_id, h.role, "
    "ts_headline('simple', h.text, to_tsquery('simple', $2), 'StartSel=' || chr(2) || "
    "', StopSel=' || chr(3) || ', MaxWords=24, MinWords=12') FROM "
    "(SELECT s.created_at, s.seq, s.thread_id, s.message_id, s.role, s.text FROM own_search_rows s "
    "WHERE s.user_id = $1 AND s.words @@ ($7::text::tsquery && to_tsquery('simple', $2)) "
    "AND numnode(to_tsquery('simple', $2)) > 0 "
    "AND (s.created_at, s.thread_id, s.seq) < ($3, $4, $5) "
    "ORDER BY s.created_at DESC, s.thread_id DESC, s.seq DESC LIMIT $6) h "
    "JOIN threads t ON t.user_id = $1 AND t.id = h.thread_id "
    "ORDER BY h.created_at DESC, h.thread_id DESC, h.seq DESC");
static const struct db_sql sql_sqlite =
    DB_SQL("search_messages",
           "SELECT h.created_at, h.seq, h.thread_id, t.title, h.message_id, h.role, "
           "snippet(search_words, 0, char(2), char(3), '\u2026', 24) FROM "
           "(SELECT s.* FROM search_words w JOIN search_rows s ON s.number = w.rowid "
           "WHERE w.search_words MATCH $2 AND s.user_id = $1 "
           "AND (s.created_at, s.thread_id, s.seq) < ($3, $4, $5) "
           "ORDER BY s.created_at DESC, s.thread_id DESC, s.seq DESC LIMIT $6) h "
           "JOIN search_words ON search_words.rowid = h.number AND search_words MATCH $2 "
           "JOIN threads t ON t.user_id = $1 AND t.id = h.thread_id "
           "ORDER BY h.created_at DESC, h.thread_id DESC, h.seq DESC");

static struct search_hit hit_at(struct arena *arena, const struct db_tx *tx, size_t row) {
    return (struct search_hit){.place = {.created_us = db_get_time(tx, 0, row, 0),
                                         .seq = db_get_int(tx, 0, row, 1),
                                         .thread_id = row_text(arena, tx, 0, row, 2)},
                               .title = row_text(arena, tx, 0, row, 3),
                               .message_id = row_text(arena, tx, 0, row, 4),
                               .role = row_text(arena, tx, 0, row, 5),
                               .snippet = row_text(arena, tx, 0, row, 6)};
}

static void add_search(struct db_tx *tx, enum db_backend backend, struct str user_id,
                       struct str query, struct str user, const struct search_place *behind,
                       size_t max) {
    struct search_place end = {.created_us = END_OF_TIME_US, .seq = 0, .thread_id = STR_EMPTY};
    const struct search_place *p = behind ? behind : &end;
    const struct db_value values[] = {
        db_text(user_id), db_text(query),       db_time(p->created_us), db_text(p->thread_id),
        db_int(p->seq),   db_int((int64_t)max), db_text(user),
    };
    bool postgres = backend == DB_POSTGRES;
    db_tx_add_values(tx, postgres ? &sql_postgres : &sql_sqlite, values, postgres ? 7 : 6);
}

int search_messages(struct db *db, struct str user_id, struct str text,
                    const struct search_place *behind, size_t max, struct arena *arena,
                    struct search_hit **ret, size_t *ret_n, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_READ);
    struct str query = write_query(db_backend(db), text, arena);
    *ret_n = 0;
    if (query.n == 0) {
        return 0;
    }
    add_search(tx, db_backend(db), user_id, query, write_user(user_id, arena), behind, max);
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    size_t n = db_rows(tx, 0);
    struct search_hit *hits = arena_alloc(arena, MAX(n, (size_t)1) * sizeof *hits);
    for (size_t i = 0; i < n; i++) {
        hits[i] = hit_at(arena, tx, i);
    }
    *ret = hits;
    *ret_n = n;
    return 0;
}
