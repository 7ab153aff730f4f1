/* A question to the user in AG-UI's shape. */
#include "base/clock.h"
#include "event/event.h"

enum { MAX_MESSAGE_BYTES = 64 * 1024, MAX_ASKED_BYTES = 16 * 1024, MAX_SHOWN_BYTES = 2000 };

/* What an approval may be answered with. */
static const char approval_schema[] =
    "{\"type\":\"object\",\"properties\":{\"approved\":{\"type\":\"boolean\"},"
    "\"arguments\":{\"type\":\"object\",\"description\":\"instead of those asked about\"},"
    "\"always\":{\"type\":\"boolean\",\"description\":\"allow this tool from now on\"},"
    "\"reason\":{\"type\":\"string\",\"description\":\"of a refusal, for the assistant\"}},"
    "\"required\":[\"approved\"]}";

static bool is_elicitation(const struct interrupt *i) {
    return str_eq(i->kind, STR("elicitation"));
}

static void add_question(struct strbuf *text, const struct interrupt *i, const json_t *request) {
    struct str asked = str_utf8_head(json_str(request, "message"), MAX_ASKED_BYTES);
    if (is_elicitation(i)) {
        strbuf_addf(text, "%.*s asks: %.*s", STR_ARG(i->server), STR_ARG(asked));
    } else if (i->server.n) {
        strbuf_addf(text, "May I call %.*s of %.*s?", STR_ARG(i->tool), STR_ARG(i->server));
    } else {
        strbuf_addf(text, "May I call %.*s?", STR_ARG(i->tool));
    }
}

/* For those who see nothing but text. A form cannot be filled in in words; it can be declined. */
static void add_instructions(struct strbuf *text, const struct interrupt *i) {
    struct str code = i->code;
    if (is_elicitation(i)) {
        strbuf_addf(text, "\nAnswer in the app, or reply \"deny %.*s\".", STR_ARG(code));
    } else {
        struct str shown = str_utf8_head(i->arguments, MAX_SHOWN_BYTES);
        strbuf_addf(text,
                    "\nArguments: %.*s%s\nReply \"approve %.*s\", \"deny %.*s\", or \"always "
                    "%.*s\" to allow this tool from now on.",
                    STR_ARG(shown), shown.n < i->arguments.n ? "..." : "", STR_ARG(code),
                    STR_ARG(code), STR_ARG(code));
    }
}

static void write_message(struct jsonw *w, const struct interrupt *i, const json_t *request) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(MAX_MESSAGE_BYTES);
    add_question(&text, i, request);
    jsonw_kstr(w, "message", strbuf_str(&text));
}

static void write_text(struct jsonw *w, const struct interrupt *i, const json_t *request) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(MAX_MESSAGE_BYTES);
    add_question(&text, i, request);
    add_instructions(&text, i);
    jsonw_kstr(w, "text", strbuf_str(&text));
}

/* On one line, however the model wrote them. */
static void write_arguments(struct jsonw *w, const struct interrupt *i) {
    json_auto_t *arguments = NULL;
    struct err err;
    jsonw_key(w, "arguments");
    if (json_read(i->arguments, &arguments, &err) == 0) {
        jsonw_tree(w, arguments);
    } else {
        jsonw_null(w);
    }
}

static void write_metadata(struct jsonw *w, const struct interrupt *i, const json_t *request) {
    jsonw_key(w, "metadata");
    jsonw_object(w);
    jsonw_kstr(w, "kind", i->kind);
    jsonw_kstr(w, "code", i->code);
    jsonw_kstr(w, "server", i->server);
    jsonw_kstr(w, "tool", i->tool);
    jsonw_kstr(w, "name", i->name);
    write_arguments(w, i);
    write_text(w, i, request);
    if (json_object_get(request, "questions")) {
        jsonw_key(w, "questions");
        jsonw_tree(w, json_object_get(request, "questions"));
    }
    jsonw_end_object(w);
}

void event_interrupt(struct jsonw *w, const struct interrupt *i) {
    json_auto_t *request = NULL;
    char expires[CLOCK_ISO_LEN + 1];
    struct err err;
    if (json_read(i->request, &request, &err) < 0) {
        request = NULL; /* our own writing; the call itself is shown in any case */
    }
    clock_iso(i->expires_us, expires);
    jsonw_object(w);
    jsonw_kstr(w, "id", i->id);
    jsonw_kstrz(w, "reason", is_elicitation(i) ? "input_required" : "tool_call");
    write_message(w, i, request);
    jsonw_kstr(w, "toolCallId", i->call_id);
    const json_t *schema = json_object_get(request, "schema");
    if (schema) {
        jsonw_key(w, "responseSchema");
        jsonw_tree(w, schema);
    } else if (!is_elicitation(i)) {
        jsonw_kraw(w, "responseSchema", str_z(approval_schema));
    }
    jsonw_kstrz(w, "expiresAt", expires);
    write_metadata(w, i, request);
    jsonw_end_object(w);
}
