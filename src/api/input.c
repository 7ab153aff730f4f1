#include "api/input.h"

#include "api/call.h"

const struct input_names input_names_rest = {"thread_id", "turn_id", "edit_of"};
const struct input_names input_names_ag_ui = {"threadId", "runId", "editOf"};

void input_content_begin(struct input_content *c) {
    *c = (struct input_content){.json = STRBUF(TURN_MAX_INPUT_BYTES)};
    c->w = jsonw_begin(&c->json);
    jsonw_array(&c->w);
}

void input_content_done(struct input_content *c) {
    strbuf_done(&c->json);
}

static int begin_block(struct input_content *c, const char *type, struct err *err) {
    if (++c->n_blocks > INPUT_MAX_BLOCKS) {
        return err_set(err, ERR_INVALID, "content: must have at most %d blocks", INPUT_MAX_BLOCKS);
    }
    jsonw_object(&c->w);
    jsonw_kstrz(&c->w, "type", type);
    return 0;
}

int input_content_text(struct input_content *c, struct str text, struct err *err) {
    if (begin_block(c, "text", err) < 0) {
        return -(int)err->code;
    }
    jsonw_kstr(&c->w, "text", text);
    jsonw_end_object(&c->w);
    c->text_bytes += str_trim(text).n;
    return 0;
}

/* ---- images ---- */

static bool is_base64(struct str s) {
    size_t padding = 0;
    for (size_t i = 0; i < s.n; i++) {
        char ch = s.p[i];
        bool digit = (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z') ||
                     (ch >= '0' && ch <= '9') || ch == '+' || ch == '/';
        padding += ch == '=';
        if (ch == '=' ? i + 2 < s.n : !digit || padding > 0) {
            return false;
        }
    }
    return s.n > 0 && s.n % 4 == 0;
}

static bool is_image_type(struct str s) {
    static const char *const types[] = {"image/png", "image/jpeg", "image/gif", "image/webp"};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (str_eq(s, str_z(types[i]))) {
            return true;
        }
    }
    return false;
}

static int add_image_data(struct input_content *c, struct str media_type, struct str data,
                          struct err *err) {
    if (!is_image_type(media_type)) {
        return err_set(err, ERR_INVALID, "content: images must be png, jpeg, gif or webp");
    }
    if (!is_base64(data)) {
        return err_set(err, ERR_INVALID, "content: an image's data must be base64");
    }
    if (begin_block(c, "image", err) < 0) {
        return -(int)err->code;
    }
    jsonw_kstr(&c->w, "media_type", media_type);
    jsonw_kstr(&c->w, "data", data);
    jsonw_end_object(&c->w);
    c->has_image = true;
    return 0;
}

static bool is_https_url(struct str url) {
    if (!str_eq_nocase(str_head(url, 8), STR("https://")) || url.n > INPUT_MAX_URL_BYTES) {
        return false;
    }
    for (size_t i = 0; i < url.n; i++) {
        if (url.p[i] <= ' ' || url.p[i] == 0x7f) {
            return false;
        }
    }
    return url.n > 8;
}

/* "data:image/png;base64,..." or an address the provider fetches. */
static int add_image_url(struct input_content *c, struct str url, struct err *err) {
    if (str_eq_nocase(str_head(url, 5), STR("data:"))) {
        struct str data = str_skip(url, 5);
        struct str head = str_cut(&data, ',');
        if (!str_ends(head, STR(";base64"))) {
            return err_set(err, ERR_INVALID, "content: a data URL must be base64");
        }
        return add_image_data(c, str_head(head, head.n - 7), data, err);
    }
    if (!is_https_url(url)) {
        return err_set(err, ERR_INVALID,
                       "content: an image's address must begin with https:// and have at most %d "
                       "bytes",
                       INPUT_MAX_URL_BYTES);
    }
    if (begin_block(c, "image", err) < 0) {
        return -(int)err->code;
    }
    jsonw_kstr(&c->w, "url", url);
    jsonw_end_object(&c->w);
    c->has_image = true;
    return 0;
}

/* ---- one reader a block type ---- */

static int read_text(struct input_content *c, const json_t *block, struct err *err) {
    struct str text = json_str(block, "text");
    return text.p ? input_content_text(c, text, err)
                  : err_set(err, ERR_INVALID, "content: a text block needs text");
}

