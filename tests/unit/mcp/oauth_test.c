/* The pieces of OAuth that need no network: challenges, addresses, metadata, scopes, PKCE. */
#include "mcp/oauth.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/crypto.h"
#include "mcp/oauth_internal.h"
#include "test.h"

/* ---- challenges ---- */

static void check_challenge(const char *field, bool bearer, const char *metadata, const char *scope,
                            const char *error) {
    struct arena arena cleanup(arena_done) = {0};
    struct oauth_challenge c;
    oauth_challenge_parse(str_z(field), &arena, &c);
    CHECK(c.bearer == bearer);
    CHECK_STR(c.resource_metadata, metadata);
    CHECK_STR(c.scope, scope);
    CHECK_STR(c.error, error);
}

TEST(a_bearer_challenge_is_found_among_others) {
    check_challenge("Bearer", true, "", "", "");
    check_challenge("", false, "", "", "");
    check_challenge("Basic realm=\"x\"", false, "", "", "");
    check_challenge("Bearer resource_metadata=\"https://a/b\", scope=\"r w\"", true, "https://a/b",
                    "r w", "");
    check_challenge("bEARER error=\"insufficient_scope\",SCOPE=admin", true, "", "admin",
                    "insufficient_scope");
    check_challenge("Basic realm=\"Bearer scope=no\", Bearer scope=\"yes\", Digest nonce=\"n\", "
                    "scope=\"other\"",
                    true, "", "yes", "");
    check_challenge("Negotiate YWJj==, Bearer scope=a", true, "", "a", "");
    check_challenge("Basic, Bearer", true, "", "", "");
    check_challenge("Basic abc= , Bearer scope=\"a\"", true, "", "a", "");
}

TEST(quotes_and_white_space_are_read_as_written) {
    check_challenge("Bearer realm=\"a, b=\\\"c\\\"\" ,  scope = \"x\"", true, "", "x", "");
    check_challenge("Bearer scope=\"a\\b\"", true, "", "ab", "");
    check_challenge("Bearer scope=\"never closed", true, "", "never closed", "");
    check_challenge("Bearer resource_metadata=https://a/b?c=d, scope=x", true, "https://a/b?c=d",
                    "x", "");
    check_challenge("Bearer scope=\"first\", scope=\"second\"", true, "", "first", "");
    check_challenge("Bearer ,,, scope=a", true, "", "a", "");
    check_challenge("Bearer =, ;scope=a", true, "", "a", "");
}

TEST(a_scope_that_cannot_be_sent_is_left_out) {
    check_challenge("Bearer scope=\"a\\\"b\"", true, "", "", "");
    check_challenge("Bearer scope=\"a\x01\"", true, "", "", "");
    check_challenge("Bearer scope=\" a \"", true, "", "a", "");
}

/* ---- addresses ---- */

