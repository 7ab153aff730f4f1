/* One user's bridge: a link for each defined server, kept in step with the definitions and with
 * what the vault has. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "mcp/bridge_internal.h"

enum { SYNC_MS = 15 * 1000, FORGET_AFTER = 6 /* times the idle time of a connection */ };

/* ---- who is there ---- */

static struct user *user_new(struct bridges *b, struct str id) {
    struct user *u = mem_alloc(sizeof *u);
    u->owner = b;
    u->id = (struct str){str_dup_z(id), id.n};
    u->used_us = clock_mono_us();
    fiber_cond_init(&u->changed);
    list_push(&b->users, &u->in_users);
    map_put(&b->by_id, id, u);
    b->stats.bridges++;
    return u;
}

static bool make_room(struct bridges *b) {
    struct user *oldest = NULL;
    if (b->stats.bridges < BRIDGES_MAX_USERS) {
        return true;
    }
    list_each (node, &b->users) {
        struct user *u = list_entry(node, struct user, in_users);
        if (u->pins == 0 && (!oldest || u->used_us < oldest->used_us)) {
            oldest = u;
        }
    }
    if (oldest) {
        user_free(oldest);
    }
    return oldest != NULL;
}

int user_pin(struct bridges *b, struct str id, struct user **ret, struct err *err) {
    struct user *u = map_get(&b->by_id, id);
    if (!u && !make_room(b)) {
        return err_set(err, ERR_BUSY, "more than %d users use tools at once", BRIDGES_MAX_USERS);
    }
    u = u ? u : user_new(b, id);
    u->pins++;
    u->used_us = clock_mono_us();
    *ret = u;
    return 0;
}

void user_unpin(struct user *u) {
    u->used_us = clock_mono_us();
    u->pins--;
}

struct link *user_link(struct user *u, struct str server) {
    for (size_t i = 0; u->servers && i < u->servers->n; i++) {
        if (str_eq(u->links[i]->server->name, server)) {
            return u->links[i];
        }
    }
    return NULL;
}

/* ---- in step with the definitions ---- */

static struct link *taken_over(struct user *u, const struct server *server) {
    for (size_t i = 0; u->servers && i < u->servers->n; i++) {
        struct link *l = u->links[i];
        if (l && memcmp(l->server->identity, server->identity, sizeof server->identity) == 0) {
            u->links[i] = NULL;
            l->server = server;
            return l;
        }
    }
    return link_new(u, server);
}

static void drop_links(struct user *u) {
    for (size_t i = 0; u->servers && i < u->servers->n; i++) {
        if (u->links[i]) {
            link_free(u->links[i]);
        }
    }
    mem_free(take(u->links));
    servers_unref(take(u->servers));
}

static void renew_links(struct user *u) {
    struct servers *servers = servers_ref(u->owner->servers);
    struct link **links = mem_alloc((servers->n + 1) * sizeof *links);
    for (size_t i = 0; i < servers->n; i++) {
        links[i] = taken_over(u, &servers->servers[i]);
    }
    drop_links(u);
    u->servers = servers;
    u->links = links;
    u->generation = u->owner->generation;
    u->version++;
}

/* ---- in step with the vault ---- */

static int64_t stored_at(struct str service, const struct vault_entry *entries, size_t n) {
    for (size_t i = 0; service.n > 0 && i < n; i++) {
        if (str_eq(entries[i].service, service)) {
            return MAX(entries[i].updated_us, (int64_t)1);
        }
    }
    return 0;
}

static int look_at_link(struct link *l, const struct vault_entry *entries, size_t n,
                        struct err *err) {
    struct authorizer_state state = {0};
    if (l->authorizer) {
        int rc = authorizer_look(l->authorizer, &state, err);
        if (rc < 0 && rc != -ERR_FORBIDDEN) { /* what cannot be decrypted is as good as not there */
            return rc;
        }
    }
    link_credential(l, stored_at(l->server->credential.service, entries, n), state.grant,
                    state.connected || state.expired);
    return 0;
}

