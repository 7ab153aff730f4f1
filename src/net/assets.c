#include "net/assets.h"

#include <assert.h>
#include <stdio.h>

enum { MAX_EXTRA_FIELDS = 8, OWN_FIELDS = 5, FULL_WEIGHT = 1000, UNNAMED = -1 };

const struct asset *assets_find(const struct assets *assets, struct str path) {
    for (size_t i = 0; i < assets->n; i++) {
        if (str_eq(str_z(assets->items[i].path), path)) {
            return &assets->items[i];
        }
    }
    return NULL;
}

/* ---- the choice of an encoding ---- */

/* "q=0.8" in thousandths; what cannot be read counts as a refusal. */
static int read_weight(struct str parameters) {
    struct str value = str_trim(parameters);
    if (value.n == 0) {
        return FULL_WEIGHT;
    }
    if (value.n < 3 || (value.p[0] | 0x20) != 'q' || value.p[1] != '=') {
        return 0;
    }
    int weight = 0, digits = 0;
    for (size_t i = 2; i < value.n && digits < 4; i++) {
        if (value.p[i] == '.' && i == 3) {
            continue;
        }
        if (value.p[i] < '0' || value.p[i] > '9') {
            return 0;
        }
        weight = weight * 10 + value.p[i] - '0';
        digits++;
    }
    for (; digits < 4; digits++) {
        weight *= 10;
    }
    return MIN(weight, FULL_WEIGHT);
}

static int named_weight(struct str accepted, struct str coding) {
    while (accepted.n > 0) {
        struct str parameters = str_cut(&accepted, ',');
        struct str name = str_trim(str_cut(&parameters, ';'));
        if (str_eq_nocase(name, coding)) {
            return read_weight(parameters);
        }
    }
    return UNNAMED;
}

struct variant {
    const char *coding; /* NULL: as it is */
    const char *suffix; /* of the entity tag */
    struct str bytes;
};

static struct variant choose_variant(const struct asset *asset, struct str accepted) {
    const struct variant others[] = {{"br", "-br", asset->brotli}, {"gzip", "-gz", asset->gzip}};
    struct variant best = {NULL, "", asset->identity};
    int any = named_weight(accepted, STR("*"));
    int best_weight = MAX(named_weight(accepted, STR("identity")), 0);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        int weight = named_weight(accepted, str_z(others[i].coding));
        weight = weight == UNNAMED ? any : weight;
        if (others[i].bytes.n > 0 && weight > best_weight) {
            best = others[i];
            best_weight = weight;
        }
    }
    return best;
}

/* ---- the answer ---- */

/* Weak comparison: whoever stands between may have weakened the tag. */
static bool client_has(struct str if_none_match, struct str tag) {
    while (if_none_match.n > 0) {
        struct str one = str_trim(str_cut(&if_none_match, ','));
        if (str_starts(one, STR("W/"))) {
            one = str_skip(one, 2);
        }
        if (str_eq(one, tag) || str_eq(one, STR("*"))) {
            return true;
        }
    }
    return false;
}

static void refuse_method(struct http_request *r) {
    struct http_field allow = {"Allow", STR("GET, HEAD")};
    (void)http_respond(r, &(struct http_response){.status = 405, .fields = &allow, .n_fields = 1});
}

void asset_respond(const struct assets *assets, const struct asset *asset, struct http_request *r) {
    struct http_field fields[OWN_FIELDS + MAX_EXTRA_FIELDS];
    char tag[80];
    size_t n = 0;
    assert(assets->n_fields <= MAX_EXTRA_FIELDS);
    if (!str_eq(http_method(r), STR("GET")) && !str_eq(http_method(r), STR("HEAD"))) {
        refuse_method(r);
        return;
    }
    struct variant variant = choose_variant(asset, http_header(r, "accept-encoding"));
    snprintf(tag, sizeof tag, "\"%s%s\"", asset->etag, variant.suffix);
    fields[n++] = (struct http_field){"ETag", str_z(tag)};
    fields[n++] = (struct http_field){"Vary", STR("Accept-Encoding")};
    fields[n++] = (struct http_field){"Cache-Control",
                                      asset->immutable ? STR("public, max-age=31536000, immutable")
                                                       : STR("no-cache")};
    fields[n++] = (struct http_field){"X-Content-Type-Options", STR("nosniff")};
    if (variant.coding) {
        fields[n++] = (struct http_field){"Content-Encoding", str_z(variant.coding)};
    }
    for (size_t i = 0; i < assets->n_fields; i++) {
        fields[n++] = assets->fields[i];
    }
    struct http_response response = {.status = 200,
                                     .content_type = asset->content_type,
                                     .fields = fields,
                                     .n_fields = n,
                                     .body = variant.bytes};
    if (client_has(http_header(r, "if-none-match"), str_z(tag))) {
        response.status = 304;
        response.body = STR_EMPTY;
    }
    (void)http_respond(r, &response);
}
