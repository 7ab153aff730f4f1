/* What to answer: the directives in a user's message, and small talk where there are none.
 *
 *   [tokens 32]  [big 1000000]  [say any text]         what the text is
 *   [reason 20]  [reason redacted]                     reasoning before it
 *   [tool NAME {"json":1}]  [then]                     a call; several are parallel; the next round
 *                                                      (NAME without its server's prefix will do)
 *   [loop]  [bad-args]                                 calls for ever; broken JSON as arguments
 *   [head 100]  [first 500]  [delay 20]                ms before the status, the first token, each
 *   [status 429 retry 2]  [fail-times 2 503]           an error, for ever or the first times; in
 *   [fail-times 2 drop]                                place of the status: drop, hang, cut
 *   [cut 5]  [truncate 5]  [stall 5]  [error-in-stream 5]  [garbage 5]      after 5 tokens
 *   [hang]  [drop]                                     no answer at all
 *   [refuse]  [length]                                 other ends
 *   [echo-system]  [echo-messages]  [echo-tools]  [echo-results]      what it was sent
 *   [title any text]  [title fail]                     what it answers when it is asked for a title
 *   [verbatim]                                         says what follows, to the end or to a line
 *                                                      that begins with [then]
 *
 * What stands behind the n-th [then] is for the n-th round of calls; pace is for all of them. */
#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "fake.h"

enum { MAX_TRACKED = 10000, MAX_SCENES = 200 };

struct scene {
    struct str phrase, directives; /* views of the file */
};

struct fake_script_state {
    struct map failures; /* transcript's hash -> number so far */
    char *scenes_text;
    struct scene scenes[MAX_SCENES];
    size_t n_scenes;
};

struct script {
    struct fake_script_state *state;
    const struct fake_conversation *c;
    struct fake_answer *a;
    unsigned round;
    bool bad_args;
    struct strbuf plain; /* the message without its directives */
};

struct fake_script_state *fake_script_state_new(void) {
    return mem_alloc(sizeof(struct fake_script_state));
}

void fake_script_state_free(struct fake_script_state *s) {
    if (s) {
        map_done(&s->failures);
        mem_free(s->scenes_text);
        mem_free(s);
    }
}

void fake_script_scenes(struct fake_script_state *s, struct str text) {
    s->scenes_text = mem_dup(text.p, text.n);
    struct str rest = {s->scenes_text, text.n};
    while (rest.n > 0 && s->n_scenes < MAX_SCENES) {
        size_t end = str_find(rest, STR("\n=== "));
        struct str scene = str_head(rest, end == SIZE_MAX ? rest.n : end + 1);
        rest = str_skip(rest, scene.n);
        if (str_starts(scene, STR("=== "))) {
            scene = str_skip(scene, 4);
            s->scenes[s->n_scenes].phrase = str_trim(str_cut(&scene, '\n'));
            s->scenes[s->n_scenes++].directives = str_trim(scene);
        }
    }
}

struct str fake_next_piece(struct str *rest, size_t piece_bytes) {
    size_t n = 0;
    if (piece_bytes) {
        n = str_utf8_head(*rest, piece_bytes).n;
    } else {
        while (n < rest->n && rest->p[n] != ' ' && rest->p[n] != '\n') {
            n++;
        }
        while (n < rest->n && (rest->p[n] == ' ' || rest->p[n] == '\n')) {
            n++;
        }
        n = n > 64 ? str_utf8_head(*rest, 64).n : n;
    }
    struct str piece = str_head(*rest, n ? n : rest->n);
    *rest = str_skip(*rest, piece.n);
    return piece;
}

/* ---- directives ---- */

static int64_t number(struct str *args, int64_t fallback) {
    int64_t n = fallback;
    struct str word = str_cut(args, ' ');
    return str_to_i64(word, &n) ? n : fallback;
}

static struct str words(struct arena *arena, int64_t n) {
    static const char *const list[] = {"the ",  "quick ", "brown ", "fox ", "jumps ",
                                       "over ", "the ",   "lazy ",  "dog ", "again "};
    struct strbuf out cleanup(strbuf_done) = STRBUF(FAKE_MAX_ANSWER_BYTES);
    for (int64_t i = 0; i < n; i++) {
        strbuf_addz(&out, list[i % (int64_t)ARRAY_LEN(list)]);
    }
    return arena_str(arena, strbuf_str(&out));
}

static void on_tokens(struct script *s, struct str args) {
    s->a->text = words(s->c->arena, number(&args, 32));
}

