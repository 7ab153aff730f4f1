#include "house.h"

#include "event/event.h"
#include "net/http_client.h"

enum { PATIENCE_MS = 20 * 1000, PAUSE_MS = 5, MAX_LOUD = TOOL_RESULT_MAX_BYTES };

/* ---- tools ---- */

static int note(struct house *h, enum house_tool tool, struct tool_result *ret, const char *text) {
    h->calls[tool]++;
    fiber_broadcast(&h->gate);
    ret->content = str_z(text);
    return 0;
}

#define TOOL(name_)                                                                                \
    static int name_(const struct tool_call *call, struct arena *arena, struct tool_result *ret,   \
                     void *context, struct err *err)
#define UNUSED (void)call, (void)arena, (void)ret, (void)context, (void)err

TOOL(look) {
    UNUSED;
    return note(context, TOOL_LOOK, ret, "seen");
}

TOOL(act) {
    UNUSED;
    return note(context, TOOL_ACT, ret, "acted");
}

static int wait_at_gate(struct house *h, struct err *err) {
    while (!h->gate_open) {
        int rc = fiber_wait(&h->gate, PATIENCE_MS);
        if (rc < 0) {
            h->gave_up += rc == -ERR_TIMEOUT;
            return err_set(err, (enum err_code) - rc, "waiting at the gate");
        }
    }
    return 0;
}

TOOL(wait_look) {
    UNUSED;
    note(context, TOOL_WAIT_LOOK, ret, "seen late");
    return wait_at_gate(context, err);
}

TOOL(wait_act) {
    UNUSED;
    note(context, TOOL_WAIT_ACT, ret, "acted late");
    return wait_at_gate(context, err);
}

static int sleep_long(struct err *err) {
    int rc = fiber_sleep(PATIENCE_MS);
    return rc < 0 ? err_set(err, (enum err_code) - rc, "it took too long") : 0;
}

TOOL(slow_look) {
    UNUSED;
    note(context, TOOL_SLOW_LOOK, ret, "never");
    return sleep_long(err);
}

TOOL(slow_act) {
    UNUSED;
    note(context, TOOL_SLOW_ACT, ret, "never");
    return sleep_long(err);
}

TOOL(refuse) {
    UNUSED;
    ret->is_error = true;
    return note(context, TOOL_REFUSE, ret, "no");
}

TOOL(fail) {
    UNUSED;
    note(context, TOOL_FAIL, ret, "");
    return err_set(err, ERR_UNAVAILABLE, "the weather is away");
}

TOOL(loud) {
    UNUSED;
    char *p = arena_alloc(arena, MAX_LOUD);
    memset(p, 1, MAX_LOUD);
    note(context, TOOL_LOUD, ret, "");
    ret->content = (struct str){p, MAX_LOUD};
    return 0;
}

static struct tool tools[HOUSE_TOOLS] = {
    [TOOL_LOOK] = {.name = "look", .repeatable = true, .run = look},
    [TOOL_ACT] = {.name = "act", .run = act},
    [TOOL_WAIT_LOOK] = {.name = "wait_look", .repeatable = true, .run = wait_look},
    [TOOL_WAIT_ACT] = {.name = "wait_act", .run = wait_act},
    [TOOL_SLOW_LOOK] = {.name = "slow_look",
                        .repeatable = true,
                        .timeout_ms = 30,
                        .run = slow_look},
    [TOOL_SLOW_ACT] = {.name = "slow_act", .timeout_ms = 30, .run = slow_act},
    [TOOL_REFUSE] = {.name = "refuse", .repeatable = true, .run = refuse},
    [TOOL_FAIL] = {.name = "fail", .repeatable = true, .run = fail},
    [TOOL_LOUD] = {.name = "loud", .repeatable = true, .run = loud},
};

static void register_tools(struct house *h) {
    h->tools = tool_registry_new();
    for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
        tools[i].description = "A tool for tests.";
        tools[i].schema = "{\"type\":\"object\"}";
        tools[i].context = h;
        tool_register(h->tools, &tools[i]);
    }
}

