#include "store/transcript.h"

#include "store_fixture.h"
#include "test.h"

/* Four messages, of which the second is large; then one that is answered, and two that wait. */
static bool fill(struct fixture *f) {
    static char large[3000];
    struct turn_accepted a;
    memset(large, 'x', sizeof large - 1);
    const char *texts[] = {"one", "two"};
    for (int64_t i = 0; i < 2; i++) {
        char id[8];
        snprintf(id, sizeof id, "r%d", (int)i);
        if (!CHECK_OK(accept_turn(f, "t", id, i == 1 ? large : texts[i], &a), &f->err) ||
            !CHECK_OK(end_turn(f, "t", id, i + 1, 0, 1, i * 2 + 2), &f->err)) {
            return false;
        }
    }
    return CHECK_OK(accept_turn(f, "t", "run", "now", &a), &f->err) &&
           CHECK_OK(accept_turn(f, "t", "w1", "later", &a), &f->err) &&
           CHECK_OK(accept_turn(f, "t", "w2", "last", &a), &f->err) &&
           CHECK_OK(accept_turn(f, "u", "elsewhere", "no", &a), &f->err);
}

/* The seqs of a whole thread read in pieces, "1 2|3|": each piece ends with a bar. */
static const char *read_all(struct fixture *f, enum transcript_order order, size_t max_messages,
                            size_t max_bytes, struct strbuf *out) {
    struct transcript_piece piece = {order, 0, max_messages, max_bytes};
    strbuf_reset(out);
    for (;;) {
        struct thread_message *m;
        size_t n;
        if (!CHECK_OK(transcript_read(f->db, ME, STR("t"), &piece, &f->arena, &m, &n, &f->err),
                      &f->err) ||
            n == 0) {
            return strbuf_z(out);
        }
        for (size_t i = 0; i < n; i++) {
            strbuf_addf(out, "%s%d", i ? " " : "", (int)m[i].seq);
            CHECK(m[i].json.n > 0 && m[i].role.n > 0 && m[i].id.n > 0 && m[i].created_us > 0);
        }
        strbuf_addc(out, '|');
        piece.beyond_seq = m[n - 1].seq;
    }
}

BOTH_BACKENDS(a_transcript_is_read_in_pieces_of_bounded_size) {
    struct fixture f cleanup(fixture_close) = {0};
    struct strbuf out cleanup(strbuf_done) = STRBUF(1000);
    REQUIRE(fixture_open(&f, backend));
    REQUIRE(fill(&f));
    CHECK_STR(str_z(read_all(&f, TRANSCRIPT_OLDEST_FIRST, 100, 1 << 20, &out)), "1 2 3 4 5|");
    CHECK_STR(str_z(read_all(&f, TRANSCRIPT_NEWEST_FIRST, 100, 1 << 20, &out)), "5 4 3 2 1|");
    CHECK_STR(str_z(read_all(&f, TRANSCRIPT_OLDEST_FIRST, 2, 1 << 20, &out)), "1 2|3 4|5|");
    CHECK_STR(str_z(read_all(&f, TRANSCRIPT_NEWEST_FIRST, 2, 1 << 20, &out)), "5 4|3 2|1|");
    CHECK_STR(str_z(read_all(&f, TRANSCRIPT_OLDEST_FIRST, 100, 1000, &out)), "1 2 3|4 5|");
    CHECK_STR(str_z(read_all(&f, TRANSCRIPT_NEWEST_FIRST, 100, 1000, &out)), "5 4 3|2 1|");
    CHECK_STR(str_z(read_all(&f, TRANSCRIPT_OLDEST_FIRST, 100, 1, &out)), "1|2|3|4|5|");
}

BOTH_BACKENDS(what_waits_can_be_read) {
    struct fixture f cleanup(fixture_close) = {0};
    struct thread_message *m;
    struct str json;
    size_t n;
    REQUIRE(fixture_open(&f, backend));
    REQUIRE(fill(&f));
    REQUIRE_OK(transcript_queued(f.db, ME, STR("t"), 0, 9, &f.arena, &m, &n, &f.err), &f.err);
    REQUIRE(n == 2);
    CHECK_STR(m[0].turn_id, "w1");
    CHECK_STR(m[0].id, "m-w1");
    CHECK(str_find(m[0].json, STR("later")) != SIZE_MAX);
    CHECK_STR(m[1].turn_id, "w2");
    REQUIRE_OK(transcript_queued(f.db, ME, STR("t"), m[0].seq, 9, &f.arena, &m, &n, &f.err),
               &f.err);
    REQUIRE(n == 1);
    CHECK_STR(m[0].turn_id, "w2");
    REQUIRE_OK(transcript_message(f.db, ME, STR("t"), STR("m-r0"), &f.arena, &json, &f.err),
               &f.err);
    CHECK(str_find(json, STR("one")) != SIZE_MAX);
    REQUIRE_OK(transcript_message(f.db, ME, STR("t"), STR("m-w2"), &f.arena, &json, &f.err),
               &f.err);
    CHECK(str_find(json, STR("last")) != SIZE_MAX);
    CHECK_FAILS(transcript_message(f.db, ME, STR("u"), STR("m-r0"), &f.arena, &json, &f.err),
                &f.err, ERR_NOT_FOUND);
    CHECK_FAILS(transcript_message(f.db, ME, STR("t"), STR("m-elsewhere"), &f.arena, &json, &f.err),
                &f.err, ERR_NOT_FOUND);
}

/* Marks a turn of the fixture as ended in this way. */
static bool end_badly(struct fixture *f, const char *id, const char *state, const char *error) {
    static const struct db_sql sql =
        DB_SQL("test_end_badly", "UPDATE turns SET state = $2, error_code = 'limit', error = $3 "
                                 "WHERE user_id = 'me' AND id = $1");
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(f->db, ME, DB_WRITE);
    db_tx_add(tx, &sql, db_text(str_z(id)), db_text(str_z(state)), db_text(str_z(error)));
    return CHECK_OK(db_tx_run(tx, &f->err), &f->err);
}

BOTH_BACKENDS(how_turns_ended_is_told_where_it_was_not_well) {
    struct fixture f cleanup(fixture_close) = {0};
    struct transcript_end *ends;
    size_t n;
    REQUIRE(fixture_open(&f, backend));
    REQUIRE(fill(&f));
    REQUIRE_OK(transcript_ends(f.db, ME, STR("t"), 1, 99, &f.arena, &ends, &n, &f.err), &f.err);
    CHECK_INT(n, 0);
    REQUIRE(end_badly(&f, "r1", "failed", "too much"));
    REQUIRE_OK(transcript_ends(f.db, ME, STR("t"), 1, 99, &f.arena, &ends, &n, &f.err), &f.err);
    REQUIRE(n == 1);
    CHECK_STR(ends[0].turn_id, "r1");
    CHECK_STR(ends[0].state, "failed");
    CHECK_STR(ends[0].error_code, "limit");
    CHECK_STR(ends[0].error, "too much");
    REQUIRE_OK(transcript_ends(f.db, ME, STR("t"), 1, 2, &f.arena, &ends, &n, &f.err), &f.err);
    CHECK_INT(n, 0);
    REQUIRE_OK(thread_fork(f.db, ME, STR("t"), STR("r1"), STR("fork"), &f.err), &f.err);
    REQUIRE_OK(transcript_ends(f.db, ME, STR("fork"), 1, 99, &f.arena, &ends, &n, &f.err), &f.err);
    CHECK_INT(n, 1);
}
