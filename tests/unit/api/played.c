#include "played.h"
#include "event/event.h"
#include "net/assets.h"
#include "store/interrupts.h"
#include "store/search.h"
#include "store/transcript.h"

#include <stdio.h>

#include "auth/auth.h"
#include "base/mem.h"
#include "net/websocket_frame.h"
#include "store/usage.h"
#include "test.h"

struct played played;

struct run_reader {
    size_t at;
    struct run_event batch[PLAYED_MAX_EVENTS];
};

static int fail(struct err *err) {
    *err = played.fails;
    return -(int)err->code;
}

static void keep(struct strbuf *b, struct str s) {
    strbuf_reset(b);
    strbuf_add(b, s.p ? s : STR_EMPTY);
}

/* ---- auth ---- */

enum auth_mode auth_mode(const struct auth *auth) {
    (void)auth;
    return played.mode;
}

int auth_check(struct auth *auth, struct str key, struct str cookie, struct str peer,
               struct arena *arena, struct principal *ret, struct err *err) {
    (void)auth, (void)peer;
    fiber_point();
    bool boss = str_eq(key, STR(PLAYED_ADMIN_KEY)), user = str_eq(key, STR(PLAYED_USER_KEY));
    bool admin = boss || played.mode == AUTH_OPEN;
    bool by_cookie = !key.n && str_eq(cookie, STR(PLAYED_COOKIE));
    if (played.mode != AUTH_OPEN && (played.keys_revoked || (!admin && !user && !by_cookie))) {
        return err_set(err, ERR_UNAUTHORIZED, "no valid key");
    }
    *ret = (struct principal){.user_id = arena_str(arena, boss ? STR("boss") : STR("me")),
                              .role = admin ? ROLE_ADMIN : ROLE_PERSONAL,
                              .allow_operator_llm = !by_cookie,
                              .from_cookie = by_cookie};
    return 0;
}

int auth_login(struct auth *auth, struct str key, struct str peer, struct arena *arena,
               struct str *ret_token, int64_t *ret_expires_us, struct err *err) {
    (void)auth, (void)peer, (void)arena;
    if (!str_eq(key, STR(PLAYED_USER_KEY))) {
        return err_set(err, ERR_UNAUTHORIZED, "no valid key");
    }
    *ret_token = STR(PLAYED_COOKIE);
    *ret_expires_us = INT64_C(4000000000000000);
    return 0;
}

int auth_logout(struct auth *auth, struct str token, struct err *err) {
    (void)auth, (void)err;
    keep(&played.text, token);
    return 0;
}

const char *role_name(enum role role) {
    return role == ROLE_ADMIN ? "admin" : "personal";
}

/* ---- database and store ---- */

enum db_backend db_backend(const struct db *db) {
    (void)db;
    return DB_SQLITE;
}

int db_ping(struct db *db, int64_t timeout_ms, struct err *err) {
    (void)db, (void)timeout_ms;
    return played.db_is_away ? err_set(err, ERR_UNAVAILABLE, "host 10.0.0.7 is away") : 0;
}

struct db_stats db_stats(const struct db *db) {
    (void)db;
    return (struct db_stats){.connections = 3, .healthy = true};
}

bool thread_id_valid(struct str id) {
    for (size_t i = 0; i < id.n; i++) {
        if (id.p[i] <= ' ' || id.p[i] >= 0x7f) {
            return false;
        }
    }
    return id.n > 0 && id.n <= 128;
}

static int find_thread(struct str id, struct err *err) {
    if (played.fails.code) {
        return fail(err);
    }
    return played.thread && str_eq(id, str_z(played.thread))
               ? 0
               : err_set(err, ERR_NOT_FOUND, "no such thread");
}

int thread_create(struct db *db, struct str user_id, struct str id, struct str title,
                  struct err *err) {
    (void)db;
    if (find_thread(id, err) == 0) {
        return err_set(err, ERR_CONFLICT, "the thread exists");
    }
    keep(&played.user, user_id);
    keep(&played.thread_id, id);
    keep(&played.text, title);
    played.thread = strbuf_z(&played.thread_id);
    return played.fails.code ? fail(err) : 0;
}

