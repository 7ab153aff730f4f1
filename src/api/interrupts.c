/* What the assistant asks its user, and the answers. */
#include "store/interrupts.h"

#include "api/event_stream.h"
#include "api/handlers.h"
#include "api/input.h"
#include "base/clock.h"
#include "event/event.h"

enum { MAX_LISTED = 200, MAX_LIST_BYTES = 16 * 1024 * 1024 };

static void write_time(struct jsonw *w, const char *key, int64_t us) {
    char iso[CLOCK_ISO_LEN + 1];
    if (us) {
        clock_iso(us, iso);
        jsonw_kstrz(w, key, iso);
    }
}

static struct str state_of(const struct interrupt_row *row) {
    if (!str_eq(row->state, STR("open"))) {
        return row->state;
    }
    return row->superseded                        ? STR("superseded")
           : row->is.expires_us <= clock_now_us() ? STR("expired")
                                                  : STR("open");
}

static void write_row(struct jsonw *w, const struct interrupt_row *row) {
    jsonw_object(w);
    jsonw_kstr(w, "id", row->is.id);
    jsonw_kstr(w, "state", state_of(row));
    jsonw_kstr(w, "thread_id", row->thread_id);
    jsonw_kstr(w, "turn_id", row->turn_id);
    write_time(w, "created_at", row->created_us);
    write_time(w, "expires_at", row->is.expires_us);
    write_time(w, "answered_at", row->answered_us);
    jsonw_key(w, "interrupt");
    event_interrupt(w, &row->is);
    jsonw_end_object(w);
}

int handle_interrupt_list(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(MAX_LIST_BYTES);
    struct interrupt_row *rows;
    struct str thread_id = STR_EMPTY;
    size_t n;
    if (call_query(c, "thread_id", CALL_MAX_ID_BYTES, &thread_id, err) < 0 ||
        interrupts_open(c->gateway->db, c->principal.user_id, thread_id, clock_now_us(), MAX_LISTED,
                        &c->arena, &rows, &n, err) < 0) {
        return -(int)err->code;
    }
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_key(&w, "interrupts");
    jsonw_array(&w);
    for (size_t i = 0; i < n && out.n < MAX_LIST_BYTES / 4; i++) {
        write_row(&w, &rows[i]); /* the others are listed when these are answered */
    }
    jsonw_end_array(&w);
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}

int handle_interrupt_get(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(MAX_LIST_BYTES);
    struct interrupt_row row;
    struct str id;
    if (call_id(c, 0, &id, err) < 0 ||
        interrupt_get(c->gateway->db, c->principal.user_id, id, &c->arena, &row, err) < 0) {
        return -(int)err->code;
    }
    struct jsonw w = jsonw_begin(&out);
    write_row(&w, &row);
    return call_respond(c, 200, &out, err);
}

static int respond(struct call *c, struct str id, const struct turn_ticket *t, size_t open,
                   struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(4096);
    struct http_field fields[2];
    size_t n_fields = 0;
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_kstr(&w, "id", id);
    jsonw_kint(&w, "open", (int64_t)open);
    if (open == 0) {
        jsonw_kstrz(&w, "thread_id", t->thread_id);
        jsonw_kstrz(&w, "turn_id", t->turn_id);
        n_fields = event_stream_fields(fields, str_z(t->thread_id), str_z(t->turn_id));
    }
    jsonw_end_object(&w);
    return call_respond_with(c, 202, &out, fields, n_fields, err);
}

int handle_interrupt_answer(struct call *c, struct err *err) {
    json_auto_t *body = NULL;
    struct interrupt_answer answer;
    struct turn_ticket ticket = {0};
    struct str id, turn_id = {0};
    size_t open;
    if (call_id(c, 0, &id, err) < 0 || call_read_json(c, false, &body, err) < 0 ||
        input_read_id(body, "turn_id", &turn_id, err) < 0) {
        return -(int)err->code;
    }
    if (!json_object_get(body, "approved") && !json_object_get(body, "action")) {
        return err_set(err, ERR_INVALID, "approved: is needed, or an action");
    }
    if (input_read_answer(body, &c->arena, &answer, err) < 0) {
        return -(int)err->code;
    }
    answer.interrupt_id = id;
    struct turn_resumption r = {.user_id = c->principal.user_id,
                                .allow_operator_llm = c->principal.allow_operator_llm,
                                .turn_id = turn_id.p ? turn_id : STR_EMPTY,
                                .answers = &answer,
                                .n_answers = 1};
    if (turn_resume(c->gateway->engine, &r, &ticket, &open, err) < 0) {
        return -(int)err->code;
    }
    run_reader_close(ticket.reader);
    return respond(c, id, &ticket, open, err);
}
