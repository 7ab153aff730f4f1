#include "graph/llm_key.h"

#include <arpa/inet.h>

enum { MAX_MODEL_BYTES = 256, MAX_URL_BYTES = 1024 };

/* ---- shape ---- */

static bool is_plain(struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || s.p[i] > '~') {
            return false;
        }
    }
    return true;
}

static int check_members(const json_t *value, struct err *err) {
    static const char *const members[] = {"api_key", "preferred_model", "base_url"};
    const char *key;
    json_t *member;
    json_object_foreach ((json_t *)value, key, member) {
        bool known = false;
        for (size_t i = 0; i < ARRAY_LEN(members); i++) {
            known |= strcmp(key, members[i]) == 0;
        }
        if (!known) {
            return err_set(err, ERR_INVALID,
                           "value: a model key has the members api_key, preferred_model and "
                           "base_url only");
        }
    }
    return 0;
}

/* What a certificate can vouch for, and what is not around the corner: a user must not reach the
 * house's own network through it. */
static bool is_public_host(struct str host) {
    static const char *const near[] = {".localhost", ".local", ".internal", ".lan", ".home.arpa"};
    char z[256];
    struct in_addr v4;
    if (host.n == 0 || host.n >= sizeof z || str_find_char(host, '.') == SIZE_MAX ||
        host.p[0] == '[') {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(near); i++) {
        if (host.n >= strlen(near[i]) &&
            str_eq_nocase(str_skip(host, host.n - strlen(near[i])), str_z(near[i]))) {
            return false;
        }
    }
    char last = host.p[host.n - 1];
    memcpy(z, host.p, host.n);
    z[host.n] = '\0';
    return last != '.' && !(last >= '0' && last <= '9') && inet_aton(z, &v4) == 0;
}

static bool url_ok(struct str url, bool any_url) {
    bool https = str_starts(url, STR("https://"));
    if (!https && !(any_url && str_starts(url, STR("http://")))) {
        return false;
    }
    struct str rest = str_skip(url, https ? 8 : 7);
    struct str host = rest;
    for (size_t i = 0; i < rest.n; i++) {
        if (strchr("@?#\\", rest.p[i])) {
            return false;
        }
    }
    host = str_cut(&host, '/');
    if (any_url) {
        return host.n > 0;
    }
    struct str port = host;
    host = str_cut(&port, ':');
    return is_public_host(host);
}

bool llm_key_is_enough(const struct llm_provider *p, struct str api_key, struct str base_url) {
    return base_url.n || (api_key.n && p != &llm_ollama);
}

static int want(const json_t *object, const char *prefix, const char *key, size_t max,
                struct str *ret, struct err *err) {
    *ret = STR_EMPTY;
    if (json_want_str(object, key, max, ret, err) < 0) {
        return prefix[0] ? err_prefix(err, "value") : -(int)err->code;
    }
    return is_plain(*ret) ? 0
                          : err_set(err, ERR_INVALID, "%s%s: must be printable ASCII without space",
                                    prefix, key);
}

int llm_key_check_address(const json_t *object, const char *prefix, bool any_url, struct err *err) {
    struct str key, url;
    if (want(object, prefix, "api_key", LLM_KEY_MAX_BYTES, &key, err) < 0 ||
        want(object, prefix, "base_url", MAX_URL_BYTES, &url, err) < 0) {
        return -(int)err->code;
    }
    if (url.n > 0 && !url_ok(url, any_url)) {
        return err_set(err, ERR_INVALID, "%sbase_url: must be an %s", prefix,
                       any_url ? "http or https address without user, ? and #"
                               : "https address of a public name, without user, ? and #");
    }
    return 0;
}

