/* A user's own sessions over REST. A session is known by the beginning of its token's hash. */
#include "api/access.h"
#include "api/handlers.h"
#include "api/json_output.h"
#include "api/ws_session.h"
#include "base/clock.h"
#include "store/audit.h"
#include "store/keys.h"

enum { MAX_SHOWN = 200 };

/* The default user has those of ASSISTANT_API_KEY, too. */
static struct session_owner owner_of(const struct call *c) {
    struct str user = c->principal.user_id, shared = auth_shared_hash(c->gateway->auth);
    bool is_default = str_eq(user, c->gateway->profile->default_user);
    return (struct session_owner){user, is_default ? shared : STR_EMPTY};
}

static void write_session(struct jsonw *w, const struct session_row *s, struct str current_hash) {
    jsonw_object(w);
    jsonw_kstr(w, "id", str_head(s->token_hash, AUDIT_KEY_PREFIX));
    jsonw_kstr(w, "key", str_head(s->key_hash, AUDIT_KEY_PREFIX));
    json_put_time(w, "created_at", s->created_us);
    json_put_time(w, "expires_at", s->expires_us);
    jsonw_kbool(w, "current", str_eq(s->token_hash, current_hash));
    jsonw_end_object(w);
}

int handle_session_list(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(256 * 1024);
    struct session_row *rows;
    struct str key, token;
    char current[SHA256_HEX + 1] = "";
    size_t n;
    if (session_list(c->gateway->db, owner_of(c), clock_now_us(), MAX_SHOWN, &c->arena, &rows, &n,
                     err) < 0) {
        return -(int)err->code;
    }
    access_credentials(c, &key, &token);
    if (c->principal.from_cookie) {
        crypto_sha256_hex(token, current);
    }
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_key(&w, "sessions");
    jsonw_array(&w);
    for (size_t i = 0; i < n; i++) {
        write_session(&w, &rows[i], str_z(current));
    }
    jsonw_end_array(&w);
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}

int handle_session_end(struct call *c, struct err *err) {
    struct str id, user = c->principal.user_id,
                   actor = audit_actor(&c->arena, user, c->principal.key_hash);
    struct session_row row;
    if (call_id(c, 0, &id, err) < 0 ||
        session_end(c->gateway->db, owner_of(c), id, actor, &c->arena, &row, err) < 0) {
        return -(int)err->code;
    }
    auth_session_ended(c->gateway->auth, user, row.token_hash);
    feed_settings(c->gateway->feed, user, FEED_KEYS);
    call_respond_empty(c, 204, NULL, 0);
    ws_watch_look(c->gateway, user);
    return 0;
}