/* Ours {media_type, data} or {url}; AG-UI's {source: {type: data | url, value, mimeType}}. */
static int read_image(struct input_content *c, const json_t *block, struct err *err) {
    const json_t *source = json_object_get(block, "source");
    if (source) {
        struct str value = json_str(source, "value");
        return str_eq(json_str(source, "type"), STR("data"))
                   ? add_image_data(c, json_str(source, "mimeType"), value, err)
                   : add_image_url(c, value, err);
    }
    if (json_object_get(block, "url")) {
        return add_image_url(c, json_str(block, "url"), err);
    }
    return add_image_data(c, json_str(block, "media_type"), json_str(block, "data"), err);
}

/* AG-UI before 1.0: {mimeType, data | url}. */
static int read_binary(struct input_content *c, const json_t *block, struct err *err) {
    struct str url = json_str(block, "url");
    return url.n ? add_image_url(c, url, err)
                 : add_image_data(c, json_str(block, "mimeType"), json_str(block, "data"), err);
}

/* OpenAI: {image_url: {url}} in Chat Completions, {image_url: "..."} in Responses. */
static int read_image_url(struct input_content *c, const json_t *block, struct err *err) {
    const json_t *value = json_object_get(block, "image_url");
    return add_image_url(c, json_is_object(value) ? json_str(value, "url") : json_value_str(value),
                         err);
}

int input_content_block(struct input_content *c, const json_t *block, struct err *err) {
    static const struct {
        const char *type;
        int (*read)(struct input_content *c, const json_t *block, struct err *err);
    } readers[] = {
        {"text", read_text},
        {"image", read_image},
        {"binary", read_binary},
        {"image_url", read_image_url},
        {"input_text", read_text},
        {"output_text", read_text},
        {"input_image", read_image_url},
    };
    struct str type = json_str(block, "type");
    if (!json_is_object(block) || !type.p) {
        return err_set(err, ERR_INVALID, "content: each block must be an object with a type");
    }
    for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
        if (str_eq(type, str_z(readers[i].type))) {
            return readers[i].read(c, block, err);
        }
    }
    return err_set(err, ERR_INVALID, "content: blocks of type %.*s are not taken",
                   STR_ARG(str_utf8_head(type, 40)));
}

int input_content_value(struct input_content *c, const json_t *value, struct err *err) {
    size_t i;
    json_t *block;
    if (json_is_string(value)) {
        return input_content_text(c, json_value_str(value), err);
    }
    if (!json_is_array(value)) {
        return err_set(err, ERR_INVALID, "content: must be a string or an array of blocks");
    }
    json_array_foreach (value, i, block) {
        if (input_content_block(c, block, err) < 0) {
            return -(int)err->code;
        }
    }
    return 0;
}

int input_content_end(struct input_content *c, struct str *ret, struct err *err) {
    jsonw_end_array(&c->w);
    if (c->text_bytes == 0 && !c->has_image) {
        return err_set(err, ERR_INVALID, "the message is empty");
    }
    if (c->text_bytes > TURN_MAX_TEXT_BYTES) {
        return err_set(err, ERR_LIMIT, "the message's text is larger than %d bytes",
                       TURN_MAX_TEXT_BYTES);
    }
    if (strbuf_check(&c->json, "the message", err) < 0) {
        return -(int)err->code;
    }
    *ret = strbuf_str(&c->json);
    return 0;
}

/* ---- a whole submission ---- */

int input_read_id(const json_t *object, const char *key, struct str *ret, struct err *err) {
    struct str id = {0};
    if (json_want_str(object, key, CALL_MAX_ID_BYTES, &id, err) < 0) {
        return -(int)err->code;
    }
    if (id.p && !call_id_valid(id)) {
        return err_set(err, ERR_INVALID,
                       "%s: must be 1 to %d printable ASCII characters without space and /, not . "
                       "or ..",
                       key, CALL_MAX_ID_BYTES);
    }
    *ret = id;
    return 0;
}

static int read_words(const json_t *object, struct input_content *content,
                      struct turn_submission *s, struct err *err) {
    const json_t *blocks = json_object_get(object, "content");
    struct str text = {0};
    if (json_want_str(object, "message", TURN_MAX_TEXT_BYTES, &text, err) < 0) {
        return -(int)err->code;
    }
    if (!text.p == !blocks) {
        return err_set(err, ERR_INVALID, "either message or content is needed");
    }
    if (text.p) {
        s->text = text;
        return str_trim(text).n ? 0 : err_set(err, ERR_INVALID, "message: is empty");
    }
    if (!json_is_array(blocks)) {
        return err_set(err, ERR_INVALID, "content: must be an array of blocks");
    }
    if (input_content_value(content, blocks, err) < 0) {
        return -(int)err->code;
    }
    return input_content_end(content, &s->content_json, err);
}