int thread_get(struct db *db, struct str user_id, struct str id, struct arena *arena,
               struct thread_row *ret, struct err *err) {
    (void)db, (void)user_id;
    if (find_thread(id, err) < 0) {
        return -(int)err->code;
    }
    *ret = (struct thread_row){.id = arena_str(arena, id),
                               .agent = STR("cos"),
                               .message_seq = played.thread_messages,
                               .open_turn_id = str_z(played.open_turn),
                               .open_turn_state = STR("running"),
                               .created_us = 1,
                               .updated_us = 2};
    return 0;
}

int thread_list(struct db *db, struct str user_id, bool archived, int64_t before_us,
                struct str before_id, size_t max, struct arena *arena, struct thread_row **ret,
                size_t *ret_n, struct err *err) {
    (void)db, (void)user_id, (void)archived;
    static const char *const ids[] = {"c", "b", "a"};
    if (played.fails.code) {
        return fail(err);
    }
    *ret = arena_alloc(arena, 3 * sizeof **ret);
    *ret_n = 0;
    keep(&played.text, before_id);
    for (int64_t i = 0; i < 3 && *ret_n < max; i++) {
        if (before_us == 0 || 30 - i * 10 < before_us) {
            (*ret)[(*ret_n)++] = (struct thread_row){
                .id = str_z(ids[i]), .agent = STR("cos"), .updated_us = 30 - i * 10};
        }
    }
    return 0;
}

int thread_messages(struct db *db, struct str user_id, struct str id, int64_t before_seq,
                    size_t max, struct arena *arena, struct thread_message **ret, size_t *ret_n,
                    struct err *err) {
    (void)db, (void)user_id;
    if (find_thread(id, err) < 0) {
        return -(int)err->code;
    }
    int64_t end = before_seq ? before_seq : played.thread_messages + 1;
    int64_t first = MAX(end - (int64_t)max, 1);
    *ret = arena_alloc(arena, max * sizeof **ret);
    *ret_n = 0;
    for (int64_t seq = first; seq < end; seq++) {
        (*ret)[(*ret_n)++] =
            (struct thread_message){.seq = seq,
                                    .created_us = seq,
                                    .id = STR("m"),
                                    .turn_id = STR("t"),
                                    .role = STR("user"),
                                    .json = STR("{\"role\":\"user\",\"content\":\"hi\"}")};
    }
    return 0;
}

int thread_list_by_id(struct db *db, struct str user_id, struct str after_id, size_t max,
                      struct arena *arena, struct thread_row **ret, size_t *ret_n,
                      struct err *err) {
    (void)db, (void)user_id, (void)max;
    *ret = arena_alloc(arena, sizeof **ret);
    **ret = (struct thread_row){.id = str_z(played.thread), .agent = STR("cos")};
    *ret_n = played.thread && after_id.n == 0;
    return played.fails.code ? fail(err) : 0;
}

static const char *message_text(int64_t seq) {
    return seq > 0 && seq == played.image_at
               ? "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"\\\"type\\\"\"},"
                 "{\"type\":\"image\",\"media_type\":\"image/png\",\"data\":\"iVBORw==\"},"
                 "{\"type\":\"image\",\"url\":\"https://a.example/b.png\"},"
                 "{\"type\":\"image\",\"media_type\":\"image/svg+xml\",\"data\":\"PHN2Zz4=\"}]}"
               : "{\"role\":\"user\",\"content\":\"hi\"}";
}

int transcript_read(struct db *db, struct str user_id, struct str thread_id,
                    const struct transcript_piece *piece, struct arena *arena,
                    struct thread_message **ret, size_t *ret_n, struct err *err) {
    (void)db, (void)user_id;
    if (find_thread(thread_id, err) < 0) {
        return -(int)err->code;
    }
    bool newest = piece->order == TRANSCRIPT_NEWEST_FIRST;
    int64_t seq = piece->beyond_seq;
    seq = newest && seq == 0 ? played.thread_messages + 1 : seq;
    *ret = arena_alloc(arena, piece->max_messages * sizeof **ret);
    *ret_n = 0;
    for (seq += newest ? -1 : 1; seq > 0 && seq <= played.thread_messages; seq += newest ? -1 : 1) {
        if (*ret_n == piece->max_messages) {
            break;
        }
        (*ret)[(*ret_n)++] =
            (struct thread_message){.seq = seq,
                                    .created_us = seq,
                                    .id = STR("m%1"),
                                    .turn_id = STR("t"),
                                    .role = STR("user"),
                                    .json = arena_str(arena, str_z(message_text(seq)))};
    }
    return 0;
}

