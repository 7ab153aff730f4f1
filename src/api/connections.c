/* The user's connections to MCP servers, and the tools there. */
#include "api/handlers.h"
#include "base/clock.h"
#include "mcp/tool_list.h"

enum { MAX_WAIT_MS = 10 * 1000, TOOLS_WAIT_MS = 5000, MAX_QUARANTINED = 100 };

static void write_text(struct jsonw *w, const char *key, struct str text) {
    if (text.n) {
        jsonw_kstr(w, key, text);
    } else {
        jsonw_key(w, key);
        jsonw_null(w);
    }
}

static void write_retry(struct jsonw *w, int64_t at_us) {
    int64_t in_us = at_us - clock_mono_us();
    char iso[CLOCK_ISO_LEN + 1] = "";
    if (at_us > 0 && in_us > 0) {
        clock_iso(clock_now_us() + in_us, iso);
    }
    write_text(w, "retry_at", str_z(iso));
}

static void write_server(struct jsonw *w, const struct mcp_server_info *info) {
    static const char *const eras[] = {
        [MCP_ERA_UNKNOWN] = "", [MCP_ERA_LEGACY] = "legacy", [MCP_ERA_MODERN] = "modern"};
    write_text(w, "era", str_z(info ? eras[info->era] : ""));
    write_text(w, "version", info ? info->version : STR_EMPTY);
    jsonw_key(w, "server");
    if (!info) {
        jsonw_null(w);
        return;
    }
    jsonw_object(w);
    write_text(w, "name", info->name);
    write_text(w, "title", info->title);
    write_text(w, "version", info->server_version);
    write_text(w, "instructions", info->instructions);
    jsonw_end_object(w);
}

static void write_credential(struct jsonw *w, const struct bridge_server *s) {
    jsonw_key(w, "credential");
    if (s->credential_service.n == 0) {
        jsonw_null(w);
        return;
    }
    jsonw_object(w);
    jsonw_kstr(w, "service", s->credential_service);
    jsonw_kbool(w, "stored", s->has_credential);
    jsonw_end_object(w);
}

static void write_tool_counts(struct jsonw *w, const struct mcp_tools *tools) {
    size_t left = MAX_QUARANTINED;
    jsonw_key(w, "tools");
    if (tools) {
        jsonw_int(w, (int64_t)(tools->n - tool_list_quarantined(tools)));
    } else {
        jsonw_null(w);
    }
    jsonw_key(w, "quarantined");
    jsonw_array(w);
    for (size_t i = 0; tools && i < tools->n && left > 0; i++) {
        if (tools->tools[i].quarantine.n) {
            jsonw_object(w);
            jsonw_kstr(w, "name", tools->tools[i].name);
            jsonw_kstr(w, "reason", tools->tools[i].quarantine);
            jsonw_end_object(w);
            left--;
        }
    }
    jsonw_end_array(w);
}

static void write_connection(struct jsonw *w, const struct bridge_server *s) {
    jsonw_object(w);
    jsonw_kstr(w, "name", s->name);
    jsonw_kstrz(w, "transport", s->transport == MCP_HTTP ? "http" : "stdio");
    jsonw_kstrz(w, "state", bridge_state_name(s->state));
    write_text(w, "error", s->error);
    write_retry(w, s->retry_at_us);
    write_server(w, s->info);
    write_credential(w, s);
    jsonw_kbool(w, "oauth", s->oauth);
    write_tool_counts(w, s->tools);
    write_text(w, "list_warning", s->list_warning);
    jsonw_end_object(w);
}

static int open_view(struct call *c, int64_t wait_ms, struct bridge_view *ret, struct err *err) {
    if (call_query_int(c, "wait_ms", 0, MAX_WAIT_MS, &wait_ms, err) < 0) {
        return -(int)err->code;
    }
    return bridge_view_open(c->gateway->bridges, c->principal.user_id, wait_ms, ret, err);
}

static const struct bridge_server *find(const struct bridge_view *v, struct str name) {
    for (size_t i = 0; i < v->n; i++) {
        if (str_eq(v->servers[i].name, name)) {
            return &v->servers[i];
        }
    }
    return NULL;
}

static int find_server(struct call *c, const struct bridge_view *v,
                       const struct bridge_server **ret, struct err *err) {
    *ret = find(v, c->params[0]);
    return *ret ? 0 : err_set(err, ERR_NOT_FOUND, "there is no such server");
}

int handle_connection_list(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(CALL_MAX_REPLY_BYTES);
    struct bridge_view view cleanup(bridge_view_done) = {0};
    if (open_view(c, 0, &view, err) < 0) {
        return -(int)err->code;
    }
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_key(&w, "connections");
    jsonw_array(&w);
    for (size_t i = 0; i < view.n; i++) {
        write_connection(&w, &view.servers[i]);
    }
    jsonw_end_array(&w);
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}

/* ---- the tools of one ---- */

static void write_schema(struct jsonw *w, const char *key, struct str schema) {
    jsonw_kraw(w, key, schema.n ? schema : STR("null"));
}

static void write_tool(struct jsonw *w, const struct mcp_tool *t) {
    jsonw_object(w);
    jsonw_kstr(w, "name", t->name);
    write_text(w, "title", t->title);
    write_text(w, "description", t->description);
    write_schema(w, "input_schema", t->input_schema);
    write_schema(w, "output_schema", t->output_schema);
    jsonw_kbool(w, "read_only", t->read_only);
    jsonw_kbool(w, "destructive", t->destructive);
    jsonw_kbool(w, "idempotent", t->idempotent);
    jsonw_kbool(w, "open_world", t->open_world);
    write_text(w, "quarantine", t->quarantine);
    jsonw_end_object(w);
}

int handle_connection_tools(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(CALL_MAX_REPLY_BYTES);
    struct bridge_view view cleanup(bridge_view_done) = {0};
    const struct bridge_server *s;
    if (open_view(c, TOOLS_WAIT_MS, &view, err) < 0 || find_server(c, &view, &s, err) < 0) {
        return -(int)err->code;
    }
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_kstr(&w, "name", s->name);
    jsonw_kstrz(&w, "state", bridge_state_name(s->state));
    write_text(&w, "list_warning", s->list_warning);
    jsonw_key(&w, "tools");
    jsonw_array(&w);
    for (size_t i = 0; s->tools && i < s->tools->n; i++) {
        write_tool(&w, &s->tools->tools[i]);
    }
    jsonw_end_array(&w);
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}

int handle_connection_reconnect(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(CALL_MAX_REPLY_BYTES);
    struct bridge_view view cleanup(bridge_view_done) = {0};
    const struct bridge_server *s;
    if (bridge_reconnect(c->gateway->bridges, c->principal.user_id, c->params[0], err) < 0 ||
        bridge_view_open(c->gateway->bridges, c->principal.user_id, 0, &view, err) < 0 ||
        find_server(c, &view, &s, err) < 0) {
        return -(int)err->code;
    }
    struct jsonw w = jsonw_begin(&out);
    write_connection(&w, s);
    return call_respond(c, 200, &out, err);
}
