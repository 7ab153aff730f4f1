/* Which models a provider has now. What is good for conversation comes first: the provider's usual
 * one, those that models.c knows, all others, and dated copies of a model behind the model. */
#include <stdlib.h>

#include "base/json.h"
#include "llm/provider.h"
#include "net/http_client.h"

enum {
    MAX_BODY_BYTES = 4 * 1024 * 1024,
    MAX_VALUES = 100 * 1000,
    MAX_ID_BYTES = 200,
    MAX_NAME_BYTES = 200,
    CONNECT_MS = 5000,
    TOTAL_MS = 10 * 1000,
};

/* ---- one model ---- */

enum rank { RANK_USUAL, RANK_KNOWN, RANK_OTHER, RANK_COPY, RANK_NO_CHAT };

struct candidate {
    struct llm_listed model;
    enum rank rank;
    int64_t created;
    size_t place; /* in the answer */
};

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Whatever the list says besides, it has only names: "gpt-4o-mini-tts", "nomic-embed-text:v1.5". */
static bool is_no_chat_word(struct str word) {
    static const char *const whole[] = {"tts",   "whisper", "dall",    "image", "realtime", "sora",
                                        "audio", "babbage", "davinci", "bge",   "minilm"};
    static const char *const beginnings[] = {"embed", "rerank", "transcri", "moderation"};
    for (size_t i = 0; i < ARRAY_LEN(whole); i++) {
        if (str_eq_nocase(word, str_z(whole[i]))) {
            return true;
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(beginnings); i++) {
        size_t n = strlen(beginnings[i]);
        if (word.n >= n && str_eq_nocase(str_head(word, n), str_z(beginnings[i]))) {
            return true;
        }
    }
    return false;
}

static bool is_no_chat(struct str id) {
    size_t begin = 0;
    for (size_t i = 0; i <= id.n; i++) {
        if (i == id.n || !is_word(id.p[i])) {
            if (is_no_chat_word(str_head(str_skip(id, begin), i - begin))) {
                return true;
            }
            begin = i + 1;
        }
    }
    return false;
}

/* "gpt-5-2025-08-07" */
static bool is_dated(struct str id) {
    static const char form[] = "-####-##-##";
    size_t n = sizeof form - 1;
    if (id.n <= n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        char c = id.p[id.n - n + i];
        if (form[i] == '#' ? c < '0' || c > '9' : c != form[i]) {
            return false;
        }
    }
    return true;
}

/* Ollama's names without a tag mean ":latest". */
static bool is_usual(const struct llm_provider *p, struct str id) {
    struct str rest = id, usual = str_z(p->default_model);
    return str_eq(id, usual) || (p == &llm_ollama && str_eq(str_cut(&rest, ':'), usual));
}

static enum rank rank_of(const struct llm_provider *p, struct str id) {
    if (is_no_chat(id)) {
        return RANK_NO_CHAT;
    }
    if (is_usual(p, id)) {
        return RANK_USUAL;
    }
    bool known = llm_model_find(p, id)->prefix[0] != '\0';
    return is_dated(id) ? RANK_COPY : known ? RANK_KNOWN : RANK_OTHER;
}

static int compare(const void *x, const void *y) {
    const struct candidate *a = x, *b = y;
    if (a->rank != b->rank) {
        return a->rank < b->rank ? -1 : 1;
    }
    if (a->created != b->created) {
        return a->created > b->created ? -1 : 1;
    }
    return a->place < b->place ? -1 : 1;
}

/* ---- the answer ---- */

/* {"data":[...]}, Ollama's {"models":[...]}, and of some compatible servers the bare list. */
static const json_t *list_of(const json_t *tree) {
    static const char *const members[] = {"data", "models"};
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        if (json_is_array(json_object_get(tree, members[i]))) {
            return json_object_get(tree, members[i]);
        }
    }
    return json_is_array(tree) ? tree : NULL;
}

static bool is_printable(struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || s.p[i] > '~') {
            return false;
        }
    }
    return s.n > 0;
}

static struct str first_of(const json_t *item, const char *const *members) {
    struct str text = STR_EMPTY;
    for (; *members && text.n == 0; members++) {
        text = json_str(item, *members);
    }
    return text;
}

static bool read_one(const struct llm_provider *p, const json_t *item, struct arena *arena,
                     struct candidate *ret) {
    struct str id = first_of(item, (const char *const[]){"id", "model", "name", NULL});
    struct str name = first_of(item, (const char *const[]){"display_name", "name", NULL});
    if (id.n > MAX_ID_BYTES || !is_printable(id)) {
        return false;
    }
    name = str_utf8_head(name, MAX_NAME_BYTES);
    ret->model.id = arena_str(arena, id);
    ret->model.name = str_eq(name, id) ? STR_EMPTY : arena_str(arena, name);
    ret->rank = rank_of(p, id);
    ret->created = json_int(item, "created", 0);
    return true;
}