int transcript_queued(struct db *db, struct str user_id, struct str thread_id,
                      int64_t beyond_position, size_t max_messages, struct arena *arena,
                      struct thread_message **ret, size_t *ret_n, struct err *err) {
    (void)db, (void)user_id, (void)thread_id, (void)max_messages, (void)err;
    *ret = arena_alloc(arena, sizeof **ret);
    *ret_n = beyond_position == 0;
    **ret = (struct thread_message){.seq = 1,
                                    .created_us = 1,
                                    .id = STR("q-u"),
                                    .turn_id = STR("q"),
                                    .json = str_z(message_text(0))};
    return 0;
}

int transcript_ends(struct db *db, struct str user_id, struct str thread_id, int64_t first_seq,
                    int64_t last_seq, struct arena *arena, struct transcript_end **ret,
                    size_t *ret_n, struct err *err) {
    (void)db, (void)user_id, (void)thread_id, (void)first_seq, (void)last_seq, (void)err;
    *ret = arena_alloc(arena, sizeof **ret);
    *ret_n = 1;
    **ret = (struct transcript_end){.turn_id = STR("bad"),
                                    .state = STR("failed"),
                                    .error_code = STR("limit"),
                                    .error = STR("no")};
    return 0;
}

int transcript_message(struct db *db, struct str user_id, struct str thread_id,
                       struct str message_id, struct arena *arena, struct str *ret,
                       struct err *err) {
    (void)db, (void)user_id;
    if (find_thread(thread_id, err) < 0) {
        return -(int)err->code;
    }
    *ret = arena_str(arena, str_z(message_text(played.image_at)));
    return str_eq(message_id, STR("m%1")) ? 0 : err_set(err, ERR_NOT_FOUND, "none");
}

int thread_rename(struct db *db, struct str user_id, struct str id, struct str title,
                  struct err *err) {
    (void)db, (void)user_id;
    keep(&played.text, title);
    return find_thread(id, err);
}

int thread_archive(struct db *db, struct str user_id, struct str id, bool archived,
                   struct err *err) {
    (void)db, (void)user_id;
    keep(&played.text, archived ? STR("archived") : STR("back"));
    return find_thread(id, err);
}

int thread_delete(struct db *db, struct str user_id, struct str id, struct err *err) {
    (void)db, (void)user_id;
    return find_thread(id, err);
}

int thread_checkpoints(struct db *db, struct str user_id, struct str id, size_t max,
                       struct arena *arena, struct thread_checkpoint **ret, size_t *ret_n,
                       struct err *err) {
    (void)db, (void)user_id, (void)max;
    *ret = arena_alloc(arena, sizeof **ret);
    **ret = (struct thread_checkpoint){.turn_id = STR("t1"), .node = STR("model")};
    *ret_n = 1;
    return find_thread(id, err);
}

int thread_fork(struct db *db, struct str user_id, struct str id, struct str turn_id,
                struct str new_id, struct err *err) {
    (void)db, (void)user_id;
    if (find_thread(id, err) < 0) {
        return -(int)err->code;
    }
    keep(&played.turn_id, turn_id);
    keep(&played.thread_id, new_id);
    played.thread = strbuf_z(&played.thread_id);
    return 0;
}

int search_update(struct db *db, struct str user_id, int64_t patience_ms, bool *ret_complete,
                  struct err *err) {
    (void)db, (void)user_id, (void)patience_ms;
    *ret_complete = true;
    return played.fails.code ? fail(err) : 0;
}

