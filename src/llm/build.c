/* Gathers an answer while it streams. Text and reasoning of all blocks stand in one buffer, one
 * behind the other, so that a delta is a view of what was appended since the last one, and the
 * canonical message is written once, at the end. */
#include "base/id.h"
#include "base/mem.h"
#include "base/scan.h"
#include "llm/provider.h"
#include "net/sse.h"

enum { MAX_FAILURE_BYTES = 8 * 1024 };

enum block_type { BLOCK_TEXT, BLOCK_REASONING, BLOCK_TOOL };

struct block {
    enum block_type type;
    bool open;          /* text still goes here; only ever the last block */
    size_t start, size; /* in llm_build.text */
    struct str signature, redacted;
    size_t call; /* in llm_build.calls */
};

struct call {
    unsigned index; /* the provider's */
    struct str id, name;
    struct strbuf arguments;
    bool open;
};

enum pending { PENDING_NONE, PENDING_TEXT, PENDING_REASONING, PENDING_ARGUMENTS };

struct llm_build {
    const struct llm_provider *provider;
    struct llm_sink sink;
    struct arena arena; /* ids, names, signatures, the provider's state */
    void *state;
    struct sse_reader sse;
    struct line_reader lines;
    struct strbuf text, scratch;
    size_t max_bytes, bytes;
    struct block *blocks;
    size_t n_blocks, blocks_cap;
    struct call *calls;
    size_t n_calls, calls_cap;
    enum pending pending; /* gathered in this feed, not yet handed to the sink */
    size_t pending_from, pending_call;
    struct llm_usage usage;
    struct str model;
    enum llm_stop stop;
    struct str failure;
    bool may_end, complete, sink_failed;
};

/* Room for one more item of an array that grows. */
static void *grown(void *items, size_t n, size_t *cap, size_t item_size) {
    if (n < *cap) {
        return items;
    }
    *cap = *cap ? *cap * 2 : 4;
    return mem_resize(items, *cap * item_size);
}

/* ---- life ---- */

/* An event has the JSON around the text too, and escapes. */
static size_t max_event_bytes(size_t max_answer_bytes) {
    return 2 * max_answer_bytes + 64 * 1024;
}

struct llm_build *llm_build_new(const struct llm_provider *provider, const struct llm_sink *sink,
                                size_t max_answer_bytes) {
    struct llm_build *b = mem_alloc(sizeof *b);
    b->provider = provider;
    b->sink = *sink;
    b->max_bytes = max_answer_bytes;
    b->text = STRBUF(max_answer_bytes);
    b->scratch = STRBUF(max_answer_bytes);
    b->stop = LLM_STOP_END;
    b->state = arena_alloc(&b->arena, MAX(provider->state_bytes, (size_t)1));
    sse_reader_init(&b->sse, max_event_bytes(max_answer_bytes));
    line_reader_init(&b->lines, max_event_bytes(max_answer_bytes));
    return b;
}

void llm_build_free(struct llm_build *b) {
    if (!b) {
        return;
    }
    for (size_t i = 0; i < b->n_calls; i++) {
        strbuf_done(&b->calls[i].arguments);
    }
    mem_free(b->calls);
    mem_free(b->blocks);
    sse_reader_done(&b->sse);
    line_reader_done(&b->lines);
    strbuf_done(&b->text);
    strbuf_done(&b->scratch);
    arena_done(&b->arena);
    mem_free(b);
}

void llm_build_free_p(struct llm_build **b) {
    llm_build_free(*b);
}

/* ---- deltas ---- */

static int emit(struct llm_build *b, const struct llm_delta *delta, struct err *err) {
    int rc = b->sink.on_delta ? b->sink.on_delta(delta, b->sink.arg, err) : 0;
    b->sink_failed |= rc < 0;
    return rc;
}

