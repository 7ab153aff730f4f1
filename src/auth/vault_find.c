/* Which services a user has, remembered until their epoch counts up: most users have none of the
 * ones that are asked for at every turn. Names only; values are read anew each time. */
#include "auth/vault_internal.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

/* However quiet it was: who changed something may have died before it could tell. */
enum { KNOWN_SECONDS = 60 };

struct known_user {
    struct list by_age; /* the front one goes first */
    uint64_t epoch;
    int64_t until_us;
    struct arena arena;
    struct str user_id;
    struct str *services;
    size_t n;
};

struct known_users {
    struct map by_user;
    struct list by_age;
};

struct known_users *known_users_new(void) {
    struct known_users *k = mem_alloc(sizeof *k);
    list_init(&k->by_age);
    return k;
}

static void forget(struct known_users *k, struct known_user *u) {
    map_remove(&k->by_user, u->user_id);
    list_remove(&u->by_age);
    arena_done(&u->arena);
    mem_free(u);
}

void known_users_free(struct known_users *k) {
    list_each (node, &k->by_age) {
        forget(k, list_entry(node, struct known_user, by_age));
    }
    map_done(&k->by_user);
    mem_free(k);
}

static void remember(struct known_users *k, struct str user_id, uint64_t epoch,
                     const struct credential_row *rows, size_t n) {
    struct known_user *u = map_get(&k->by_user, user_id);
    if (u) {
        forget(k, u);
    } else if (map_count(&k->by_user) >= VAULT_KNOWN_USERS) {
        forget(k, list_entry(k->by_age.next, struct known_user, by_age));
    }
    u = mem_alloc(sizeof *u);
    u->epoch = epoch;
    u->until_us = clock_mono_us() + KNOWN_SECONDS * INT64_C(1000000);
    u->user_id = arena_str(&u->arena, user_id);
    u->services = arena_alloc(&u->arena, n * sizeof *u->services);
    u->n = n;
    for (size_t i = 0; i < n; i++) {
        u->services[i] = arena_str(&u->arena, rows[i].service);
    }
    map_put(&k->by_user, user_id, u);
    list_push(&k->by_age, &u->by_age);
}

static bool has(const struct known_user *u, struct str service) {
    for (size_t i = 0; i < u->n; i++) {
        if (str_eq(u->services[i], service)) {
            return true;
        }
    }
    return false;
}

/* The epoch is read before the rows are: a change that comes between makes them stale at once. */
static int learn(struct vault *v, struct str user_id, uint64_t epoch, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct credential_row *rows;
    size_t n;
    if (credential_list(v->db, user_id, &arena, &rows, &n, err) < 0) {
        return -(int)err->code;
    }
    remember(v->known, user_id, epoch, rows, n);
    return 0;
}

int vault_find(struct vault *v, struct str user_id, struct str service, struct secret **ret,
               struct err *err) {
    fiber_point();
    uint64_t epoch = user_epoch(v->epochs, user_id);
    const struct known_user *u = map_get(&v->known->by_user, user_id);
    if (!u || u->epoch != epoch || clock_mono_us() >= u->until_us) {
        if (learn(v, user_id, epoch, err) < 0) {
            return -(int)err->code;
        }
        u = map_get(&v->known->by_user, user_id);
    }
    if (!u || !has(u, service)) {
        return err_set(err, ERR_NOT_FOUND, "there is no credential for this service");
    }
    return vault_get(v, user_id, service, ret, NULL, NULL, err);
}
