/* What went wrong, in words for the person who waits: which provider, what happened, what to do. */
#include "base/clock.h"
#include "base/json.h"
#include "llm/provider.h"

/* ---- what an upstream says ---- */

enum err_code llm_status_code(int status) {
    switch (status) {
    case 401:
        return ERR_UNAUTHORIZED;
    case 402:
    case 403:
        return ERR_FORBIDDEN;
    case 404:
        return ERR_NOT_FOUND;
    case 408:
        return ERR_TIMEOUT;
    case 413:
        return ERR_LIMIT;
    case 429:
        return ERR_BUSY;
    case 409:
    case 425:
        return ERR_UNAVAILABLE;
    default:
        return status >= 500                   ? ERR_UNAVAILABLE
               : status >= 400                 ? ERR_INVALID
               : status >= 200 && status < 300 ? ERR_NONE
                                               : ERR_PROTOCOL;
    }
}

bool llm_status_is_retryable(int status) {
    return status == 408 || status == 409 || status == 425 || status == 429 ||
           (status >= 500 && status != 501 && status != 505);
}

static struct str first_text(const json_t *object, const char *const *keys) {
    for (; *keys; keys++) {
        struct str text = json_str(object, *keys);
        if (text.n) {
            return text;
        }
    }
    return STR_EMPTY;
}

void llm_error_text(struct str body, struct strbuf *ret_message, struct strbuf *ret_kind) {
    struct err err;
    json_t *tree;
    body = str_trim(body);
    if (json_read(body, &tree, &err) < 0) {
        strbuf_add(ret_message, str_utf8_head(body, 200));
        return;
    }
    const json_t *error = json_object_get(tree, "error");
    const json_t *details = json_object_get(error, "details");
    const json_t *source = json_is_object(error) ? error : tree;
    struct str text = json_value_str(error);
    if (text.n == 0) {
        text = first_text(source, (const char *[]){"message", "detail", "error_message", NULL});
    }
    strbuf_add(ret_message, text);
    for (const char *const *key = (const char *[]){"type", "code", "status", NULL}; *key; key++) {
        struct str kind = json_str(source, *key);
        strbuf_add(ret_kind, kind);
        strbuf_add(ret_kind, STR(" "));
    }
    strbuf_add(ret_kind, json_is_object(details) ? json_str(details, "error_code") : STR_EMPTY);
    json_decref(tree);
}

bool llm_says_too_long(struct str message, struct str kind) {
    static const char *const words[] = {
        "prompt is too long", "maximum context length", "context length",
        "context window",     "available context size", "too many tokens",
    };
    if (str_find(kind, STR("context_length_exceeded")) != SIZE_MAX ||
        str_find(kind, STR("exceed_context_size")) != SIZE_MAX) {
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_find(message, str_z(words[i])) != SIZE_MAX) {
            return true;
        }
    }
    return false;
}

/* ---- Retry-After ---- */

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7), the form that servers send. */
static bool http_date(struct str text, int64_t *ret_us) {
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char z[40], month[4] = "";
    int day, year, hour, minute, second;
    if (text.n == 0 || text.n >= sizeof z) {
        return false;
    }
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    if (sscanf(z, "%*3s, %2d %3s %4d %2d:%2d:%2d GMT", &day, month, &year, &hour, &minute,
               &second) != 6) {
        return false;
    }
    const char *found = strstr(months, month);
    if (strlen(month) != 3 || !found || (found - months) % 3) {
        return false;
    }
    char iso[64];
    int n = snprintf(iso, sizeof iso, "%04d-%02d-%02dT%02d:%02d:%02dZ", year,
                     (int)(found - months) / 3 + 1, day, hour, minute, second);
    return clock_parse((struct str){iso, (size_t)n}, ret_us);
}

int64_t llm_retry_after_ms(struct str retry_after, struct str retry_after_ms, int64_t now_us) {
    enum { MAX_SECONDS = 365 * 24 * 3600 };
    int64_t n, at_us;
    if (str_to_i64(str_trim(retry_after_ms), &n) && n >= 0) {
        return MIN(n, (int64_t)MAX_SECONDS * 1000);
    }
    retry_after = str_trim(retry_after);
    if (str_to_i64(retry_after, &n) && n >= 0) {
        return MIN(n, (int64_t)MAX_SECONDS) * 1000;
    }
    if (http_date(retry_after, &at_us)) {
        return MAX((at_us - now_us) / 1000, (int64_t)0);
    }
    return -1;
}

/* ---- the words ---- */

enum { MAX_DETAIL = 120 };

static void add_without_key(struct strbuf *out, struct str text, struct str key) {
    while (text.n) {
        size_t at = key.n >= 4 ? str_find(text, key) : SIZE_MAX;
        strbuf_add(out, at == SIZE_MAX ? text : str_head(text, at));
        if (at == SIZE_MAX) {
            return;
        }
        strbuf_add(out, STR("[key]"));
        text = str_skip(text, at + key.n);
    }
}

