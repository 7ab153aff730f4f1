/* Tools that answer by themselves, and the table of all tools. */
#include "server_fixture.h"

static int simple_text(struct mcp_request *r, const json_t *arguments, struct err *err) {
    (void)arguments;
    (void)err;
    mcp_result_text(r, STR("This is a simple text response for testing."));
    return 0;
}

static int image_content(struct mcp_request *r, const json_t *arguments, struct err *err) {
    (void)arguments;
    (void)err;
    mcp_result_image(r, "image/png", fixture_png());
    return 0;
}

static int audio_content(struct mcp_request *r, const json_t *arguments, struct err *err) {
    (void)arguments;
    (void)err;
    mcp_result_audio(r, "audio/wav", fixture_wav());
    return 0;
}

static int embedded_resource(struct mcp_request *r, const json_t *arguments, struct err *err) {
    (void)arguments;
    (void)err;
    mcp_result_resource_text(r, STR("test://embedded-resource"), "text/plain",
                             STR("This is an embedded resource content."));
    return 0;
}

static int multiple_types(struct mcp_request *r, const json_t *arguments, struct err *err) {
    (void)arguments;
    (void)err;
    mcp_result_text(r, STR("Multiple content types test:"));
    mcp_result_image(r, "image/png", fixture_png());
    mcp_result_resource_text(r, STR("test://mixed-content-resource"), "application/json",
                             STR("{\"test\":\"data\",\"value\":123}"));
    return 0;
}

static int error_handling(struct mcp_request *r, const json_t *arguments, struct err *err) {
    (void)r;
    (void)arguments;
    return err_set(err, ERR_INTERNAL, "This tool intentionally returns an error for testing");
}

static int with_progress(struct mcp_request *r, const json_t *arguments, struct err *err) {
    (void)arguments;
    for (int i = 0; i <= 2; i++) {
        mcp_request_progress(r, i * 50, 100, STR_EMPTY);
        if (fiber_sleep(50) < 0) {
            return err_set(err, ERR_CANCELLED, "cancelled");
        }
    }
    mcp_result_text(r, STR("Progress is at 100 of 100."));
    return 0;
}

static int with_logging(struct mcp_request *r, const json_t *arguments, struct err *err) {
    static const char *const messages[] = {"Tool execution started", "Tool processing data",
                                           "Tool execution completed"};
    (void)arguments;
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        mcp_request_log(r, MCP_LOG_INFO, NULL, str_z(messages[i]));
        if (fiber_sleep(50) < 0) {
            return err_set(err, ERR_CANCELLED, "cancelled");
        }
    }
    mcp_result_text(r, STR("Three messages were logged."));
    return 0;
}

static int reconnection(struct mcp_request *r, const json_t *arguments, struct err *err) {
    (void)arguments;
    mcp_request_release_stream(r, 500);
    if (fiber_sleep(100) < 0) {
        return err_set(err, ERR_CANCELLED, "cancelled");
    }
    mcp_result_text(r, STR("The response came after the stream was closed."));
    return 0;
}

static int echo(struct mcp_request *r, const json_t *arguments, struct err *err) {
    (void)err;
    mcp_result_structured_tree(r, arguments);
    return 0;
}

static int region(struct mcp_request *r, const json_t *arguments, struct err *err) {
    (void)err;
    mcp_result_textf(r, "The region is %.*s.", STR_ARG(json_str(arguments, "region")));
    return 0;
}

static int trigger_tool_change(struct mcp_request *r, const json_t *arguments, struct err *err) {
    (void)arguments;
    (void)err;
    mcp_endpoint_changed(mcp_request_endpoint(r), MCP_CHANGE_TOOLS, STR_EMPTY);
    mcp_result_text(r, STR("The list of tools has changed."));
    return 0;
}

static int trigger_prompt_change(struct mcp_request *r, const json_t *arguments, struct err *err) {
    (void)arguments;
    (void)err;
    mcp_endpoint_changed(mcp_request_endpoint(r), MCP_CHANGE_PROMPTS, STR_EMPTY);
    mcp_result_text(r, STR("The list of prompts has changed."));
    return 0;
}

static int update_resource(struct mcp_request *r, const json_t *arguments, struct err *err) {
    (void)arguments;
    (void)err;
    mcp_endpoint_resource_updated(mcp_request_endpoint(r), STR("test://watched-resource"),
                                  STR_EMPTY);
    mcp_result_text(r, STR("The watched resource has changed."));
    return 0;
}

static int wait_long(struct mcp_request *r, const json_t *arguments, struct err *err) {
    if (fiber_sleep(json_int(arguments, "ms", 60000)) < 0) {
        return err_set(err, ERR_CANCELLED, "cancelled");
    }
    mcp_result_text(r, STR("done"));
    return 0;
}

