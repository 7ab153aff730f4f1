/* The conformance suite's server under test: the tables of its parts. What the tools say is what
 * the suite looks for. */
#pragma once
#include "mcp/server.h"

/* A JSON text written as it is. */
#define JSON(...) #__VA_ARGS__

extern const struct mcp_server_tool fixture_tools[];
extern const size_t fixture_n_tools;

/* Answers of tools that ask the client; called through the table. */
may_yield int ask_sampling(struct mcp_request *r, const json_t *arguments, struct err *err);
may_yield int ask_elicitation(struct mcp_request *r, const json_t *arguments, struct err *err);
may_yield int ask_defaults(struct mcp_request *r, const json_t *arguments, struct err *err);
may_yield int ask_enums(struct mcp_request *r, const json_t *arguments, struct err *err);
may_yield int ask_missing_capability(struct mcp_request *r, const json_t *arguments,
                                     struct err *err);
may_yield int ask_name(struct mcp_request *r, const json_t *arguments, struct err *err);
may_yield int ask_capital(struct mcp_request *r, const json_t *arguments, struct err *err);
may_yield int ask_roots(struct mcp_request *r, const json_t *arguments, struct err *err);
may_yield int ask_with_state(struct mcp_request *r, const json_t *arguments, struct err *err);
may_yield int ask_several(struct mcp_request *r, const json_t *arguments, struct err *err);
may_yield int ask_rounds(struct mcp_request *r, const json_t *arguments, struct err *err);
may_yield int ask_what_client_can(struct mcp_request *r, const json_t *arguments, struct err *err);
may_yield int ask_prompt_context(struct mcp_request *r, const json_t *arguments, struct err *err);

extern const struct mcp_server_resource fixture_resources[];
extern const size_t fixture_n_resources;
extern const struct mcp_server_template fixture_templates[];
extern const size_t fixture_n_templates;
extern const struct mcp_server_prompt fixture_prompts[];
extern const size_t fixture_n_prompts;
may_yield int fixture_complete(struct mcp_request *r, const struct mcp_completion *c,
                               struct err *err);

/* A PNG of one red pixel, a WAV of a few samples. */
struct str fixture_png(void);
struct str fixture_wav(void);
