/* Answers to what an interrupted turn asked, and the turn that goes on with them. An answer is
 * taken once, for exactly the call that was asked about, in the transaction that begins the turn it
 * leads to. */
#include <ctype.h>

#include "base/clock.h"
#include "base/log.h"
#include "graph/internal.h"
#include "store/policies.h"

enum { MAX_TRIES = 3, MAX_ANSWER_BYTES = TURN_MAX_TEXT_BYTES, MAX_WORDS_BYTES = 64 };

/* What is answered, while it is. */
struct resuming {
    struct turn_engine *engine;
    const struct turn_resumption *r;
    struct arena arena;
    struct interrupt_row *rows; /* all of the turn that asked */
    size_t n_rows;
    struct turn_answer answers[TURN_STEP_MAX]; /* as they are stored */
    size_t n_open;                             /* left when these are answered */
};

/* ---- checks ---- */

static struct interrupt_row *find_row(struct resuming *s, struct str id) {
    for (size_t i = 0; i < s->n_rows; i++) {
        if (str_eq(s->rows[i].is.id, id)) {
            return &s->rows[i];
        }
    }
    return NULL;
}

/* A refusal is never too late: with it the turn goes on with what else was answered. */
static int check_open(const struct interrupt_row *row, bool approved, struct err *err) {
    if (!str_eq(row->state, STR("open"))) {
        return err_set(err, ERR_CONFLICT, "this was answered already: %.*s", STR_ARG(row->state));
    }
    if (row->superseded) {
        return err_set(err, ERR_CONFLICT, "the conversation went on without an answer to this");
    }
    if (approved && row->is.expires_us <= clock_now_us()) {
        return err_set(err, ERR_CONFLICT, "this has expired; ask the assistant to try again");
    }
    return 0;
}

static bool is_elicitation(const struct interrupt_row *row) {
    return str_eq(row->is.kind, STR("elicitation"));
}

static int check_object(const char *what, struct str json, struct err *err) {
    json_auto_t *tree = NULL;
    if (json.n > MAX_ANSWER_BYTES) {
        return err_set(err, ERR_LIMIT, "%s: has more than %d bytes", what, MAX_ANSWER_BYTES);
    }
    if (json_read(json, &tree, err) < 0) {
        return err_prefix(err, "%s", what);
    }
    return json_is_object(tree) ? 0 : err_set(err, ERR_INVALID, "%s: must be an object", what);
}

/* Nothing said is an empty form, which the schema may permit. */
static int check_content(const struct interrupt_row *row, struct str content, struct err *err) {
    content = content.n ? content : STR("{}");
    if (check_object("content", content, err) < 0) {
        return -(int)err->code;
    }
    return elicit_check_content(row->is.request, content, err);
}

static int check_answer(const struct interrupt_row *row, const struct interrupt_answer *a,
                        struct err *err) {
    static const char *const actions[] = {"", "accept", "decline", "cancel"};
    bool known = false;
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        known = known || str_eq(a->action, str_z(actions[i]));
    }
    if (!known) {
        return err_set(err, ERR_INVALID, "action: must be accept, decline or cancel");
    }
    if (a->action.n && str_eq(a->action, STR("accept")) != a->approved) {
        return err_set(err, ERR_INVALID, "action: says something else than approved");
    }
    if (is_elicitation(row) ? a->arguments.n : a->content.n) {
        return err_set(err, ERR_INVALID,
                       is_elicitation(row) ? "arguments: this asks for content"
                                           : "content: this asks for approval of a call");
    }
    if (is_elicitation(row) && a->always) {
        return err_set(err, ERR_INVALID, "always: this asks for content, not for approval");
    }
    if (a->arguments.n && check_object("arguments", a->arguments, err) < 0) {
        return -(int)err->code;
    }
    if (a->reason.n > MAX_ANSWER_BYTES || !str_is_utf8(a->reason)) {
        return err_set(err, ERR_INVALID, "reason: is too long, or not valid UTF-8");
    }
    return a->approved && is_elicitation(row) ? check_content(row, a->content, err) : 0;
}

/* ---- answers as they are stored ---- */

static struct str answer_json(struct resuming *s, const struct interrupt_row *row,
                              const struct interrupt_answer *a) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(4 * MAX_ANSWER_BYTES);
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    if (is_elicitation(row)) {
        struct str by_approved = a->approved ? STR("accept") : STR("decline");
        jsonw_kstr(&w, "action", a->action.n ? a->action : by_approved);
    }
    if (a->approved && a->content.n) {
        jsonw_kraw(&w, "content", a->content);
    }
    if (a->approved && a->arguments.n) {
        jsonw_kraw(&w, "arguments", a->arguments);
    }
    if (!a->approved && a->reason.n) {
        jsonw_kstr(&w, "reason", a->reason);
    }
    jsonw_end_object(&w);
    return arena_str(&s->arena, strbuf_str(&out));
}

