/* The engine: libcurl's multi handle driven by libuv. Curl tells which sockets and which timer it
 * waits for; what they report is handed back to curl, whose callbacks wake fibers. */
#include "net/http_client.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/wiping.h"
#include "net/http_client_internal.h"

enum {
    MAX_TRANSFERS = 4096,
    MAX_IDLE_CONNECTIONS = 1024, /* fewer than the concurrency would mean that none is reused */
    MAX_POOLED_HANDLES = 64,
    RECEIVE_BUFFER_BYTES = 4 * 1024, /* a stream's own while it is open */
    UPLOAD_BUFFER_BYTES = 16 * 1024, /* curl's minimum; kept as long as a TLS stream lasts */
};

struct engine {
    CURLM *multi;
    CURLSH *share; /* TLS sessions, so that a new connection to a known host resumes one */
    uv_timer_t timer;
    uv_idle_t soon; /* the timer, when it is due at once */
    unsigned open_handles;
    char *ca_file; /* NULL: curl's default */
    CURL *pool[MAX_POOLED_HANDLES];
    unsigned pooled, transfers;
};

static struct engine *engine;

struct socket_watch {
    uv_poll_t poll;
    curl_socket_t fd;
};

/* ---- between curl and libuv ---- */

static void collect_finished(void) {
    CURLMsg *message;
    for (int left; (message = curl_multi_info_read(engine->multi, &left));) {
        if (message->msg != CURLMSG_DONE) {
            continue;
        }
        struct http_transfer *t = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &t);
        t->result = message->data.result;
        t->running = false;
        engine->transfers--;
        curl_multi_remove_handle(engine->multi, t->easy);
        fiber_broadcast(&t->changed);
    }
}

static void act(curl_socket_t fd, int events) {
    int running;
    CURLMcode rc = curl_multi_socket_action(engine->multi, fd, events, &running);
    assert(rc == CURLM_OK);
    collect_finished();
}

static void on_socket_event(uv_poll_t *poll, int status, int events) {
    struct socket_watch *w = container_of(poll, struct socket_watch, poll);
    /* An error: curl meets it when it reads or writes, and then knows which one it is. */
    int flags = status < 0 ? CURL_CSELECT_IN | CURL_CSELECT_OUT : 0;
    flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
    flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
    act(w->fd, flags);
    fiber_drain();
}

static void on_timer(uv_timer_t *timer) {
    (void)timer;
    act(CURL_SOCKET_TIMEOUT, 0);
    fiber_drain();
}

static void on_soon(uv_idle_t *soon) {
    uv_idle_stop(soon);
    act(CURL_SOCKET_TIMEOUT, 0);
    fiber_drain();
}

/* Curl asks to be called at once again and again while a peer sends faster than we read. A timer of
 * 0 ms that is set in a timer's callback is run before anything else of the loop, so one such peer
 * would hold up everybody; an idle handle has its turn once a round. */
static int set_timer(CURLM *multi, long timeout_ms, void *arg) {
    (void)multi;
    (void)arg;
    uv_timer_stop(&engine->timer);
    uv_idle_stop(&engine->soon);
    if (timeout_ms == 0) {
        uv_idle_start(&engine->soon, on_soon);
    } else if (timeout_ms > 0) {
        uv_timer_start(&engine->timer, on_timer, (uint64_t)timeout_ms, 0);
    }
    return 0;
}

static void free_watch(uv_handle_t *handle) {
    mem_free(container_of((uv_poll_t *)handle, struct socket_watch, poll));
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *watch) {
    (void)easy;
    (void)arg;
    struct socket_watch *w = watch;
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            uv_poll_stop(&w->poll); /* before curl closes the descriptor */
            uv_close((uv_handle_t *)&w->poll, free_watch);
        }
        return 0;
    }
    if (!w) {
        w = mem_alloc(sizeof *w);
        w->fd = fd;
        if (uv_poll_init_socket(fiber_loop(), &w->poll, fd) < 0) {
            mem_free(w);
            return -1;
        }
        curl_multi_assign(engine->multi, fd, w);
    }
    int events = 0;
    events |= what & CURL_POLL_IN ? UV_READABLE : 0;
    events |= what & CURL_POLL_OUT ? UV_WRITABLE : 0;
    uv_poll_start(&w->poll, events, on_socket_event);
    return 0;
}

/* ---- handles ---- */

static void set_common_options(CURL *easy) {
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    /* One request a connection: on a shared HTTP/2 connection curl lets one paused stream hold up
     * all others, and a stream cannot be dropped with its connection. */
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER_BYTES);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER_BYTES);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    /* Else dropping a transfer that still looks up its name waits for the resolver's thread. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_SHARE, engine->share);
    /* The parsed certificates are cached only when they come from one file alone; otherwise each
     * new connection reads all of them again. */
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    if (engine->ca_file) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, engine->ca_file);
    }
}

