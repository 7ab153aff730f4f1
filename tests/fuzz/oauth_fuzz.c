/* What servers say in a 401: a field, and documents. What is taken from it goes into requests, so
 * it must be fit for that. */
#include <assert.h>

#include "mcp/oauth_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_challenge(struct str text, struct arena *arena) {
    struct oauth_challenge c;
    oauth_challenge_parse(text, arena, &c);
    for (size_t i = 0; i < c.scope.n; i++) {
        assert(c.scope.p[i] >= ' ' && c.scope.p[i] <= '~' && c.scope.p[i] != '"');
    }
    assert(c.bearer || (c.scope.n == 0 && c.resource_metadata.n == 0));
}

static void read_address(struct str text, struct arena *arena) {
    struct str places[OAUTH_METADATA_PLACES];
    size_t n;
    if (oauth_url_valid(text, true)) {
        oauth_metadata_places(text, arena, places, &n);
        assert(n >= 2);
        for (size_t i = 0; i < n; i++) {
            struct oauth_uri a, b;
            assert(oauth_uri_parse(text, &a));
            assert(!oauth_uri_parse(places[i], &b) || oauth_uri_same_origin(&a, &b));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = {0};
    struct oauth_server server = {0};
    struct str text = {(const char *)data, size};
    struct err err;
    read_challenge(text, &arena);
    read_address(text, &arena);
    if (oauth_resource_read(text, STR("https://a/b"), &arena, &server, &err) == 0) {
        assert(oauth_url_valid(server.issuer, false));
    }
    if (oauth_metadata_read(text, STR("https://a"), false, &arena, &server, &err) == 0) {
        assert(oauth_url_valid(server.token_endpoint, false));
    }
    arena_done(&arena);
    return 0;
}
