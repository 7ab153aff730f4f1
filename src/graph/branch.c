/* Saying something else, or hearing another answer: the thread is forked before the message, and
 * the turn runs in the fork. What was said stays where it was. */
#include "base/crypto.h"
#include "base/log.h"
#include "graph/internal.h"
#include "store/threads.h"

/* The same for each repetition of a submission, so that it finds the fork its forerunner made. */
static struct str fork_id(const struct turn_submission *s, struct arena *arena) {
    struct strbuf name cleanup(strbuf_done) = STRBUF(4096);
    char hex[SHA256_HEX + 1];
    struct id id = id_new();
    if (s->turn_id.n == 0) {
        return arena_str(arena, id_str(&id));
    }
    strbuf_addf(&name, "%.*s\n%.*s\n%.*s", STR_ARG(s->user_id), STR_ARG(s->thread_id),
                STR_ARG(s->turn_id));
    crypto_sha256_hex(strbuf_str(&name), hex);
    return arena_printf(arena, "fork-%.32s", hex);
}

/* What was said, as a submission says it. */
static int say_again(struct str json, struct arena *arena, struct turn_submission *ret,
                     struct err *err) {
    json_auto_t *message = NULL;
    struct strbuf out cleanup(strbuf_done) = STRBUF(TURN_MAX_INPUT_BYTES);
    if (json_read(json, &message, err) < 0) {
        return err_prefix(err, "stored message");
    }
    const json_t *content = json_object_get(message, "content");
    if (json_is_string(content)) {
        ret->text = arena_str(arena, json_value_str(content));
        return 0;
    }
    json_write_tree(&out, content);
    if (strbuf_check(&out, "the message", err) < 0) {
        return -(int)err->code;
    }
    ret->content_json = arena_str(arena, strbuf_str(&out));
    return 0;
}

int turn_branch(struct turn_engine *e, const struct turn_submission *s, struct arena *arena,
                struct turn_branch *ret_branch, struct turn_submission *ret, struct err *err) {
    struct thread_message said;
    *ret = *s;
    *ret_branch = (struct turn_branch){0};
    if (s->edit_of.n == 0 && s->regenerate.n == 0) {
        return 0;
    }
    if (s->thread_id.n == 0) {
        return err_set(err, ERR_INVALID, "the thread of what is edited or asked again is needed");
    }
    if (thread_said(e->options.db, s->user_id, s->thread_id, s->edit_of, s->regenerate, arena,
                    &said, err) < 0 ||
        (s->regenerate.n && say_again(said.json, arena, ret, err) < 0)) {
        return -(int)err->code;
    }
    ret->thread_id = fork_id(s, arena);
    *ret_branch = (struct turn_branch){.from = s->thread_id, .before_seq = said.seq};
    return 0;
}

int turn_branch_make(struct turn *t, const struct turn_branch *b, struct err *err) {
    if (b->from.n == 0) {
        return 0;
    }
    int rc = thread_fork_before(t->engine->options.db, t->user_id, b->from, b->before_seq,
                                t->thread_id, err);
    return rc == -ERR_CONFLICT ? 0 : rc;
}