static void on_big(struct script *s, struct str args) {
    int64_t n = number(&args, 1000000);
    n = MAX(1, MIN(n, FAKE_MAX_ANSWER_BYTES));
    char *p = arena_alloc(s->c->arena, (size_t)n + 1);
    for (int64_t i = 0; i < n; i++) {
        p[i] = i % 80 == 79 ? '\n' : (char)('a' + i % 26);
    }
    s->a->text = (struct str){p, (size_t)n};
    s->a->piece_bytes = 1000;
}

static void on_say(struct script *s, struct str args) {
    s->a->text = args;
}

static void on_reason(struct script *s, struct str args) {
    s->a->redacted = str_eq(args, STR("redacted"));
    s->a->reasoning = words(s->c->arena, number(&args, 12));
}

static void on_tool(struct script *s, struct str args) {
    struct fake_answer *a = s->a;
    struct str name = str_cut(&args, ' ');
    args = str_trim(args);
    if (a->n_calls < FAKE_MAX_CALLS && fake_is_name(name, 128)) {
        a->calls[a->n_calls++] =
            (struct fake_call){fake_find_tool(s->c, name), args.n ? args : STR("{}")};
    }
}

static void on_loop(struct script *s, struct str args) {
    struct str tools = strbuf_str(&s->c->tool_names);
    (void)args;
    if (fake_has_tool(s->c, STR("current_time"))) {
        on_tool(s, STR("current_time {}"));
    } else if (tools.n > 0) {
        on_tool(s, str_cut(&tools, ' '));
    }
}

static void on_bad_args(struct script *s, struct str args) {
    (void)args;
    s->bad_args = true;
}

static void on_head(struct script *s, struct str args) {
    s->a->head_ms = number(&args, 500);
}

static void on_first(struct script *s, struct str args) {
    s->a->first_ms = number(&args, 500);
}

static void on_delay(struct script *s, struct str args) {
    s->a->delay_ms = number(&args, 20);
}

static void fail(struct script *s, struct str how) {
    struct fake_answer *a = s->a;
    struct str word = str_cut(&how, ' ');
    int64_t status;
    if (str_to_i64(word, &status) && status >= 300 && status <= 599) {
        a->mishap = FAKE_STATUS;
        a->status = (int)status;
        if (str_eq(str_cut(&how, ' '), STR("retry"))) {
            a->retry_after_s = number(&how, 1);
        }
    } else if (str_eq(word, STR("hang"))) {
        a->mishap = FAKE_HANG;
    } else if (str_eq(word, STR("cut"))) {
        a->mishap = FAKE_CUT;
    } else {
        a->mishap = FAKE_DROP;
    }
}

static void on_fail_times(struct script *s, struct str args) {
    struct map *failures = &s->state->failures;
    int64_t times = number(&args, 1);
    intptr_t so_far = (intptr_t)map_get(failures, str_z(s->c->hash));
    if (so_far >= times) {
        return;
    }
    if (map_count(failures) > MAX_TRACKED) {
        map_done(failures);
        *failures = (struct map){0};
    }
    map_put(failures, str_z(s->c->hash), (void *)(so_far + 1));
    fail(s, args);
}

static void mishap(struct script *s, enum fake_mishap what, struct str args) {
    s->a->mishap = what;
    s->a->at = (unsigned)number(&args, 3);
    if (s->a->text.n == 0) {
        s->a->text = words(s->c->arena, (int64_t)s->a->at + 10);
    }
}

static void on_cut(struct script *s, struct str args) {
    mishap(s, FAKE_CUT, args);
}

static void on_truncate(struct script *s, struct str args) {
    mishap(s, FAKE_TRUNCATE, args);
}

static void on_stall(struct script *s, struct str args) {
    mishap(s, FAKE_STALL, args);
}

static void on_error_in_stream(struct script *s, struct str args) {
    mishap(s, FAKE_ERROR, args);
}

static void on_garbage(struct script *s, struct str args) {
    mishap(s, FAKE_GARBAGE, args);
}

static void on_hang(struct script *s, struct str args) {
    (void)args;
    s->a->mishap = FAKE_HANG;
}

static void on_drop(struct script *s, struct str args) {
    (void)args;
    s->a->mishap = FAKE_DROP;
}

static void on_refuse(struct script *s, struct str args) {
    (void)args;
    s->a->stop = FAKE_STOP_REFUSAL;
    s->a->text = STR("I can't help with that.");
}

static void on_length(struct script *s, struct str args) {
    (void)args;
    s->a->stop = FAKE_STOP_LENGTH;
}

static void on_echo_system(struct script *s, struct str args) {
    (void)args;
    s->a->text = s->c->system;
}

static void on_echo_messages(struct script *s, struct str args) {
    (void)args;
    s->a->text = arena_printf(s->c->arena, "%zu messages, hash %s", s->c->n_messages, s->c->hash);
}