/* One more than fits a page of two. */
int search_messages(struct db *db, struct str user_id, struct str text,
                    const struct search_place *behind, size_t max, struct arena *arena,
                    struct search_hit **ret, size_t *ret_n, struct err *err) {
    (void)db, (void)user_id, (void)err;
    keep(&played.text, text);
    *ret = arena_alloc(arena, 3 * sizeof **ret);
    for (*ret_n = 0; *ret_n < MIN(max, (size_t)3); (*ret_n)++) {
        int64_t seq = (behind ? behind->seq : 10) - (int64_t)*ret_n;
        (*ret)[*ret_n] = (struct search_hit){
            .place = {.created_us = 1000000, .seq = seq, .thread_id = STR("t.1")},
            .message_id = STR("m"),
            .role = STR("user"),
            .snippet = STR("one \x02two\x03 three"),
        };
    }
    return 0;
}

int usage_sum_spans(struct db *db, struct str user_id, const int64_t *bounds_us, size_t n,
                    struct usage_row *ret, struct err *err) {
    (void)db, (void)user_id;
    for (size_t i = 0; i < n; i++) { /* a call an hour */
        ret[i] = (struct usage_row){.calls = (bounds_us[i + 1] - bounds_us[i]) / 3600000000};
    }
    return played.fails.code ? fail(err) : 0;
}

int usage_sum(struct db *db, struct str user_id, int64_t from_us, int64_t to_us,
              struct arena *arena, struct usage_row **ret, size_t *ret_n, struct err *err) {
    (void)db, (void)user_id, (void)from_us, (void)to_us;
    if (played.fails.code) {
        return fail(err);
    }
    *ret = arena_alloc(arena, sizeof **ret);
    **ret = (struct usage_row){
        .provider = STR("openai"), .model = STR("m"), .key_owner = STR("user"), .calls = 2};
    *ret_n = 1;
    return 0;
}

const char *turn_state_name(enum turn_state s) {
    static const char *const names[] = {"queued", "running", "interrupted",
                                        "done",   "failed",  "cancelled"};
    return names[s];
}

int turn_get(struct db *db, struct turn_key key, struct arena *arena, struct turn_row *ret,
             struct err *err) {
    (void)db, (void)arena;
    if (played.fails.code) {
        return fail(err);
    }
    if (!str_eq(key.turn_id, STR("t1"))) {
        return err_set(err, ERR_NOT_FOUND, "no such turn");
    }
    *ret = (struct turn_row){
        .thread_id = str_z(played.thread ? played.thread : "thread"),
        .state = played.cancelled ? TURN_CANCELLED : TURN_RUNNING,
    };
    return 0;
}

/* ---- runs ---- */

int run_reader_open(struct runs *runs, struct str user_id, struct str turn_id, int64_t since,
                    struct run_reader **ret, struct err *err) {
    (void)runs, (void)user_id;
    if (!str_eq(turn_id, STR("t1"))) {
        return err_set(err, ERR_NOT_FOUND, "no such turn");
    }
    *ret = mem_alloc(sizeof **ret);
    (*ret)->at = (size_t)since;
    played.readers++;
    return 0;
}

int run_read(struct run_reader *reader, int64_t timeout_ms, const struct run_event **ret,
             size_t *ret_n, struct err *err) {
    fiber_point();
    while (reader->at >= played.n_events && played.live) {
        int rc = fiber_wait(&played.changed, timeout_ms);
        if (rc < 0) {
            return rc;
        }
    }
    if (played.fails.code) {
        return fail(err);
    }
    *ret_n = 0;
    *ret = reader->batch;
    for (; reader->at < played.n_events; reader->at++) {
        reader->batch[(*ret_n)++] =
            (struct run_event){(int64_t)reader->at + 1, str_z(played.events[reader->at])};
    }
    return 0;
}

void run_reader_close(struct run_reader *reader) {
    played.readers -= reader != NULL;
    mem_free(reader);
}

struct runs_stats runs_stats(const struct runs *runs) {
    (void)runs;
    return (struct runs_stats){.readers = played.readers};
}

void played_event(const char *json) {
    played.events[played.n_events++] = json;
    fiber_broadcast(&played.changed);
}

/* ---- the engine ---- */