static bool is_answered(const struct resuming *s, struct str id) {
    for (size_t i = 0; i < s->r->n_answers; i++) {
        if (str_eq(s->r->answers[i].interrupt_id, id)) {
            return true;
        }
    }
    return false;
}

/* What has expired keeps nobody waiting. */
static size_t count_open(const struct resuming *s) {
    int64_t now_us = clock_now_us();
    size_t n = 0;
    for (size_t i = 0; i < s->n_rows; i++) {
        n += interrupt_row_open(&s->rows[i], now_us) && !is_answered(s, s->rows[i].is.id);
    }
    return n;
}

static int check_and_note(struct resuming *s, struct err *err) {
    size_t n = s->r->n_answers;
    s->n_open = count_open(s);
    for (size_t i = 0; i < n; i++) {
        const struct interrupt_answer *a = &s->r->answers[i];
        const struct interrupt_row *row = find_row(s, a->interrupt_id);
        if (!row) {
            return err_set(err, ERR_INVALID, "these are not questions of one turn");
        }
        for (size_t k = 0; k < i; k++) {
            if (str_eq(s->r->answers[k].interrupt_id, a->interrupt_id)) {
                return err_set(err, ERR_INVALID, "the same question is answered twice");
            }
        }
        if (check_open(row, a->approved, err) < 0 || check_answer(row, a, err) < 0) {
            return -(int)err->code;
        }
        s->answers[i] = (struct turn_answer){.interrupt_id = row->is.id,
                                             .state = a->approved ? STR("approved") : STR("denied"),
                                             .json = answer_json(s, row, a)};
    }
    if (s->r->all && s->n_open > 0) {
        return err_set(err, ERR_CONFLICT, "%zu more questions are open: answer all of them at once",
                       s->n_open);
    }
    return 0;
}

/* What stands in the store now. */
static int look(struct resuming *s, struct err *err) {
    struct db *db = s->engine->options.db;
    struct interrupt_row first;
    if (interrupt_get(db, s->r->user_id, s->r->answers[0].interrupt_id, &s->arena, &first, err) <
        0) {
        return -(int)err->code;
    }
    if (s->r->thread_id.n && !str_eq(s->r->thread_id, first.thread_id)) {
        return err_set(err, ERR_NOT_FOUND, "no such approval in this thread");
    }
    struct turn_key asked_by = {s->r->user_id, first.turn_id};
    return interrupts_of_turn(db, asked_by, &s->arena, &s->rows, &s->n_rows, err);
}

/* ---- the turn that goes on ---- */

/* With the model, the agent and the rights of now. ERR_FORBIDDEN when nobody pays for it. */
static struct turn *new_turn(struct resuming *s, struct err *err) {
    const struct interrupt_row *row = &s->rows[0];
    struct turn_engine *e = s->engine;
    struct endpoints_request q = engine_endpoints(e, s->r->user_id, s->r->allow_operator_llm);
    struct turn_row before;
    struct id turn_id = id_new();
    struct turn_key asked_by = {s->r->user_id, row->turn_id};
    if (check_engine_open(e, s->r->user_id, err) < 0 ||
        turn_get(e->options.db, asked_by, &s->arena, &before, err) < 0) {
        return NULL;
    }
    /* The same answer may have come in another request while this one looked. */
    if (s->r->turn_id.n && turn_find(e, s->r->user_id, s->r->turn_id)) {
        err_set(err, ERR_CONFLICT, "the turn exists already");
        return NULL;
    }
    struct turn *t = turn_new(e, s->r->user_id, row->thread_id,
                              s->r->turn_id.n ? s->r->turn_id : id_str(&turn_id));
    if (turn_input_read(t, before.input, err) < 0) {
        turn_free(t);
        return NULL;
    }
    t->resumes = arena_str(&t->arena, row->turn_id);
    t->allow_operator_llm = s->r->allow_operator_llm;
    q.model = t->model;
    if (endpoints_resolve(&q, &t->endpoints, err) < 0) {
        turn_free(t);
        return NULL;
    }
    return t;
}

