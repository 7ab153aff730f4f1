#include "net/websocket_frame.h"

#include <stdlib.h>

#include "net/websocket_deflate.h"
#include "test.h"

struct log {
    struct strbuf text;
};

static bool note(void *context, enum websocket_opcode opcode, struct str payload) {
    struct log *log = context;
    strbuf_addf(&log->text, "%x:", (unsigned)opcode);
    strbuf_add(&log->text, payload);
    strbuf_addc(&log->text, '|');
    return true;
}

/* A masked frame; first: FIN, RSV and opcode. */
static void add_frame(struct strbuf *out, unsigned first, struct str payload) {
    static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    char head[10];
    size_t n = websocket_frame_head(WEBSOCKET_TEXT, false, payload.n, head);
    head[0] = (char)first;
    head[1] = (char)(head[1] | 0x80);
    strbuf_add(out, (struct str){head, n});
    strbuf_add(out, (struct str){(const char *)mask, 4});
    for (size_t i = 0; i < payload.n; i++) {
        strbuf_addc(out, (char)(payload.p[i] ^ mask[i & 3]));
    }
}

/* Feeds the bytes in pieces of `step`; the close code. */
static unsigned feed(struct str bytes, size_t step, size_t max, bool deflate, struct log *log) {
    struct websocket_reader r;
    const struct websocket_reader_sink sink = {note, log};
    unsigned code = 0;
    websocket_reader_init(&r, max);
    r.deflate = deflate;
    r.binary = true;
    while (bytes.n > 0 && code == 0) {
        struct str piece = str_head(bytes, step);
        char *copy = malloc(piece.n); /* exact size, for the sanitizer */
        memcpy(copy, piece.p, piece.n);
        code = websocket_reader_feed(&r, copy, piece.n, &sink);
        free(copy);
        bytes = str_skip(bytes, piece.n);
    }
    websocket_reader_done(&r);
    return code;
}

static void check_all_cuts(struct str bytes, size_t max, bool deflate, unsigned code,
                           const char *want) {
    for (size_t step = 1; step <= bytes.n; step++) {
        struct log log = {STRBUF(1 << 20)};
        CHECK_INT(feed(bytes, step, max, deflate, &log), code);
        CHECK_STR(strbuf_str(&log.text), want);
        strbuf_done(&log.text);
    }
}

TEST(fragments_with_control_frames_between_them) {
    struct strbuf in cleanup(strbuf_done) = STRBUF(4096);
    add_frame(&in, 0x01, STR("Hel"));
    add_frame(&in, 0x89, STR("ping"));
    add_frame(&in, 0x00, STR_EMPTY);
    add_frame(&in, 0x8a, STR_EMPTY);
    add_frame(&in, 0x80, STR("lo"));
    add_frame(&in, 0x82, STR("bin"));
    add_frame(&in, 0x81, STR_EMPTY);
    add_frame(&in, 0x88, STR("\x03\xe8"));
    check_all_cuts(strbuf_str(&in), 100, false, 0, "9:ping|a:|1:Hello|2:bin|1:|8:\x03\xe8|");
}

TEST(a_character_may_be_cut_by_fragments_but_not_by_the_end) {
    struct strbuf in cleanup(strbuf_done) = STRBUF(4096);
    add_frame(&in, 0x01, STR("\xe2\x82"));
    add_frame(&in, 0x80, STR("\xac"));
    check_all_cuts(strbuf_str(&in), 100, false, 0, "1:\xe2\x82\xac|");
    strbuf_reset(&in);
    add_frame(&in, 0x01, STR("ok"));
    add_frame(&in, 0x80, STR("\xe2\x82"));
    check_all_cuts(strbuf_str(&in), 100, false, 1007, "");
}

TEST(all_three_lengths) {
    static const size_t sizes[] = {0, 1, 125, 126, 127, 65535, 65536, 200000};
    char *bytes = malloc(200000);
    memset(bytes, 'a', 200000);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct strbuf in cleanup(strbuf_done) = STRBUF(1 << 20);
        struct log log = {STRBUF(1 << 20)};
        add_frame(&in, 0x81, (struct str){bytes, sizes[i]});
        CHECK_INT(feed(strbuf_str(&in), 1000, 200000, false, &log), 0);
        CHECK_INT(log.text.n, sizes[i] + 3);
        strbuf_reset(&log.text);
        CHECK_INT(feed(strbuf_str(&in), in.n, 200000, false, &log), 0);
        CHECK_INT(log.text.n, sizes[i] + 3);
        strbuf_done(&log.text);
    }
    free(bytes);
}

