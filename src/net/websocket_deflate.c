#include "net/websocket_deflate.h"

#include <stdlib.h>
#include <zlib.h>

#include "base/mem.h"
#include "net/websocket_frame.h"

enum {
    WORTH_BYTES = 512,       /* below it deflating costs more than it saves */
    MOST_BYTES = 64 << 20,   /* of one message to deflate */
    KEPT_BYTES = 256 * 1024, /* of a result buffer between messages */
    INFLATE_STEP_BYTES = 16 * 1024,
};

static const char sync_tail[4] = {0, 0, (char)0xff, (char)0xff};

static struct {
    bool inflating, deflating; /* the streams exist */
    z_stream in, out;
    struct strbuf inflated, deflated;
} z;

/* ---- negotiation ---- */

struct offer {
    bool server_bits, client_bits, server_no_takeover, client_no_takeover;
};

static bool once(bool *seen) {
    bool first = !*seen;
    *seen = true;
    return first;
}

static bool window_bits(struct str value, int64_t *ret) {
    if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"') {
        value = (struct str){value.p + 1, value.n - 2};
    }
    return value.n > 0 && value.n <= 2 && value.p[0] >= '1' && value.p[0] <= '9' &&
           str_to_i64(value, ret) && *ret >= 8 && *ret <= 15;
}

static bool take_parameter(struct offer *o, struct str parameter) {
    bool has_value = str_find_char(parameter, '=') != SIZE_MAX;
    struct str value = parameter;
    struct str name = str_trim(str_cut(&value, '='));
    int64_t bits = 0;
    value = str_trim(value);
    if (str_eq_nocase(name, STR("server_no_context_takeover"))) {
        return !has_value && once(&o->server_no_takeover);
    }
    if (str_eq_nocase(name, STR("client_no_context_takeover"))) {
        return !has_value && once(&o->client_no_takeover);
    }
    if (str_eq_nocase(name, STR("client_max_window_bits"))) {
        return once(&o->client_bits) && (!has_value || window_bits(value, &bits));
    }
    if (str_eq_nocase(name, STR("server_max_window_bits"))) {
        /* The shared stream has the full window. */
        return once(&o->server_bits) && has_value && window_bits(value, &bits) && bits == 15;
    }
    return false;
}

bool websocket_deflate_negotiate(struct str offers, struct strbuf *out) {
    while (offers.n > 0) {
        struct str rest = str_cut(&offers, ',');
        struct offer offer = {0};
        bool ok = str_eq_nocase(str_trim(str_cut(&rest, ';')), STR("permessage-deflate"));
        while (ok && rest.n > 0) {
            ok = take_parameter(&offer, str_cut(&rest, ';'));
        }
        if (ok) {
            strbuf_addz(out, "permessage-deflate; server_no_context_takeover; "
                             "client_no_context_takeover");
            if (offer.server_bits) {
                strbuf_addz(out, "; server_max_window_bits=15");
            }
            return true;
        }
    }
    return false;
}

/* ---- the streams ---- */

static void begin_result(struct strbuf *result, size_t max) {
    if (result->cap > KEPT_BYTES) {
        strbuf_done(result);
    }
    result->max = max;
    strbuf_reset(result);
}

static void open_inflate(void) {
    if (!z.inflating && inflateInit2(&z.in, -15) != Z_OK) {
        abort();
    }
    z.inflating = true;
}

/* One piece of the message; the result has one byte more than its maximum, to see the excess. */
static unsigned inflate_piece(struct str piece) {
    z.in.next_in = (Bytef *)(uintptr_t)piece.p;
    z.in.avail_in = (uInt)piece.n;
    do {
        size_t step = MIN((size_t)INFLATE_STEP_BYTES, z.inflated.max - z.inflated.n);
        if (step == 0) {
            return WEBSOCKET_TOO_BIG;
        }
        z.in.next_out = (Bytef *)strbuf_room(&z.inflated, step);
        z.in.avail_out = (uInt)step;
        int rc = inflate(&z.in, Z_SYNC_FLUSH);
        strbuf_claim(&z.inflated, step - z.in.avail_out);
        if (rc == Z_STREAM_END) { /* a final block may be followed by others */
            inflateReset(&z.in);
        } else if (rc != Z_OK && rc != Z_BUF_ERROR) {
            return WEBSOCKET_INVALID_PAYLOAD;
        }
    } while (z.in.avail_in > 0 || z.in.avail_out == 0);
    return 0;
}

unsigned websocket_inflate(struct str in, size_t max_bytes, struct str *ret) {
    open_inflate();
    inflateReset(&z.in);
    begin_result(&z.inflated, max_bytes + 1);
    unsigned code = inflate_piece(in);
    if (code == 0) {
        code = inflate_piece((struct str){sync_tail, sizeof sync_tail});
    }
    if (code == 0 && z.inflated.n > max_bytes) {
        code = WEBSOCKET_TOO_BIG;
    }
    if (code == 0) {
        *ret = strbuf_str(&z.inflated);
    }
    return code;
}

static void open_deflate(void) {
    if (!z.deflating &&
        deflateInit2(&z.out, Z_BEST_SPEED, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        abort();
    }
    z.deflating = true;
}

bool websocket_deflate(const struct str *parts, size_t n_parts, struct str *ret) {
    size_t total = 0;
    for (size_t i = 0; i < n_parts; i++) {
        total += parts[i].n;
    }
    if (total < WORTH_BYTES || total > MOST_BYTES) {
        return false;
    }
    open_deflate();
    deflateReset(&z.out);
    /* Room for one byte less than the message and the tail: what does not fit does not pay. */
    size_t room = total - 1 + sizeof sync_tail;
    begin_result(&z.deflated, room);
    z.out.next_out = (Bytef *)strbuf_room(&z.deflated, room);
    z.out.avail_out = (uInt)room;
    for (size_t i = 0; i < n_parts; i++) {
        z.out.next_in = (Bytef *)(uintptr_t)parts[i].p;
        z.out.avail_in = (uInt)parts[i].n;
        int rc = deflate(&z.out, i + 1 < n_parts ? Z_NO_FLUSH : Z_SYNC_FLUSH);
        if ((rc != Z_OK && rc != Z_BUF_ERROR) || z.out.avail_in > 0 || z.out.avail_out == 0) {
            return false;
        }
    }
    strbuf_claim(&z.deflated, room - z.out.avail_out);
    *ret = str_head(strbuf_str(&z.deflated), z.deflated.n - sizeof sync_tail);
    return true;
}