TEST(only_https_and_loopback_are_addresses) {
    static const char *const good[] = {"https://a.example", "https://a.example/x?y=z",
                                       "https://a.example:8443/", "HTTPS://A/", "https://[::2]/"};
    static const char *const loopback[] = {"http://localhost/x", "http://127.0.0.1:80",
                                           "http://127.9.9.9", "http://[::1]:1/"};
    static const char *const bad[] = {
        "",
        "http://a.example",
        "ftp://a.example",
        "https://",
        "https:///x",
        "https://user@a.example",
        "https://a.example/#f",
        "https://a.example/ x",
        "https://a.example\\@b",
        "https://a.example:0/",
        "https://a.example:65536/",
        "https://a.example:+1/",
        "https://a.example:/",
        "https://[::1",
        "http://127.0.0.1.evil.example",
        "http://127.0.0.256",
        "http://localhost.evil.example",
        "javascript:alert(1)",
    };
    static const char *const near[] = {
        "https://localhost/",
        "https://LOCALHOST.:8443/",
        "https://a.localhost/",
        "https://127.0.0.1:8443",
        "https://127.1/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://0/",
        "https://169.254.169.254/",
        "https://[::1]/",
        "https://[::]/",
        "https://[fe80::1]/",
        "https://[fe80::1%25lo]",
        "https://[::ffff:7f00:1]/",
    };
    for (size_t i = 0; i < ARRAY_LEN(near); i++) {
        CHECK(oauth_url_valid(str_z(near[i]), true));
        if (!CHECK(!oauth_url_valid(str_z(near[i]), false))) {
            printf("  %s\n", near[i]);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        CHECK(oauth_url_valid(str_z(good[i]), false));
        CHECK(!oauth_url_is_loopback(str_z(good[i])));
    }
    for (size_t i = 0; i < ARRAY_LEN(loopback); i++) {
        CHECK(oauth_url_valid(str_z(loopback[i]), true));
        CHECK(!oauth_url_valid(str_z(loopback[i]), false));
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (!CHECK(!oauth_url_valid(str_z(bad[i]), true))) {
            printf("  %s\n", bad[i]);
        }
    }
}

static void check_places(bool resource, const char *url, const char *want) {
    struct arena arena cleanup(arena_done) = {0};
    struct strbuf all cleanup(strbuf_done) = STRBUF(4096);
    struct str places[OAUTH_METADATA_PLACES];
    size_t n;
    if (resource) {
        oauth_resource_places(str_z(url), &arena, places, &n);
    } else {
        oauth_metadata_places(str_z(url), &arena, places, &n);
    }
    for (size_t i = 0; i < n; i++) {
        strbuf_add(&all, places[i]);
        strbuf_addc(&all, '\n');
    }
    CHECK_STR(strbuf_str(&all), want);
}

TEST(well_known_places_come_in_order) {
    check_places(true, "https://a.example/mcp?x=1",
                 "https://a.example/.well-known/oauth-protected-resource/mcp\n"
                 "https://a.example/.well-known/oauth-protected-resource\n");
    check_places(true, "https://a.example:8443/",
                 "https://a.example:8443/.well-known/oauth-protected-resource\n");
    check_places(false, "https://a.example",
                 "https://a.example/.well-known/oauth-authorization-server\n"
                 "https://a.example/.well-known/openid-configuration\n");
    check_places(false, "https://a.example/t/1/",
                 "https://a.example/.well-known/oauth-authorization-server/t/1\n"
                 "https://a.example/.well-known/openid-configuration/t/1\n"
                 "https://a.example/t/1/.well-known/openid-configuration\n");
    check_places(false, "no address", "");
}

/* ---- metadata ---- */

#define SERVER STR("https://mcp.example/a/mcp")

static int read_resource(const char *resource, const char *more, struct oauth_server *ret,
                         struct arena *arena, struct err *err) {
    struct str json = arena_printf(arena, "{\"resource\":\"%s\"%s}", resource, more);
    return oauth_resource_read(json, SERVER, arena, ret, err);
}

TEST(a_resource_must_be_the_server_or_above_it) {
    static const char *const good[] = {"https://mcp.example/a/mcp", "https://mcp.example/a",
                                       "https://mcp.example/a/", "https://mcp.example",
                                       "https://MCP.example:443/"};
    static const char *const bad[] = {"https://evil.example/a/mcp",
                                      "https://mcp.example/a/mcp/x",
                                      "https://mcp.example/a/mc",
                                      "http://mcp.example/a/mcp",
                                      "https://mcp.example:8443/",
                                      "https://mcp.example/?q",
                                      "https://mcp.example.evil.example/a/mcp",
                                      ""};
    struct arena arena cleanup(arena_done) = {0};
    struct oauth_server s = {0};
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        CHECK_OK(read_resource(good[i], "", &s, &arena, &err), &err);
        CHECK_STR(s.resource, good[i]); /* not a character changed */
        CHECK_STR(s.issuer, "https://mcp.example");
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_FAILS(read_resource(bad[i], "", &s, &arena, &err), &err, ERR_PROTOCOL);
    }
}

