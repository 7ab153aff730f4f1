/* Who the caller is: as the gateway knows them, and as they say. */
#include "api/handlers.h"
#include "api/json_output.h"
#include "graph/endpoints.h"

/* ---- as the gateway knows them ---- */

/* What would be asked when no model is named. A key that does not decrypt is a problem that only
 * the user can solve, and no reason to tell them nothing at all. */
static int write_model(struct call *c, struct jsonw *w, struct err *err) {
    const struct endpoints_request q = {.profile = c->gateway->profile,
                                        .vault = c->gateway->vault,
                                        .user_id = c->principal.user_id,
                                        .model = STR_EMPTY,
                                        .allow_operator_llm = c->principal.allow_operator_llm};
    struct endpoints endpoints cleanup(endpoints_done) = {0};
    struct str model = STR_EMPTY, owner = STR_EMPTY;
    int rc = endpoints_resolve(&q, &endpoints, err);
    if (rc < 0 && rc != -ERR_FORBIDDEN) {
        return rc;
    }
    if (rc == 0) {
        const struct llm_endpoint *e = &endpoints.list[0];
        model =
            arena_printf(&c->arena, "%s:%.*s", llm_provider_name(e->provider), STR_ARG(e->model));
        owner = e->user_key ? STR("user") : STR("operator");
    }
    jsonw_kbool(w, "configured", rc == 0);
    json_put_text(w, "model", model);
    json_put_text(w, "key_owner", owner);
    json_put_text(w, "problem", rc < 0 ? str_z(err->msg) : STR_EMPTY);
    return 0;
}

static int write_setup(struct call *c, const struct user_profile *user, struct jsonw *w,
                       struct err *err) {
    const struct servers *servers = bridges_servers(c->gateway->bridges);
    bool admin = c->principal.role == ROLE_ADMIN;
    jsonw_key(w, "setup");
    jsonw_object(w);
    if (write_model(c, w, err) < 0) {
        return -(int)err->code;
    }
    jsonw_kbool(w, "profile", user->updated_us != 0);
    jsonw_kint(w, "mcp_servers", servers->preconfigured ? 0 : (int64_t)servers->n);
    json_put_text(w, "mcp_config", admin ? c->gateway->profile->mcp_config : STR_EMPTY);
    jsonw_end_object(w);
    return 0;
}

int handle_me(struct call *c, struct err *err) {
    static const char *const modes[] = {
        [AUTH_TABLE] = "table", [AUTH_SHARED] = "shared", [AUTH_OPEN] = "open"};
    struct strbuf out cleanup(strbuf_done) = STRBUF(64 * 1024);
    struct user_profile user;
    enum auth_mode mode = auth_mode(c->gateway->auth);
    bridges_touch(c->gateway->bridges, c->principal.user_id); /* whoever asks will soon talk */
    const char *via = c->principal.from_cookie ? "cookie" : mode == AUTH_OPEN ? "open" : "key";
    struct jsonw w = jsonw_begin(&out);
    if (user_profiles_find(c->gateway->user_profiles, c->principal.user_id, &c->arena, &user, err) <
        0) {
        return -(int)err->code;
    }
    jsonw_object(&w);
    jsonw_kstr(&w, "user_id", c->principal.user_id);
    json_put_text(&w, "name", user.name);
    jsonw_kstrz(&w, "role", role_name(c->principal.role));
    jsonw_kstrz(&w, "auth", modes[mode]);
    jsonw_kstrz(&w, "via", via);
    jsonw_kbool(&w, "allow_operator_llm", c->principal.allow_operator_llm);
    if (write_setup(c, &user, &w, err) < 0) {
        return -(int)err->code;
    }
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}

/* ---- as they say ---- */

static int respond(struct call *c, const struct user_profile *p, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(256 * 1024);
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    json_put_text(&w, "name", p->name);
    json_put_text(&w, "time_zone", p->time_zone);
    json_put_text(&w, "about", p->about);
    json_put_time(&w, "updated_at", p->updated_us);
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}

int handle_profile_get(struct call *c, struct err *err) {
    struct user_profile p;
    if (user_profiles_find(c->gateway->user_profiles, c->principal.user_id, &c->arena, &p, err) <
        0) {
        return -(int)err->code;
    }
    return respond(c, &p, err);
}

/* What is too long is refused later, by its own limit. */
static int read_member(const json_t *body, const char *key, struct str *ret, struct err *err) {
    enum { MAX_INPUT_BYTES = 64 * 1024 };
    *ret = STR_EMPTY;
    return json_is_null(json_object_get(body, key))
               ? 0
               : json_want_str(body, key, MAX_INPUT_BYTES, ret, err);
}

int handle_profile_put(struct call *c, struct err *err) {
    json_auto_t *body = NULL;
    struct user_profile p = {0};
    if (call_read_json(c, false, &body, err) < 0 || read_member(body, "name", &p.name, err) < 0 ||
        read_member(body, "time_zone", &p.time_zone, err) < 0 ||
        read_member(body, "about", &p.about, err) < 0 ||
        user_profiles_put(c->gateway->user_profiles, c->principal.user_id, &p, err) < 0) {
        return -(int)err->code;
    }
    feed_settings(c->gateway->feed, c->principal.user_id, FEED_PROFILE);
    return respond(c, &p, err);
}
