/* A turn's options and counters as JSON: what another process needs, beside the messages, to begin
 * it or to go on. */
#include "graph/internal.h"

enum { MAX_BLOCKS = 64 };

static int check_block(const json_t *block, struct err *err) {
    struct str type = json_str(block, "type");
    if (str_eq(type, STR("text"))) {
        return json_str(block, "text").p
                   ? 0
                   : err_set(err, ERR_INVALID, "content: a text block needs \"text\"");
    }
    if (str_eq(type, STR("image"))) {
        bool inline_data = json_str(block, "data").n && json_str(block, "media_type").n;
        bool link = str_starts(json_str(block, "url"), STR("https://"));
        return inline_data || link ? 0
                                   : err_set(err, ERR_INVALID,
                                             "content: an image block needs \"media_type\" and "
                                             "\"data\", or an https \"url\"");
    }
    return err_set(err, ERR_INVALID, "content: a block's type must be \"text\" or \"image\"");
}

static int check_blocks(struct str content, struct err *err) {
    json_auto_t *blocks = NULL;
    size_t i;
    json_t *block;
    if (json_read(content, &blocks, err) < 0) {
        return err_prefix(err, "content");
    }
    if (!json_is_array(blocks) || json_array_size(blocks) == 0 ||
        json_array_size(blocks) > MAX_BLOCKS) {
        return err_set(err, ERR_INVALID, "content: must be a list of 1 to %d blocks", MAX_BLOCKS);
    }
    json_array_foreach (blocks, i, block) {
        if (check_block(block, err) < 0) {
            return -(int)err->code;
        }
    }
    return 0;
}

int turn_input_message(struct turn *t, const struct turn_submission *s, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(TURN_MAX_INPUT_BYTES + 1024);
    if (s->content_json.n == 0 && str_trim(s->text).n == 0) {
        return err_set(err, ERR_INVALID, "message: is empty");
    }
    if (s->text.n > TURN_MAX_TEXT_BYTES) {
        return err_set(err, ERR_LIMIT, "message: has more than %d bytes", TURN_MAX_TEXT_BYTES);
    }
    if (!str_is_utf8(s->text)) {
        return err_set(err, ERR_INVALID, "message: is not valid UTF-8");
    }
    if (s->content_json.n && check_blocks(s->content_json, err) < 0) {
        return -(int)err->code;
    }
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_kstrz(&w, "role", "user");
    if (s->content_json.n) {
        jsonw_kraw(&w, "content", s->content_json);
    } else {
        jsonw_kstr(&w, "content", s->text);
    }
    jsonw_end_object(&w);
    if (strbuf_check(&out, "the message", err) < 0) {
        return -(int)err->code;
    }
    t->message = arena_str(&t->arena, strbuf_str(&out));
    t->message_plain = s->content_json.n == 0;
    t->message_id = arena_printf(&t->arena, "%.*s-u", STR_ARG(t->turn_id));
    return 0;
}

struct str turn_input_write(struct turn *t) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(8192);
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_kstr(&w, "agent", t->agent);
    if (t->skill.n) {
        jsonw_kstr(&w, "skill", t->skill);
    }
    jsonw_kstr(&w, "model", t->model);
    jsonw_kbool(&w, "allow_operator_llm", t->allow_operator_llm);
    if (t->resumes.n) {
        jsonw_kstr(&w, "resumes", t->resumes);
    }
    jsonw_end_object(&w);
    return arena_str(&t->arena, strbuf_str(&out));
}

int turn_input_read(struct turn *t, struct str input, struct err *err) {
    json_auto_t *tree = NULL;
    if (json_read(input, &tree, err) < 0) {
        return err_prefix(err, "the stored input of turn %.*s", STR_ARG(t->turn_id));
    }
    t->agent = arena_str(&t->arena, json_str(tree, "agent"));
    t->skill = arena_str(&t->arena, json_str(tree, "skill"));
    t->model = arena_str(&t->arena, json_str(tree, "model"));
    t->allow_operator_llm = json_bool(tree, "allow_operator_llm", false);
    t->resumes = arena_str(&t->arena, json_str(tree, "resumes"));
    return 0;
}

struct str turn_state_write(struct turn *t) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(16 * 1024);
    struct strbuf found cleanup(strbuf_done) = STRBUF(8 * 1024);
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_kint(&w, "epoch", t->epoch);
    jsonw_kint(&w, "model_calls", t->model_calls);
    jsonw_kint(&w, "input_tokens", t->used.input_tokens);
    jsonw_kint(&w, "output_tokens", t->used.output_tokens);
    jsonw_kstr(&w, "provider", t->used_provider);
    jsonw_kstr(&w, "model", str_utf8_head(t->used_model, 200));
    if (t->tools) {
        toolset_found_write(t->tools, &found);
    }
    if (found.n) {
        jsonw_kstr(&w, "tools_found", strbuf_str(&found));
    }
    jsonw_end_object(&w);
    return arena_str(&t->arena, strbuf_str(&out));
}

/* Our own writing: what does not fit is left at zero, which only makes the limits a little wider.
 */
void turn_state_read(struct turn *t, struct str state) {
    json_auto_t *tree = NULL;
    struct err err;
    if (json_read(state, &tree, &err) < 0) {
        return;
    }
    t->stored_epoch = json_int(tree, "epoch", 0);
    t->model_calls = json_int(tree, "model_calls", 0);
    t->used.input_tokens = json_int(tree, "input_tokens", 0);
    t->used.output_tokens = json_int(tree, "output_tokens", 0);
    t->used_provider = arena_str(&t->arena, json_str(tree, "provider"));
    t->used_model = arena_str(&t->arena, json_str(tree, "model"));
    t->tools_found = arena_str(&t->arena, json_str(tree, "tools_found"));
}