static int flush(struct llm_build *b, struct err *err) {
    struct llm_delta delta = {0};
    switch (b->pending) {
    case PENDING_NONE:
        return 0;
    case PENDING_TEXT:
    case PENDING_REASONING:
        delta.type = b->pending == PENDING_TEXT ? LLM_TEXT : LLM_REASONING;
        delta.text = str_skip(strbuf_str(&b->text), b->pending_from);
        break;
    case PENDING_ARGUMENTS:
        delta.type = LLM_TOOL_ARGUMENTS;
        delta.index = (unsigned)b->pending_call;
        delta.text = str_skip(strbuf_str(&b->calls[b->pending_call].arguments), b->pending_from);
        break;
    }
    b->pending = PENDING_NONE;
    return b->sink_failed ? 0 : emit(b, &delta, err);
}

static int expect(struct llm_build *b, enum pending what, size_t call, size_t from,
                  struct err *err) {
    if (b->pending == what && b->pending_call == call) {
        return 0;
    }
    int rc = flush(b, err);
    b->pending = what;
    b->pending_call = call;
    b->pending_from = from;
    return rc;
}

static int count_bytes(struct llm_build *b, size_t n, struct err *err) {
    b->bytes += n;
    if (b->bytes > b->max_bytes) {
        return err_set(err, ERR_LIMIT, "the answer is longer than %zu bytes", b->max_bytes);
    }
    return 0;
}

/* ---- text and reasoning ---- */

static struct block *open_block(struct llm_build *b) {
    struct block *last = b->n_blocks ? &b->blocks[b->n_blocks - 1] : NULL;
    return last && last->open ? last : NULL;
}

static int close_block(struct llm_build *b, struct err *err) {
    struct block *block = open_block(b);
    if (!block) {
        return 0;
    }
    block->open = false;
    int rc = flush(b, err);
    if (rc == 0 && block->type == BLOCK_REASONING) {
        rc = emit(b, &(struct llm_delta){.type = LLM_REASONING_END}, err);
    }
    return rc;
}

static int add_block(struct llm_build *b, struct block block, struct err *err) {
    if (b->n_blocks == LLM_MAX_BLOCKS) {
        return err_set(err, ERR_LIMIT, "the answer has more than %d parts", LLM_MAX_BLOCKS);
    }
    block.start = b->text.n;
    b->blocks = grown(b->blocks, b->n_blocks, &b->blocks_cap, sizeof *b->blocks);
    b->blocks[b->n_blocks++] = block;
    return 0;
}

static int add_text(struct llm_build *b, enum block_type type, struct str text, struct err *err) {
    if (text.n == 0) {
        return 0;
    }
    struct block *block = open_block(b);
    int rc = count_bytes(b, text.n, err);
    if (rc == 0 && (!block || block->type != type)) {
        rc = close_block(b, err);
        if (rc == 0) {
            rc = add_block(b, (struct block){.type = type, .open = true}, err);
        }
        block = open_block(b);
    }
    if (rc == 0) {
        rc = expect(b, type == BLOCK_TEXT ? PENDING_TEXT : PENDING_REASONING, 0, b->text.n, err);
    }
    if (rc == 0) {
        strbuf_add(&b->text, text);
        block->size += text.n;
    }
    return rc;
}

int llm_build_text(struct llm_build *b, struct str text, struct err *err) {
    return add_text(b, BLOCK_TEXT, text, err);
}

int llm_build_reasoning(struct llm_build *b, struct str text, struct err *err) {
    return add_text(b, BLOCK_REASONING, text, err);
}

bool llm_build_raw_text(struct llm_build *b, enum llm_delta_type type, struct str raw, int *ret_rc,
                        struct err *err) {
    enum block_type block = type == LLM_TEXT ? BLOCK_TEXT : BLOCK_REASONING;
    if (str_find_char(raw, '\\') == SIZE_MAX && str_is_utf8(raw)) {
        *ret_rc = add_text(b, block, raw, err);
        return true;
    }
    struct strbuf text cleanup(strbuf_done) = STRBUF(raw.n);
    if (!scan_unescape(&text, raw)) {
        return false;
    }
    *ret_rc = add_text(b, block, strbuf_str(&text), err);
    return true;
}