/* Ids of messages are longer than those of their turns. */
static int read_again(const json_t *object, const struct input_names *names,
                      struct turn_submission *s, struct err *err) {
    if (json_want_str(object, names->edit_of, CALL_MAX_ID_BYTES + 64, &s->edit_of, err) < 0 ||
        input_read_id(object, "regenerate", &s->regenerate, err) < 0) {
        return -(int)err->code;
    }
    if (s->edit_of.n && s->regenerate.n) {
        return err_set(err, ERR_INVALID, "%s and regenerate exclude each other", names->edit_of);
    }
    if ((s->edit_of.n || s->regenerate.n) && s->thread_id.n == 0) {
        return err_set(err, ERR_INVALID, "%s: is needed", names->thread);
    }
    return 0;
}

static int read_what(const json_t *object, struct input_content *content, struct turn_submission *s,
                     struct err *err) {
    if (s->regenerate.n == 0) {
        return read_words(object, content, s, err);
    }
    return json_object_get(object, "message") || json_object_get(object, "content")
               ? err_set(err, ERR_INVALID, "regenerate: says the same again; without a message")
               : 0;
}

int input_read_chat(const json_t *object, const struct input_names *names,
                    struct input_content *content, struct turn_submission *ret, struct err *err) {
    struct turn_submission s = *ret;
    if (input_read_id(object, names->thread, &s.thread_id, err) < 0 ||
        input_read_id(object, names->turn, &s.turn_id, err) < 0 ||
        read_again(object, names, &s, err) < 0 || read_what(object, content, &s, err) < 0 ||
        json_want_str(object, "model", INPUT_MAX_MODEL_BYTES, &s.model, err) < 0 ||
        json_want_str(object, "agent", INPUT_MAX_AGENT_BYTES, &s.agent, err) < 0 ||
        json_want_str(object, "skill", INPUT_MAX_AGENT_BYTES, &s.skill, err) < 0) {
        return -(int)err->code;
    }
    *ret = s;
    return 0;
}

/* ---- answers to questions ---- */

static int read_object(const json_t *object, const char *key, struct arena *arena, struct str *ret,
                       struct err *err) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(TURN_MAX_TEXT_BYTES);
    const json_t *value = json_object_get(object, key);
    if (!value || json_is_null(value)) {
        return 0;
    }
    if (!json_is_object(value)) {
        return err_set(err, ERR_INVALID, "%s: must be an object", key);
    }
    json_write_tree(&text, value);
    if (strbuf_check(&text, key, err) < 0) {
        return -(int)err->code;
    }
    *ret = arena_str(arena, strbuf_str(&text));
    return 0;
}

static int read_content_alone(const json_t *object, struct arena *arena,
                              struct interrupt_answer *ret, struct err *err) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(TURN_MAX_TEXT_BYTES);
    json_write_tree(&text, object);
    if (strbuf_check(&text, "the answer", err) < 0) {
        return -(int)err->code;
    }
    *ret =
        (struct interrupt_answer){.approved = true, .content = arena_str(arena, strbuf_str(&text))};
    return 0;
}

int input_read_answer(const json_t *object, struct arena *arena, struct interrupt_answer *ret,
                      struct err *err) {
    struct interrupt_answer a = {0};
    if (!json_is_object(object)) {
        return err_set(err, ERR_INVALID, "must be an object");
    }
    bool decides = json_object_get(object, "approved") || json_object_get(object, "action");
    if (!decides) {
        return read_content_alone(object, arena, ret, err);
    }
    if (json_want_str(object, "action", 16, &a.action, err) < 0) {
        return -(int)err->code;
    }
    a.approved = str_eq(a.action, STR("accept"));
    if (json_want_bool(object, "approved", &a.approved, err) < 0 ||
        json_want_bool(object, "always", &a.always, err) < 0 ||
        json_want_str(object, "reason", TURN_MAX_TEXT_BYTES, &a.reason, err) < 0 ||
        read_object(object, "arguments", arena, &a.arguments, err) < 0 ||
        read_object(object, "content", arena, &a.content, err) < 0) {
        return -(int)err->code;
    }
    *ret = a;
    return 0;
}
