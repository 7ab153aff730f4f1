#include "api/ws_frames.h"

static struct jsonw begin(struct strbuf *out, const char *type, struct str ref) {
    struct jsonw w = jsonw_begin(out);
    jsonw_object(&w);
    jsonw_kstrz(&w, "type", type);
    if (ref.p) {
        jsonw_kstr(&w, "ref", ref);
    }
    return w;
}

void ws_frame_hello(struct strbuf *out, const char *version, struct str user_id) {
    struct jsonw w = begin(out, "hello", (struct str){0});
    jsonw_kstrz(&w, "version", version);
    jsonw_kstr(&w, "userId", user_id);
    jsonw_kstrz(&w, "protocol", "ag-ui/1.0");
    jsonw_kint(&w, "maxSubscriptions", WS_MAX_SUBSCRIPTIONS);
    jsonw_end_object(&w);
}

void ws_frame_accepted(struct strbuf *out, struct str ref, const struct turn_ticket *ticket) {
    struct jsonw w = begin(out, "accepted", ref);
    jsonw_kstrz(&w, "threadId", ticket->thread_id);
    jsonw_kstrz(&w, "runId", ticket->turn_id);
    jsonw_kbool(&w, "queued", ticket->queued);
    jsonw_kbool(&w, "existed", ticket->existed);
    jsonw_end_object(&w);
}

void ws_frame_ok(struct strbuf *out, struct str ref) {
    struct jsonw w = begin(out, "ok", ref);
    jsonw_end_object(&w);
}

void ws_frame_end(struct strbuf *out, struct str run_id) {
    struct jsonw w = begin(out, "end", (struct str){0});
    jsonw_kstr(&w, "runId", run_id);
    jsonw_end_object(&w);
}

void ws_frame_pong(struct strbuf *out) {
    strbuf_add(out, STR("{\"type\":\"pong\"}"));
}

void ws_frame_error(struct strbuf *out, struct str ref, struct str run_id, const struct err *err) {
    const struct problem *p = problem_of(err->code);
    struct strbuf problem cleanup(strbuf_done) = STRBUF(4096);
    struct jsonw w = begin(out, "error", ref);
    if (run_id.p) {
        jsonw_kstr(&w, "runId", run_id);
    }
    problem_write(&problem, p, problem_detail(p, err), NULL);
    jsonw_kraw(&w, "problem", strbuf_str(&problem));
    jsonw_end_object(&w);
}

void ws_frame_event_head(struct strbuf *out, struct str thread_id, struct str run_id) {
    struct jsonw w = begin(out, "agui", (struct str){0});
    jsonw_kstr(&w, "threadId", thread_id);
    jsonw_kstr(&w, "runId", run_id);
    strbuf_add(out, STR(",\"seq\":"));
}