int turn_submit(struct turn_engine *e, const struct turn_submission *s, struct turn_ticket *ret,
                struct err *err) {
    (void)e;
    fiber_point();
    if (played.fails.code) {
        return fail(err);
    }
    keep(&played.user, s->user_id);
    keep(&played.thread_id, s->thread_id);
    keep(&played.turn_id, s->turn_id);
    keep(&played.text, s->text);
    keep(&played.content, s->content_json);
    keep(&played.model, s->model);
    keep(&played.agent, s->agent);
    played.allow_operator_llm = s->allow_operator_llm;
    played.submitted++;
    *ret = (struct turn_ticket){.existed = played.existed, .queued = played.queued};
    snprintf(ret->thread_id, sizeof ret->thread_id, "%s",
             s->thread_id.n ? strbuf_z(&played.thread_id) : "made");
    snprintf(ret->turn_id, sizeof ret->turn_id, "%s",
             s->turn_id.n ? strbuf_z(&played.turn_id) : "t1");
    ret->reader = mem_alloc(sizeof *ret->reader);
    played.readers++;
    return 0;
}

int turn_resume(struct turn_engine *e, const struct turn_resumption *r, struct turn_ticket *ret,
                size_t *ret_open, struct err *err) {
    (void)e;
    fiber_point();
    if (!str_eq(r->answers[0].interrupt_id, STR("i1"))) {
        return err_set(err, ERR_NOT_FOUND, "no such approval");
    }
    keep(&played.turn_id, r->turn_id);
    *ret = (struct turn_ticket){.thread_id = "made", .turn_id = "t2"};
    ret->reader = mem_alloc(sizeof *ret->reader);
    played.readers++;
    *ret_open = 0;
    return 0;
}

int interrupts_open(struct db *db, struct str user_id, struct str thread_id, int64_t now_us,
                    size_t max, struct arena *arena, struct interrupt_row **ret, size_t *ret_n,
                    struct err *err) {
    (void)db, (void)user_id, (void)thread_id, (void)now_us, (void)max, (void)arena, (void)err;
    *ret = NULL;
    *ret_n = 0;
    return 0;
}

int interrupt_get(struct db *db, struct str user_id, struct str id, struct arena *arena,
                  struct interrupt_row *ret, struct err *err) {
    (void)db, (void)user_id, (void)id, (void)arena, (void)ret;
    return err_set(err, ERR_NOT_FOUND, "no such approval");
}

void event_interrupt(struct jsonw *w, const struct interrupt *i) {
    (void)i;
    jsonw_null(w);
}

int turn_cancel(struct turn_engine *e, struct str user_id, struct str turn_id, struct err *err) {
    (void)e, (void)user_id;
    if (!str_eq(turn_id, STR("t1"))) {
        return err_set(err, ERR_NOT_FOUND, "no such turn");
    }
    played.cancelled++;
    return 0;
}

int turn_cancel_thread(struct turn_engine *e, struct str user_id, struct str thread_id,
                       struct err *err) {
    (void)e, (void)user_id;
    played.cancelled++;
    return find_thread(thread_id, err);
}

struct turn_engine_stats turn_engine_stats(const struct turn_engine *e) {
    (void)e;
    return (struct turn_engine_stats){.running = 1, .done = 7, .output_tokens = 5};
}

/* ---- the server and its clients ---- */

bool played_start(void) {
    struct err err;
    played = (struct played){.mode = AUTH_SHARED,
                             .user = STRBUF(1024),
                             .thread_id = STRBUF(1024),
                             .turn_id = STRBUF(1024),
                             .text = STRBUF(1 << 20),
                             .content = STRBUF(8 << 20),
                             .model = STRBUF(1024),
                             .agent = STRBUF(1024)};
    fiber_cond_init(&played.changed);
    played.profile = (struct profile){.llm = {STR("openai"), STR("gpt")},
                                      .llm_configured = true,
                                      .allowed_origins = STR("https://app.example, http://x:1")};
    static const struct asset web_files[] = {
        {.path = "/static/index.html", "text/html", "0123456789abcdef", STR("<!doctype html>")},
        {.path = "/static/sw.js", "text/javascript", "s", STR("self")},
        {.path = "/static/app-0a1b2c3d.js", "text/javascript", "a", STR("app"), .immutable = true},
    };
    played.gateway = (struct gateway){.profile = &played.profile,
                                      .version = "9.9",
                                      .web_files = web_files,
                                      .n_web_files = ARRAY_LEN(web_files)};
    played.gateway.feed = feed_new(NULL);
    if (!CHECK_OK(feed_start(played.gateway.feed, &err), &err)) {
        return false;
    }
    gateway_init(&played.gateway);
    struct http_server_options options = {.address = "127.0.0.1:0",
                                          .handler = api_handle,
                                          .on_done = api_on_done,
                                          .write_error = api_write_error,
                                          .context = &played.gateway};
    if (!CHECK_OK(http_server_start(&options, &played.server, &err), &err)) {
        return false;
    }
    played.gateway.server = played.server;
    return true;
}

