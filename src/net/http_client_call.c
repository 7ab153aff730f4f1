/* One request and its reply. */
#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/secret.h"
#include "net/http_client_internal.h"

enum {
    MAX_REDIRECTS = 5,
    MAX_URL_BYTES = 16 * 1024,
    MAX_FIELD_BYTES = 256 * 1024, /* of the request */
    KEPT_BYTES = 4 * 1024,        /* by a stream that waits for its peer */
    CONNECT_TIMEOUT_MS = 5 * 1000,
    IDLE_TIMEOUT_MS = 60 * 1000,
    TOTAL_TIMEOUT_MS = 600 * 1000,
    WINDOW_BYTES = 64 * 1024,
    MAX_HEADER_BYTES = 64 * 1024,
};

struct http_reply {
    struct http_transfer transfer;
    struct strbuf unread, lent; /* what came; what the reader looks at */
    struct curl_slist *fields;  /* one block: the nodes, then their text */
    size_t fields_bytes;
    size_t window_bytes, header_bytes, max_header_bytes;
    int64_t idle_timeout_us, deadline_us;
    int64_t active_us; /* when something last went on, or waiting began */
    curl_off_t uploaded;
    int status;
    bool fields_complete, fields_too_large, paused, once;
    struct str upload; /* what is still to be sent, of a body that is sent once */
    char detail[CURL_ERROR_SIZE];
};

/* ---- what is asked for ---- */

