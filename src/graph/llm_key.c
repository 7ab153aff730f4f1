#include "graph/llm_key.h"

#include <arpa/inet.h>

enum { MAX_MODEL_BYTES = 256, MAX_URL_BYTES = 1024 };

/* ---- shape ---- */

static int bad(struct err *err, const char *member, const char *what) {
    return err_set(err, ERR_INVALID, "value.%s: %s", member, what);
}

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

int llm_key_check_shape(struct str service, const json_t *value, bool any_url, struct err *err) {
    struct str key = STR_EMPTY, model = STR_EMPTY, url = STR_EMPTY;
    if (!endpoints_provider_of_service(service)) {
        return 0;
    }
    if (check_members(value, err) < 0 ||
        json_want_str(value, "api_key", LLM_KEY_MAX_BYTES, &key, err) < 0 ||
        json_want_str(value, "preferred_model", MAX_MODEL_BYTES, &model, err) < 0 ||
        json_want_str(value, "base_url", MAX_URL_BYTES, &url, err) < 0) {
        return err_prefix(err, "value");
    }
    if (key.n == 0 || !is_plain(key)) {
        return bad(err, "api_key", "is needed, in printable ASCII without space");
    }
    if (!is_plain(model)) {
        return bad(err, "preferred_model", "must be printable ASCII without space");
    }
    if (url.n > 0 && (!is_plain(url) || !url_ok(url, any_url))) {
        return bad(err, "base_url",
                   any_url ? "must be an http or https address without user, ? and #"
                           : "must be an https address of a public name, without user, ? and #");
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

int llm_key_try(const struct profile *profile, struct str service, const json_t *value,
                struct llm_key_trial *ret, struct err *err) {
    const struct llm_provider *p = endpoints_provider_of_service(service);
    struct fiber_timeout timeout;
    fiber_point();
    *ret = (struct llm_key_trial){.verified = true};
    if (!p) {
        return 0;
    }
    struct secret *key cleanup(secret_free_p) = secret_new(json_str(value, "api_key"));
    struct llm_endpoint endpoint = endpoint_of(profile, p, value, key);
    fiber_timeout_start(&timeout, LLM_KEY_CHECK_MS);
    int rc = llm_check(&endpoint, err);
    fiber_timeout_stop(&timeout);
    if (rc == 0) {
        return 0;
    }
    if (is_refusal(err->code, json_str(value, "preferred_model").n > 0)) {
        char reason[sizeof err->msg];
        snprintf(reason, sizeof reason, "%s", err->msg);
        return err_set(err, ERR_INVALID, "value.api_key: %s", reason);
    }
    if (fiber_cancelled()) {
        return err_set(err, ERR_CANCELLED, "cancelled");
    }
    ret->verified = err->code == ERR_NOT_FOUND; /* the key is taken, the house's model is not had */
    snprintf(ret->reason, sizeof ret->reason, "%s", ret->verified ? "" : err->msg);
    return 0;
}
