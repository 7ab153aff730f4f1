/* What all wire formats have in common: the account of a conversation, ids, signatures. */
#include <stdio.h>

#include "base/json.h"
#include "fake.h"

static void note(struct fake_conversation *c, const char *who, struct str text) {
    strbuf_addz(&c->transcript, who);
    strbuf_addz(&c->transcript, ": ");
    strbuf_add(&c->transcript, text);
    strbuf_addc(&c->transcript, '\n');
}

void fake_saw_user(struct fake_conversation *c, struct str text) {
    note(c, "user", text);
    c->last_user = text;
    c->rounds = 0;
    c->n_results = 0;
}

void fake_saw_assistant(struct fake_conversation *c, struct str text) {
    note(c, "assistant", text);
    c->n_results = 0;
}

void fake_saw_call(struct fake_conversation *c, struct str id, struct str name,
                   struct str arguments) {
    note(c, "call", id);
    note(c, "name", name);
    note(c, "arguments", arguments);
}

void fake_saw_result(struct fake_conversation *c, struct str id, struct str name,
                     struct str content) {
    note(c, "result of", id);
    note(c, "content", content);
    if (c->n_results == 0) {
        c->rounds++;
    }
    if (c->n_results < FAKE_MAX_RESULTS) {
        c->results[c->n_results++] = (struct fake_result){id, name, content};
    }
}

bool fake_saw_result_images(struct fake_conversation *c, size_t n) {
    if (c->n_results == 0) {
        return false;
    }
    struct str *content = &c->results[c->n_results - 1].content;
    for (size_t i = 0; i < n; i++) {
        note(c, "image", STR_EMPTY);
        *content = arena_printf(c->arena, "%.*s<image>", STR_ARG(*content));
    }
    return true;
}

bool fake_has_tool(const struct fake_conversation *c, struct str name) {
    struct str rest = strbuf_str(&c->tool_names);
    while (rest.n > 0) {
        if (str_eq(str_cut(&rest, ' '), name)) {
            return true;
        }
    }
    return false;
}

int fake_problem(struct fake_problem *p, int status, const char *type, const char *fmt, ...) {
    va_list ap;
    *p = (struct fake_problem){.status = status, .type = type};
    va_start(ap, fmt);
    vsnprintf(p->message, sizeof p->message, fmt, ap);
    va_end(ap);
    return -1;
}

/* "toolu_" or "call_", a mark, and 21 characters. */
struct str fake_call_id(struct fake_writer *w, const char *prefix) {
    struct strbuf random cleanup(strbuf_done) = STRBUF(64);
    uint8_t bytes[16];
    crypto_random(bytes, sizeof bytes);
    crypto_hex(&random, bytes, sizeof bytes);
    return arena_printf(w->conversation->arena, "%s%c%.21s", prefix, w->reasons ? 'R' : 'n',
                        strbuf_z(&random));
}

bool fake_call_id_reasoned(struct str id) {
    return str_starts(id, STR("toolu_R"));
}

void fake_signature(struct strbuf *out, struct str thinking) {
    uint8_t mac[SHA256_BYTES];
    crypto_hmac_sha256(STR("a key that no client knows"), thinking, mac);
    crypto_base64(out, (struct str){(const char *)mac, sizeof mac});
}

bool fake_only_keys(const json_t *object, const char *const *keys, const char **ret_key) {
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)object, key, value) {
        size_t i = 0;
        while (keys[i] && strcmp(keys[i], key) != 0) {
            i++;
        }
        if (!keys[i]) {
            *ret_key = key;
            return false;
        }
    }
    return true;
}

bool fake_is_name(struct str s, size_t max) {
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-';
        if (!ok) {
            return false;
        }
    }
    return s.n > 0 && s.n <= max;
}