/* One line, the key blotted out before anything is cut, so that no half of it stays. */
static void tidy(struct strbuf *out, struct str detail, struct str key) {
    struct strbuf clean cleanup(strbuf_done) = STRBUF(64 * 1024);
    add_without_key(&clean, str_head(detail, 8 * 1024), key);
    for (size_t i = 0; i < clean.n; i++) {
        clean.p[i] = (unsigned char)clean.p[i] < 0x20 || clean.p[i] == 0x7f ? ' ' : clean.p[i];
    }
    struct str text = str_trim(strbuf_str(&clean));
    while (text.n && text.p[text.n - 1] == '.') {
        text.n--;
    }
    bool cut = text.n > MAX_DETAIL;
    strbuf_add(out, cut ? str_utf8_head(text, MAX_DETAIL) : text);
    strbuf_add(out, cut ? STR("...") : STR_EMPTY);
}

static void add_wait(struct strbuf *out, int64_t ms) {
    int64_t s = (ms + 999) / 1000;
    if (ms < 0) {
        strbuf_addz(out, "try again in a few minutes");
    } else if (s < 120) {
        strbuf_addf(out, "try again in %d s", (int)MAX(s, (int64_t)1));
    } else if (s < 7200) {
        strbuf_addf(out, "try again in %d minutes", (int)((s + 59) / 60));
    } else {
        strbuf_addf(out, "try again in %d hours", (int)((s + 3599) / 3600));
    }
}

static void say(struct strbuf *out, const struct llm_endpoint *e, enum err_code code,
                int64_t retry_after_ms) {
    const char *label = e->provider->label;
    struct str model = str_utf8_head(e->model, 60);
    switch (code) {
    case ERR_UNAUTHORIZED:
        strbuf_addf(out,
                    e->key ? "%s does not accept the API key; check or replace it"
                           : "%s wants an API key; provide one",
                    label);
        break;
    case ERR_FORBIDDEN:
        strbuf_addf(out, "%s refuses this account; check its credit, plan and the key's rights",
                    label);
        break;
    case ERR_NOT_FOUND:
        strbuf_addf(out, "%s does not know the model %.*s; choose another or check the base URL",
                    label, STR_ARG(model));
        break;
    case ERR_LIMIT:
        strbuf_addf(out, "the conversation is too long for %.*s; shorten it or start a new thread",
                    STR_ARG(model));
        break;
    case ERR_BUSY:
        strbuf_addf(out, "%s limits how often this key may ask; ", label);
        add_wait(out, retry_after_ms);
        break;
    case ERR_UNAVAILABLE:
        strbuf_addf(out, "%s is out of order or overloaded; ", label);
        add_wait(out, retry_after_ms);
        break;
    case ERR_TIMEOUT:
        strbuf_addf(out, "%s did not answer in time; try again", label);
        break;
    case ERR_INVALID:
        strbuf_addf(out, "%s refused the request", label);
        break;
    default:
        strbuf_addf(out, "%s gave an answer that cannot be used; check the base URL", label);
        break;
    }
}

int llm_failure(const struct llm_endpoint *endpoint, enum err_code code, int status,
                struct str detail, int64_t retry_after_ms, struct err *err) {
    struct strbuf words cleanup(strbuf_done) = STRBUF(1024),
                        why cleanup(strbuf_done) = STRBUF(1024);
    say(&words, endpoint, code, retry_after_ms);
    tidy(&why, detail, secret_reveal(endpoint->key));
    if (status && why.n) {
        strbuf_addf(&words, " (%d: %s)", status, strbuf_z(&why));
    } else if (status) {
        strbuf_addf(&words, " (%d)", status);
    } else if (why.n) {
        strbuf_addf(&words, " (%s)", strbuf_z(&why));
    }
    return err_set(err, code, "%s", strbuf_z(&words));
}

int llm_unreached(const struct llm_endpoint *e, int rc, struct err *err) {
    struct err why = *err;
    switch ((enum err_code) - rc) {
    case ERR_CANCELLED:
        return err_set(err, ERR_CANCELLED, "cancelled");
    case ERR_UNAVAILABLE:
        return err_set(err, ERR_UNAVAILABLE,
                       "%s cannot be reached; check the network and the base URL (%s)",
                       e->provider->label, why.msg);
    case ERR_LIMIT: /* of the response's fields, or of a list */
        return llm_failure(e, ERR_PROTOCOL, 0, str_z(why.msg), -1, err);
    case ERR_INVALID:
        return err_set(err, ERR_INVALID,
                       "%s cannot be asked; check the base URL, and the key for line breaks",
                       e->provider->label);
    default:
        return llm_failure(e, (enum err_code) - rc, 0, str_z(why.msg), -1, err);
    }
}