static void on_echo_tools(struct script *s, struct str args) {
    (void)args;
    s->a->text = arena_str(s->c->arena, str_trim(strbuf_str(&s->c->tool_names)));
}

static void on_title(struct script *s, struct str args) {
    (void)s, (void)args; /* to the conversation it says nothing */
}

static void report_results(struct script *s);

static void on_echo_results(struct script *s, struct str args) {
    (void)args;
    report_results(s);
}

static const struct {
    const char *name;
    void (*run)(struct script *s, struct str args);
    bool every_round;
} directives[] = {
    {"tokens", on_tokens, false},
    {"big", on_big, false},
    {"say", on_say, false},
    {"reason", on_reason, false},
    {"tool", on_tool, false},
    {"loop", on_loop, true},
    {"bad-args", on_bad_args, true},
    {"head", on_head, true},
    {"first", on_first, true},
    {"delay", on_delay, true},
    {"status", fail, false},
    {"fail-times", on_fail_times, false},
    {"cut", on_cut, false},
    {"truncate", on_truncate, false},
    {"stall", on_stall, false},
    {"error-in-stream", on_error_in_stream, false},
    {"garbage", on_garbage, false},
    {"hang", on_hang, false},
    {"drop", on_drop, false},
    {"refuse", on_refuse, false},
    {"length", on_length, false},
    {"echo-system", on_echo_system, false},
    {"echo-messages", on_echo_messages, false},
    {"echo-tools", on_echo_tools, false},
    {"echo-results", on_echo_results, false},
    {"title", on_title, false},
};

static bool run_directive(struct script *s, struct str name, struct str args) {
    if (str_eq(name, STR("then"))) {
        s->round++;
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(directives); i++) {
        if (str_eq(name, str_z(directives[i].name))) {
            if (directives[i].every_round || s->round == s->c->rounds) {
                directives[i].run(s, args);
            }
            return true;
        }
    }
    return false;
}

/* Length of "[...]" at the beginning of s, brackets in JSON strings and nested ones not counted; 0
 * when it is not closed. */
static size_t bracketed(struct str s) {
    size_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (quoted) {
            i += c == '\\';
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '[') {
            depth++;
        } else if (c == ']' && --depth == 0) {
            return i + 1;
        }
    }
    return 0;
}

static struct str verbatim(struct script *s, struct str text) {
    size_t end = str_find(text, STR("\n[then]"));
    end = end == SIZE_MAX ? text.n : end;
    if (s->round == s->c->rounds) {
        s->a->text = str_trim(str_head(text, end));
    }
    return str_skip(text, end);
}

static void read_directives(struct script *s, struct str text) {
    while (text.n > 0) {
        if (str_starts(text, STR("[verbatim]"))) {
            text = verbatim(s, str_skip(text, strlen("[verbatim]")));
            continue;
        }
        size_t n = text.p[0] == '[' ? bracketed(text) : 0;
        if (n > 2) {
            struct str args = {text.p + 1, n - 2};
            struct str name = str_cut(&args, ' ');
            if (run_directive(s, name, str_trim(args))) {
                text = str_skip(text, n);
                continue;
            }
        }
        strbuf_addc(&s->plain, text.p[0]);
        text = str_skip(text, 1);
    }
}

/* ---- small talk ---- */

static bool mentions(struct str text, const char *what) {
    size_t n = strlen(what);
    for (size_t i = 0; i + n <= text.n; i++) {
        if (str_eq_nocase((struct str){text.p + i, n}, str_z(what))) {
            return true;
        }
    }
    return false;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* The first stretch that reads like arithmetic: digits, an operator, digits. */
static struct str find_arithmetic(struct str text) {
    for (size_t i = 0; i < text.n; i++) {
        size_t n = 0, operators = 0, digits_behind = 0;
        while (i + n < text.n && strchr("0123456789+-*/^().% ", text.p[i + n])) {
            char c = text.p[i + n++];
            operators += digits_behind == 0 && strchr("+-*/^%", c) && n > 1;
            digits_behind += operators > 0 && is_digit(c);
        }
        struct str found = str_trim((struct str){text.p + i, n});
        while (found.n > 0 && !is_digit(found.p[found.n - 1]) && found.p[found.n - 1] != ')') {
            found.n--;
        }
        if (digits_behind > 0 && (is_digit(found.p[0]) || found.p[0] == '(' || found.p[0] == '-')) {
            return found;
        }
        i += n;
    }
    return STR_EMPTY;
}

static bool use_a_tool(struct script *s, struct str text) {
    struct str expression = find_arithmetic(text);
    if (fake_has_tool(s->c, STR("current_time")) &&
        (mentions(text, "what time") || mentions(text, "the time") || mentions(text, "what date") ||
         mentions(text, "what day"))) {
        on_tool(s, STR("current_time {}"));
        return true;
    }
    if (fake_has_tool(s->c, STR("calculate")) && expression.n > 0) {
        s->a->calls[s->a->n_calls++] = (struct fake_call){
            STR("calculate"),
            arena_printf(s->c->arena, "{\"expression\":\"%.*s\"}", STR_ARG(expression))};
        return true;
    }
    return false;
}

static void report_results(struct script *s) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(FAKE_MAX_ANSWER_BYTES);
    for (size_t i = 0; i < s->c->n_results; i++) {
        const struct fake_result *result = &s->c->results[i];
        if (i > 0) {
            strbuf_addc(&out, '\n');
        }
        if (str_eq(result->name, STR("current_time"))) {
            strbuf_addf(&out, "It is %.*s.", STR_ARG(result->content));
        } else if (str_eq(result->name, STR("calculate"))) {
            strbuf_addf(&out, "The result is %.*s.", STR_ARG(result->content));
        } else {
            strbuf_addf(&out, "%.*s says: %.*s", STR_ARG(result->name), STR_ARG(result->content));
        }
    }
    s->a->text = arena_str(s->c->arena, strbuf_str(&out));
}

