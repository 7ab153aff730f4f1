/* The tools of the caller's assistant, and what the caller decided about them. */
#include "tool/toolset.h"

#include "api/handlers.h"
#include "api/json_output.h"
#include "store/policies.h"

enum {
    WAIT_MS = 2000, /* for servers that nobody tried before */
    MAX_SKILL_BYTES = 128,
    MAX_SERVER_BYTES = 64,
    MAX_TOOL_BYTES = 128,
    MAX_DESCRIPTION_BYTES = 4096,
};

/* ---- tools ---- */

static const char *source_of(const struct policy_rule *rule) {
    if (!rule) {
        return "default";
    }
    return str_eq(rule->tool, STR("*")) ? "server" : "tool";
}

static const char *place_of(const struct toolset_listed *t) {
    if (t->quarantine.n || !t->usable || t->tool->policy == POLICY_DENY) {
        return "never";
    }
    return t->shown ? "direct" : "search";
}

static void write_tool(struct jsonw *w, const struct toolset_listed *t) {
    jsonw_object(w);
    json_put_text(w, "name", t->tool->name);
    jsonw_kstr(w, "server", t->tool->server);
    jsonw_kstr(w, "tool", t->tool->tool);
    jsonw_kstr(w, "title", t->tool->title);
    jsonw_kstr(w, "description", str_utf8_head(t->tool->description, MAX_DESCRIPTION_BYTES));
    jsonw_kstrz(w, "policy", policy_name(t->tool->policy));
    jsonw_kstrz(w, "policy_source", source_of(t->rule));
    jsonw_kbool(w, "read_only", t->tool->read_only);
    jsonw_kbool(w, "destructive", t->tool->destructive);
    jsonw_kstrz(w, "shown", place_of(t));
    json_put_text(w, "quarantined", t->quarantine);
    jsonw_end_object(w);
}

static void close_set(struct toolset **s) {
    toolset_close(*s);
}

int handle_tools(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(CALL_MAX_REPLY_BYTES);
    struct toolset *set cleanup(close_set) = NULL;
    struct str skill = STR_EMPTY, server = {0};
    if (call_query(c, "skill", MAX_SKILL_BYTES, &skill, err) < 0 ||
        call_query(c, "server", MAX_SERVER_BYTES, &server, err) < 0) {
        return -(int)err->code;
    }
    struct toolset_options options = {
        .user_id = c->principal.user_id, .skill = skill, .wait_ms = WAIT_MS};
    if (toolset_open(c->gateway->toolbox, &options, &set, err) < 0) {
        return -(int)err->code;
    }
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_key(&w, "tools");
    jsonw_array(&w);
    for (size_t i = 0; i < toolset_count(set); i++) {
        struct toolset_listed t = toolset_at(set, i);
        if (!server.p || str_eq(server, t.tool->server)) {
            write_tool(&w, &t);
        }
    }
    jsonw_end_array(&w);
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}

/* ---- policies ---- */

static void write_policy(struct jsonw *w, const struct policy_row *r) {
    jsonw_object(w);
    jsonw_kstr(w, "server", r->server);
    jsonw_kstr(w, "tool", r->tool);
    jsonw_kstr(w, "policy", r->policy);
    json_put_time(w, "updated_at", r->updated_us);
    jsonw_end_object(w);
}

int handle_policy_list(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(4 * 1024 * 1024);
    struct policy_row *rows;
    size_t n;
    if (policy_list(c->gateway->db, c->principal.user_id, &c->arena, &rows, &n, err) < 0) {
        return -(int)err->code;
    }
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_key(&w, "policies");
    jsonw_array(&w);
    for (size_t i = 0; i < n; i++) {
        write_policy(&w, &rows[i]);
    }
    jsonw_end_array(&w);
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}

static int check_name(const char *key, struct str name, struct err *err) {
    for (size_t i = 0; i < name.n; i++) {
        if ((unsigned char)name.p[i] < ' ' || name.p[i] == 0x7f) {
            return err_set(err, ERR_INVALID, "%s: must have no control characters", key);
        }
    }
    return 0;
}

static int check_names(struct str server, struct str tool, struct err *err) {
    if (tool.n == 0) {
        return err_set(err, ERR_INVALID, "tool: is needed; \"*\" is all of the server");
    }
    return check_name("server", server, err) < 0 ? -(int)err->code : check_name("tool", tool, err);
}

static struct str actor(struct call *c) {
    return audit_actor(&c->arena, c->principal.user_id, c->principal.key_hash);
}

int handle_policy_put(struct call *c, struct err *err) {
    json_auto_t *body = NULL;
    struct strbuf out cleanup(strbuf_done) = STRBUF(64 * 1024);
    struct policy_rule rule = {.server = STR_EMPTY, .tool = STR_EMPTY};
    struct str policy = STR_EMPTY;
    if (call_read_json(c, false, &body, err) < 0 ||
        json_want_str(body, "server", MAX_SERVER_BYTES, &rule.server, err) < 0 ||
        json_want_str(body, "tool", MAX_TOOL_BYTES, &rule.tool, err) < 0 ||
        json_want_str(body, "policy", 16, &policy, err) < 0 ||
        check_names(rule.server, rule.tool, err) < 0) {
        return -(int)err->code;
    }
    if (!policy_parse(policy, &rule.policy)) {
        return err_set(err, ERR_INVALID, "policy: must be allow, ask or deny");
    }
    if (toolbox_policy_set(c->gateway->toolbox, c->principal.user_id, actor(c), &rule, err) < 0) {
        return -(int)err->code;
    }
    feed_settings(c->gateway->feed, c->principal.user_id, FEED_POLICIES);
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_kstr(&w, "server", rule.server);
    jsonw_kstr(&w, "tool", rule.tool);
    jsonw_kstrz(&w, "policy", policy_name(rule.policy));
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}

int handle_policy_delete(struct call *c, struct err *err) {
    struct str server = STR_EMPTY, tool = STR_EMPTY;
    if (call_query(c, "server", MAX_SERVER_BYTES, &server, err) < 0 ||
        call_query(c, "tool", MAX_TOOL_BYTES, &tool, err) < 0 ||
        check_names(server, tool, err) < 0 ||
        toolbox_policy_reset(c->gateway->toolbox, c->principal.user_id, actor(c), server, tool,
                             err) < 0) {
        return -(int)err->code;
    }
    feed_settings(c->gateway->feed, c->principal.user_id, FEED_POLICIES);
    return call_respond_empty(c, 204, NULL, 0);
}