int llm_key_check_shape(struct str service, const json_t *value, bool any_url, struct err *err) {
    const struct llm_provider *p = endpoints_provider_of_service(service);
    struct str model;
    if (!p) {
        return 0;
    }
    if (check_members(value, err) < 0 || llm_key_check_address(value, "value.", any_url, err) < 0 ||
        want(value, "value.", "preferred_model", MAX_MODEL_BYTES, &model, err) < 0) {
        return -(int)err->code;
    }
    if (!llm_key_is_enough(p, json_str(value, "api_key"), json_str(value, "base_url"))) {
        return err_set(err, ERR_INVALID, "value.%s: is needed",
                       p == &llm_ollama ? "base_url" : "api_key");
    }
    return 0;
}

/* ---- trial ---- */

static struct llm_endpoint endpoint_of(const struct profile *profile, const struct llm_provider *p,
                                       const json_t *value, const struct secret *key) {
    struct str url = json_str(value, "base_url"), model = json_str(value, "preferred_model");
    if (model.n == 0 && llm_provider_find(profile->llm.provider) == p) {
        model = profile->llm.model;
    }
    return (struct llm_endpoint){
        .provider = p,
        .base_url = url.n ? url : endpoints_base_url(profile, p),
        .model = model.n ? model : str_z(llm_provider_default_model(p)),
        .key = key,
        .user_key = true,
    };
}

static bool is_refusal(enum err_code code, bool chose_model) {
    return code == ERR_UNAUTHORIZED || code == ERR_FORBIDDEN ||
           (code == ERR_NOT_FOUND && chose_model);
}

static bool is_listed(const struct llm_listed *list, size_t n, struct str model) {
    for (size_t i = 0; i < n; i++) {
        struct str id = list[i].id;
        if (str_eq(id, model) ||
            (str_starts(id, model) && str_eq(str_skip(id, model.n), STR(":latest")))) {
            return true;
        }
    }
    return false;
}

static int ask_for_list(const struct llm_endpoint *e, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct llm_listed *list;
    size_t n;
    if (llm_list_models(e, &arena, &list, &n, err) < 0) {
        return -(int)err->code;
    }
    return is_listed(list, n, e->model)
               ? 0
               : err_set(err, ERR_NOT_FOUND,
                         "%s does not have the model %.*s; fetch it with \"ollama pull\"",
                         llm_provider_label(e->provider), STR_ARG(str_utf8_head(e->model, 60)));
}

static int ask(const struct llm_endpoint *e, struct err *err) {
    struct fiber_timeout timeout;
    fiber_timeout_start(&timeout, LLM_KEY_CHECK_MS);
    int rc = e->provider == &llm_ollama ? ask_for_list(e, err) : llm_check(e, err);
    fiber_timeout_stop(&timeout);
    return rc;
}

int llm_key_try(const struct profile *profile, struct str service, const json_t *value,
                struct llm_key_trial *ret, struct err *err) {
    const struct llm_provider *p = endpoints_provider_of_service(service);
    fiber_point();
    *ret = (struct llm_key_trial){.verified = true};
    if (!p) {
        return 0;
    }
    struct secret *key cleanup(secret_free_p) =
        json_str(value, "api_key").n ? secret_new(json_str(value, "api_key")) : NULL;
    struct llm_endpoint endpoint = endpoint_of(profile, p, value, key);
    if (ask(&endpoint, err) == 0) {
        return 0;
    }
    if (is_refusal(err->code, json_str(value, "preferred_model").n > 0)) {
        char reason[sizeof err->msg];
        snprintf(reason, sizeof reason, "%s", err->msg);
        return err_set(err, ERR_INVALID, "value.%s: %s",
                       err->code == ERR_NOT_FOUND ? "preferred_model" : "api_key", reason);
    }
    if (fiber_cancelled()) {
        return err_set(err, ERR_CANCELLED, "cancelled");
    }
    ret->verified = err->code == ERR_NOT_FOUND; /* the key is taken, the house's model is not had */
    snprintf(ret->reason, sizeof ret->reason, "%s", ret->verified ? "" : err->msg);
    return 0;
}