/* ---- the house ---- */

static void serve(struct http_request *r, void *context) {
    fake_serve(context, &fake_openai, r);
}

static bool start_upstream(struct house *h) {
    struct http_server_options options = {.address = "127.0.0.1:0",
                                          .handler = serve,
                                          .context = &h->model,
                                          .max_body_bytes = FAKE_MAX_BODY_BYTES};
    h->model.script = fake_script_state_new();
    h->model.log = fake_log_new();
    if (!CHECK_OK(http_server_start(&options, &h->upstream, &h->f.err), &h->f.err)) {
        return false;
    }
    snprintf(h->url, sizeof h->url, "http://%s/v1", http_server_address(h->upstream));
    return true;
}

bool house_open(struct house *h, struct test_backend *backend) {
    fiber_cond_init(&h->gate);
    if (!fixture_open(&h->f, backend) || !CHECK_OK(http_client_start(&h->f.err), &h->f.err) ||
        !start_upstream(h)) {
        return false;
    }
    h->profile = (struct profile){
        .approval_ttl_s = 3600,
        .default_user = ME,
        .llm = {.provider = STR("openai"), .model = STR("fake-1")},
        .openai_base_url = str_z(h->url),
        .turn_max_steps = 8,
        .user_max_turns = 64,
        .turn_max_tokens = 400000,
        .turn_max_seconds = 60,
        .lease_ms = 2000,
        .event_retention_s = 600,
        .llm_idle_timeout_ms = 5000,
    };
    register_tools(h);
    h->epochs = user_epochs_new(h->f.db);
    h->toolbox = toolbox_new(
        &(struct toolbox_options){.registry = h->tools, .db = h->f.db, .epochs = h->epochs});
    return true;
}

void house_close(struct house *h) {
    static const struct db_sql open_effects =
        DB_SQL("check_effects", "SELECT COUNT(*) FROM effects e JOIN turns t ON "
                                "t.user_id = e.user_id AND t.id = e.turn_id WHERE "
                                "e.state = 'intent' AND t.state NOT IN ('running', 'queued')");
    if (h->upstream) {
        CHECK_INT(number_of(&h->f, &open_effects), 0);
        http_client_stop();
        http_server_stop(h->upstream, 0);
        http_server_free(h->upstream);
    }
    fake_bench_clear(&h->model);
    fake_script_state_free(h->model.script);
    if (h->model.log) {
        fake_log_free(h->model.log);
    }
    map_done(&h->model.cached);
    map_done(&h->model.effects);
    toolbox_free(h->toolbox);
    user_epochs_free(h->epochs);
    tool_registry_free(h->tools);
    fixture_close(&h->f);
}

void house_open_gate(struct house *h) {
    h->gate_open = true;
    fiber_broadcast(&h->gate);
}

bool house_called(struct house *h, enum house_tool tool, unsigned n) {
    int64_t until_us = clock_mono_us() + PATIENCE_MS * 1000;
    while (h->calls[tool] < n && clock_mono_us() < until_us) {
        (void)fiber_sleep(PAUSE_MS);
    }
    return h->calls[tool] >= n;
}

/* ---- processes ---- */

static void make(struct house *h, const char *id, struct process *ret) {
    *ret = (struct process){.house = h};
    snprintf(ret->id, sizeof ret->id, "%s", id);
    ret->runs = runs_new(h->f.db, str_z(ret->id));
    CHECK_OK(runs_start(ret->runs, &h->f.err), &h->f.err);
    ret->engine = turn_engine_new(&(struct turn_engine_options){.profile = &h->profile,
                                                                .db = h->f.db,
                                                                .runs = ret->runs,
                                                                .toolbox = h->toolbox,
                                                                .epochs = h->epochs,
                                                                .process_id = str_z(ret->id)});
}