TEST(what_the_standard_forbids_has_its_code) {
    static const struct {
        const char *what;
        struct str bytes;
        unsigned code;
    } cases[] = {
        {"no mask", STR("\x81\x01x"), 1002},
        {"rsv1 without deflate", STR("\xc1\x80\0\0\0\0"), 1002},
        {"rsv2", STR("\xa1\x80\0\0\0\0"), 1002},
        {"rsv3", STR("\x91\x80\0\0\0\0"), 1002},
        {"opcode 3", STR("\x83\x80\0\0\0\0"), 1002},
        {"opcode 7", STR("\x87\x80\0\0\0\0"), 1002},
        {"opcode 11", STR("\x8b\x80\0\0\0\0"), 1002},
        {"opcode 15", STR("\x8f\x80\0\0\0\0"), 1002},
        {"fragmented ping", STR("\x09\x80\0\0\0\0"), 1002},
        {"long ping", STR("\x89\xfe\0\x7e\0\0\0\0"), 1002},
        {"continuation of nothing", STR("\x80\x80\0\0\0\0"), 1002},
        {"message within a message", STR("\x01\x80\0\0\0\0\x81\x80\0\0\0\0"), 1002},
        {"length 125 in two bytes", STR("\x81\xfe\0\x7d\0\0\0\0"), 1002},
        {"length 65535 in eight bytes", STR("\x81\xff\0\0\0\0\0\0\xff\xff\0\0\0\0"), 1002},
        {"length above 2^63", STR("\x81\xff\x80\0\0\0\0\0\0\0\0\0\0\0"), 1002},
        {"too large", STR("\x81\xfe\x03\xe9\0\0\0\0"), 1009},
        {"huge", STR("\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"), 1009},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct log log = {STRBUF(4096)};
        if (!CHECK_INT(feed(cases[i].bytes, 100, 1000, false, &log), cases[i].code)) {
            printf("  in \"%s\"\n", cases[i].what);
        }
        strbuf_done(&log.text);
    }
}

TEST(control_frames_are_never_deflated) {
    struct strbuf in cleanup(strbuf_done) = STRBUF(4096);
    add_frame(&in, 0xc9, STR("x"));
    check_all_cuts(strbuf_str(&in), 100, true, 1002, "");
}

TEST(fragments_are_limited_in_their_sum) {
    struct strbuf in cleanup(strbuf_done) = STRBUF(4096);
    add_frame(&in, 0x01, STR("12345"));
    add_frame(&in, 0x80, STR("67890"));
    check_all_cuts(strbuf_str(&in), 10, false, 0, "1:1234567890|");
    check_all_cuts(strbuf_str(&in), 9, false, 1009, "");
}

/* The examples of RFC 7692, section 7.2.3. */
TEST(deflated_messages_of_the_standard) {
    static const struct str payloads[] = {
        STR("\xf2\x48\xcd\xc9\xc9\x07\x00"),
        STR("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"),
        STR("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"),
        STR("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"),
    };
    for (size_t i = 0; i < ARRAY_LEN(payloads); i++) {
        struct strbuf in cleanup(strbuf_done) = STRBUF(4096);
        add_frame(&in, 0xc1, payloads[i]);
        check_all_cuts(strbuf_str(&in), 100, true, 0, "1:Hello|");
        strbuf_reset(&in);
        add_frame(&in, 0x41, str_head(payloads[i], 3));
        add_frame(&in, 0x80, str_skip(payloads[i], 3));
        check_all_cuts(strbuf_str(&in), 100, true, 0, "1:Hello|");
    }
    struct strbuf in cleanup(strbuf_done) = STRBUF(4096);
    add_frame(&in, 0x41, STR("\xf2"));
    add_frame(&in, 0xc0, STR("\x48")); /* RSV1 on a continuation */
    check_all_cuts(strbuf_str(&in), 100, true, 1002, "");
}

TEST(what_is_deflated_inflates_to_the_same) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(1 << 20);
    struct str deflated, inflated;
    for (int i = 0; i < 3000; i++) {
        strbuf_addf(&text, "{\"n\":%d},", i);
    }
    struct str parts[] = {str_head(strbuf_str(&text), 10), STR_EMPTY,
                          str_skip(strbuf_str(&text), 10)};
    for (int turn = 0; turn < 3; turn++) { /* no context is left over */
        REQUIRE(websocket_deflate(parts, 3, &deflated));
        CHECK(deflated.n < text.n / 2);
        CHECK_INT(websocket_inflate(deflated, text.n, &inflated), 0);
        CHECK(str_eq(inflated, strbuf_str(&text)));
        CHECK_INT(websocket_inflate(deflated, text.n - 1, &inflated), 1009);
    }
    CHECK(!websocket_deflate(parts, 1, &deflated)); /* too short to pay */
    for (size_t i = 0; i < text.n; i++) {
        text.p[i] = (char)rand();
    }
    parts[0] = strbuf_str(&text);
    CHECK(!websocket_deflate(parts, 1, &deflated)); /* does not shrink */
    CHECK_INT(websocket_inflate(STR("\xff\xff\xff"), 1000, &inflated), 1007);
}