TEST(a_resource_names_its_authorization_server) {
    struct arena arena cleanup(arena_done) = {0};
    struct oauth_server s = {0};
    struct err err;
    const char *url = "https://mcp.example";
    CHECK_OK(read_resource(url, ",\"authorization_servers\":[\"https://as/1\",\"https://as/2\"]",
                           &s, &arena, &err),
             &err);
    CHECK_STR(s.issuer, "https://as/1");
    CHECK(!s.has_resource_scopes);
    CHECK_OK(read_resource(url, ",\"scopes_supported\":[\"a\",\"b c\",7,\"d\"]", &s, &arena, &err),
             &err);
    CHECK(s.has_resource_scopes);
    CHECK_STR(s.resource_scopes, "a d");
    /* A server elsewhere must not send us to a machine of ours. */
    CHECK_FAILS(
        read_resource(url, ",\"authorization_servers\":[\"http://127.0.0.1:1\"]", &s, &arena, &err),
        &err, ERR_PROTOCOL);
    CHECK_FAILS(oauth_resource_read(STR("[]"), SERVER, &arena, &s, &err), &err, ERR_PROTOCOL);
    CHECK_FAILS(oauth_resource_read(STR("{"), SERVER, &arena, &s, &err), &err, ERR_PROTOCOL);
}

#define ENDPOINTS                                                                                  \
    "\"authorization_endpoint\":\"https://as/authorize\",\"token_endpoint\":\"https://as/token\""
#define S256 "\"code_challenge_methods_supported\":[\"plain\",\"S256\"]"

static int read_metadata(const char *json, struct oauth_server *ret, struct arena *arena,
                         struct err *err) {
    return oauth_metadata_read(str_z(json), STR("https://as"), false, arena, ret, err);
}

TEST(metadata_are_read) {
    struct arena arena cleanup(arena_done) = {0};
    struct oauth_server s = {.resource = STR("kept")};
    struct err err;
    REQUIRE_OK(read_metadata("{\"issuer\":\"https://as\"," ENDPOINTS "," S256
                             ",\"registration_endpoint\":\"https://as/register\","
                             "\"scopes_supported\":[\"offline_access\"],"
                             "\"authorization_response_iss_parameter_supported\":true,"
                             "\"client_id_metadata_document_supported\":true,"
                             "\"token_endpoint_auth_methods_supported\":[\"none\",\"x\","
                             "\"client_secret_post\"]}",
                             &s, &arena, &err),
               &err);
    CHECK_STR(s.resource, "kept");
    CHECK_STR(s.issuer, "https://as");
    CHECK_STR(s.authorization_endpoint, "https://as/authorize");
    CHECK_STR(s.token_endpoint, "https://as/token");
    CHECK_STR(s.registration_endpoint, "https://as/register");
    CHECK(s.offline_access && s.iss_supported && s.metadata_document_supported);
    CHECK_INT(s.methods, 1u << OAUTH_NONE | 1u << OAUTH_CLIENT_SECRET_POST);
    CHECK_INT(oauth_method_choose(&s, true), OAUTH_CLIENT_SECRET_POST);
    CHECK_INT(oauth_method_choose(&s, false), OAUTH_NONE);
    REQUIRE_OK(read_metadata("{\"issuer\":\"https://as\"," ENDPOINTS "," S256
                             ",\"registration_endpoint\":\"http://as/register\"}",
                             &s, &arena, &err),
               &err);
    CHECK_STR(s.registration_endpoint, "");
    CHECK(!s.offline_access && !s.iss_supported && !s.metadata_document_supported);
    CHECK_INT(s.methods, 1u << OAUTH_CLIENT_SECRET_BASIC);
}

TEST(metadata_that_cannot_be_trusted_are_refused) {
    static const char *const bad[] = {
        "{\"issuer\":\"https://as/\"," ENDPOINTS "," S256 "}",
        "{\"issuer\":\"HTTPS://as\"," ENDPOINTS "," S256 "}",
        "{" ENDPOINTS "," S256 "}",
        "{\"issuer\":\"https://as\"," ENDPOINTS "}",
        "{\"issuer\":\"https://as\"," ENDPOINTS
        ",\"code_challenge_methods_supported\":[\"plain\"]}",
        "{\"issuer\":\"https://as\"," S256 ",\"authorization_endpoint\":\"https://as/a\"}",
        "{\"issuer\":\"https://as\"," S256 ",\"authorization_endpoint\":\"https://as/a\","
        "\"token_endpoint\":\"http://as/token\"}",
        "{\"issuer\":\"https://as\"," S256 ",\"authorization_endpoint\":\"http://localhost/a\","
        "\"token_endpoint\":\"https://as/token\"}",
        "nothing",
    };
    struct arena arena cleanup(arena_done) = {0};
    struct oauth_server s = {.token_endpoint = STR("untouched")};
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_FAILS(read_metadata(bad[i], &s, &arena, &err), &err, ERR_PROTOCOL);
    }
    CHECK_STR(s.token_endpoint, "untouched");
}

