#include "net/sse.h"

#include <stdlib.h>

#include "test.h"

enum { MAX_EVENT = 4096, FAIL_NEVER = -1 };

struct transcript {
    struct strbuf text;
    int events, fail_at;
};

static int write_event(const struct sse_event *e, void *arg, struct err *err) {
    struct transcript *t = arg;
    strbuf_addf(&t->text, "[%.*s|", STR_ARG(e->type));
    strbuf_add(&t->text, e->data);
    strbuf_addf(&t->text, "|%.*s|%lld]", STR_ARG(e->id), (long long)e->retry_ms);
    return t->events++ == t->fail_at ? err_set(err, ERR_CONFLICT, "enough") : 0;
}

static int write_line(struct str line, void *arg, struct err *err) {
    struct transcript *t = arg;
    strbuf_addc(&t->text, '[');
    strbuf_add(&t->text, line);
    strbuf_addc(&t->text, ']');
    return t->events++ == t->fail_at ? err_set(err, ERR_CONFLICT, "enough") : 0;
}

/* Where the input is cut: at `first`, and from there on every `step` bytes. */
struct cut {
    size_t first, step;
};

/* A copy that ends where the piece ends, so that a sanitizer sees reads beyond it. */
static int feed_piece(struct sse_reader *r, struct str piece, struct transcript *t,
                      struct err *err) {
    char *copy = str_dup_z(piece);
    int rc = sse_reader_feed(r, (struct str){copy, piece.n}, write_event, t, err);
    memset(copy, '#', piece.n);
    free(copy);
    return rc;
}

static int run_sse(struct str input, struct cut cut, size_t max, struct transcript *t,
                   struct err *err) {
    struct sse_reader r;
    sse_reader_init(&r, max);
    int rc = feed_piece(&r, str_head(input, cut.first), t, err);
    for (size_t at = cut.first; rc == 0 && at < input.n; at += cut.step) {
        rc = feed_piece(&r, str_head(str_skip(input, at), cut.step), t, err);
    }
    sse_reader_done(&r);
    return rc;
}

static int run_lines(struct str input, struct cut cut, size_t max, struct transcript *t,
                     struct err *err) {
    struct line_reader r;
    line_reader_init(&r, max);
    int rc = line_reader_feed(&r, str_head(input, cut.first), write_line, t, err);
    for (size_t at = cut.first; rc == 0 && at < input.n; at += cut.step) {
        struct str piece = str_head(str_skip(input, at), cut.step);
        rc = line_reader_feed(&r, piece, write_line, t, err);
    }
    if (rc == 0) {
        rc = line_reader_finish(&r, write_line, t, err);
    }
    line_reader_done(&r);
    return rc;
}

typedef int run_fn(struct str, struct cut, size_t, struct transcript *, struct err *);

static bool check_cut(run_fn *run, struct str input, struct cut cut, size_t max, const char *want,
                      enum err_code code) {
    struct transcript t = {.text = STRBUF(1 << 20), .fail_at = FAIL_NEVER};
    struct err err;
    int rc = run(input, cut, max, &t, &err);
    bool ok = CHECK_STR(strbuf_str(&t.text), want) && CHECK_INT(rc, -(int)code);
    if (!ok) {
        printf("  input \"%.*s\" cut at %zu, then every %zu\n", STR_ARG(input), cut.first,
               cut.step);
    }
    strbuf_done(&t.text);
    return ok;
}

static void check_all(run_fn *run, struct str input, size_t max, const char *want,
                      enum err_code code) {
    if (!check_cut(run, input, (struct cut){input.n, 1}, max, want, code) ||
        !check_cut(run, input, (struct cut){0, 1}, max, want, code)) {
        return;
    }
    for (size_t first = 0; first <= input.n; first++) {
        for (size_t step = 1; step <= input.n; step = step * 2 + 1) {
            if (!check_cut(run, input, (struct cut){first, step}, max, want, code) ||
                !check_cut(run, input, (struct cut){first, input.n}, max, want, code)) {
                return;
            }
        }
    }
}

#define SSE(input, want) check_all(run_sse, STR(input), MAX_EVENT, want, ERR_NONE)
#define LINES(input, want) check_all(run_lines, STR(input), MAX_EVENT, want, ERR_NONE)

TEST(sse_reads_single_events) {
    SSE("data: hello\n\n", "[message|hello||-1]");
    SSE("data:hello\n\n", "[message|hello||-1]");
    SSE("data:  two spaces\n\n", "[message| two spaces||-1]");
    SSE("event: delta\ndata: {\"a\":1}\n\n", "[delta|{\"a\":1}||-1]");
    SSE("data: {\"a\":1}\nevent: delta\n\n", "[delta|{\"a\":1}||-1]");
    SSE("data: a:b: c\n\n", "[message|a:b: c||-1]");
    SSE("data: [DONE]\n\n", "[message|[DONE]||-1]");
}