TEST(offers_of_deflate) {
    static const char with_bits[] = "permessage-deflate; server_no_context_takeover; "
                                    "client_no_context_takeover; server_max_window_bits=15";
    static const char plain[] = "permessage-deflate; server_no_context_takeover; "
                                "client_no_context_takeover";
    static const struct {
        const char *offer, *want;
    } cases[] = {
        {"permessage-deflate", plain},
        {"permessage-deflate; client_max_window_bits", plain},
        {"Permessage-Deflate;client_max_window_bits=10;server_no_context_takeover", plain},
        {"x-webkit-deflate-frame, permessage-deflate", plain},
        {"permessage-deflate; server_max_window_bits=15", with_bits},
        {"permessage-deflate; server_max_window_bits=\"15\"", with_bits},
        {"permessage-deflate; server_max_window_bits=10, permessage-deflate", plain},
        {"permessage-deflate; server_max_window_bits=10", ""},
        {"permessage-deflate; server_max_window_bits", ""},
        {"permessage-deflate; server_max_window_bits=015", ""},
        {"permessage-deflate; client_max_window_bits=16", ""},
        {"permessage-deflate; client_max_window_bits=7", ""},
        {"permessage-deflate; client_max_window_bits=", ""},
        {"permessage-deflate; client_no_context_takeover=1", ""},
        {"permessage-deflate; client_no_context_takeover; client_no_context_takeover", ""},
        {"permessage-deflate; unknown", ""},
        {"permessage-deflatex", ""},
        {"", ""},
        {";;,,", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct strbuf out cleanup(strbuf_done) = STRBUF(4096);
        bool got = websocket_deflate_negotiate(str_z(cases[i].offer), &out);
        CHECK_STR(strbuf_str(&out), cases[i].want);
        CHECK(got == (out.n > 0));
    }
}

static unsigned feed_client(char *bytes, size_t n, struct log *log) {
    struct websocket_reader r;
    const struct websocket_reader_sink sink = {note, log};
    websocket_reader_init(&r, 1 << 20);
    r.from_server = true;
    unsigned code = 0;
    for (size_t i = 0; i < n && code == 0; i++) {
        code = websocket_reader_feed(&r, bytes + i, 1, &sink);
    }
    websocket_reader_done(&r);
    return code;
}

TEST(a_client_takes_unmasked_frames_only) {
    struct log log = {STRBUF(1 << 20)};
    struct strbuf bytes cleanup(strbuf_done) = STRBUF(1 << 20);
    char head[10], large[70000];
    memset(large, 'x', sizeof large);
    static const size_t sizes[] = {0, 3, 125, 126, 65535, 65536};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        strbuf_add(&bytes,
                   (struct str){head, websocket_frame_head(WEBSOCKET_TEXT, false, sizes[i], head)});
        strbuf_add(&bytes, (struct str){large, sizes[i]});
        strbuf_reset(&log.text);
        CHECK_INT(feed_client(bytes.p, bytes.n, &log), 0);
        CHECK_INT(log.text.n, sizes[i] + 3);
        strbuf_reset(&bytes);
    }
    add_frame(&bytes, 0x81, STR("hello"));
    CHECK_INT(feed_client(bytes.p, bytes.n, &log), WEBSOCKET_PROTOCOL_ERROR);
    strbuf_done(&log.text);
}

TEST(what_a_client_writes_a_server_reads) {
    static const size_t sizes[] = {0, 1, 5, 125, 126, 1000, 65536};
    char payload[65536];
    for (size_t i = 0; i < sizeof payload; i++) {
        payload[i] = (char)('a' + i % 26);
    }
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct log log = {STRBUF(1 << 20)};
        struct strbuf bytes cleanup(strbuf_done) = STRBUF(1 << 20);
        websocket_frame_masked(&bytes, WEBSOCKET_TEXT, (struct str){payload, sizes[i]});
        CHECK_INT(feed(strbuf_str(&bytes), 7, 1 << 20, false, &log), 0);
        CHECK_INT(log.text.n, sizes[i] + 3);
        CHECK(log.text.n == sizes[i] + 3 && memcmp(log.text.p + 2, payload, sizes[i]) == 0);
        strbuf_done(&log.text);
    }
}
