/* Connecting the servers that ask for OAuth: the link, the page behind it, and the callback. */
#include "api/handlers.h"
#include "base/clock.h"

enum {
    MAX_STATE_BYTES = 12 * 1024,
    MAX_CODE_BYTES = 4096,
    MAX_WORD_BYTES = 512,
    MAX_PAGE_BYTES = 64 * 1024,
};

/* ---- for clients ---- */

/* What went wrong is the other server's, and the user can do something about it. */
static int tell(struct call *c, struct err *err) {
    if (err->code == ERR_UNAVAILABLE || err->code == ERR_TIMEOUT || err->code == ERR_PROTOCOL ||
        err->code == ERR_LIMIT) {
        c->problem = &problem_upstream;
    }
    return -(int)err->code;
}

int handle_oauth_authorize(struct call *c, struct err *err) {
    struct strbuf url cleanup(strbuf_done) = STRBUF(AUTHORIZER_MAX_URL_BYTES);
    struct strbuf out cleanup(strbuf_done) = STRBUF(4 * AUTHORIZER_MAX_URL_BYTES);
    char iso[CLOCK_ISO_LEN + 1];
    if (authorizers_url(c->gateway->authorizers, c->principal.user_id, c->params[0], &url, err) <
        0) {
        return tell(c, err);
    }
    clock_iso(clock_now_us() + AUTHORIZER_STATE_AGE_S * INT64_C(1000000), iso);
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_kstr(&w, "url", strbuf_str(&url));
    jsonw_kstrz(&w, "expires_at", iso);
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}

int handle_oauth_client_metadata(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(16 * 1024);
    authorizers_client_metadata(c->gateway->authorizers, &out);
    return call_respond(c, 200, &out, err);
}

/* ---- pages for people ---- */

static void add_escaped(struct strbuf *out, struct str text) {
    for (size_t i = 0; i < text.n; i++) {
        switch (text.p[i]) {
        case '&':
            strbuf_addz(out, "&amp;");
            break;
        case '<':
            strbuf_addz(out, "&lt;");
            break;
        case '>':
            strbuf_addz(out, "&gt;");
            break;
        case '"':
            strbuf_addz(out, "&quot;");
            break;
        default:
            strbuf_addc(out, text.p[i]);
        }
    }
}

struct note {
    int status;
    const char *title;
    struct str lead, more; /* more: empty when there is nothing */
    struct str link;       /* empty: none */
};