int llm_build_reasoning_end(struct llm_build *b, struct str signature, struct str redacted,
                            struct err *err) {
    struct block *block = open_block(b);
    int rc = count_bytes(b, signature.n + redacted.n, err);
    if (rc < 0) {
        return rc;
    }
    if (!block || block->type != BLOCK_REASONING) {
        if (signature.n == 0 && redacted.n == 0) {
            return 0;
        }
        rc = close_block(b, err);
        if (rc == 0) {
            rc = add_block(b, (struct block){.type = BLOCK_REASONING}, err);
        }
        if (rc < 0) {
            return rc;
        }
        block = &b->blocks[b->n_blocks - 1];
    }
    block->signature = arena_str(&b->arena, signature);
    block->redacted = arena_str(&b->arena, redacted);
    return close_block(b, err);
}

/* ---- tool calls ---- */

static struct call *find_call(struct llm_build *b, unsigned index) {
    for (size_t i = b->n_calls; i-- > 0;) {
        if (b->calls[i].index == index) {
            return &b->calls[i];
        }
    }
    return NULL;
}

static bool id_is_used(const struct llm_build *b, struct str id) {
    for (size_t i = 0; i < b->n_calls; i++) {
        if (str_eq(b->calls[i].id, id)) {
            return true;
        }
    }
    return false;
}

static struct str made_id(struct arena *arena) {
    struct id id = id_new();
    char hex[ID_LEN], *p = hex;
    for (const char *c = id.z; *c; c++) {
        if (*c != '-') {
            *p++ = *c;
        }
    }
    return arena_printf(arena, "call_%.*s", (int)(p - hex), hex);
}

int llm_build_tool_start(struct llm_build *b, unsigned index, struct str id, struct str name,
                         struct err *err) {
    if (b->n_calls == LLM_MAX_TOOL_CALLS) {
        return err_set(err, ERR_LIMIT, "the answer has more than %d tool calls",
                       LLM_MAX_TOOL_CALLS);
    }
    if (find_call(b, index)) {
        return err_set(err, ERR_PROTOCOL, "the answer has two tool calls with number %u", index);
    }
    if (count_bytes(b, id.n + name.n, err) < 0 || close_block(b, err) < 0 || flush(b, err) < 0 ||
        add_block(b, (struct block){.type = BLOCK_TOOL, .call = b->n_calls}, err) < 0) {
        return -(int)err->code;
    }
    b->calls = grown(b->calls, b->n_calls, &b->calls_cap, sizeof *b->calls);
    struct call *call = &b->calls[b->n_calls];
    *call = (struct call){.index = index, .open = true, .arguments = STRBUF(b->max_bytes)};
    call->id = id.n == 0 || id_is_used(b, id) ? made_id(&b->arena) : arena_str(&b->arena, id);
    call->name = arena_str(&b->arena, name);
    struct llm_delta delta = {.type = LLM_TOOL_START,
                              .index = (unsigned)b->n_calls++,
                              .id = call->id,
                              .name = call->name};
    return emit(b, &delta, err);
}

int llm_build_tool_arguments(struct llm_build *b, unsigned index, struct str fragment,
                             struct err *err) {
    struct call *call = find_call(b, index);
    if (!call || !call->open) {
        return err_set(err, ERR_PROTOCOL,
                       "the answer has arguments of a tool call that is not open");
    }
    if (fragment.n == 0) {
        return 0;
    }
    int rc = count_bytes(b, fragment.n, err);
    if (rc == 0) {
        rc = expect(b, PENDING_ARGUMENTS, (size_t)(call - b->calls), call->arguments.n, err);
    }
    if (rc == 0) {
        strbuf_add(&call->arguments, fragment);
    }
    return rc;
}