TEST(sse_takes_every_line_end) {
    SSE("data: a\r\n\r\ndata: b\r\n\r\n", "[message|a||-1][message|b||-1]");
    SSE("data: a\r\rdata: b\r\r", "[message|a||-1][message|b||-1]");
    SSE("data: a\n\rdata: b\r\n\ndata: c\n\r\n", "[message|a||-1][message|b||-1][message|c||-1]");
    SSE("data: a\r\ndata: b\n\r", "[message|a\nb||-1]");
    SSE("\n\n\r\r\r\n\r\ndata: a\n\n\n\n", "[message|a||-1]");
}

TEST(sse_joins_data_lines) {
    SSE("data: a\ndata: b\ndata: c\n\n", "[message|a\nb\nc||-1]");
    SSE("data: a\nevent: t\ndata\ndata:\ndata: b\n\n", "[t|a\n\n\nb||-1]");
    SSE("data\n\n", "[message|||-1]");
    SSE("data:\ndata:\n\n", "[message|\n||-1]");
    SSE("data: \n\ndata\n\ndata: x\n\n", "[message|||-1][message|||-1][message|x||-1]");
}

TEST(sse_forgets_type_between_events) {
    SSE("event: a\ndata: 1\n\ndata: 2\n\n", "[a|1||-1][message|2||-1]");
    SSE("event: a\n\ndata: 2\n\n", "[message|2||-1]");
    SSE("event: a\nevent: b\ndata: 2\n\n", "[b|2||-1]");
    SSE("event: a\nevent:\ndata: 2\n\n", "[message|2||-1]");
    SSE("event: a\nevent\ndata: 2\n\n", "[message|2||-1]");
}

TEST(sse_remembers_the_id) {
    SSE("id: 7\ndata: 1\n\ndata: 2\n\n", "[message|1|7|-1][message|2|7|-1]");
    SSE("id: 7\n\ndata: 2\n\n", "[message|2|7|-1]");
    SSE("id: 7\ndata: 1\n\nid\ndata: 2\n\n", "[message|1|7|-1][message|2||-1]");
    SSE("id: 7\nid: a\0b\ndata: 1\n\n", "[message|1|7|-1]");
    SSE("id:\xc3\xa9\ndata: 1\n\n", "[message|1|\xc3\xa9|-1]");
}

TEST(sse_takes_retry_of_digits_only) {
    SSE("retry: 1500\ndata: 1\n\ndata: 2\n\n", "[message|1||1500][message|2||1500]");
    SSE("retry: 10\nretry: 1s\nretry: -5\nretry: +5\nretry:\nretry: 1 \ndata: 1\n\n",
        "[message|1||10]");
    SSE("retry: 99999999999999999999\ndata: 1\n\n", "[message|1||-1]");
}

TEST(sse_skips_what_it_does_not_know) {
    SSE(": ping\n\n:\n\ndata: 1\n: in between\n\n", "[message|1||-1]");
    SSE("datum: 1\ndat: 2\ndata : 3\nDATA: 4\n foo\n\n", "");
    SSE("nonsense\ndata: 1\nother: 2\n\n", "[message|1||-1]");
}

TEST(sse_strips_one_byte_order_mark) {
    SSE("\xef\xbb\xbf"
        "data: 1\n\n",
        "[message|1||-1]");
    SSE("\xef\xbb\xbf\n\xef\xbb\xbf"
        "data: 1\n\n",
        "");
    SSE("\xef\xbb\xbf\xef\xbb\xbf"
        "data: 1\n\n",
        "");
    SSE("data: 1\n\n\xef\xbb\xbf"
        "data: 2\n\n",
        "[message|1||-1]");
}

TEST(sse_drops_an_unfinished_event) {
    SSE("data: 1\n\ndata: 2\n", "[message|1||-1]");
    SSE("data: 1\n\ndata: 2", "[message|1||-1]");
    SSE("", "");
}

TEST(sse_keeps_its_maximum) {
    check_all(run_sse, STR("data: 34\n\n"), 8, "[message|34||-1]", ERR_NONE);
    check_all(run_sse, STR("data: 345\n\n"), 8, "", ERR_LIMIT);
    check_all(run_sse, STR("data: 345678901234"), 8, "", ERR_LIMIT);
    check_all(run_sse, STR(": 34567890\n\n"), 8, "", ERR_LIMIT);
    check_all(run_sse, STR("data: 1\n\ndata: 345\n\ndata: 2\n\n"), 8, "[message|1||-1]", ERR_LIMIT);
    check_all(run_sse, STR("data:123\ndata:5678\n\n"), 9, "[message|123\n5678||-1]", ERR_NONE);
    check_all(run_sse, STR("data:1234\ndata:5678\n\n"), 9, "[message|1234\n5678||-1]", ERR_NONE);
    check_all(run_sse, STR("data:1234\ndata:5678\ndata\n\n"), 9, "", ERR_LIMIT);
    check_all(run_sse,
              STR("\xef\xbb\xbf"
                  "data: 34\n\n"),
              8, "[message|34||-1]", ERR_NONE);
}