static void small_talk(struct script *s) {
    struct str text = str_trim(strbuf_str(&s->plain));
    struct str head = str_utf8_head(text, 200);
    struct arena *arena = s->c->arena;
    if (s->c->n_results > 0) {
        report_results(s);
    } else if (use_a_tool(s, text)) {
        s->a->text = STR_EMPTY;
    } else if (str_eq_nocase(text, STR("help"))) {
        s->a->text = STR("I am the demo model. Ask me what time it is, or give me some arithmetic "
                         "such as 12 * (3 + 4). What stands in square brackets steers me: "
                         "[tokens 200] [delay 50] [reason] [tool current_time {}] [status 500] "
                         "[cut 5] and more.");
    } else if (text.n == 0) {
        s->a->text = STR("This is the demo model, at your service.");
    } else {
        s->a->text = arena_printf(
            arena,
            "This is the demo model; it needs no key and knows next to nothing. You said: "
            "\"%.*s%s\". Ask me what time it is, or give me some arithmetic.",
            STR_ARG(head), head.n < text.n ? "..." : "");
    }
}

static void break_arguments(struct fake_answer *a) {
    for (size_t i = 0; i < a->n_calls; i++) {
        struct str *arguments = &a->calls[i].arguments;
        *arguments = arguments->n > 2 ? str_head(*arguments, arguments->n - 1) : STR("{\"");
    }
}

/* A message that has a scene's phrase is answered as the scene says. */
static struct str scene_of(const struct fake_script_state *s, struct str message) {
    for (size_t i = 0; i < s->n_scenes; i++) {
        struct str phrase = s->scenes[i].phrase;
        for (size_t at = 0; at + phrase.n <= message.n; at++) {
            if (str_eq_nocase((struct str){message.p + at, phrase.n}, phrase)) {
                return s->scenes[i].directives;
            }
        }
    }
    return message;
}

/* ---- titles ---- */

/* The message is material there: of its directives only [title] counts. */
static bool answer_title(const struct fake_conversation *c, struct str message,
                         struct fake_answer *a) {
    if (!str_starts(str_trim(c->system), STR("You name conversations."))) {
        return false;
    }
    size_t at = str_find(message, STR("[title "));
    a->text = STR("A title");
    if (at != SIZE_MAX) {
        struct str rest = str_skip(message, at + 7);
        a->text = str_trim(str_cut(&rest, ']'));
    }
    if (str_eq(a->text, STR("fail"))) {
        a->mishap = FAKE_STATUS;
        a->status = 500;
    }
    return true;
}

void fake_script(struct fake_script_state *state, const struct fake_conversation *c,
                 int64_t default_delay_ms, struct fake_answer *ret) {
    struct script s = {.state = state, .c = c, .a = ret, .plain = STRBUF(FAKE_MAX_BODY_BYTES)};
    *ret = (struct fake_answer){.retry_after_s = -1, .delay_ms = default_delay_ms};
    struct str message = scene_of(state, c->last_user);
    if (answer_title(c, message, ret)) {
        return;
    }
    read_directives(&s, message);
    if (ret->text.n == 0 && ret->n_calls == 0) {
        small_talk(&s);
    }
    if (ret->n_calls > 0) {
        ret->stop = FAKE_STOP_TOOLS;
    }
    if (s.bad_args) {
        break_arguments(ret);
    }
    strbuf_done(&s.plain);
}