void played_stop(void) {
    http_server_stop(played.server, 0);
    gateway_stop(&played.gateway);
    http_server_free(played.server);
    gateway_done(&played.gateway);
    feed_stop(played.gateway.feed);
    feed_free(take(played.gateway.feed));
    CHECK_INT(played.readers, 0);
    struct strbuf *all[] = {&played.user,    &played.thread_id, &played.turn_id, &played.text,
                            &played.content, &played.model,     &played.agent};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        strbuf_done(all[i]);
    }
}

struct wire_response played_ask(const char *request) {
    struct wire w;
    struct wire_response r;
    wire_open(&w, http_server_address(played.server));
    wire_send(&w, str_z(request));
    wire_read_response(&w, str_starts(str_z(request), STR("HEAD ")), &r);
    wire_done(&w);
    return r;
}

int played_post(const char *path, const char *json, struct wire_response *ret) {
    struct strbuf request cleanup(strbuf_done) = STRBUF(32 << 20);
    strbuf_addf(&request,
                "POST %s HTTP/1.1\r\nHost: localhost\r\nX-API-Key: " PLAYED_USER_KEY
                "\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                path, strlen(json));
    strbuf_addz(&request, json);
    *ret = played_ask(strbuf_z(&request));
    return ret->status;
}

int played_get(const char *path, struct wire_response *ret) {
    char request[4096];
    snprintf(request, sizeof request,
             "GET %s HTTP/1.1\r\nHost: localhost\r\nX-API-Key: " PLAYED_USER_KEY "\r\n\r\n", path);
    *ret = played_ask(request);
    return ret->status;
}

bool played_ws(struct wire *w) {
    wire_open(w, http_server_address(played.server));
    wire_send(w, STR("GET /ws HTTP/1.1\r\nHost: localhost\r\nX-API-Key: " PLAYED_USER_KEY
                     "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: "
                     "13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"));
    size_t end = wire_await_mark(w, STR("\r\n\r\n"));
    bool ok = CHECK(end > 0) && CHECK(str_starts(strbuf_str(&w->in), STR("HTTP/1.1 101")));
    strbuf_consume(&w->in, end);
    return ok;
}

/* A mask of zeros leaves the payload as it is. */
void played_ws_send(struct wire *w, const char *text) {
    struct strbuf frame cleanup(strbuf_done) = STRBUF(16 << 20);
    size_t n = strlen(text);
    strbuf_addc(&frame, (char)0x81);
    if (n < 126) {
        strbuf_addc(&frame, (char)(0x80 | n));
    } else {
        strbuf_addc(&frame, (char)(0x80 | 127));
        for (int shift = 56; shift >= 0; shift -= 8) {
            strbuf_addc(&frame, (char)(n >> shift));
        }
    }
    strbuf_add(&frame, (struct str){"\0\0\0\0", 4});
    strbuf_addz(&frame, text);
    wire_send(w, strbuf_str(&frame));
}

struct str played_ws_frame(struct wire *w) {
    static struct strbuf payload;
    size_t head = 2, n;
    payload.max = 16 << 20;
    strbuf_reset(&payload);
    if (!wire_await(w, 2)) {
        return STR_EMPTY;
    }
    n = (unsigned char)w->in.p[1];
    if (n >= 126) {
        size_t wide = n == 126 ? 2 : 8;
        n = 0;
        if (!wire_await(w, 2 + wide)) {
            return STR_EMPTY;
        }
        for (size_t i = 0; i < wide; i++) {
            n = n << 8 | (unsigned char)w->in.p[2 + i];
        }
        head += wide;
    }
    if (!wire_await(w, head + n)) {
        return STR_EMPTY;
    }
    strbuf_add(&payload, (struct str){w->in.p + head, n});
    strbuf_consume(&w->in, head + n);
    return strbuf_str(&payload);
}