static int begin(struct resuming *s, struct turn_ticket *ret, struct err *err) {
    struct turn_accepted accepted;
    struct turn *t = new_turn(s, err);
    if (!t) {
        return -(int)err->code;
    }
    struct turn_accept accept = {
        .resumes = t->resumes, .answers = s->answers, .n_answers = s->r->n_answers};
    turn_ticket_fill(ret, t->thread_id, t->turn_id);
    if (turn_accept_patiently(t, &accept, &accepted, err) < 0) {
        turn_free(t);
        return -(int)err->code;
    }
    s->engine->stats.accepted++;
    turn_begin_accepted(t, &accepted, ret);
    return 0;
}

static int answer_some(struct resuming *s, struct err *err) {
    struct turn_key asked_by = {s->r->user_id, s->rows[0].turn_id};
    for (size_t i = 0; i < s->r->n_answers; i++) {
        if (interrupt_answer(s->engine->options.db, asked_by, &s->answers[i], clock_now_us(), err) <
            0) {
            return -(int)err->code;
        }
    }
    return 0;
}

/* ---- "always" ---- */

static int allow_always(struct resuming *s, const struct interrupt_answer *a, struct err *err) {
    const struct interrupt_row *row = find_row(s, a->interrupt_id);
    struct audit_entry audit = {
        .user_id = s->r->user_id,
        .actor = s->r->user_id,
        .action = STR("policy.put"),
        .subject =
            arena_printf(&s->arena, "%.*s/%.*s", STR_ARG(row->is.server), STR_ARG(row->is.tool)),
        .detail = STR("{\"policy\":\"allow\",\"by\":\"approval\"}")};
    struct policy_row policy = {
        .server = row->is.server, .tool = row->is.tool, .policy = STR("allow")};
    if (policy_put(s->engine->options.db, s->r->user_id, &policy, POLICIES_MAX, &audit, err) < 0) {
        return -(int)err->code;
    }
    if (s->engine->options.epochs) {
        user_epoch_changed(s->engine->options.epochs, s->r->user_id);
    }
    feed_settings(s->engine->options.feed, s->r->user_id, FEED_POLICIES);
    return 0;
}

/* The answer holds without it. */
static void remember(struct resuming *s) {
    struct err err;
    for (size_t i = 0; i < s->r->n_answers; i++) {
        const struct interrupt_answer *a = &s->r->answers[i];
        if (a->always && a->approved && allow_always(s, a, &err) < 0) {
            log_warn("graph", "an approval for good was not kept: %s", err.msg);
        }
    }
}

/* ---- resuming ---- */

/* Between the look and the transaction somebody else may have answered: then the look is repeated
 * and says what happened. */
static int resume(struct resuming *s, struct turn_ticket *ret, struct err *err) {
    for (int tries = 1;; tries++) {
        if (look(s, err) < 0 || check_and_note(s, err) < 0) {
            return -(int)err->code;
        }
        int rc = s->n_open == 0 ? begin(s, ret, err) : answer_some(s, err);
        if (rc != -ERR_PRECONDITION || tries == MAX_TRIES) {
            return rc == -ERR_PRECONDITION
                       ? err_set(err, ERR_CONFLICT, "the thread is busy; try again")
                       : rc;
        }
    }
}

/* What became of an earlier request under the same name, which was not there at the first look. */
static int follow_repeated(struct resuming *s, struct turn_ticket *ret, struct err *err) {
    struct err why;
    int rc = turn_follow_earlier(s->engine, s->r->user_id, s->r->turn_id, ret, &why);
    if (rc == -ERR_NOT_FOUND) {
        return -(int)err->code;
    }
    *err = rc < 0 ? why : *err;
    return rc;
}

int turn_resume(struct turn_engine *e, const struct turn_resumption *r, struct turn_ticket *ret,
                size_t *ret_open, struct err *err) {
    struct resuming s = {.engine = e, .r = r};
    fiber_point();
    *ret_open = 0;
    if (r->n_answers == 0 || r->n_answers > TURN_STEP_MAX) {
        return err_set(err, ERR_INVALID, "1 to %d answers are needed", TURN_STEP_MAX);
    }
    if (r->turn_id.n) {
        int rc = turn_follow_earlier(e, r->user_id, r->turn_id, ret, err);
        if (rc != -ERR_NOT_FOUND) {
            return rc;
        }
    }
    int rc = resume(&s, ret, err);
    if (rc == 0) {
        const struct interrupt_row *asked = &s.rows[0];
        feed_interrupt(e->options.feed, r->user_id, asked->thread_id, asked->turn_id);
        remember(&s);
        *ret_open = s.n_open;
    } else if (rc == -ERR_CONFLICT && r->turn_id.n) {
        rc = follow_repeated(&s, ret, err);
    }
    arena_done(&s.arena);
    return rc;
}