/* What is no good for conversation is left out, unless there is nothing else. */
static size_t useful(const struct candidate *list, size_t n) {
    size_t chat = 0;
    while (chat < n && list[chat].rank < RANK_NO_CHAT) {
        chat++;
    }
    return MIN(chat ? chat : n, (size_t)LLM_MAX_LISTED);
}

static void take_best(const struct candidate *list, size_t n, struct arena *arena,
                      struct llm_listed **ret, size_t *ret_n) {
    *ret_n = useful(list, n);
    *ret = arena_alloc(arena, *ret_n * sizeof **ret);
    for (size_t i = 0; i < *ret_n; i++) {
        (*ret)[i] = (struct llm_listed){.id = arena_str(arena, list[i].model.id),
                                        .name = arena_str(arena, list[i].model.name)};
    }
}

bool llm_list_read(const struct llm_provider *p, struct str body, struct arena *arena,
                   struct llm_listed **ret, size_t *ret_n) {
    struct arena scratch cleanup(arena_done) = {0};
    json_auto_t *tree = NULL;
    struct err err;
    size_t n = 0;
    if (!json_is_small(body, MAX_VALUES) || json_read(body, &tree, &err) < 0) {
        return false;
    }
    const json_t *items = list_of(tree);
    struct candidate *list = arena_alloc(&scratch, json_array_size(items) * sizeof *list);
    for (size_t i = 0; i < json_array_size(items); i++) {
        list[n].place = i;
        n += read_one(p, json_array_get(items, i), &scratch, &list[n]);
    }
    if (n) {
        qsort(list, n, sizeof *list, compare);
    }
    take_best(list, n, arena, ret, ret_n);
    return items != NULL;
}

/* ---- asking ---- */

static size_t fields_of(const struct llm_endpoint *e, struct arena *arena,
                        struct http_client_field *fields) {
    size_t n = e->provider->write_fields(e, arena, fields);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(fields[i].name, "accept") == 0) {
            fields[i].value = STR("application/json");
        }
    }
    return n;
}

static int ask(const struct llm_endpoint *e, struct strbuf *body, int *ret_status,
               struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct http_client_field fields[LLM_MAX_FIELDS];
    struct http_call call = {
        .url = llm_url(e, e->provider->list_path, &arena),
        .fields = fields,
        .n_fields = fields_of(e, &arena, fields),
        .connect_timeout_ms = CONNECT_MS,
        .idle_timeout_ms = TOTAL_MS,
        .total_timeout_ms = TOTAL_MS,
    };
    int rc = http_fetch(&call, MAX_BODY_BYTES, ret_status, body, err);
    llm_wipe_key(e, fields, call.n_fields);
    return rc < 0 ? llm_unreached(e, rc, err) : 0;
}

static int refused(const struct llm_endpoint *e, int status, struct str body, struct err *err) {
    struct strbuf message cleanup(strbuf_done) = STRBUF(64 * 1024);
    enum err_code code = e->provider->read_error(status, str_head(body, 16 * 1024), &message);
    code = code == ERR_NONE ? llm_status_code(status) : code;
    if (status == 404 || status == 405) {
        return err_set(err, ERR_NOT_FOUND,
                       "%s has no list of models at this address; check the base URL, or name the "
                       "model yourself (%d)",
                       e->provider->label, status);
    }
    return llm_failure(e, code, status, strbuf_str(&message), -1, err);
}

/* Parsing megabytes would hold up the loop. */
struct reading {
    const struct llm_provider *provider;
    struct str body;
    struct arena *arena;
    struct llm_listed *list;
    size_t n;
    bool is_list;
};

static void read_list(void *arg) {
    struct reading *r = arg;
    r->is_list = llm_list_read(r->provider, r->body, r->arena, &r->list, &r->n);
}

int llm_list_models(const struct llm_endpoint *endpoint, struct arena *arena,
                    struct llm_listed **ret, size_t *ret_n, struct err *err) {
    struct strbuf body cleanup(strbuf_done) = STRBUF(MAX_BODY_BYTES);
    int status = 0;
    if (ask(endpoint, &body, &status, err) < 0) {
        return -(int)err->code;
    }
    if (status != 200) {
        return refused(endpoint, status, strbuf_str(&body), err);
    }
    struct reading r = {.provider = endpoint->provider, .body = strbuf_str(&body), .arena = arena};
    fiber_offload(read_list, &r);
    if (!r.is_list) {
        return llm_failure(endpoint, ERR_PROTOCOL, 0, STR("no list of models"), -1, err);
    }
    *ret = r.list;
    *ret_n = r.n;
    return 0;
}
