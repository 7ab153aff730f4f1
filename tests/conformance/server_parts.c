/* Resources, prompts, completion. */
#include "server_fixture.h"

struct str fixture_png(void) {
    static const unsigned char png[] = {
        0x89, 'P',  'N',  'G',  0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 'I',  'H',
        'D',  'R',  0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x02, 0x00, 0x00,
        0x00, 0x90, 0x77, 0x53, 0xde, 0x00, 0x00, 0x00, 0x0c, 'I',  'D',  'A',  'T',  0x78,
        0x9c, 0x63, 0xf8, 0xcf, 0xc0, 0x00, 0x00, 0x03, 0x01, 0x01, 0x00, 0xc9, 0xfe, 0x92,
        0xef, 0x00, 0x00, 0x00, 0x00, 'I',  'E',  'N',  'D',  0xae, 0x42, 0x60, 0x82};
    return (struct str){(const char *)png, sizeof png};
}

struct str fixture_wav(void) {
    static const unsigned char wav[] = {
        'R', 'I', 'F',  'F',  0x2c, 0,    0,    0,    'W',  'A',  'V',  'E',  'f',
        'm', 't', ' ',  0x10, 0,    0,    0,    1,    0,    1,    0,    0x40, 0x1f,
        0,   0,   0x40, 0x1f, 0,    0,    1,    0,    8,    0,    'd',  'a',  't',
        'a', 8,   0,    0,    0,    0x80, 0x90, 0xa0, 0x90, 0x80, 0x70, 0x60, 0x70};
    return (struct str){(const char *)wav, sizeof wav};
}

/* ---- resources ---- */

static int read_text(struct mcp_request *r, struct str uri, struct err *err) {
    (void)err;
    mcp_contents_text(r, uri, "text/plain", str_z(mcp_request_arg(r)));
    return 0;
}

static int read_binary(struct mcp_request *r, struct str uri, struct err *err) {
    (void)err;
    mcp_contents_blob(r, uri, "image/png", fixture_png());
    return 0;
}

static int read_template(struct mcp_request *r, struct str uri, struct err *err) {
    struct strbuf json cleanup(strbuf_done) = STRBUF(4096),
                       data cleanup(strbuf_done) = STRBUF(1024);
    struct jsonw w = jsonw_begin(&json);
    struct str id = mcp_request_variable(r, "id");
    strbuf_addf(&data, "Data for ID: %.*s", STR_ARG(id));
    jsonw_object(&w);
    jsonw_kstr(&w, "id", id);
    jsonw_kbool(&w, "templateTest", true);
    jsonw_kstr(&w, "data", strbuf_str(&data));
    jsonw_end_object(&w);
    if (strbuf_check(&json, "the resource", err) < 0) {
        return -err->code;
    }
    mcp_contents_text(r, uri, "application/json", strbuf_str(&json));
    return 0;
}

const struct mcp_server_resource fixture_resources[] = {
    {.uri = "test://static-text",
     .name = "static-text",
     .title = "Static text",
     .description = "A text that never changes.",
     .mime_type = "text/plain",
     .read = read_text,
     .arg = "This is the content of the static text resource."},
    {.uri = "test://static-binary",
     .name = "static-binary",
     .title = "Static image",
     .description = "An image that never changes.",
     .mime_type = "image/png",
     .read = read_binary},
    {.uri = "test://watched-resource",
     .name = "watched-resource",
     .title = "Watched resource",
     .description = "A text that can be subscribed to.",
     .mime_type = "text/plain",
     .read = read_text,
     .arg = "This is the content of the watched resource."},
};
const size_t fixture_n_resources = ARRAY_LEN(fixture_resources);

const struct mcp_server_template fixture_templates[] = {
    {.uri_template = "test://template/{id}/data",
     .name = "template",
     .title = "Data by id",
     .description = "Some data of an id.",
     .mime_type = "application/json",
     .read = read_template},
};
const size_t fixture_n_templates = ARRAY_LEN(fixture_templates);

/* ---- prompts ---- */

static int simple_prompt(struct mcp_request *r, const json_t *arguments, struct err *err) {
    (void)arguments;
    (void)err;
    mcp_result_text(r, STR("This is a simple prompt for testing."));
    return 0;
}

static int prompt_with_arguments(struct mcp_request *r, const json_t *arguments, struct err *err) {
    (void)err;
    mcp_result_textf(r, "Prompt with arguments: arg1='%.*s', arg2='%.*s'",
                     STR_ARG(json_str(arguments, "arg1")), STR_ARG(json_str(arguments, "arg2")));
    return 0;
}

static int prompt_with_resource(struct mcp_request *r, const json_t *arguments, struct err *err) {
    (void)err;
    mcp_result_resource_text(r, json_str(arguments, "resourceUri"), "text/plain",
                             STR("Embedded resource content for testing."));
    mcp_result_text(r, STR("Please process the embedded resource above."));
    return 0;
}

static int prompt_with_image(struct mcp_request *r, const json_t *arguments, struct err *err) {
    (void)arguments;
    (void)err;
    mcp_result_image(r, "image/png", fixture_png());
    mcp_result_text(r, STR("Please analyze the image above."));
    return 0;
}

static const struct mcp_server_argument two_arguments[] = {
    {"arg1", "First test argument", true},
    {"arg2", "Second test argument", true},
};
static const struct mcp_server_argument uri_argument[] = {
    {"resourceUri", "URI of the resource to embed", true},
};

const struct mcp_server_prompt fixture_prompts[] = {
    {.name = "test_simple_prompt",
     .title = "Simple",
     .description = "A simple prompt without arguments",
     .get = simple_prompt},
    {.name = "test_prompt_with_arguments",
     .title = "With arguments",
     .description = "A prompt with required arguments",
     .arguments = two_arguments,
     .n_arguments = ARRAY_LEN(two_arguments),
     .get = prompt_with_arguments},
    {.name = "test_prompt_with_embedded_resource",
     .title = "With a resource",
     .description = "A prompt that includes an embedded resource",
     .arguments = uri_argument,
     .n_arguments = ARRAY_LEN(uri_argument),
     .get = prompt_with_resource},
    {.name = "test_prompt_with_image",
     .title = "With an image",
     .description = "A prompt that includes an image",
     .get = prompt_with_image},
    {.name = "test_input_required_result_prompt",
     .title = "That asks",
     .description = "A prompt that needs input",
     .get = ask_prompt_context},
};
const size_t fixture_n_prompts = ARRAY_LEN(fixture_prompts);

int fixture_complete(struct mcp_request *r, const struct mcp_completion *c, struct err *err) {
    static const char *const values[] = {"hello", "help", "world"};
    (void)err;
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        if (str_starts(str_z(values[i]), c->value)) {
            mcp_completion_add(r, str_z(values[i]));
        }
    }
    return 0;
}