void process_open(struct house *h, const char *id, struct process *ret) {
    int64_t until_us = clock_now_us() + 3600 * INT64_C(1000000);
    make(h, id, ret);
    CHECK_OK(lease_renew(h->f.db, str_z(id), until_us, &h->f.err), &h->f.err);
}

void process_start(struct house *h, const char *id, struct process *ret) {
    make(h, id, ret);
    CHECK_OK(turn_engine_start(ret->engine, &h->f.err), &h->f.err);
}

void process_wake(struct process *p) {
    CHECK_OK(turn_engine_start(p->engine, &p->house->f.err), &p->house->f.err);
}

void process_lose_lease(struct process *p) {
    struct fixture *f = &p->house->f;
    CHECK_OK(lease_drop(f->db, str_z(p->id), &f->err), &f->err);
}

void process_close(struct process *p) {
    if (p->engine) {
        turn_engine_stop(p->engine, 0);
        turn_engine_free(p->engine);
        runs_stop(p->runs);
        runs_free(p->runs);
    }
}

/* ---- talking ---- */

int say(struct process *p, const char *thread, const char *turn, const char *text,
        struct turn_ticket *ret, struct err *err) {
    struct turn_submission s = {.user_id = ME,
                                .allow_operator_llm = true,
                                .thread_id = str_z(thread),
                                .turn_id = str_z(turn),
                                .text = str_z(text)};
    *ret = (struct turn_ticket){0};
    return turn_submit(p->engine, &s, ret, err);
}

static void append(char *to, size_t size, struct str s) {
    size_t n = strlen(to);
    snprintf(to + n, size - n, "%.*s", STR_ARG(s));
}

static void note_type(struct heard *h, struct str type) {
    size_t n = strlen(h->types);
    if (n > type.n && str_ends((struct str){h->types, n - 1}, type) &&
        (n - 1 == type.n || h->types[n - 2 - type.n] == ' ')) {
        return;
    }
    append(h->types, sizeof h->types, type);
    append(h->types, sizeof h->types, STR(" "));
}

static void note_event(struct heard *h, int64_t seq, struct str json) {
    json_auto_t *event = NULL;
    struct err err;
    if (!CHECK_OK(json_read(json, &event, &err), &err)) {
        return;
    }
    struct str type = json_str(event, "type");
    note_type(h, type);
    h->events++;
    h->after_end += h->ends > 0;
    h->out_of_order += seq != 0 && seq <= h->last_seq;
    h->last_seq = seq ? seq : h->last_seq;
    h->unbalanced += (unsigned)(str_ends(type, STR("_START")) - str_ends(type, STR("_END")));
    if (str_eq(type, STR("TEXT_MESSAGE_CONTENT"))) {
        append(h->text, sizeof h->text, json_str(event, "delta"));
    } else if (str_eq(type, STR("TEXT_MESSAGE_END"))) {
        append(h->text, sizeof h->text, STR("|"));
    } else if (str_eq(type, STR("TOOL_CALL_RESULT"))) {
        append(h->results, sizeof h->results, str_head(json_str(event, "content"), 200));
        append(h->results, sizeof h->results, STR("|"));
    } else if (str_eq(type, STR("RUN_ERROR"))) {
        append(h->error, sizeof h->error, json_str(event, "code"));
    }
    h->ends += str_eq(type, STR("RUN_FINISHED")) || str_eq(type, STR("RUN_ERROR"));
}

void heard_note(struct heard *h, const struct run_event *events, size_t n) {
    for (size_t i = 0; i < n; i++) {
        note_event(h, events[i].seq, events[i].json);
    }
}

/* One batch; false at the end. */
static bool hear_some(struct run_reader *reader, struct heard *h) {
    const struct run_event *events;
    struct err err;
    size_t n;
    h->rc = run_read(reader, PATIENCE_MS, &events, &n, &err);
    if (!CHECK_OK(h->rc, &err)) {
        return false;
    }
    heard_note(h, events, n);
    return n > 0;
}

