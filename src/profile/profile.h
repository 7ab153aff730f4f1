/* What this instance is: read once from the environment and files, then passed down. No component
 * below or above reads the environment or knows a path of its own. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/secret.h"

struct profile_llm {
    struct str provider; /* "anthropic", "openai", "ollama" */
    struct str model;    /* empty: the provider's default */
};

enum { PROFILE_MAX_FALLBACKS = 8 };

struct profile {
    struct arena arena; /* owns all views below */

    struct str name;       /* PROFILE_NAME: "personal" */
    struct str home;       /* ADJUTANT_HOME or --home; made with mode 0700 */
    struct str listen;     /* ADJUTANT_LISTEN or --listen: "127.0.0.1:8080" */
    bool loopback_only;    /* every listen address is loopback */
    struct str public_url; /* ADJUTANT_PUBLIC_URL, where browsers reach us: "https://host"; else
                              made of `listen` */
    bool demo;             /* ADJUTANT_DEMO: the provider is the bundled fake model */

    struct str system_db_url; /* SYSTEM_DB_URL; empty: SQLite at <home>/adjutant.db */
    struct str
        migrate_db_url; /* SYSTEM_DB_MIGRATE_URL, else as above: whose role owns the tables */
    struct str journal_db_url; /* JOURNAL_DB_URL */
    struct str sqlite_path;
    struct str skills_dir, user_context_path; /* SKILLS_DIR, USER_CONTEXT_PATH */
    struct str mcp_config;                    /* MCP_CONFIG, else <home>/mcp.json */
    bool mcp_config_named;                    /* MCP_CONFIG says so: the file must be there */
    int64_t mcp_idle_s;         /* ADJUTANT_MCP_IDLE_S [300] until an unused connection is closed */
    struct str allowed_skills;  /* ALLOWED_SKILLS: comma-separated, empty: all */
    struct str allowed_origins; /* ADJUTANT_ALLOWED_ORIGINS: comma-separated */

    struct secret *api_key;             /* ASSISTANT_API_KEY; NULL when unset */
    struct str default_user;            /* ASSISTANT_USER_ID: "me" */
    struct secret *credentials_key;     /* CREDENTIALS_ENCRYPTION_KEY; NULL when unset */
    struct secret *credentials_key_old; /* CREDENTIALS_ENCRYPTION_KEY_OLD: separated by commas */
    struct str credentials_key_path;    /* <home>/credentials.key: without SYSTEM_DB_URL */

    struct profile_llm llm; /* LLM_PROVIDER, LLM_MODEL */
    bool llm_configured;    /* a provider can be called: key present, or none needed */
    struct profile_llm
        fallbacks[PROFILE_MAX_FALLBACKS]; /* LLM_FALLBACKS: "openai:gpt-x,ollama:y" */
    size_t n_fallbacks;
    struct str distill_model; /* DISTILL_MODEL: "provider:model" or a model of llm.provider */
    struct str title_model;   /* TITLE_MODEL: the same, for titles; empty: distill_model */
    bool titles;              /* TITLE_MODEL is not "off": threads are named */
    struct secret *anthropic_key, *openai_key; /* ANTHROPIC_API_KEY, OPENAI_API_KEY */
    struct str anthropic_base_url, openai_base_url, ollama_base_url; /* empty: the provider's own */

    unsigned db_pool_size;       /* ADJUTANT_DB_POOL [8] */
    int64_t turn_max_steps;      /* ADJUTANT_TURN_MAX_STEPS [32] model calls */
    int64_t turn_max_tokens;     /* ADJUTANT_TURN_MAX_TOKENS [400,000] in and out */
    int64_t turn_max_seconds;    /* ADJUTANT_TURN_MAX_SECONDS [900] */
    int64_t user_max_turns;      /* ADJUTANT_USER_MAX_TURNS [64] open in this process */
    int64_t lease_ms;            /* ADJUTANT_LEASE_MS [15,000] */
    int64_t event_retention_s;   /* ADJUTANT_EVENT_RETENTION_S [600] after the turn's end */
    int64_t approval_ttl_s;      /* ADJUTANT_APPROVAL_TTL_S [604,800] a question stands open */
    int64_t llm_idle_timeout_ms; /* ADJUTANT_LLM_IDLE_TIMEOUT_MS [60,000] */
    bool migrate_on_start;       /* ADJUTANT_MIGRATE [true] */
};

/* Beside the environment, and weaker than it, the file <home>/adjutant.env is read (NAME=value
 * lines, # comments, mode 0600). `home` and `listen` override the environment when not NULL.
 * ERR_INVALID names the variable and says what it may be. */
int profile_load(const char *home, const char *listen, struct profile **ret, struct err *err)
    must_check;
void profile_free(struct profile *p); /* accepts NULL */
/* Takes the secret ones of the variables out of the environment, where they would stand in core
 * dumps, in /proc and before the eyes of programs that we start. */
void profile_forget_environment(void);

/* What ${NAME} in other configuration files stands for: the environment, and below it adjutant.env
 * as it is now. Values may be secrets: the views live until profile_environment_free, which wipes
 * them. */
struct profile_environment;
int profile_environment_open(const struct profile *p, struct profile_environment **ret,
                             struct err *err) must_check;
void profile_environment_free(struct profile_environment *e); /* accepts NULL */
struct str profile_environment_get(const struct profile_environment *e,
                                   const char *name); /* p == NULL: unset or empty */

/* Every variable with what it means, for --help and the documentation. */
struct profile_variable {
    const char *name, *meaning, *fallback;
    bool secret;
};
const struct profile_variable *profile_variables(size_t *ret_n);