static void write_page(const struct note *note, struct strbuf *out) {
    strbuf_addz(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                     "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                     "<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    add_escaped(out, str_z(note->title));
    strbuf_addz(out,
                "</title>\n<link rel=\"icon\" href=\"/static/icon.svg\" "
                "type=\"image/svg+xml\">\n"
                "<link rel=\"stylesheet\" href=\"/static/page.css\">\n</head>\n<body>\n<main>\n"
                "<header>\n<img src=\"/static/icon.svg\" alt=\"\" width=\"44\" "
                "height=\"44\">\n<h1>");
    add_escaped(out, str_z(note->title));
    strbuf_addz(out, "</h1>\n</header>\n<p class=\"lead\">");
    add_escaped(out, note->lead);
    strbuf_addz(out, "</p>\n");
    if (note->more.n) {
        strbuf_addz(out, "<p>");
        add_escaped(out, note->more);
        strbuf_addz(out, "</p>\n");
    }
    if (note->link.n) {
        strbuf_addz(out, "<p><a href=\"");
        add_escaped(out, note->link);
        strbuf_addz(out, "\">Continue</a></p>\n");
    }
    strbuf_addz(out, "</main>\n</body>\n</html>\n");
}

static int respond_page(struct call *c, const struct note *note, struct err *err) {
    static const struct http_field fields[] = {
        {"Content-Security-Policy",
         STR("default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
             "form-action 'none'; frame-ancestors 'none'")},
        {"Referrer-Policy", STR("no-referrer")}, /* the address holds what must not travel on */
        {"Cache-Control", STR("no-store")},
        {"X-Content-Type-Options", STR("nosniff")},
        {"Cross-Origin-Opener-Policy", STR("same-origin")},
        {"Cross-Origin-Resource-Policy", STR("same-origin")},
    };
    struct strbuf out cleanup(strbuf_done) = STRBUF(MAX_PAGE_BYTES);
    write_page(note, &out);
    if (strbuf_check(&out, "the page", err) < 0) {
        return -(int)err->code;
    }
    const struct http_response response = {.status = note->status,
                                           .content_type = "text/html; charset=utf-8",
                                           .fields = fields,
                                           .n_fields = ARRAY_LEN(fields),
                                           .body = strbuf_str(&out)};
    (void)http_respond(c->request, &response);
    return 0;
}

/* A page too says no more of what is wrong inside than any answer. */
static int respond_failure(struct call *c, struct err *cause, const char *title, struct err *err) {
    (void)tell(c, cause);
    const struct problem *p = c->problem ? c->problem : problem_of(cause->code);
    struct str detail = problem_detail(p, cause);
    const struct note note = {
        .status = p->status,
        .title = title,
        .lead = arena_printf(&c->arena, "What is wrong: %.*s.", STR_ARG(detail)),
        .more = STR("You can close this page and ask your assistant for a new link."),
    };
    return respond_page(c, &note, err);
}

/* A look ahead must neither register clients nor spend codes. */
static bool is_look_ahead(const struct call *c) {
    return !str_eq(http_method(c->request), STR("GET")) ||
           str_starts(http_header(c->request, "Sec-Purpose"), STR("prefetch"));
}

int handle_oauth_start(struct call *c, struct err *err) {
    struct strbuf url cleanup(strbuf_done) = STRBUF(AUTHORIZER_MAX_URL_BYTES);
    struct authorizers *a = c->gateway->authorizers;
    struct authorizer_visit visit;
    struct str link = STR_EMPTY;
    struct err cause;
    if (is_look_ahead(c)) {
        return call_respond_empty(c, 204, NULL, 0);
    }
    if (call_query(c, "link", MAX_STATE_BYTES, &link, err) < 0) {
        return -(int)err->code;
    }
    if (authorizers_open_link(a, link, &c->arena, &visit, &cause) < 0 ||
        authorizers_url(a, visit.user_id, visit.server, &url, &cause) < 0) {
        return respond_failure(c, &cause, "This cannot be connected now", err);
    }
    struct str host = strbuf_str(&url);
    host = str_skip(host, str_find(host, STR("://")) + 3);
    host = str_cut(&host, '/');
    const struct note note = {
        .status = 200,
        .title = "Connect a server",
        .lead = arena_printf(&c->arena, "The assistant of %.*s asks for permission to use %.*s.",
                             STR_ARG(visit.user_id), STR_ARG(visit.server)),
        .more = arena_printf(&c->arena,
                             "You will be asked at %.*s. Go on only if this is your own assistant: "
                             "whoever it belongs to will use the account that you choose there.",
                             STR_ARG(host)),
        .link = strbuf_str(&url),
    };
    return respond_page(c, &note, err);
}

static int read_callback(struct call *c, struct authorizer_callback *ret, struct err *err) {
    *ret = (struct authorizer_callback){STR_EMPTY, STR_EMPTY, STR_EMPTY, STR_EMPTY};
    return call_query(c, "code", MAX_CODE_BYTES, &ret->code, err) < 0 ||
                   call_query(c, "state", MAX_STATE_BYTES, &ret->state, err) < 0 ||
                   call_query(c, "iss", MAX_WORD_BYTES, &ret->iss, err) < 0 ||
                   call_query(c, "error", MAX_WORD_BYTES, &ret->error, err) < 0
               ? -(int)err->code
               : 0;
}

int handle_oauth_callback(struct call *c, struct err *err) {
    struct authorizer_callback callback;
    struct authorizer_visit visit;
    struct err cause;
    if (is_look_ahead(c)) {
        return call_respond_empty(c, 204, NULL, 0);
    }
    if (read_callback(c, &callback, err) < 0) {
        return -(int)err->code;
    }
    if (authorizers_finish(c->gateway->authorizers, &callback, &c->arena, &visit, &cause) < 0) {
        if (cause.code == ERR_UNAUTHORIZED) {
            cause.code = ERR_INVALID; /* the code's fault: no key would help */
        }
        return respond_failure(c, &cause, "Not connected", err);
    }
    const struct note note = {
        .status = 200,
        .title = "Connected",
        .lead = arena_printf(&c->arena, "The assistant of %.*s can use %.*s now.",
                             STR_ARG(visit.user_id), STR_ARG(visit.server)),
        .more = STR("You can close this page."),
    };
    return respond_page(c, &note, err);
}
