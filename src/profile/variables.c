#include "profile/profile.h"

static const struct profile_variable variables[] = {
    {"ADJUTANT_HOME", "the folder that keeps this instance's data", "~/.adjutant", false},
    {"ADJUTANT_LISTEN", "the address to serve on", "127.0.0.1:8080", false},
    {"ADJUTANT_PUBLIC_URL", "where browsers reach this instance, https://...",
     "http:// and ADJUTANT_LISTEN", false},
    {"PROFILE_NAME", "what this instance is called", "personal", false},
    {"SYSTEM_DB_URL", "PostgreSQL, postgres://...; unset: SQLite in the home folder", NULL, true},
    {"SYSTEM_DB_MIGRATE_URL", "the same database as the role that owns its tables", "SYSTEM_DB_URL",
     true},
    {"JOURNAL_DB_URL", "the personal database, postgres://...", NULL, true},
    {"ASSISTANT_API_KEY", "the first key, or without SYSTEM_DB_URL the shared one", NULL, true},
    {"ASSISTANT_USER_ID", "the default user", "me", false},
    {"CREDENTIALS_ENCRYPTION_KEY",
     "what users' credentials are encrypted under: 32 bytes in base64 or hexadecimal (openssl rand "
     "-base64 32), or a passphrase; needed with SYSTEM_DB_URL",
     "the file credentials.key in the home folder, made at the first start", true},
    {"CREDENTIALS_ENCRYPTION_KEY_OLD", "earlier ones, separated by commas: for reading", NULL,
     true},
    {"LLM_PROVIDER", "claude, openai or ollama", "the first that is configured", false},
    {"LLM_MODEL", "the model of LLM_PROVIDER", "the provider's default", false},
    {"LLM_FALLBACKS", "provider:model, separated by commas: tried in order when the model fails",
     NULL, false},
    {"DISTILL_MODEL",
     "the model that compresses old messages: provider:model, or a model of "
     "LLM_PROVIDER",
     "LLM_MODEL", false},
    {"ANTHROPIC_API_KEY", "the operator's key for Claude", NULL, true},
    {"ANTHROPIC_BASE_URL", "where Anthropic's API is", "https://api.anthropic.com", false},
    {"OPENAI_API_KEY", "the operator's key for OpenAI or a compatible server", NULL, true},
    {"OPENAI_BASE_URL", "where OpenAI's API is, with its /v1", "https://api.openai.com/v1", false},
    {"OLLAMA_BASE_URL", "where Ollama is", "http://127.0.0.1:11434", false},
    {"SKILLS_DIR", "the skills' folder", "<home>/skills", false},
    {"USER_CONTEXT_PATH", "what every agent knows of the user", "<home>/user-context.md", false},
    {"MCP_CONFIG", "the file that names the MCP servers", "<home>/mcp.json", false},
    {"ADJUTANT_MCP_IDLE_S", "how long a connection to an MCP server may be unused, in seconds",
     "300", false},
    {"ALLOWED_SKILLS", "names, separated by commas", "all", false},
    {"ADJUTANT_ALLOWED_ORIGINS", "web origins beside our own, separated by commas", NULL, false},
    {"ADJUTANT_MIGRATE", "bring the database up to date at the start", "true", false},
    {"ADJUTANT_DB_POOL", "connections to PostgreSQL", "8", false},
    {"ADJUTANT_TURN_MAX_STEPS", "model calls of one turn", "32", false},
    {"ADJUTANT_TURN_MAX_TOKENS", "tokens of one turn, in and out", "400000", false},
    {"ADJUTANT_TURN_MAX_SECONDS", "duration of one turn", "900", false},
    {"ADJUTANT_USER_MAX_TURNS", "turns of one user that run or wait at once", "64", false},
    {"ADJUTANT_LEASE_MS", "how long a process may be silent before its turns are taken over",
     "15000", false},
    {"ADJUTANT_EVENT_RETENTION_S", "how long a turn can be replayed after its end", "600", false},
    {"ADJUTANT_APPROVAL_TTL_S", "how long a question to the user can be answered", "604800", false},
    {"ADJUTANT_LLM_IDLE_TIMEOUT_MS", "how long a model may be silent", "60000", false},
    {"ADJUTANT_DEMO", "says that the provider is a made-up model", "false", false},
};

const struct profile_variable *profile_variables(size_t *ret_n) {
    *ret_n = ARRAY_LEN(variables);
    return variables;
}