void hear(struct run_reader *reader, struct heard *ret) {
    while (hear_some(reader, ret)) {
    }
    run_reader_close(reader);
}

bool hear_until(struct run_reader *reader, const char *type, struct heard *ret) {
    while (!strstr(ret->types, type)) {
        if (!hear_some(reader, ret)) {
            return CHECK(false);
        }
    }
    return true;
}

void check_whole(const struct heard *h) {
    CHECK(str_starts(str_z(h->types), STR("RUN_STARTED ")));
    CHECK(!strstr(h->types + 1, "RUN_STARTED"));
    CHECK_INT(h->ends, 1);
    CHECK_INT(h->after_end, 0);
    CHECK_INT(h->out_of_order, 0);
    CHECK_INT(h->unbalanced, 0);
}

void talk(struct process *p, const char *thread, const char *turn, const char *text,
          struct heard *ret) {
    struct turn_ticket ticket;
    struct err err;
    *ret = (struct heard){0};
    if (CHECK_OK(say(p, thread, turn, text, &ticket, &err), &err)) {
        hear(ticket.reader, ret);
        check_whole(ret);
    }
}

/* ---- what the store has ---- */

static unsigned count_calls(const json_t *message) {
    const json_t *content = json_object_get(message, "content");
    unsigned n = 0;
    size_t i;
    json_t *block;
    json_array_foreach (content, i, block) {
        n += str_eq(json_str(block, "type"), STR("tool_call"));
    }
    return n;
}

struct str messages(struct house *h, const char *thread) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(1024 * 1024);
    struct fixture *f = &h->f;
    struct thread_message *m;
    size_t n;
    if (!CHECK_OK(thread_messages(f->db, ME, str_z(thread), 0, 1000, &f->arena, &m, &n, &f->err),
                  &f->err)) {
        return STR_EMPTY;
    }
    for (size_t i = 0; i < n; i++) {
        json_auto_t *tree = NULL;
        CHECK_OK(json_read(m[i].json, &tree, &f->err), &f->err);
        CHECK_INT(m[i].seq, i + 1);
        strbuf_addf(&out, "%.*s:", STR_ARG(m[i].role));
        CHECK_OK(event_message_text(&out, m[i].json, &f->err), &f->err);
        if (count_calls(tree)) {
            strbuf_addf(&out, "+%u", count_calls(tree));
        }
        strbuf_addc(&out, ' ');
    }
    return arena_str(&f->arena, strbuf_str(&out));
}

struct str state_of(struct house *h, const char *id) {
    struct fixture *f = &h->f;
    struct turn_row row;
    if (!CHECK_OK(turn_get(f->db, turn(id), &f->arena, &row, &f->err), &f->err)) {
        return STR_EMPTY;
    }
    return arena_printf(&f->arena, "%s %lld", turn_state_name(row.state), (long long)row.epoch);
}

struct str effects_of(struct house *h, const char *id) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(4096);
    struct fixture *f = &h->f;
    struct turn_effect *effects;
    size_t n;
    CHECK_OK(turn_effects(f->db, turn(id), &f->arena, &effects, &n, &f->err), &f->err);
    for (size_t i = 0; i < n; i++) {
        strbuf_addf(&out, "%.*s ", STR_ARG(effects[i].state));
    }
    return arena_str(&f->arena, strbuf_str(&out));
}

bool ended(struct house *h, const char *id) {
    struct fixture *f = &h->f;
    struct turn_row row;
    int64_t until_us = clock_mono_us() + PATIENCE_MS * 1000;
    do {
        struct arena arena cleanup(arena_done) = {0};
        struct err err;
        if (turn_get(f->db, turn(id), &arena, &row, &err) == 0 && !turn_state_open(row.state)) {
            return true;
        }
        (void)fiber_sleep(PAUSE_MS);
    } while (clock_mono_us() < until_us);
    return false;
}
