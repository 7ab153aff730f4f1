#include "base/mem.h"
#include "db/driver.h"

struct db_session {
    const struct db_session_driver *driver;
    void *impl;
};

int db_session_open(const struct db_options *options, struct db_session **ret, struct err *err) {
    fiber_point();
    const struct db_session_driver *driver =
        options->url ? &db_session_driver_pg : &db_session_driver_sqlite;
    void *impl;
    if (driver->open(options, &impl, err) < 0) {
        return -(int)err->code;
    }
    struct db_session *session = mem_alloc(sizeof *session);
    *session = (struct db_session){.driver = driver, .impl = impl};
    *ret = session;
    return 0;
}

void db_session_close(struct db_session *session) {
    if (session) {
        session->driver->close(session->impl);
        mem_free(session);
    }
}

enum db_backend db_session_backend(const struct db_session *session) {
    return session->driver->backend;
}

int db_session_exec(struct db_session *session, const char *sql, int64_t timeout_ms,
                    struct arena *arena, struct db_table *ret_table, struct err *err) {
    fiber_point();
    if (ret_table) {
        *ret_table = (struct db_table){0};
    }
    return session->driver->exec(session->impl, sql, timeout_ms, arena, ret_table, err);
}