TEST(sse_ends_when_the_callback_says_so) {
    struct transcript t = {.text = STRBUF(4096), .fail_at = 1};
    struct err err;
    struct str input = STR("data: 1\n\ndata: 2\n\ndata: 3\n\n");
    CHECK_FAILS(run_sse(input, (struct cut){input.n, 1}, MAX_EVENT, &t, &err), &err, ERR_CONFLICT);
    CHECK_STR(strbuf_str(&t.text), "[message|1||-1][message|2||-1]");
    CHECK_STR(str_z(err.msg), "enough");
    strbuf_done(&t.text);
}

static int check_in_place(const struct sse_event *e, void *arg, struct err *err) {
    struct str *bytes = arg;
    (void)err;
    CHECK(e->data.p > bytes->p && e->data.p < bytes->p + bytes->n);
    CHECK(e->type.p > bytes->p && e->type.p < bytes->p + bytes->n);
    return 0;
}

TEST(sse_does_not_copy_whole_events) {
    struct sse_reader r;
    struct err err;
    struct str bytes = STR("event: a\ndata: 1\n\ndata: 2\r\nevent: b\r\n\r\n");
    sse_reader_init(&r, MAX_EVENT);
    CHECK_OK(sse_reader_feed(&r, bytes, check_in_place, &bytes, &err), &err);
    CHECK_INT(r.data.cap + r.line.cap + r.type.cap, 0);
    sse_reader_done(&r);
}

TEST(sse_gives_the_memory_of_a_large_event_back) {
    struct sse_reader r;
    struct err err;
    struct transcript t = {.text = STRBUF(1 << 20), .fail_at = FAIL_NEVER};
    struct strbuf large = STRBUF(1 << 20);
    strbuf_addz(&large, "data: ");
    for (int i = 0; i < 10000; i++) {
        strbuf_addz(&large, "0123456789");
    }
    strbuf_addz(&large, "\ndata: x\n");
    sse_reader_init(&r, 1 << 20);
    CHECK_OK(sse_reader_feed(&r, str_head(strbuf_str(&large), 50000), write_event, &t, &err), &err);
    CHECK_OK(sse_reader_feed(&r, str_skip(strbuf_str(&large), 50000), write_event, &t, &err), &err);
    CHECK_OK(sse_reader_feed(&r, STR("\n"), write_event, &t, &err), &err);
    CHECK_INT(t.events, 1);
    CHECK(r.data.cap + r.line.cap <= 64 * 1024);
    CHECK_INT(r.data.max, 1 << 20);
    sse_reader_done(&r);
    strbuf_done(&large);
    strbuf_done(&t.text);
}

TEST(lines_are_split) {
    LINES("{\"a\":1}\n{\"b\":2}\n", "[{\"a\":1}][{\"b\":2}]");
    LINES("{\"a\":1}\r\n\r\n\n{\"b\":2}\r\n", "[{\"a\":1}][{\"b\":2}]");
    LINES("a\rb\n", "[a\rb]");
    LINES("a\nlast", "[a][last]");
    LINES("a\nlast\r", "[a][last]");
    LINES("\n\n\r\n", "");
    LINES("", "");
}

TEST(lines_keep_their_maximum) {
    check_all(run_lines, STR("1234\n1234\r\n1234"), 4, "[1234][1234][1234]", ERR_NONE);
    check_all(run_lines, STR("12\n12345\n1\n"), 4, "[12]", ERR_LIMIT);
    check_all(run_lines, STR("12\n12345\r\n1\n"), 4, "[12]", ERR_LIMIT);
    check_all(run_lines, STR("12\n12345"), 4, "[12]", ERR_LIMIT);
    check_all(run_lines, STR("12\n123456789"), 4, "[12]", ERR_LIMIT);
}

TEST(lines_end_when_the_callback_says_so) {
    struct transcript t = {.text = STRBUF(4096), .fail_at = 0};
    struct err err;
    CHECK_FAILS(run_lines(STR("1\n2\n"), (struct cut){4, 1}, MAX_EVENT, &t, &err), &err,
                ERR_CONFLICT);
    CHECK_STR(strbuf_str(&t.text), "[1]");
    strbuf_done(&t.text);
}