static bool is_token(const char *z) {
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (const char *p = z; *p; p++) {
        bool alnum =
            (*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z');
        if (!alnum && !strchr(others, *p)) {
            return false;
        }
    }
    return z[0] != '\0';
}

static int check_url(const char *url, struct err *err) {
    struct str u = str_z(url);
    if (!str_eq_nocase(str_head(u, 7), STR("http://")) &&
        !str_eq_nocase(str_head(u, 8), STR("https://"))) {
        return err_set(err, ERR_INVALID, "a URL must begin with http:// or https://");
    }
    if (u.n > MAX_URL_BYTES) {
        return err_set(err, ERR_INVALID, "a URL is longer than %d bytes", MAX_URL_BYTES);
    }
    for (size_t i = 0; i < u.n; i++) {
        if ((unsigned char)u.p[i] <= ' ' || u.p[i] == 0x7f) {
            return err_set(err, ERR_INVALID, "a URL contains a space or a control character");
        }
    }
    return 0;
}

static int check_field(const struct http_client_field *f, struct err *err) {
    /* These frame the message, which is the client's own business. */
    static const char *const framing[] = {"Content-Length", "Transfer-Encoding", "Connection",
                                          "Expect", "Upgrade"};
    if (!f->name || !is_token(f->name)) {
        return err_set(err, ERR_INVALID, "a header field has an invalid name");
    }
    for (size_t i = 0; i < ARRAY_LEN(framing); i++) {
        if (str_eq_nocase(str_z(f->name), str_z(framing[i]))) {
            return err_set(err, ERR_INVALID, "the header field %s cannot be set", f->name);
        }
    }
    for (size_t i = 0; i < f->value.n; i++) {
        char c = f->value.p[i];
        if (c == '\r' || c == '\n' || c == '\0') {
            return err_set(err, ERR_INVALID, "the header field %s contains a line break or NUL",
                           f->name);
        }
    }
    return 0;
}

static int check_call(const struct http_call *call, size_t *ret_field_bytes, struct err *err) {
    size_t bytes = 0;
    if (check_url(call->url, err) < 0) {
        return -(int)err->code;
    }
    if (call->method && !is_token(call->method)) {
        return err_set(err, ERR_INVALID, "not a request method");
    }
    for (size_t i = 0; i < call->n_fields; i++) {
        if (check_field(&call->fields[i], err) < 0) {
            return -(int)err->code;
        }
        bytes += strlen(call->fields[i].name) + call->fields[i].value.n + sizeof ": ";
    }
    if (bytes > MAX_FIELD_BYTES) {
        return err_set(err, ERR_LIMIT, "the request's header fields are larger than %d bytes",
                       MAX_FIELD_BYTES);
    }
    *ret_field_bytes = bytes;
    return 0;
}

/* ---- the request's fields, as the list that curl wants ---- */

struct field_writer {
    struct curl_slist *node;
    char *text;
};

static void write_field(struct field_writer *w, const char *name, const char *separator,
                        struct str value) {
    struct curl_slist *node = w->node++;
    size_t name_len = strlen(name), separator_len = strlen(separator);
    node->data = w->text;
    node->next = w->node;
    w->text = mempcpy(w->text, name, name_len);
    w->text = mempcpy(w->text, separator, separator_len);
    if (value.n) {
        w->text = mempcpy(w->text, value.p, value.n);
    }
    *w->text++ = '\0';
}

static void write_fields(struct http_reply *s, const struct http_call *call, size_t field_bytes) {
    /* Without a value these keep curl from adding its own: a guessed type, and a second of waiting
     * for 100 Continue. */
    static const char *const suppressed[] = {"Content-Type:", "Expect:"};
    size_t n = call->n_fields + ARRAY_LEN(suppressed);
    s->fields_bytes = n * sizeof(struct curl_slist) + field_bytes +
                      ARRAY_LEN(suppressed) * sizeof "Content-Type:";
    s->fields = mem_alloc(s->fields_bytes);
    struct field_writer w = {.node = s->fields, .text = (char *)(s->fields + n)};
    bool has_type = false;
    for (size_t i = 0; i < call->n_fields; i++) {
        struct str value = str_trim(call->fields[i].value);
        has_type |= str_eq_nocase(str_z(call->fields[i].name), STR("Content-Type"));
        write_field(&w, call->fields[i].name, value.n ? ": " : ";", value);
    }
    for (size_t i = has_type ? 1 : 0; i < ARRAY_LEN(suppressed); i++) {
        write_field(&w, suppressed[i], "", STR_EMPTY);
    }
    w.node[-1].next = NULL;
}

/* ---- curl's callbacks: they store and wake, no more ---- */

static size_t on_header(char *bytes, size_t size, size_t n, void *arg) {
    struct http_reply *s = arg;
    n *= size;
    s->active_us = clock_mono_us();
    s->header_bytes += n;
    if (s->header_bytes > s->max_header_bytes) {
        s->fields_too_large = true;
        return 0;
    }
    if (!s->fields_complete && n <= 2 && (bytes[0] == '\r' || bytes[0] == '\n')) {
        long status = 0;
        curl_easy_getinfo(s->transfer.easy, CURLINFO_RESPONSE_CODE, &status);
        if (status >= 200) {
            s->status = (int)status;
            s->fields_complete = true;
            fiber_broadcast(&s->transfer.changed);
        }
    }
    return n;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *arg) {
    struct http_reply *s = arg;
    n *= size;
    s->active_us = clock_mono_us();
    fiber_broadcast(&s->transfer.changed);
    if (s->unread.n > 0 && s->unread.n + n > s->window_bytes) {
        s->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    strbuf_add(&s->unread, (struct str){bytes, n});
    return n;
}

static size_t on_upload(char *bytes, size_t size, size_t n, void *arg) {
    struct http_reply *s = arg;
    struct str piece = str_head(s->upload, size * n);
    if (piece.n > 0) {
        memcpy(bytes, piece.p, piece.n);
    }
    s->upload = str_skip(s->upload, piece.n);
    return piece.n;
}

/* ---- preparing the handle: all that differs between requests is set each time ---- */

/* libcurl sends a request again whose pooled connection was lost without an answer, unless it would
 * need the body a second time and has no way to rewind it. */
static void set_body(struct http_reply *s, struct str body) {
    CURL *easy = s->transfer.easy;
    bool once = s->once && body.n > 0;
    s->upload = body;
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, once ? NULL : body.n ? body.p : "");
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, once ? on_upload : NULL);
    curl_easy_setopt(easy, CURLOPT_READDATA, s);
}