/* ---- scopes ---- */

TEST(scopes_join_without_repeating) {
    struct arena arena cleanup(arena_done) = {0};
    CHECK_STR(oauth_scope_union(STR("a b"), STR("b c  a"), &arena), "a b c");
    CHECK_STR(oauth_scope_union(STR_EMPTY, STR("x"), &arena), "x");
    CHECK(oauth_scope_contains(STR("ab b"), STR("b")) &&
          !oauth_scope_contains(STR("ab"), STR("b")));
}

TEST(the_scope_is_the_challenges_or_what_is_supported) {
    struct arena arena cleanup(arena_done) = {0};
    struct oauth_server s = {.resource_scopes = STR("r w"), .has_resource_scopes = true};
    CHECK_STR(oauth_scope_select(&s, STR("c"), STR_EMPTY, &arena), "c");
    CHECK_STR(oauth_scope_select(&s, STR_EMPTY, STR_EMPTY, &arena), "r w");
    CHECK_STR(oauth_scope_select(&s, STR("c"), STR("a"), &arena), "a c");
    s.offline_access = true;
    CHECK_STR(oauth_scope_select(&s, STR("c"), STR_EMPTY, &arena), "c offline_access");
    s.has_resource_scopes = false;
    CHECK_STR(oauth_scope_select(&s, STR_EMPTY, STR_EMPTY, &arena), "");
}

/* ---- consent ---- */