/* ---- in words ---- */

struct words {
    bool approved, always;
    char code[16];
};

/* Phones and people end sentences, and quote what they were told to say. */
static struct str without_marks(struct str text) {
    text = str_trim(text);
    while (text.n && strchr("\"'`*.!", text.p[0])) {
        text = str_skip(text, 1);
    }
    while (text.n && strchr("\"'`*.!", text.p[text.n - 1])) {
        text.n--;
    }
    return text;
}

static bool parse_words(struct str text, struct words *ret) {
    static const struct {
        const char *word;
        bool approved, always;
    } verbs[] = {{"approve", true, false}, {"always", true, true}, {"deny", false, false}};
    char line[MAX_WORDS_BYTES + 1], verb[16], rest[2];
    text = without_marks(text);
    if (text.n == 0 || text.n > MAX_WORDS_BYTES) {
        return false;
    }
    snprintf(line, sizeof line, "%.*s", STR_ARG(text));
    if (sscanf(line, "%15s %15[A-Za-z0-9] %1s", verb, ret->code, rest) != 2) {
        return false;
    }
    for (char *p = ret->code; *p; p++) {
        *p = (char)toupper((unsigned char)*p);
    }
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (strcasecmp(verb, verbs[i].word) == 0) {
            ret->approved = verbs[i].approved;
            ret->always = verbs[i].always;
            return true;
        }
    }
    return false;
}

/* The text of a message, whichever way it was given, when it is nothing but one short text. */
static struct str spoken(const struct turn_submission *s, json_t **tree) {
    struct err err;
    if (s->words.n || s->content_json.n == 0) {
        return s->words.n ? s->words : s->text;
    }
    if (s->content_json.n > 4 * MAX_WORDS_BYTES || json_read(s->content_json, tree, &err) < 0 ||
        json_array_size(*tree) != 1) {
        return STR_EMPTY;
    }
    return json_str(json_array_get(*tree, 0), "text");
}

/* The client's program may have said it before and not heard the answer. */
static bool said_before(const struct interrupt_row *row, const struct words *words) {
    return !row->superseded &&
           str_eq(row->state, words->approved ? STR("approved") : STR("denied"));
}

/* Which of the turn's questions are left; ERR_CONFLICT says so. 0: none is. */
static int tell_open(struct turn_engine *e, struct str user_id, const struct interrupt_row *row,
                     struct arena *arena, struct err *err) {
    struct strbuf codes cleanup(strbuf_done) = STRBUF(1024);
    struct turn_key asked_by = {user_id, row->turn_id};
    struct interrupt_row *rows;
    size_t n;
    int64_t now_us = clock_now_us();
    if (interrupts_of_turn(e->options.db, asked_by, arena, &rows, &n, err) < 0) {
        return -(int)err->code;
    }
    for (size_t i = 0; i < n; i++) {
        if (interrupt_row_open(&rows[i], now_us)) {
            strbuf_addf(&codes, "%s%.*s", codes.n ? ", " : "", STR_ARG(rows[i].is.code));
        }
    }
    return codes.n
               ? err_set(err, ERR_CONFLICT, "noted; to be answered as well: %s", strbuf_z(&codes))
               : 0;
}

int turn_answer_in_words(struct turn_engine *e, const struct turn_submission *s,
                         struct turn_ticket *ret, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    json_auto_t *tree = NULL;
    struct interrupt_row row;
    struct words words;
    size_t open;
    if (!parse_words(spoken(s, &tree), &words)) {
        return -ERR_NOT_FOUND;
    }
    if (interrupt_find(e->options.db, s->user_id, str_z(words.code), clock_now_us(), &arena, &row,
                       err) < 0 ||
        (said_before(&row, &words) && tell_open(e, s->user_id, &row, &arena, err) < 0)) {
        return -(int)err->code;
    }
    struct interrupt_answer answer = {
        .interrupt_id = row.is.id, .approved = words.approved, .always = words.always};
    struct turn_resumption r = {.user_id = s->user_id,
                                .allow_operator_llm = s->allow_operator_llm,
                                .turn_id = s->turn_id,
                                .answers = &answer,
                                .n_answers = 1};
    if (turn_resume(e, &r, ret, &open, err) < 0) {
        return -(int)err->code;
    }
    if (open > 0 && tell_open(e, s->user_id, &row, &arena, err) == 0) {
        return err_set(err, ERR_CONFLICT, "noted; others of the turn were answered meanwhile");
    }
    return open > 0 ? -(int)err->code : 0;
}
