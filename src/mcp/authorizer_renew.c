/* Renewing tokens: one refresh for all that need it, and what is done when only the user can help.
 */
#include "base/log.h"
#include "mcp/authorizer_internal.h"
#include "store/notifications.h"

enum {
    REREADS = 4, /* of the vault, when another process may have renewed the token */
    REREAD_MS = 250,
    WAIT_MS = 60 * 1000,
};

/* ---- telling the user ---- */

/* Where the user renews or gives consent; falls back to words when the address would not fit. */
int grant_ask_user(const struct grant *g, struct err *err, const char *what) {
    const struct authorizers *a = g->owner;
    struct strbuf plain cleanup(strbuf_done) = STRBUF(4096),
                        link cleanup(strbuf_done) = STRBUF(4096);
    struct err ignored, probe;
    strbuf_addf(&plain, "%zu:%s%s", strlen(g->user_id), g->user_id, g->server);
    strbuf_addf(&link, "%s/oauth/start?link=", a->public_url);
    if (vault_seal(a->vault, "mcp link", strbuf_str(&plain), &link, &ignored) == 0) {
        (void)err_set(&probe, ERR_UNAUTHORIZED, "%s %s: open %s", g->server, what, strbuf_z(&link));
        if (str_ends(str_z(probe.msg), strbuf_str(&link))) {
            *err = probe;
            return -ERR_UNAUTHORIZED;
        }
    }
    return err_set(err, ERR_UNAUTHORIZED, "%s %s: connect it under Connections at %s", g->server,
                   what, a->public_url);
}

int grant_ask_to_connect(const struct grant *g, struct err *err) {
    return grant_ask_user(g, err,
                          g->record.dead ? "needs your permission again" : "needs your permission");
}

/* The id keeps it to one for each consent, in however many processes this is found out. */
static void notify_expired(const struct grant *g) {
    struct arena arena cleanup(arena_done) = {0};
    struct err err;
    const struct notification n = {
        .id = arena_printf(&arena, "oauth-expired:%s", g->record.grant.z),
        .message = arena_printf(&arena,
                                "The connection to %s has expired. Connect it again to go on "
                                "using it.",
                                g->server),
        .priority = STR("high"),
    };
    if (notification_add(g->owner->db, str_z(g->user_id), &n, &err) < 0) {
        log_error("mcp", "a notification is lost server=%s: %s", g->server, err.msg);
        return;
    }
    feed_notification(g->owner->feed, str_z(g->user_id), n.id);
}

/* The notification first: if what follows is lost, it is all found out again. */
static int give_up(struct grant *g, struct err *err) {
    log_info("mcp", "an authorization has ended server=%s", g->server);
    notify_expired(g);
    record_drop_tokens(&g->record);
    g->record.dead = true;
    grant_keep(g, STR("system"));
    return grant_ask_to_connect(g, err);
}

/* ---- renewing ---- */

/* While we asked, the user may have disconnected or consented anew: then that counts. */
static bool superseded(struct grant *g) {
    struct arena arena cleanup(arena_done) = {0};
    struct secret *value cleanup(secret_free_p) = NULL;
    struct record now = {0};
    struct vault_entry entry;
    struct err err;
    if (grant_is_fresh(g)) {
        return false;
    }
    if (vault_get(g->owner->vault, str_z(g->user_id), grant_server(g)->service, &value, &entry,
                  &arena, &err) == 0) {
        record_read(secret_reveal(value), &now);
    } else if (err.code != ERR_NOT_FOUND) {
        return false;
    }
    if (str_eq(id_str(&now.grant), id_str(&g->record.grant))) {
        record_done(&now);
        return false;
    }
    record_done(&g->record);
    g->record = now;
    return true;
}

