/* The definitions of MCP servers: mcp.json of the home folder, in the format that other clients
 * have, else the five of a standard installation, which are off until they are reachable.
 *
 *     {"mcpServers": {
 *        "garmin": {"url": "http://garmin:5555/mcp", "credential":
 *                    {"service": "garmin", "header": "X-Garmin-Token", "value": "{*}"}},
 *        "files": {"command": "npx", "args": ["-y", "server-filesystem", "${HOME}/notes"]}},
 *      "skillServers": {"fitness": ["garmin"]}}
 *
 * Beside what others have, an entry may say: credential, oauth, era (auto, modern, legacy), pinned
 * (names of tools), timeout_ms, disabled.
 *
 * ${NAME} and ${NAME:-default} are expanded in all strings of an entry. Whoever reads holds a
 * reference; the definitions never change. */
#pragma once
#include "mcp/client.h"
#include "profile/profile.h"

enum {
    SERVERS_MAX = 64,
    SERVERS_MAX_SKILLS = 200,
    SERVERS_MAX_FILE_BYTES = 512 * 1024,
    SERVERS_MAX_NAME_BYTES = 64,
    SERVERS_MAX_ARGS = 128,
    SERVERS_MAX_ENV = 64,
};

/* Which entry of a user's vault goes into which header (or, for a command, environment variable).
 * In the template {name} is a member of the entry, {a.b} a member of a member, {*} all of it. */
struct server_credential {
    struct str service; /* empty: the server gets none */
    struct str carrier; /* the header's or the variable's name, NUL-terminated */
    struct str template;
};

/* What the operator registered at an authorization server, when registration is not automatic. */
struct server_oauth {
    struct str client_id; /* empty: none */
    struct secret *client_secret;
    struct str scopes; /* space-separated; empty: what the server asks for */
    struct str issuer; /* whose client_id it is; empty: whichever the server names */
};

struct server_value { /* a header, or a variable of a command */
    struct str name;  /* NUL-terminated */
    struct secret *value;
};

struct server {
    struct str name;
    enum mcp_transport transport;
    enum mcp_era pinned_era;
    struct str url, command; /* NUL-terminated */
    struct str *args;
    size_t n_args;
    struct server_value *values; /* headers, or variables of the command */
    size_t n_values;
    struct server_credential credential;
    bool may_oauth; /* it may ask for OAuth: nothing else tells it who calls */
    struct server_oauth oauth;
    struct str *pinned; /* tools that a model is always shown */
    size_t n_pinned;
    int64_t timeout_ms;   /* of a call; 0: the default */
    bool disabled;        /* listed nowhere */
    bool preconfigured;   /* nobody asked for it: that it is away is normal */
    uint8_t identity[32]; /* equal for equal definitions, whatever the file's other entries are */
};

struct servers {
    struct server *servers; /* without the disabled ones, in the file's order */
    size_t n;
    struct server_skill {
        struct str skill;
        struct str *servers;
        size_t n;
    } * skills;
    size_t n_skills;
    bool preconfigured; /* there is no file */
    unsigned refs;
    struct arena arena;
};

/* Where ${NAME} comes from; p == NULL: unset. */
struct servers_variables {
    struct str (*get)(void *arg, const char *name);
    void *arg;
};
/* ERR_INVALID names the entry: "mcpServers.garmin.url: must be ...". What is not known is ignored
 * and logged. */
int servers_parse(struct str text, const struct servers_variables *variables, struct servers **ret,
                  struct err *err) must_check;
struct servers *servers_preconfigured(void);
/* The file of the profile, else the preconfigured ones. */
int servers_load(const struct profile *profile, struct servers **ret, struct err *err) must_check;

struct servers *servers_ref(struct servers *s);
void servers_unref(struct servers *s);                                       /* accepts NULL */
const struct server *servers_find(const struct servers *s, struct str name); /* NULL: none */
/* Empty, "cos" and skills that skillServers does not name: all. */
bool servers_skill_may_use(const struct servers *s, struct str skill, struct str server);