static void set_method(struct http_reply *s, const char *method, struct str body) {
    CURL *easy = s->transfer.easy;
    const char *known = "GET";
    bool head = strcmp(method, "HEAD") == 0;
    bool carries = body.n > 0 || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
                   strcmp(method, "PATCH") == 0;
    if (carries && !head) {
        known = "POST";
        set_body(s, body);
    } else {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
    if (head) {
        known = "HEAD";
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, strcmp(method, known) == 0 ? NULL : method);
}

static void set_options(struct http_reply *s, const struct http_call *call) {
    CURL *easy = s->transfer.easy;
    int64_t connect_ms =
        call->connect_timeout_ms ? call->connect_timeout_ms : (int64_t)CONNECT_TIMEOUT_MS;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, &s->transfer);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, s->detail);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, s->fields);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, s);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, s);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)MIN(connect_ms, (int64_t)INT32_MAX));
    curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, call->unix_socket);
}

static struct http_reply *reply_new(const struct http_call *call, size_t field_bytes) {
    struct http_reply *s = mem_alloc(sizeof *s);
    int64_t idle_ms = call->idle_timeout_ms ? call->idle_timeout_ms : (int64_t)IDLE_TIMEOUT_MS;
    int64_t total_ms = call->total_timeout_ms ? call->total_timeout_ms : (int64_t)TOTAL_TIMEOUT_MS;
    s->window_bytes = call->window_bytes ? call->window_bytes : (size_t)WINDOW_BYTES;
    s->max_header_bytes =
        call->max_header_bytes ? call->max_header_bytes : (size_t)MAX_HEADER_BYTES;
    s->once = call->once;
    s->unread = s->lent = STRBUF(s->window_bytes + CURL_MAX_WRITE_SIZE);
    s->idle_timeout_us = idle_ms * 1000;
    s->deadline_us = clock_mono_us() + total_ms * 1000;
    fiber_cond_init(&s->transfer.changed);
    write_fields(s, call, field_bytes);
    s->transfer.easy = http_engine_take();
    set_options(s, call);
    return s;
}

/* ---- waiting ---- */

static int timed_out(const struct http_reply *s, bool total, struct err *err) {
    char host[HTTP_HOST_TEXT];
    const char *url = "";
    curl_easy_getinfo(s->transfer.easy, CURLINFO_EFFECTIVE_URL, &url);
    http_host_text(url, host);
    if (total) {
        return err_set(err, ERR_TIMEOUT, "%s did not finish its response in time", host);
    }
    return err_set(err, ERR_TIMEOUT, "%s sent nothing for %.3g seconds", host,
                   (double)s->idle_timeout_us / 1e6);
}

/* While a large body is taken by the peer, it is not silent. */
static bool upload_went_on(struct http_reply *s) {
    curl_off_t uploaded = 0;
    curl_easy_getinfo(s->transfer.easy, CURLINFO_SIZE_UPLOAD_T, &uploaded);
    bool more = uploaded > s->uploaded;
    s->uploaded = uploaded;
    return more;
}

/* Until something changed; the caller looks what. */
static int wait_for_peer(struct http_reply *s, struct err *err) {
    enum { EARLY_US = 2000 }; /* timers count milliseconds */
    int64_t now = clock_mono_us();
    if (now >= s->deadline_us) {
        return timed_out(s, true, err);
    }
    if (now >= s->active_us + s->idle_timeout_us) {
        if (!upload_went_on(s)) {
            return timed_out(s, false, err);
        }
        s->active_us = now;
    }
    int64_t until = MIN(s->deadline_us, s->active_us + s->idle_timeout_us);
    int rc = fiber_wait(&s->transfer.changed, (until - now + 999) / 1000);
    if (rc == -ERR_CANCELLED) {
        return err_set(err, ERR_CANCELLED, "the request was cancelled");
    }
    if (rc == -ERR_TIMEOUT && clock_mono_us() + EARLY_US < until) {
        return err_set(err, ERR_TIMEOUT, "the time for the request ran out");
    }
    return 0;
}

static int failure(const struct http_reply *s, struct err *err) {
    if (s->fields_too_large) {
        return err_set(err, ERR_LIMIT, "the response's header fields are larger than %zu bytes",
                       s->max_header_bytes);
    }
    return http_transfer_error(&s->transfer, s->detail, err);
}