int llm_build_tool_end(struct llm_build *b, unsigned index, struct err *err) {
    struct call *call = find_call(b, index);
    if (!call || !call->open) {
        return 0;
    }
    call->open = false;
    int rc = flush(b, err);
    struct llm_delta delta = {.type = LLM_TOOL_END, .index = (unsigned)(call - b->calls)};
    return rc < 0 ? rc : emit(b, &delta, err);
}

/* ---- the rest of what a stream says ---- */

struct llm_usage *llm_build_usage(struct llm_build *b) {
    return &b->usage;
}

void llm_build_model(struct llm_build *b, struct str model) {
    if (b->model.n == 0 && model.n <= 256) {
        b->model = arena_str(&b->arena, model);
    }
}

void llm_build_stop(struct llm_build *b, enum llm_stop stop) {
    b->stop = stop;
}

enum llm_stop llm_build_stopped(const struct llm_build *b) {
    return b->stop;
}

void llm_build_may_end(struct llm_build *b) {
    b->may_end = true;
}

void llm_build_complete(struct llm_build *b) {
    b->may_end = b->complete = true;
}

void *llm_build_state(struct llm_build *b) {
    return b->state;
}

struct strbuf *llm_build_scratch(struct llm_build *b) {
    return &b->scratch;
}

int llm_build_failed(struct llm_build *b, enum err_code code, struct str message, struct err *err) {
    b->failure = arena_str(&b->arena, str_utf8_head(message, MAX_FAILURE_BYTES));
    return err_set(err, code, "the server reported a failure");
}

bool llm_build_started(const struct llm_build *b) {
    return b->n_blocks > 0;
}

bool llm_build_is_whole(const struct llm_build *b) {
    return b->may_end;
}

bool llm_build_is_complete(const struct llm_build *b) {
    return b->complete;
}

bool llm_build_sink_failed(const struct llm_build *b) {
    return b->sink_failed;
}

struct str llm_build_failure(const struct llm_build *b) {
    return b->failure;
}

/* ---- the stream ---- */

static int on_sse(const struct sse_event *event, void *arg, struct err *err) {
    struct llm_build *b = arg;
    return b->complete ? 0 : b->provider->on_event(b, event->type, event->data, err);
}

static int on_line(struct str line, void *arg, struct err *err) {
    struct llm_build *b = arg;
    return b->complete ? 0 : b->provider->on_event(b, STR_EMPTY, line, err);
}

/* What came before a failure is the user's to see, and must not replace the failure. */
static int flush_after(struct llm_build *b, int rc, struct err *err) {
    struct err later;
    if (rc == 0) {
        return flush(b, err);
    }
    if (!b->sink_failed && flush(b, &later) < 0) {
        b->sink_failed = false;
    }
    return rc;
}

int llm_build_feed(struct llm_build *b, struct str bytes, struct err *err) {
    int rc = b->provider->framing == LLM_SSE ? sse_reader_feed(&b->sse, bytes, on_sse, b, err)
                                             : line_reader_feed(&b->lines, bytes, on_line, b, err);
    return flush_after(b, rc, err);
}

static int close_all(struct llm_build *b, struct err *err) {
    int rc = close_block(b, err);
    for (size_t i = 0; i < b->n_calls && rc == 0; i++) {
        rc = llm_build_tool_end(b, b->calls[i].index, err);
    }
    return rc;
}

int llm_build_finish(struct llm_build *b, struct err *err) {
    int rc = b->provider->framing == LLM_LINES ? line_reader_finish(&b->lines, on_line, b, err) : 0;
    rc = flush_after(b, rc, err);
    if (rc == 0 && !b->may_end) {
        rc = err_set(err, ERR_PROTOCOL, "the answer broke off");
    }
    return rc < 0 ? rc : close_all(b, err);
}

/* ---- the result ---- */

static struct str block_text(const struct llm_build *b, const struct block *block) {
    return str_head(str_skip(strbuf_str(&b->text), block->start), block->size);
}

