/* Keys and cookies as their owners see them. */
#include "api/access.h"
#include "api/handlers.h"
#include "api/ws_session.h"
#include "base/clock.h"
#include "base/crypto.h"

/* The browser reaches a proxy over TLS when the proxy says so. */
static bool is_https(const struct call *c) {
    struct str rest = http_header(c->request, "X-Forwarded-Proto");
    return str_eq_nocase(str_trim(str_cut(&rest, ',')), STR("https"));
}

/* RFC 6265; max_age_s 0 deletes it. */
static struct http_field cookie_field(struct call *c, struct str token, int64_t max_age_s) {
    struct str value = arena_printf(
        &c->arena, ACCESS_COOKIE "=%.*s; Path=/; Max-Age=%lld; HttpOnly; SameSite=Strict%s",
        STR_ARG(token), (long long)max_age_s, is_https(c) ? "; Secure" : "");
    return (struct http_field){"Set-Cookie", value};
}

static void write_session(struct strbuf *out, const struct principal *p, int64_t expires_us) {
    char iso[CLOCK_ISO_LEN + 1];
    clock_iso(expires_us, iso);
    struct jsonw w = jsonw_begin(out);
    jsonw_object(&w);
    jsonw_kstr(&w, "user_id", p->user_id);
    jsonw_kstrz(&w, "role", role_name(p->role));
    jsonw_kstrz(&w, "expires_at", iso);
    jsonw_end_object(&w);
}

int handle_login(struct call *c, struct err *err) {
    json_auto_t *body = NULL;
    struct strbuf out cleanup(strbuf_done) = STRBUF(4096);
    struct str key = STR_EMPTY, token, peer = access_peer(c->request);
    int64_t expires_us;
    if (access_check_origin(c, false, err) < 0 || call_read_json(c, false, &body, err) < 0 ||
        json_want_str(body, "key", ACCESS_MAX_KEY_BYTES, &key, err) < 0) {
        return -(int)err->code;
    }
    if (key.n == 0) {
        return err_set(err, ERR_INVALID, "key: is needed");
    }
    if (auth_login(c->gateway->auth, key, peer, &c->arena, &token, &expires_us, err) < 0 ||
        auth_check(c->gateway->auth, STR_EMPTY, token, peer, &c->arena, &c->principal, err) < 0) {
        return -(int)err->code;
    }
    c->authenticated = true;
    feed_settings(c->gateway->feed, c->principal.user_id, FEED_KEYS);
    int64_t max_age_s = MAX((expires_us - clock_now_us()) / 1000000, 1);
    struct http_field cookie = cookie_field(c, token, max_age_s);
    write_session(&out, &c->principal, expires_us);
    return call_respond_with(c, 200, &out, &cookie, 1, err);
}

/* Its sockets are closed now, and not when they are next looked at. */
static void session_ended(struct call *c, const struct principal *p, struct str token) {
    char hash[SHA256_HEX + 1];
    crypto_sha256_hex(token, hash);
    auth_session_ended(c->gateway->auth, p->user_id, str_z(hash));
    feed_settings(c->gateway->feed, p->user_id, FEED_KEYS);
    ws_watch_look(c->gateway, p->user_id);
}

int handle_logout(struct call *c, struct err *err) {
    struct str key, token;
    struct principal principal;
    struct err unknown;
    if (access_check_origin(c, false, err) < 0) {
        return -(int)err->code;
    }
    access_credentials(c, &key, &token);
    bool known = token.n && auth_recheck(c->gateway->auth, STR_EMPTY, token, &c->arena, &principal,
                                         &unknown) == 0;
    if (token.n && auth_logout(c->gateway->auth, token, err) < 0 && err->code != ERR_NOT_FOUND) {
        return -(int)err->code;
    }
    struct http_field cookie = cookie_field(c, STR_EMPTY, 0);
    int rc = call_respond_empty(c, 204, &cookie, 1);
    if (known) {
        session_ended(c, &principal, token);
    }
    return rc;
}
