/* Tools as the providers take them. They check the schemas of all tools of a request and refuse it
 * whole for one that they do not like, so each tool is adapted, on copies, or refused alone:
 *
 * - refused by Anthropic: anyOf, oneOf, allOf and $ref at the root; keys of the root's properties
 *   other than [A-Za-z0-9_.-]{1,64}; what is no schema by the meta-schema of draft 2020-12;
 * - refused by OpenAI: a root that is not of type object, has anyOf, oneOf, allOf, enum, not, or no
 *   properties; arrays without items; descriptions of tools above 1,024 characters;
 * - refused by Ollama: members of another JSON type than its structures have.
 *
 * References are inlined where they are local; what is recursive or elsewhere becomes a schema that
 * takes anything, and nothing is ever fetched. What the root cannot say goes into the description.
 * A schema that needs none of this stays as it is, byte for byte. Does not yield; bounded. */
#pragma once
#include "llm/llm.h"

enum {
    LLM_TOOL_SCHEMA_MAX_BYTES = 64 * 1024, /* as it is sent */
    LLM_TOOL_SCHEMA_MAX_SOURCE_BYTES = 256 * 1024,
    LLM_TOOL_DESCRIPTION_MAX_BYTES = 16 * 1024,
};

/* A key of the root's properties that is sent under another name. */
struct llm_tool_rename {
    struct str sent, own;
};
struct llm_tool_facts {
    const struct llm_tool_rename *renames;
    size_t n_renames;
    struct str parameters; /* the names of the root's properties, separated by line ends; bounded */
};

/* `tool` has name, description and schema (views that live as long as the arena); fills in its
 * forms. ERR_INVALID or ERR_LIMIT say, for people, why the tool cannot be offered: "its schema
 * ...". */
int llm_tool_adapt(struct llm_tool *tool, struct arena *arena, struct llm_tool_facts *ret,
                   struct err *err) must_check;
/* The arguments under the tool's own names. Text that needs no change comes back as it is. */
struct str llm_tool_own_arguments(const struct llm_tool_facts *facts, struct str arguments,
                                  struct arena *arena);