static struct str call_arguments(const struct call *call) {
    struct str text = str_trim(strbuf_str(&call->arguments));
    return text.n ? text : STR("{}");
}

static void write_reasoning(const struct llm_build *b, const struct block *block, struct jsonw *w) {
    jsonw_kstrz(w, "type", "reasoning");
    jsonw_kstr(w, "text", block_text(b, block));
    jsonw_kstrz(w, "provider", b->provider->name);
    if (block->signature.n) {
        jsonw_kstr(w, "signature", block->signature);
    }
    if (block->redacted.n) {
        jsonw_kstr(w, "redacted", block->redacted);
    }
}

static void write_block(const struct llm_build *b, const struct block *block, struct jsonw *w) {
    jsonw_object(w);
    if (block->type == BLOCK_TEXT) {
        jsonw_kstrz(w, "type", "text");
        jsonw_kstr(w, "text", block_text(b, block));
    } else if (block->type == BLOCK_REASONING) {
        write_reasoning(b, block, w);
    } else {
        const struct call *call = &b->calls[block->call];
        jsonw_kstrz(w, "type", "tool_call");
        jsonw_kstr(w, "id", call->id);
        jsonw_kstr(w, "name", call->name);
        jsonw_kstr(w, "arguments", call_arguments(call));
    }
    jsonw_end_object(w);
}

/* Where text is all there is, the text of all blocks is the whole buffer. */
static struct str write_message(const struct llm_build *b, bool plain, bool whole,
                                struct arena *arena) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(8 * b->max_bytes + LLM_MAX_BLOCKS * 256);
    struct jsonw w = jsonw_begin(&out);
    size_t written = 0;
    jsonw_object(&w);
    jsonw_kstrz(&w, "role", "assistant");
    if (plain) {
        jsonw_kstr(&w, "content", strbuf_str(&b->text));
        written = b->n_blocks;
    } else {
        jsonw_key(&w, "content");
        jsonw_array(&w);
        for (size_t i = 0; i < b->n_blocks; i++) {
            if (whole || b->blocks[i].type != BLOCK_TOOL) {
                write_block(b, &b->blocks[i], &w);
                written++;
            }
        }
        jsonw_end_array(&w);
    }
    jsonw_end_object(&w);
    return written && !out.failed ? arena_str(arena, strbuf_str(&out)) : STR_EMPTY;
}

/* Servers differ in what they call the end of an answer that has tool calls. */
static enum llm_stop stop_of(const struct llm_build *b, bool whole) {
    bool calls = whole && b->n_calls > 0;
    if (calls && b->stop == LLM_STOP_END) {
        return LLM_STOP_TOOLS;
    }
    return !calls && b->stop == LLM_STOP_TOOLS ? LLM_STOP_END : b->stop;
}

void llm_build_result(struct llm_build *b, bool whole, struct arena *arena,
                      struct llm_result *ret) {
    *ret = (struct llm_result){.message = STR_EMPTY, .usage = b->usage, .plain = true};
    for (size_t i = 0; i < b->n_blocks; i++) {
        ret->plain &= b->blocks[i].type == BLOCK_TEXT;
        ret->has_text |= b->blocks[i].type == BLOCK_TEXT;
    }
    ret->plain &= b->n_blocks > 0;
    if (b->n_blocks) {
        ret->message = write_message(b, ret->plain, whole, arena);
    }
    ret->stop = stop_of(b, whole);
    ret->model = arena_str(arena, b->model);
    if (!whole || b->n_calls == 0) {
        return;
    }
    ret->n_tool_calls = b->n_calls;
    ret->tool_calls = arena_alloc(arena, b->n_calls * sizeof *ret->tool_calls);
    for (size_t i = 0; i < b->n_calls; i++) {
        ret->tool_calls[i].id = arena_str(arena, b->calls[i].id);
        ret->tool_calls[i].name = arena_str(arena, b->calls[i].name);
        ret->tool_calls[i].arguments = arena_str(arena, call_arguments(&b->calls[i]));
    }
}