static int look_at_vault(struct user *u, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct vault_entry *entries = NULL;
    struct vault *vault = u->owner->options.vault;
    size_t n = 0;
    if (vault && vault_list(vault, u->id, &arena, &entries, &n, err) < 0) {
        return err_prefix(err, "the user's credentials");
    }
    for (size_t i = 0; i < u->servers->n; i++) {
        if (look_at_link(u->links[i], entries, n, err) < 0) {
            return err_prefix(err, "the user's credentials");
        }
    }
    return 0;
}

static uint64_t epoch_now(const struct user *u) {
    struct user_epochs *epochs = u->owner->options.epochs;
    return epochs ? user_epoch(epochs, u->id) : 0;
}

static bool is_current(const struct user *u) {
    return u->synced && u->epoch == epoch_now(u) && u->generation == u->owner->generation;
}

/* The epoch is read before what it stands for: a change in between is seen the next time. */
static int sync_now(struct user *u, struct err *err) {
    struct fiber_timeout limit;
    uint64_t epoch = epoch_now(u);
    if (!u->servers || u->generation != u->owner->generation) {
        renew_links(u);
    }
    fiber_timeout_start(&limit, SYNC_MS);
    int rc = look_at_vault(u, err);
    fiber_timeout_stop(&limit);
    u->synced = rc == 0;
    u->epoch = epoch;
    return rc;
}

int user_sync(struct user *u, struct err *err) {
    fiber_point();
    while (!is_current(u)) {
        if (u->syncing) {
            int rc = fiber_wait(&u->changed, SYNC_MS);
            if (rc < 0) {
                return err_set(err, (enum err_code) - rc, "the user's credentials: no answer yet");
            }
            continue;
        }
        u->syncing = true;
        int rc = sync_now(u, err);
        u->syncing = false;
        fiber_broadcast(&u->changed);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* ---- together ---- */

void user_begin_all(struct user *u) {
    for (size_t i = 0; u->servers && i < u->servers->n; i++) {
        link_begin(u->links[i], LINK_WANTED);
    }
}

static void touch(void *arg) {
    struct user *u = arg;
    struct err err;
    if (user_sync(u, &err) == 0) {
        user_begin_all(u);
    } else {
        log_debug("mcp", "no connections: %s user=%.*s", err.msg, STR_ARG(u->id));
    }
    u->touching = false;
    u->pins--; /* this is no use that keeps connections open */
}

void user_touch(struct user *u) {
    struct err err;
    if (!u->touching && fiber_spawn(&u->owner->scope, "mcp touch", touch, u, NULL, &err) == 0) {
        u->touching = true;
        u->pins++;
    }
}

void user_close(struct user *u) {
    for (size_t i = 0; u->servers && i < u->servers->n; i++) {
        link_close(u->links[i]);
    }
}

void user_free(struct user *u) {
    drop_links(u);
    list_remove(&u->in_users);
    map_remove(&u->owner->by_id, u->id);
    u->owner->stats.bridges--;
    mem_free((void *)(uintptr_t)u->id.p);
    mem_free(u);
}

static bool anything_due(const struct user *u) {
    if (!is_current(u)) {
        return true;
    }
    for (size_t i = 0; i < u->servers->n; i++) {
        if (link_due(u->links[i])) {
            return true;
        }
    }
    return false;
}

static void rest(struct user *u) {
    for (size_t i = 0; u->servers && i < u->servers->n; i++) {
        link_rest(u->links[i]);
    }
}

void users_tick(struct bridges *b, int64_t now_us) {
    int64_t idle_us = b->options.profile->mcp_idle_s * 1000000;
    int64_t active_us = MIN(BRIDGE_ACTIVE_MS * INT64_C(1000), idle_us / 2);
    list_each (node, &b->users) {
        struct user *u = list_entry(node, struct user, in_users);
        int64_t unused_us = now_us - u->used_us;
        if (u->pins == 0 && unused_us > FORGET_AFTER * idle_us) {
            user_free(u);
        } else if (u->pins == 0 && unused_us > idle_us) {
            user_close(u);
        } else if (u->pins == 0 && unused_us > active_us) {
            rest(u);
        } else if (unused_us <= active_us && anything_due(u)) {
            user_touch(u);
        }
    }
}
