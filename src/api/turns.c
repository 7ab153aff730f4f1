/* One turn: its state, its events, its end. */
#include "api/event_stream.h"
#include "api/handlers.h"

static struct turn_key key_of(const struct call *c, struct str id) {
    return (struct turn_key){c->principal.user_id, id};
}

int handle_turn_get(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(64 * 1024);
    struct turn_row t;
    struct str id;
    if (call_id(c, 0, &id, err) < 0 ||
        turn_get(c->gateway->db, key_of(c, id), &c->arena, &t, err) < 0) {
        return -(int)err->code;
    }
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_kstr(&w, "id", id);
    jsonw_kstr(&w, "thread_id", t.thread_id);
    jsonw_kstrz(&w, "state", turn_state_name(t.state));
    jsonw_kint(&w, "position", t.position);
    jsonw_kint(&w, "step", t.step);
    jsonw_kbool(&w, "cancel_requested", t.cancel_requested);
    if (t.state == TURN_FAILED) {
        jsonw_key(&w, "error");
        jsonw_object(&w);
        jsonw_kstr(&w, "code", t.error_code);
        jsonw_kstr(&w, "message", t.error);
        jsonw_end_object(&w);
    }
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}

static int read_since(struct call *c, int64_t *ret, struct err *err) {
    struct str last = http_header(c->request, "Last-Event-ID");
    if (last.n == 0) {
        return call_query_int(c, "since", 0, INT64_MAX, ret, err);
    }
    if (!str_to_i64(last, ret) || *ret < 0) {
        return err_set(err, ERR_INVALID, "Last-Event-ID: must be a number the gateway gave");
    }
    return 0;
}

int handle_turn_events(struct call *c, struct err *err) {
    struct event_stream s = {0};
    int64_t since = 0;
    if (call_id(c, 0, &s.turn_id, err) < 0 || read_since(c, &since, err) < 0 ||
        run_reader_open(c->gateway->runs, c->principal.user_id, s.turn_id, since, &s.reader, err) <
            0) {
        return -(int)err->code;
    }
    return event_stream_run(c, &s, err);
}

int handle_turn_cancel(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(2048);
    struct turn_row t;
    struct str id;
    if (call_id(c, 0, &id, err) < 0 ||
        turn_cancel(c->gateway->engine, c->principal.user_id, id, err) < 0 ||
        turn_get(c->gateway->db, key_of(c, id), &c->arena, &t, err) < 0) {
        return -(int)err->code;
    }
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_kstr(&w, "turn_id", id);
    jsonw_kstrz(&w, "state", turn_state_name(t.state));
    jsonw_end_object(&w);
    return call_respond(c, 202, &out, err);
}
