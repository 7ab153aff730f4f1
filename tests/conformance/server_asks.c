/* Tools that ask the client before they answer. */
#include "server_fixture.h"

/* A form of one text. */
#define TEXT_FORM(key)                                                                             \
    "{\"type\":\"object\",\"properties\":{\"" key "\":{\"type\":\"string\"}},"                     \
    "\"required\":[\"" key "\"]}"

static int ask_form(struct mcp_request *r, const char *key, const char *message, const char *schema,
                    const json_t **ret_content, struct err *err) {
    return mcp_request_elicit(r, key, str_z(message), str_z(schema), ret_content, err);
}

static int ask_one(struct mcp_request *r, const char *key, enum mcp_ability ability,
                   const char *params, const json_t **ret_answer, struct err *err) {
    struct mcp_ask ask = {key, ability, str_z(params)};
    return mcp_request_ask(r, &ask, 1, ret_answer, err);
}

static void tell_content(struct mcp_request *r, const char *intro, const json_t *content) {
    struct strbuf json cleanup(strbuf_done) = STRBUF(64 * 1024);
    if (content) {
        json_write_tree(&json, content);
    }
    mcp_result_textf(r, "%saction=%s, content=%s", intro, content ? "accept" : "decline",
                     content ? strbuf_z(&json) : "{}");
}

/* ---- both eras ---- */

int ask_sampling(struct mcp_request *r, const json_t *arguments, struct err *err) {
    struct strbuf params cleanup(strbuf_done) = STRBUF(64 * 1024);
    struct jsonw w = jsonw_begin(&params);
    const json_t *answer;
    jsonw_object(&w);
    jsonw_key(&w, "messages");
    jsonw_array(&w);
    jsonw_object(&w);
    jsonw_kstrz(&w, "role", "user");
    jsonw_key(&w, "content");
    jsonw_object(&w);
    jsonw_kstrz(&w, "type", "text");
    jsonw_kstr(&w, "text", json_str(arguments, "prompt"));
    jsonw_end_object(&w);
    jsonw_end_object(&w);
    jsonw_end_array(&w);
    jsonw_kint(&w, "maxTokens", 100);
    jsonw_end_object(&w);
    int rc = ask_one(r, "sampling", MCP_CAN_SAMPLE, strbuf_z(&params), &answer, err);
    if (rc == 0) {
        struct str text = json_str(json_object_get(answer, "content"), "text");
        mcp_result_textf(r, "LLM response: %.*s", STR_ARG(text));
    }
    return rc;
}

int ask_elicitation(struct mcp_request *r, const json_t *arguments, struct err *err) {
    const json_t *content;
    int rc = mcp_request_elicit(
        r, "user", json_str(arguments, "message"), STR(JSON({
            "type" : "object",
            "properties" : {
                "username" : {"type" : "string", "description" : "The user's name"},
                "email" : {"type" : "string", "description" : "The user's address"}
            },
            "required" : [ "username", "email" ]
        })),
        &content, err);
    if (rc == 0) {
        tell_content(r, "User response: ", content);
    }
    return rc;
}

int ask_defaults(struct mcp_request *r, const json_t *arguments, struct err *err) {
    const json_t *content;
    (void)arguments;
    int rc = ask_form(r, "person", "Please look at the defaults.", JSON({
                          "type" : "object",
                          "properties" : {
                              "name" : {"type" : "string", "default" : "John Doe"},
                              "age" : {"type" : "integer", "default" : 30},
                              "score" : {"type" : "number", "default" : 95.5},
                              "status" : {
                                  "type" : "string",
                                  "enum" : [ "active", "inactive", "pending" ],
                                  "default" : "active"
                              },
                              "verified" : {"type" : "boolean", "default" : true}
                          }
                      }),
                      &content, err);
    if (rc == 0) {
        tell_content(r, "Elicitation completed: ", content);
    }
    return rc;
}

int ask_enums(struct mcp_request *r, const json_t *arguments, struct err *err) {
    const json_t *content;
    (void)arguments;
    int rc = ask_form(
        r, "choices", "Please choose.", JSON({
            "type" : "object",
            "properties" : {
                "untitledSingle" :
                    {"type" : "string", "enum" : [ "option1", "option2", "option3" ]},
                "titledSingle" : {
                    "type" : "string",
                    "oneOf" : [
                        {"const" : "value1", "title" : "First Option"},
                        {"const" : "value2", "title" : "Second Option"}
                    ]
                },
                "legacyEnum" : {
                    "type" : "string",
                    "enum" : [ "opt1", "opt2", "opt3" ],
                    "enumNames" : [ "Option One", "Option Two", "Option Three" ]
                },
                "untitledMulti" : {
                    "type" : "array",
                    "items" : {"type" : "string", "enum" : [ "option1", "option2", "option3" ]}
                },
                "titledMulti" : {
                    "type" : "array",
                    "items" : {
                        "anyOf" : [
                            {"const" : "value1", "title" : "First Choice"},
                            {"const" : "value2", "title" : "Second Choice"}
                        ]
                    }
                }
            }
        }),
        &content, err);
    if (rc == 0) {
        tell_content(r, "Elicitation completed: ", content);
    }
    return rc;
}

/* ---- rounds of input_required ---- */