CURL *http_engine_take(void) {
    assert(engine);
    if (engine->pooled > 0) {
        return engine->pool[--engine->pooled];
    }
    CURL *easy = curl_easy_init();
    assert(easy);
    set_common_options(easy);
    return easy;
}

void http_engine_give(CURL *easy) {
    if (engine->pooled < MAX_POOLED_HANDLES) {
        engine->pool[engine->pooled++] = easy;
    } else {
        curl_easy_cleanup(easy);
    }
}

/* ---- transfers ---- */

int http_engine_begin(struct http_transfer *t, struct err *err) {
    if (engine->transfers >= MAX_TRANSFERS) {
        return err_set(err, ERR_BUSY, "too many outgoing requests at once (%d)", MAX_TRANSFERS);
    }
    CURLMcode rc = curl_multi_add_handle(engine->multi, t->easy);
    if (rc != CURLM_OK) {
        return err_set(err, ERR_INTERNAL, "request: %s", curl_multi_strerror(rc));
    }
    engine->transfers++;
    t->running = true;
    /* On a pooled connection this already sends the request. */
    act(CURL_SOCKET_TIMEOUT, 0);
    return 0;
}

void http_engine_resume(struct http_transfer *t) {
    if (t->running) {
        curl_easy_pause(t->easy, CURLPAUSE_CONT);
    }
}

void http_engine_end(struct http_transfer *t) {
    if (t->running) {
        t->running = false;
        t->result = CURLE_ABORTED_BY_CALLBACK;
        engine->transfers--;
        curl_multi_remove_handle(engine->multi, t->easy);
    }
}

/* ---- start and stop ---- */

static int choose_ca_file(char **ret, struct err *err) {
    static const char *const variables[] = {"CURL_CA_BUNDLE", "SSL_CERT_FILE"};
    for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
        const char *path = getenv(variables[i]);
        if (!path || !path[0]) {
            continue;
        }
        if (access(path, R_OK) < 0) {
            return err_set(err, ERR_INVALID, "%s names %s, which cannot be read", variables[i],
                           path);
        }
        *ret = str_dup_z(str_z(path));
        return 0;
    }
    return 0;
}

int http_client_start(struct err *err) {
    assert(!engine);
    char *ca_file cleanup(mem_free_p) = NULL;
    if (choose_ca_file(&ca_file, err) < 0) {
        return -(int)err->code;
    }
    CURLcode rc = curl_global_init_mem(CURL_GLOBAL_DEFAULT, wiping_malloc, wiping_free,
                                       wiping_realloc, wiping_strdup, wiping_calloc);
    if (rc != CURLE_OK) {
        return err_set(err, ERR_INTERNAL, "libcurl: %s", curl_easy_strerror(rc));
    }
    if (!(curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_ASYNCHDNS)) {
        curl_global_cleanup();
        return err_set(err, ERR_INTERNAL, "libcurl was built without an asynchronous resolver");
    }
    /* Curl leaves it to us once CURLOPT_NOSIGNAL is set, and OpenSSL writes without MSG_NOSIGNAL.
     */
    signal(SIGPIPE, SIG_IGN);
    engine = mem_alloc(sizeof *engine);
    engine->ca_file = take(ca_file);
    engine->multi = curl_multi_init();
    engine->share = curl_share_init();
    assert(engine->multi && engine->share);
    curl_share_setopt(engine->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    uv_timer_init(fiber_loop(), &engine->timer);
    uv_idle_init(fiber_loop(), &engine->soon);
    uv_unref((uv_handle_t *)&engine->timer);
    uv_unref((uv_handle_t *)&engine->soon);
    engine->open_handles = 2;
    curl_multi_setopt(engine->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(engine->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(engine->multi, CURLMOPT_MAXCONNECTS, (long)MAX_IDLE_CONNECTIONS);
    curl_multi_setopt(engine->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    return 0;
}

static void on_handle_closed(uv_handle_t *handle) {
    struct engine *e = handle->data;
    if (--e->open_handles == 0) {
        mem_free(e);
    }
}

static void close_handle(uv_handle_t *handle) {
    handle->data = engine;
    uv_close(handle, on_handle_closed);
}

void http_client_stop(void) {
    if (!engine) {
        return;
    }
    assert(engine->transfers == 0);
    while (engine->pooled > 0) {
        curl_easy_cleanup(engine->pool[--engine->pooled]);
    }
    curl_multi_cleanup(engine->multi);
    curl_share_cleanup(engine->share);
    curl_global_cleanup();
    mem_free(engine->ca_file);
    close_handle((uv_handle_t *)&engine->timer);
    close_handle((uv_handle_t *)&engine->soon);
    engine = NULL;
}