static int refresh_once(struct grant *g, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct oauth_client client cleanup(oauth_client_done) = {0};
    struct oauth_tokens tokens cleanup(oauth_tokens_done) = {0};
    if (!grant_client(g, g->record.issuer, g->record.client_id, &client)) {
        return err_set(err, ERR_FORBIDDEN, "the client that the token was given to is unknown");
    }
    const struct oauth_grant ask = {.issuer = g->record.issuer,
                                    .token_endpoint = g->record.token_endpoint,
                                    .resource = g->record.resource,
                                    .client = &client};
    if (oauth_refresh(&ask, g->record.refresh, &arena, &tokens, err) < 0) {
        return -(int)err->code;
    }
    if (superseded(g)) {
        return grant_has_token(g) ? 0 : grant_ask_to_connect(g, err);
    }
    record_put_tokens(&g->record, &tokens);
    grant_keep(g, STR_EMPTY);
    return 0;
}

/* Another process may have been quicker with the same refresh token, and is about to store what it
 * got. */
static bool renewed_elsewhere(struct grant *g) {
    struct secret *used cleanup(secret_free_p) = secret_dup(g->record.refresh);
    struct err err;
    for (int i = 0; i < REREADS; i++) {
        if (grant_load(g, true, &err) == 0 && grant_has_token(g) &&
            !str_eq(secret_reveal(g->record.refresh), secret_reveal(used))) {
            return true;
        }
        if (fiber_sleep(REREAD_MS) < 0) {
            break;
        }
    }
    return false;
}

static int refresh(struct grant *g, struct err *err) {
    struct secret *refused cleanup(secret_free_p) = secret_dup(g->record.access);
    if (grant_load(g, true, err) < 0) {
        return -(int)err->code;
    }
    if (!grant_has_token(g)) {
        return grant_ask_to_connect(g, err);
    }
    if (!str_eq(secret_reveal(g->record.access), secret_reveal(refused))) {
        return 0;
    }
    if (!g->record.refresh) {
        return give_up(g, err);
    }
    int rc = refresh_once(g, err);
    if (rc == 0 || (rc == -ERR_UNAUTHORIZED && grant_has_token(g) && renewed_elsewhere(g))) {
        return 0;
    }
    if (!grant_has_token(g)) {
        return grant_ask_to_connect(g, err); /* the user has disconnected meanwhile */
    }
    if (err->code == ERR_UNAUTHORIZED) {
        return give_up(g, err);
    }
    if (err->code == ERR_FORBIDDEN && !grant_server(g)->client_id.n) {
        record_drop_client(&g->record, g->record.issuer, g->record.client_id);
        return give_up(g, err);
    }
    return err_prefix(err, "%s", g->server);
}

/* On a fiber of its own, which holds the lock: callers that leave cost nobody the new token, which
 * the server gives out only once. */
static void refresh_main(void *arg) {
    struct grant *g = arg;
    fiber_shield_enter();
    g->ended_well = refresh(g, &g->ended) == 0;
    fiber_shield_leave();
    g->round++;
    grant_unlock(g);
    grant_unref(g);
}

/* How the refresh ended that others, or we, waited for. */
static int ended(const struct grant *g, struct err *err) {
    if (g->ended_well) {
        return 0;
    }
    *err = g->ended;
    return -(int)err->code;
}

static int start_refresh(struct grant *g, struct err *err) {
    g->refs++;
    if (fiber_spawn(&g->owner->refreshes, "oauth refresh", refresh_main, g, NULL, err) < 0) {
        grant_unlock(g);
        grant_unref(g);
        return -(int)err->code;
    }
    return 0;
}

int grant_renew(struct grant *g, const struct secret *used, uint64_t round, struct err *err) {
    if (grant_lock(g, err) < 0) {
        return -(int)err->code;
    }
    if (grant_load(g, false, err) < 0) {
        grant_unlock(g);
        return -(int)err->code;
    }
    bool has = grant_has_token(g);
    if (!has || !str_eq(secret_reveal(g->record.access), secret_reveal(used))) {
        grant_unlock(g);
        return has ? 0 : grant_ask_to_connect(g, err);
    }
    if (g->round != round && !g->ended_well) {
        grant_unlock(g);
        return ended(g, err);
    }
    round = g->round;
    if (start_refresh(g, err) < 0) {
        return -(int)err->code;
    }
    while (g->round == round) {
        int rc = fiber_wait(&g->unlocked, WAIT_MS);
        if (rc < 0) {
            return err_set(err, (enum err_code) - rc, "waiting for a new token of %s", g->server);
        }
    }
    return ended(g, err);
}