TEST(pkce_is_as_the_rfc_shows_it) {
    char challenge[OAUTH_VERIFIER_LEN + 1];
    struct oauth_pkce a, b;
    oauth_pkce_challenge(STR("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), challenge);
    CHECK_STR(str_z(challenge), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    oauth_pkce_make(&a);
    oauth_pkce_make(&b);
    CHECK_INT(strlen(a.verifier), OAUTH_VERIFIER_LEN);
    CHECK(strcmp(a.verifier, b.verifier) != 0);
    oauth_pkce_challenge(str_z(a.verifier), challenge);
    CHECK_STR(str_z(challenge), a.challenge);
}

TEST(the_address_holds_what_it_must) {
    struct strbuf url cleanup(strbuf_done) = STRBUF(4096), small cleanup(strbuf_done) = STRBUF(40);
    struct oauth_server s = {.authorization_endpoint = STR("https://as/authorize?tenant=1"),
                             .resource = STR("https://mcp.example")};
    const struct oauth_authorization a = {.client_id = STR("id&x"),
                                          .redirect_uri = STR("http://127.0.0.1:1/c"),
                                          .scope = STR("a b"),
                                          .state = STR("s+"),
                                          .code_challenge = STR("C")};
    struct err err;
    REQUIRE_OK(oauth_authorization_url(&s, &a, &url, &err), &err);
    CHECK_STR(strbuf_str(&url),
              "https://as/authorize?tenant=1&response_type=code&client_id=id%26x&redirect_uri="
              "http%3A%2F%2F127.0.0.1%3A1%2Fc&state=s%2B&code_challenge=C&code_challenge_method="
              "S256&scope=a%20b&resource=https%3A%2F%2Fmcp.example");
    CHECK_FAILS(oauth_authorization_url(&s, &a, &small, &err), &err, ERR_LIMIT);
    s.authorization_endpoint = STR_EMPTY;
    CHECK_FAILS(oauth_authorization_url(&s, &a, &url, &err), &err, ERR_PROTOCOL);
}

TEST(answers_come_from_whom_was_asked) {
    struct err err;
    CHECK_OK(oauth_response_check(STR("https://as"), true, STR("https://as"), &err), &err);
    CHECK_OK(oauth_response_check(STR("https://as"), false, STR_EMPTY, &err), &err);
    CHECK_FAILS(oauth_response_check(STR("https://as"), true, STR_EMPTY, &err), &err, ERR_INVALID);
    CHECK_FAILS(oauth_response_check(STR("https://as"), false, STR("https://as/"), &err), &err,
                ERR_INVALID);
    CHECK_FAILS(oauth_response_check(STR("https://as"), true, STR("https://evil"), &err), &err,
                ERR_INVALID);
}

TEST(the_document_says_who_we_are) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(4096);
    json_auto_t *tree = NULL;
    struct err err;
    struct oauth_identity me = {.name = STR("Adjutant"),
                                .redirect_uri = STR("https://me.example/oauth/callback"),
                                .document_url = STR("https://me.example/oauth/client.json")};
    oauth_write_document(&me, &out);
    REQUIRE_OK(json_read(strbuf_str(&out), &tree, &err), &err);
    CHECK_STR(json_str(tree, "client_id"), "https://me.example/oauth/client.json");
    CHECK_STR(json_str(tree, "application_type"), "web");
    CHECK_STR(json_value_str(json_array_get(json_object_get(tree, "redirect_uris"), 0)),
              "https://me.example/oauth/callback");
    CHECK_INT(json_array_size(json_object_get(tree, "grant_types")), 2);
}

/* ---- signed assertions ---- */

static int decode_part(struct str part, struct strbuf *out, struct err *err) {
    struct strbuf padded cleanup(strbuf_done) = STRBUF(4096);
    for (size_t i = 0; i < part.n; i++) {
        strbuf_addc(&padded, part.p[i] == '-' ? '+' : part.p[i] == '_' ? '/' : part.p[i]);
    }
    while (padded.n % 4) {
        strbuf_addc(&padded, '=');
    }
    return crypto_base64_decode(out, strbuf_str(&padded), err);
}

static bool verify(EVP_PKEY *key, struct str text, struct str raw) {
    ECDSA_SIG *s = ECDSA_SIG_new();
    unsigned char *der = NULL;
    ECDSA_SIG_set0(s, BN_bin2bn((const unsigned char *)raw.p, 32, NULL),
                   BN_bin2bn((const unsigned char *)raw.p + 32, 32, NULL));
    int n = i2d_ECDSA_SIG(s, &der);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key);
    bool ok = EVP_DigestVerify(context, der, (size_t)n, (const unsigned char *)text.p, text.n) == 1;
    EVP_MD_CTX_free(context);
    OPENSSL_free(der);
    ECDSA_SIG_free(s);
    return ok;
}

static struct str pem_of(EVP_PKEY *key, struct arena *arena) {
    BIO *bio = BIO_new(BIO_s_mem());
    char *p;
    PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    long n = BIO_get_mem_data(bio, &p);
    struct str pem = arena_str(arena, (struct str){p, (size_t)n});
    BIO_free(bio);
    return pem;
}

TEST(an_assertion_is_signed_with_the_clients_key) {
    struct arena arena cleanup(arena_done) = {0};
    struct strbuf jwt cleanup(strbuf_done) = STRBUF(4096),
                      claims cleanup(strbuf_done) = STRBUF(4096),
                      signature cleanup(strbuf_done) = STRBUF(128);
    json_auto_t *tree = NULL;
    struct err err;
    EVP_PKEY *key = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-384");
    REQUIRE_OK(oauth_jwt_sign(pem_of(key, &arena), STR("me"), STR("https://as"), &jwt, &err), &err);
    struct str rest = strbuf_str(&jwt), all = rest;
    (void)str_cut(&rest, '.');
    struct str body = str_cut(&rest, '.');
    REQUIRE_OK(decode_part(rest, &signature, &err), &err);
    CHECK_INT(signature.n, 64);
    CHECK(verify(key, str_head(all, all.n - rest.n - 1), strbuf_str(&signature)));
    REQUIRE_OK(decode_part(body, &claims, &err), &err);
    REQUIRE_OK(json_read(strbuf_str(&claims), &tree, &err), &err);
    CHECK_STR(json_str(tree, "iss"), "me");
    CHECK_STR(json_str(tree, "sub"), "me");
    CHECK_STR(json_str(tree, "aud"), "https://as");
    CHECK_INT(json_int(tree, "exp", 0) - json_int(tree, "iat", 0), 300);
    CHECK_FAILS(oauth_jwt_sign(pem_of(other, &arena), STR("me"), STR("a"), &jwt, &err), &err,
                ERR_INVALID);
    CHECK_FAILS(oauth_jwt_sign(STR("no key"), STR("me"), STR("a"), &jwt, &err), &err, ERR_INVALID);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}
