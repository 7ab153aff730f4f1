/* All rows, whoever's they are: bringing them under the newest key while the server serves, and
 * seeing whether all can be read. */
#include "auth/vault_internal.h"
#include "base/log.h"

enum { PAGE = 100 };

static bool may_be_skipped(enum err_code code) {
    return code == ERR_NOT_FOUND || code == ERR_FORBIDDEN;
}

static int read_row(struct vault *v, const struct credential_name *name, struct arena *arena,
                    struct credential_row *ret, struct secret **ret_value,
                    struct vault_tally *tally, struct err *err) {
    int rc = credential_get(v->db, name->user_id, name->service, arena, ret, err);
    rc = rc < 0 ? rc : vault_open_row(v, name->user_id, ret, ret_value, err);
    if (rc == -ERR_FORBIDDEN) {
        tally->unreadable++;
        log_warn("vault", "a credential cannot be read user=%.*s service=%.*s key=%.*s",
                 STR_ARG(name->user_id), STR_ARG(name->service), STR_ARG(ret->key_id));
    }
    return rc;
}

static int look_at(struct vault *v, const struct credential_name *name, struct vault_tally *tally,
                   struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct secret *value cleanup(secret_free_p) = NULL;
    struct credential_row row;
    int rc = read_row(v, name, &arena, &row, &value, tally, err);
    return rc < 0 && !may_be_skipped(err->code) ? rc : 0;
}

/* A row that somebody changes at the same moment is looked at again: it may have been a process
 * that does not have the new key yet. */
static int rotate_one(struct vault *v, const struct credential_name *name,
                      struct vault_tally *tally, struct err *err) {
    enum { TRIES = 10 };
    for (int i = 0; i < TRIES; i++) {
        struct arena arena cleanup(arena_done) = {0};
        struct secret *value cleanup(secret_free_p) = NULL;
        struct credential_row row;
        bool done = false;
        int rc = read_row(v, name, &arena, &row, &value, tally, err);
        if (rc < 0) {
            return may_be_skipped(err->code) ? 0 : rc;
        }
        if (vault_row_is_current(v, &row)) {
            return 0;
        }
        if (vault_rekey_row(v, name->user_id, &row, value, &done, err) < 0) {
            return -(int)err->code;
        }
        if (done) {
            tally->rotated++;
            return 0;
        }
    }
    return err_set(err, ERR_CONFLICT, "the credential %.*s of %.*s changes all the time",
                   STR_ARG(name->service), STR_ARG(name->user_id));
}

/* Every row that stands under another key than key_id, each in transactions of its user. A negative
 * result of `visit` ends it. */
static int each(struct vault *v, struct str key_id,
                int (*visit)(struct vault *v, const struct credential_name *name,
                             struct vault_tally *tally, struct err *err),
                struct vault_tally *tally, struct err *err) {
    struct arena arenas[2] = {{0}, {0}};
    struct credential_name *names, after = {STR_EMPTY, STR_EMPTY};
    size_t n;
    int rc;
    for (int page = 0;; page = !page) {
        arena_done(&arenas[page]);
        rc = credentials_under_other_keys(v->db, key_id, &after, PAGE, &arenas[page], &names, &n,
                                          err);
        for (size_t i = 0; rc == 0 && i < n; i++) {
            tally->seen++;
            rc = visit(v, &names[i], tally, err);
        }
        if (rc < 0 || n < PAGE) {
            break;
        }
        after = names[n - 1]; /* lives in the other page's arena while the next one is read */
    }
    arena_done(&arenas[0]);
    arena_done(&arenas[1]);
    return rc;
}

int vault_rotate(struct vault *v, struct vault_tally *ret, struct err *err) {
    *ret = (struct vault_tally){0};
    return each(v, str_z(v->keys.keys[0].id), rotate_one, ret, err);
}

int vault_check(struct vault *v, struct vault_tally *ret, struct err *err) {
    *ret = (struct vault_tally){0};
    return each(v, STR_EMPTY, look_at, ret, err);
}

int vault_keys_in_use(struct vault *v, struct arena *arena, struct vault_key_use **ret,
                      size_t *ret_n, struct err *err) {
    struct credential_count *counts;
    size_t n;
    if (credentials_by_key(v->db, arena, &counts, &n, err) < 0) {
        return -(int)err->code;
    }
    struct vault_key_use *uses = arena_alloc(arena, (n + v->keys.n) * sizeof *uses);
    size_t n_uses = 0;
    for (size_t i = 0; i < v->keys.n; i++) {
        uses[n_uses++] =
            (struct vault_key_use){.key_id = arena_str(arena, str_z(v->keys.keys[i].id)),
                                   .is_current = i == 0,
                                   .is_set = true};
    }
    for (size_t i = 0; i < n; i++) {
        struct vault_key_use *use = NULL;
        for (size_t k = 0; k < n_uses; k++) {
            use = str_eq(uses[k].key_id, counts[i].key_id) ? &uses[k] : use;
        }
        if (!use) {
            use = &uses[n_uses++];
            use->key_id = counts[i].key_id;
        }
        use->credentials = counts[i].rows;
        use->users = counts[i].users;
    }
    *ret = uses;
    *ret_n = n_uses;
    return 0;
}
