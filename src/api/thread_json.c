#include "api/thread_json.h"

#include "api/json_output.h"
#include "base/scan.h"

/* ---- threads ---- */

static void write_open_turn(struct jsonw *w, const struct thread_row *t) {
    jsonw_key(w, "open_turn");
    if (t->open_turn_id.n == 0) {
        jsonw_null(w);
        return;
    }
    jsonw_object(w);
    jsonw_kstr(w, "id", t->open_turn_id);
    jsonw_kstr(w, "state", t->open_turn_state);
    jsonw_end_object(w);
}

void thread_json_begin(struct jsonw *w, const struct thread_row *t) {
    jsonw_object(w);
    jsonw_kstr(w, "id", t->id);
    json_put_text(w, "title", t->title);
    jsonw_kstr(w, "agent", t->agent);
    json_put_text(w, "skill", t->skill);
    json_put_text(w, "model_provider", t->model_provider);
    json_put_text(w, "forked_from", t->forked_from);
    json_put_time(w, "created_at", t->created_us);
    json_put_time(w, "updated_at", t->updated_us);
    json_put_time(w, "archived_at", t->archived_us);
    jsonw_kint(w, "message_count", t->message_seq);
    jsonw_kint(w, "total_input_tokens", t->total_input_tokens);
    jsonw_kint(w, "total_output_tokens", t->total_output_tokens);
    write_open_turn(w, t);
}

/* ---- messages ---- */

/* The stored text is not parsed to be printed again. */
void thread_json_message(struct jsonw *w, const struct thread_message *m) {
    jsonw_object(w);
    jsonw_kint(w, "seq", m->seq);
    jsonw_kstr(w, "id", m->id);
    jsonw_kstr(w, "turn_id", m->turn_id);
    json_put_time(w, "created_at", m->created_us);
    if (m->json.n > 2 && m->json.p[0] == '{') {
        strbuf_addc(w->out, ',');
        strbuf_add(w->out, str_head(str_skip(m->json, 1), m->json.n - 2));
    }
    jsonw_end_object(w);
}

/* ---- images ---- */

static bool is_image_with_bytes(struct str block) {
    return str_eq(scan_get(block, "type"), STR("\"image\"")) && scan_get(block, "data").p;
}

/* Names may hold what means something else in an address (RFC 3986, section 2.3). */
static void add_segment(struct strbuf *out, struct str name) {
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || (c && strchr("-._~", c));
        if (unreserved) {
            strbuf_addc(out, (char)c);
        } else {
            strbuf_addf(out, "%%%02X", c);
        }
    }
}

struct linking {
    struct str thread_id, message_id;
    size_t n_images;
};

static void write_link(struct jsonw *w, struct linking *l, struct str block) {
    struct strbuf href cleanup(strbuf_done) = STRBUF(4096);
    strbuf_addz(&href, "/api/threads/");
    add_segment(&href, l->thread_id);
    strbuf_addz(&href, "/messages/");
    add_segment(&href, l->message_id);
    strbuf_addf(&href, "/images/%zu", l->n_images++);
    struct str media_type = scan_get(block, "media_type");
    jsonw_object(w);
    jsonw_kstrz(w, "type", "image");
    jsonw_kraw(w, "media_type", media_type.n ? media_type : STR("null"));
    jsonw_kstr(w, "href", strbuf_str(&href));
    jsonw_end_object(w);
}

static void write_blocks(struct jsonw *w, struct linking *l, struct str blocks) {
    struct scan s = scan_begin(blocks);
    struct str block;
    bool first = true;
    jsonw_array(w);
    if (scan_open(&s, '[')) {
        while (scan_element(&s, &first, &block)) {
            if (is_image_with_bytes(block)) {
                write_link(w, l, block);
            } else {
                jsonw_raw(w, block);
            }
        }
    }
    jsonw_end_array(w);
}

struct str thread_json_link_images(struct arena *arena, struct str thread_id,
                                   const struct thread_message *m) {
    /* In canonical text these bytes are no part of a string, as a quote in one is escaped. */
    if (str_find(m->json, STR("\"type\":\"image\"")) == SIZE_MAX) {
        return m->json;
    }
    struct strbuf out cleanup(strbuf_done) = STRBUF(m->json.n + 256 * 1024);
    struct linking l = {.thread_id = thread_id, .message_id = m->id};
    struct scan s = scan_begin(m->json);
    struct jsonw w = jsonw_begin(&out);
    struct str key, value;
    bool first = true;
    jsonw_object(&w);
    if (scan_open(&s, '{')) {
        while (scan_member_value(&s, &first, &key, &value)) {
            jsonw_str_key(&w, key);
            if (scan_is(key, "content") && str_starts(value, STR("["))) {
                write_blocks(&w, &l, value);
            } else {
                jsonw_raw(&w, value);
            }
        }
    }
    jsonw_end_object(&w);
    return out.failed ? m->json : arena_str(arena, strbuf_str(&out));
}

bool thread_json_image(struct arena *arena, struct str message, int64_t index,
                       struct str *ret_media_type, struct str *ret_base64) {
    struct scan s = scan_begin(scan_get(message, "content"));
    struct str block;
    bool first = true;
    if (!scan_open(&s, '[')) {
        return false;
    }
    while (scan_element(&s, &first, &block)) {
        if (is_image_with_bytes(block) && index-- == 0) {
            struct str data = scan_get(block, "data");
            *ret_base64 = str_head(str_skip(data, 1), data.n - 2); /* has no escapes */
            return data.n >= 2 && scan_text(arena, scan_get(block, "media_type"), ret_media_type);
        }
    }
    return false;
}
