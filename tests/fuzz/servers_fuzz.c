/* mcp.json, and the template that makes a header of a credential. */
#include <assert.h>

#include "base/log.h"
#include "mcp/credentials.h"
#include "mcp/servers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct str variable(void *arg, const char *name) {
    (void)arg;
    return name[0] == 'A' ? STR("value") : (struct str){0};
}

static void check(const struct server *s) {
    assert(s->name.n > 0 && s->name.n <= SERVERS_MAX_NAME_BYTES);
    assert((s->url.n > 0) != (s->command.n > 0));
    assert(s->transport == (s->url.n ? MCP_HTTP : MCP_STDIO));
    assert(s->n_values < MCP_MAX_HEADERS || s->transport == MCP_STDIO);
    assert(!s->may_oauth || s->transport == MCP_HTTP);
}

/* The first line is the template, the rest the entry. */
static void render(struct str text) {
    struct secret *s cleanup(secret_free_p) = NULL;
    struct err err;
    struct str template = str_cut(&text, '\n');
    if (credential_render(template, text, &s, &err) == 0) {
        struct str out = secret_reveal(s);
        for (size_t i = str_is_utf8(template) ? 0 : out.n; i < out.n; i++) {
            bool from_template = memchr(template.p, out.p[i], template.n) != NULL;
            assert(from_template || ((unsigned char)out.p[i] >= ' ' && (out.p[i] & 0x80) == 0));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct servers_variables variables = {variable, NULL};
    struct str text = {(const char *)data, size};
    struct servers *s = NULL;
    struct err err;
    log_set_level(LOG_ERROR);
    if (servers_parse(text, &variables, &s, &err) == 0) {
        assert(s->n <= SERVERS_MAX && s->n_skills <= SERVERS_MAX_SKILLS);
        for (size_t i = 0; i < s->n; i++) {
            check(&s->servers[i]);
            assert(servers_find(s, s->servers[i].name) == &s->servers[i]);
        }
        servers_unref(s);
    }
    render(text);
    return 0;
}