static const char one_text[] = JSON({
    "type" : "object",
    "properties" : {"prompt" : {"type" : "string", "description" : "What to ask the model"}},
    "required" : ["prompt"]
});
static const char one_message[] = JSON({
    "type" : "object",
    "properties" : {"message" : {"type" : "string", "description" : "What to ask the user"}},
    "required" : ["message"]
});
static const char one_region[] = JSON({
    "type" : "object",
    "properties" :
        {"region" : {"type" : "string", "x-mcp-header" : "Region", "description" : "Where to"}},
    "required" : ["region"]
});
static const char one_wait[] = JSON({
    "type" : "object",
    "properties" : {"ms" : {"type" : "integer", "minimum" : 0, "maximum" : 600000}}
});
static const char wide_schema[] = JSON({
    "$schema" : "https://json-schema.org/draft/2020-12/schema",
    "type" : "object",
    "$defs" : {
        "address" : {
            "$anchor" : "addressDef",
            "type" : "object",
            "properties" : {"street" : {"type" : "string"}, "city" : {"type" : "string"}}
        }
    },
    "properties" : {
        "name" : {"type" : "string"},
        "address" : {"$ref" : "#/$defs/address"},
        "contactMethod" : {"type" : "string", "enum" : [ "phone", "email" ]},
        "phone" : {"type" : "string"},
        "email" : {"type" : "string"}
    },
    "allOf" : [ {"anyOf" : [ {"required" : ["phone"]}, {"required" : ["email"]} ]} ],
    "if" : {"properties" : {"contactMethod" : {"const" : "phone"}}, "required" : ["contactMethod"]},
    "then" : {"required" : ["phone"]},
    "else" : {"required" : ["email"]},
    "additionalProperties" : false
});

#define TOOL(name_, description_, run_)                                                            \
    { .name = name_, .description = description_, .run = run_ }

const struct mcp_server_tool fixture_tools[] = {
    TOOL("test_simple_text", "Says a text.", simple_text),
    TOOL("test_image_content", "Shows an image.", image_content),
    TOOL("test_audio_content", "Plays a sound.", audio_content),
    TOOL("test_embedded_resource", "Embeds a resource.", embedded_resource),
    TOOL("test_multiple_content_types", "Mixes kinds of content.", multiple_types),
    TOOL("test_error_handling", "Fails.", error_handling),
    TOOL("test_tool_with_progress", "Tells its progress.", with_progress),
    TOOL("test_tool_with_logging", "Logs.", with_logging),
    TOOL("test_logging_tool", "Logs if it may.", with_logging),
    TOOL("test_reconnection", "Closes its stream and goes on.", reconnection),
    {.name = "test_sampling",
     .description = "Asks the client's model.",
     .input_schema = one_text,
     .run = ask_sampling},
    {.name = "test_elicitation",
     .description = "Asks the user.",
     .input_schema = one_message,
     .run = ask_elicitation},
    TOOL("test_elicitation_sep1034_defaults", "Asks with defaults.", ask_defaults),
    TOOL("test_elicitation_sep1330_enums", "Asks for choices.", ask_enums),
    {.name = "json_schema_2020_12_tool",
     .description = "Tool with JSON Schema 2020-12 features",
     .input_schema = wide_schema,
     .run = echo},
    TOOL("test_missing_capability", "Needs sampling.", ask_missing_capability),
    TOOL("test_streaming_elicitation", "Asks without a request.", ask_name),
    TOOL("test_trigger_tool_change", "Says that tools changed.", trigger_tool_change),
    TOOL("test_trigger_prompt_change", "Says that prompts changed.", trigger_prompt_change),
    TOOL("test_update_resource", "Says that the watched resource changed.", update_resource),
    TOOL("test_input_required_result_elicitation", "Asks for a name.", ask_name),
    TOOL("test_input_required_result_sampling", "Asks for a capital.", ask_capital),
    TOOL("test_input_required_result_list_roots", "Asks for roots.", ask_roots),
    TOOL("test_input_required_result_request_state", "Keeps a state.", ask_with_state),
    TOOL("test_input_required_result_multiple_inputs", "Asks for several.", ask_several),
    TOOL("test_input_required_result_multi_round", "Asks twice.", ask_rounds),
    TOOL("test_input_required_result_tampered_state", "Keeps a state.", ask_with_state),
    TOOL("test_input_required_result_capabilities", "Asks what it can.", ask_what_client_can),
    {.name = "test_custom_header",
     .description = "Has a mirrored parameter.",
     .input_schema = one_region,
     .run = region},
    {.name = "test_wait",
     .description = "Waits.",
     .input_schema = one_wait,
     .read_only = true,
     .run = wait_long},
};
const size_t fixture_n_tools = ARRAY_LEN(fixture_tools);