static const char *const capital = JSON({
    "messages" : [
        {"role" : "user", "content" : {"type" : "text", "text" : "What is the capital of France?"}}
    ],
    "maxTokens" : 100
});

int ask_missing_capability(struct mcp_request *r, const json_t *arguments, struct err *err) {
    const json_t *answer;
    (void)arguments;
    int rc = ask_one(r, "capital_question", MCP_CAN_SAMPLE, capital, &answer, err);
    if (rc == 0) {
        mcp_result_text(r, STR("The client can sample."));
    }
    return rc;
}

int ask_name(struct mcp_request *r, const json_t *arguments, struct err *err) {
    const json_t *content;
    (void)arguments;
    int rc = ask_form(r, "user_name", "What is your name?", TEXT_FORM("name"), &content, err);
    if (rc == 0) {
        mcp_result_textf(r, "Hello, %.*s!", STR_ARG(json_str(content, "name")));
    }
    return rc;
}

int ask_capital(struct mcp_request *r, const json_t *arguments, struct err *err) {
    const json_t *answer;
    (void)arguments;
    int rc = ask_one(r, "capital_question", MCP_CAN_SAMPLE, capital, &answer, err);
    if (rc == 0) {
        mcp_result_text(r, json_str(json_object_get(answer, "content"), "text"));
    }
    return rc;
}

int ask_roots(struct mcp_request *r, const json_t *arguments, struct err *err) {
    const json_t *answer;
    (void)arguments;
    int rc = ask_one(r, "client_roots", MCP_CAN_LIST_ROOTS, "{}", &answer, err);
    for (size_t i = 0; rc == 0 && i < json_array_size(json_object_get(answer, "roots")); i++) {
        mcp_result_text(r, json_str(json_array_get(json_object_get(answer, "roots"), i), "uri"));
    }
    return rc;
}

int ask_with_state(struct mcp_request *r, const json_t *arguments, struct err *err) {
    const json_t *content;
    (void)arguments;
    mcp_request_keep(r, STR("asked once"));
    int rc = ask_form(
        r, "confirm", "Please confirm",
        JSON(
            {"type" : "object", "properties" : {"ok" : {"type" : "boolean"}}, "required" : ["ok"]}),
        &content, err);
    if (rc == 0) {
        bool kept = str_eq(mcp_request_state(r), STR("asked once"));
        mcp_result_text(r, kept ? STR("state-ok") : STR("the state was lost"));
    }
    return rc;
}

int ask_several(struct mcp_request *r, const json_t *arguments, struct err *err) {
    static const char name[] =
        "{\"message\":\"What is your name?\",\"requestedSchema\":" TEXT_FORM("name") "}";
    static const char greeting[] = JSON({
        "messages" :
            [ {"role" : "user", "content" : {"type" : "text", "text" : "Generate a greeting"}} ],
        "maxTokens" : 50
    });
    const struct mcp_ask asks[] = {
        {"user_name", MCP_CAN_ELICIT, str_z(name)},
        {"greeting", MCP_CAN_SAMPLE, str_z(greeting)},
        {"client_roots", MCP_CAN_LIST_ROOTS, STR("{}")},
    };
    const json_t *answers[ARRAY_LEN(asks)];
    (void)arguments;
    int rc = mcp_request_ask(r, asks, ARRAY_LEN(asks), answers, err);
    if (rc == 0) {
        mcp_result_textf(r, "%.*s, %.*s, with %zu roots",
                         STR_ARG(json_str(json_object_get(answers[1], "content"), "text")),
                         STR_ARG(json_str(json_object_get(answers[0], "content"), "name")),
                         json_array_size(json_object_get(answers[2], "roots")));
    }
    return rc;
}

int ask_rounds(struct mcp_request *r, const json_t *arguments, struct err *err) {
    const json_t *first, *second;
    (void)arguments;
    int rc = ask_form(r, "step1", "Step 1: What is your name?", TEXT_FORM("name"), &first, err);
    if (rc == 0) {
        rc = ask_form(r, "step2", "Step 2: What is your favorite color?", TEXT_FORM("color"),
                      &second, err);
    }
    if (rc == 0) {
        mcp_result_textf(r, "%.*s likes %.*s", STR_ARG(json_str(first, "name")),
                         STR_ARG(json_str(second, "color")));
    }
    return rc;
}

int ask_what_client_can(struct mcp_request *r, const json_t *arguments, struct err *err) {
    const json_t *answer;
    (void)arguments;
    if (mcp_request_can(r, MCP_CAN_ELICIT)) {
        return ask_name(r, arguments, err);
    }
    if (mcp_request_can(r, MCP_CAN_SAMPLE)) {
        return ask_capital(r, arguments, err);
    }
    int rc = ask_one(r, "client_roots", MCP_CAN_LIST_ROOTS, "{}", &answer, err);
    if (rc == 0) {
        mcp_result_text(r, STR("The client lists roots."));
    }
    return rc;
}

int ask_prompt_context(struct mcp_request *r, const json_t *arguments, struct err *err) {
    const json_t *content;
    (void)arguments;
    int rc = ask_form(r, "user_context", "What context should the prompt use?",
                      TEXT_FORM("context"), &content, err);
    if (rc == 0) {
        mcp_result_textf(r, "The context is: %.*s", STR_ARG(json_str(content, "context")));
    }
    return rc;
}