static int wait_for_fields(struct http_reply *s, struct err *err) {
    while (!s->fields_complete) {
        if (!s->transfer.running) {
            return failure(s, err);
        }
        if (wait_for_peer(s, err) < 0) {
            return -(int)err->code;
        }
    }
    return 0;
}

/* ---- opening ---- */

static int perform(struct http_reply *s, const char *url, const char *method, struct str body,
                   struct err *err) {
    curl_easy_setopt(s->transfer.easy, CURLOPT_URL, url);
    set_method(s, method, body);
    s->fields_complete = s->paused = false;
    s->status = 0;
    s->header_bytes = 0;
    s->uploaded = 0;
    strbuf_reset(&s->unread);
    s->detail[0] = '\0';
    s->active_us = clock_mono_us();
    if (http_engine_begin(&s->transfer, err) < 0) {
        return -(int)err->code;
    }
    return wait_for_fields(s, err);
}

static bool is_redirect(int status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static bool same_part(CURLU *a, CURLU *b, CURLUPart part) {
    char *x = NULL, *y = NULL;
    bool same = curl_url_get(a, part, &x, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                curl_url_get(b, part, &y, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                str_eq_nocase(str_z(x), str_z(y));
    curl_free(x);
    curl_free(y);
    return same;
}

static bool has_scheme(CURLU *u, const char *scheme) {
    char *z = NULL;
    bool has = curl_url_get(u, CURLUPART_SCHEME, &z, 0) == CURLUE_OK && strcmp(z, scheme) == 0;
    curl_free(z);
    return has;
}

/* The same origin, or the same host with TLS where there was none: the request's fields may hold
 * credentials, which nobody else must get. */
static bool may_follow(CURLU *from, CURLU *to) {
    if (!same_part(from, to, CURLUPART_HOST)) {
        return false;
    }
    if (has_scheme(from, "http") && has_scheme(to, "https")) {
        return true;
    }
    return same_part(from, to, CURLUPART_SCHEME) && same_part(from, to, CURLUPART_PORT);
}

static int redirect_target(const char *url, struct str location, char **ret, struct err *err) {
    char host[HTTP_HOST_TEXT];
    CURLU *from = curl_url(), *to = curl_url();
    assert(from && to);
    int rc = 0;
    http_host_text(url, host);
    if (curl_url_set(from, CURLUPART_URL, url, 0) != CURLUE_OK ||
        curl_url_set(to, CURLUPART_URL, url, 0) != CURLUE_OK ||
        curl_url_set(to, CURLUPART_URL, location.p, CURLU_DISALLOW_USER) != CURLUE_OK) {
        rc = err_set(err, ERR_PROTOCOL, "%s redirects to something that is not a URL", host);
    } else if (!may_follow(from, to)) {
        rc = err_set(err, ERR_PROTOCOL, "%s redirects elsewhere, which is not followed", host);
    } else if (curl_url_get(to, CURLUPART_URL, ret, 0) != CURLUE_OK) {
        rc = err_set(err, ERR_PROTOCOL, "%s redirects to something that is not a URL", host);
    }
    curl_url_cleanup(from);
    curl_url_cleanup(to);
    return rc;
}

static int perform_and_follow(struct http_reply *s, const struct http_call *call, struct err *err) {
    const char *method = call->method ? call->method : call->body.n ? "POST" : "GET";
    struct str body = call->body;
    char *url = NULL;
    int rc = perform(s, call->url, method, body, err);
    for (int hops = 0; rc == 0 && call->follow_redirects && is_redirect(s->status); hops++) {
        struct str location = http_reply_header(s, "Location");
        if (!location.p) {
            break;
        }
        if (hops == MAX_REDIRECTS) {
            rc = err_set(err, ERR_PROTOCOL, "more than %d redirects", MAX_REDIRECTS);
            break;
        }
        char *next = NULL;
        rc = redirect_target(url ? url : call->url, location, &next, err);
        if (rc < 0) {
            break;
        }
        curl_free(url);
        url = next;
        if (s->status != 307 && s->status != 308 && strcmp(method, "HEAD") != 0) {
            method = "GET";
            body = STR_EMPTY;
        }
        http_engine_end(&s->transfer);
        rc = perform(s, url, method, body, err);
    }
    curl_free(url);
    return rc;
}

static void note_sent(const struct http_reply *s, bool *sent) {
    long bytes = 0;
    if (sent && curl_easy_getinfo(s->transfer.easy, CURLINFO_REQUEST_SIZE, &bytes) == CURLE_OK) {
        *sent = *sent || bytes > 0;
    }
}

int http_call_open(const struct http_call *call, struct http_reply **ret, struct err *err) {
    size_t field_bytes = 0;
    fiber_point();
    if (check_call(call, &field_bytes, err) < 0) {
        return -(int)err->code;
    }
    struct http_reply *s cleanup(http_reply_close_p) = reply_new(call, field_bytes);
    int rc = perform_and_follow(s, call, err);
    note_sent(s, call->sent);
    if (rc < 0) {
        return rc;
    }
    *ret = take(s);
    return 0;
}

/* ---- the reply ---- */

int http_reply_status(const struct http_reply *s) {
    return s->status;
}

struct str http_reply_header(const struct http_reply *s, const char *name) {
    struct curl_header *h;
    if (curl_easy_header(s->transfer.easy, name, 0, CURLH_HEADER, -1, &h) != CURLHE_OK) {
        return (struct str){NULL, 0};
    }
    return str_trim(str_z(h->value)); /* curl leaves the CR of an empty one */
}

static void release_lent(struct http_reply *s) {
    if (s->lent.cap > KEPT_BYTES) {
        strbuf_done(&s->lent);
    } else {
        strbuf_reset(&s->lent);
    }
}

int http_reply_read(struct http_reply *s, struct str *ret, struct err *err) {
    fiber_point();
    release_lent(s);
    s->active_us = clock_mono_us();
    while (s->unread.n == 0) {
        if (!s->transfer.running) {
            if (s->transfer.result != CURLE_OK) {
                return failure(s, err);
            }
            *ret = STR_EMPTY;
            return 0;
        }
        if (s->paused) {
            s->paused = false;
            http_engine_resume(&s->transfer);
        } else if (wait_for_peer(s, err) < 0) {
            return -(int)err->code;
        }
    }
    if (s->transfer.running && clock_mono_us() >= s->deadline_us) {
        return timed_out(s, true, err);
    }
    struct strbuf filled = s->unread;
    s->unread = s->lent;
    s->lent = filled;
    *ret = strbuf_str(&s->lent);
    return 0;
}

void http_reply_close(struct http_reply *s) {
    if (!s) {
        return;
    }
    CURL *easy = s->transfer.easy;
    http_engine_end(&s->transfer);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, NULL);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, NULL);
    curl_easy_setopt(easy, CURLOPT_READDATA, NULL);
    http_engine_give(easy);
    secret_wipe(s->fields, s->fields_bytes);
    mem_free(s->fields);
    strbuf_done(&s->unread);
    strbuf_done(&s->lent);
    mem_free(s);
}

void http_reply_close_p(struct http_reply **s) {
    http_reply_close(*s);
}

static int read_all(struct http_reply *s, size_t max_bytes, struct strbuf *body, struct err *err) {
    size_t before = body->n;
    max_bytes = MIN(max_bytes, body->max - before);
    for (struct str piece;;) {
        if (http_reply_read(s, &piece, err) < 0) {
            break;
        }
        if (piece.n == 0) {
            return 0;
        }
        if (piece.n > max_bytes - (body->n - before)) {
            err_set(err, ERR_LIMIT, "the response is larger than %zu bytes", max_bytes);
            break;
        }
        strbuf_add(body, piece);
    }
    strbuf_truncate(body, before);
    return -(int)err->code;
}

int http_fetch(const struct http_call *call, size_t max_bytes, int *ret_status,
               struct strbuf *ret_body, struct err *err) {
    struct http_reply *s cleanup(http_reply_close_p) = NULL;
    if (http_call_open(call, &s, err) < 0 || read_all(s, max_bytes, ret_body, err) < 0) {
        return -(int)err->code;
    }
    *ret_status = s->status;
    return 0;
}
