/* One server that asks for authorization, and the user's notifications: three unread, two read. */
#include "mcp/authorizer.h"
#include "played.h"
#include "store/notifications.h"

/* ---- authorization ---- */

int authorizers_url(struct authorizers *a, struct str user_id, struct str server,
                    struct strbuf *ret_url, struct err *err) {
    (void)a;
    if (str_eq(server, STR("down"))) {
        return err_set(err, ERR_UNAVAILABLE, "down: connection refused");
    }
    if (!str_eq(server, STR("wiki"))) {
        return err_set(err, ERR_NOT_FOUND, "there is no such server");
    }
    strbuf_addf(ret_url, "https://login.example/authorize?state=\"<%.*s>&x=1", STR_ARG(user_id));
    return 0;
}

int authorizers_open_link(const struct authorizers *a, struct str link, struct arena *arena,
                          struct authorizer_visit *ret, struct err *err) {
    (void)a;
    if (!str_starts(link, STR("sealed:"))) {
        return err_set(err, ERR_INVALID, "the link is <not> ours");
    }
    ret->user_id = STR("<b>ann</b>");
    ret->server = arena_str(arena, str_skip(link, 7));
    return 0;
}

unsigned played_codes;

int authorizers_finish(struct authorizers *a, const struct authorizer_callback *callback,
                       struct arena *arena, struct authorizer_visit *ret, struct err *err) {
    (void)a, (void)arena;
    *ret = (struct authorizer_visit){STR("ann"), STR("wiki")};
    if (callback->error.n) {
        return err_set(err, ERR_FORBIDDEN, "the permission was not given");
    }
    if (!str_eq(callback->code, STR("good"))) {
        return err_set(err, ERR_UNAUTHORIZED, "the authorization is not valid (any more)");
    }
    played_codes++;
    return 0;
}

void authorizers_client_metadata(const struct authorizers *a, struct strbuf *out) {
    (void)a;
    strbuf_addz(out, "{\"client_id\":\"x\"}");
}

/* ---- notifications ---- */

int notification_list(struct db *db, struct str user_id, bool read, int64_t before_us,
                      struct str before_id, size_t max, struct arena *arena,
                      struct notification **ret, size_t *ret_n, struct err *err) {
    (void)db, (void)user_id, (void)err;
    int64_t all = read ? 2 : 3;
    *ret = arena_alloc(arena, 3 * sizeof **ret);
    *ret_n = 0;
    for (int64_t i = all; i > 0 && *ret_n < max; i--) {
        struct str id = arena_printf(arena, "%s%d", read ? "r" : "u", (int)i);
        if (before_us == 0 || i < before_us) {
            (*ret)[(*ret_n)++] = (struct notification){.id = id,
                                                       .message = STR("m"),
                                                       .priority = STR("normal"),
                                                       .created_us = i,
                                                       .read_us = read ? i : 0};
        }
    }
    return before_us && before_id.n == 0 ? err_set(err, ERR_INTERNAL, "half a cursor") : 0;
}

int notification_read(struct db *db, struct str user_id, struct str id, struct err *err) {
    (void)db, (void)user_id;
    return str_eq(id, STR("u1")) ? 0 : err_set(err, ERR_NOT_FOUND, "no such notification");
}
