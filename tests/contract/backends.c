#include "backends.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strbuf.h"

enum { MAX_URL = 512 };

static char private_url[MAX_URL], private_directory[64];

/* ---- the cluster ---- */

static bool tool(const char *verb, const char *arguments, char *ret_line, size_t size) {
    char command[1024];
    snprintf(command, sizeof command, "'%s' %s '%s' %s", PG_TEST_CLUSTER, verb, private_directory,
             arguments);
    FILE *out = popen(command, "r");
    if (!out) {
        return false;
    }
    if (!fgets(ret_line, (int)size, out)) {
        ret_line[0] = '\0';
    }
    ret_line[strcspn(ret_line, "\n")] = '\0';
    return pclose(out) == 0;
}

static void stop_private_cluster(void) {
    char line[MAX_URL];
    tool("stop", "", line, sizeof line);
}

static const char *private_cluster(void) {
    char arguments[32];
    if (!private_url[0]) {
        snprintf(private_directory, sizeof private_directory, "/tmp/adjutant-pg-%d", getpid());
        snprintf(arguments, sizeof arguments, "%d", getpid());
        if (!tool("start", arguments, private_url, sizeof private_url)) {
            private_url[0] = '\0';
            return NULL;
        }
        atexit(stop_private_cluster);
    }
    return private_url;
}

bool test_private_cluster(const char *verb) {
    char line[MAX_URL];
    return tool(verb, "", line, sizeof line);
}

/* ---- SQL at once ---- */

static PGresult *run_sql(const char *url, const char *sql) {
    PGconn *conn = PQconnectdb(url);
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        printf("  %s: %s", sql, PQerrorMessage(conn));
        PQclear(result);
        result = NULL;
    }
    PQfinish(conn);
    return result;
}

bool test_pg_sql(const char *url, const char *sql) {
    PGresult *result = run_sql(url, sql);
    PQclear(result);
    return result != NULL;
}

long long test_pg_number(const char *url, const char *sql) {
    PGresult *result = run_sql(url, sql);
    long long number = -1;
    if (result && PQntuples(result) > 0) {
        number = atoll(PQgetvalue(result, 0, 0));
    }
    PQclear(result);
    return number;
}

/* ---- databases ---- */

/* The URL with its database replaced by another: what stands after the last slash, before '?'. */
static char *with_database(const char *url, const char *name) {
    struct str whole = str_z(url);
    size_t end = str_find_char(whole, '?');
    struct str query = end == SIZE_MAX ? STR_EMPTY : str_skip(whole, end);
    struct str head = str_head(whole, end);
    while (head.n > 0 && head.p[head.n - 1] != '/') {
        head.n--;
    }
    struct strbuf out cleanup(strbuf_done) = STRBUF(MAX_URL);
    strbuf_add(&out, head);
    strbuf_addz(&out, name);
    strbuf_add(&out, query);
    return str_dup_z(strbuf_str(&out));
}

static bool open_database(const char *server, struct test_backend *ret) {
    static unsigned count;
    char name[64], sql[128];
    if (!server) {
        printf("  there is no PostgreSQL server for the test\n");
        return false;
    }
    snprintf(name, sizeof name, "adjutant_test_%d_%u", getpid(), ++count);
    snprintf(sql, sizeof sql, "CREATE DATABASE %s", name);
    if (!test_pg_sql(server, sql)) {
        return false;
    }
    ret->url = with_database(server, name);
    ret->options.url = ret->url;
    return true;
}

static void drop_database(struct test_backend *backend) {
    char sql[128];
    char *server cleanup(mem_free_p) = with_database(backend->url, "postgres");
    struct str name = str_head(str_z(backend->url), str_find_char(str_z(backend->url), '?'));
    const char *slash = memrchr(name.p, '/', name.n);
    struct str database = str_skip(name, (size_t)(slash + 1 - name.p));
    snprintf(sql, sizeof sql, "DROP DATABASE %.*s WITH (FORCE)", STR_ARG(database));
    test_pg_sql(server, sql);
}

static bool open_directory(struct test_backend *ret) {
    char directory[] = "/tmp/adjutant-test-XXXXXX", path[64];
    if (!mkdtemp(directory)) {
        perror("mkdtemp");
        return false;
    }
    snprintf(path, sizeof path, "%s/test.db", directory);
    ret->directory = str_dup_z(str_z(directory));
    ret->path = str_dup_z(str_z(path));
    ret->options.sqlite_path = ret->path;
    return true;
}

static struct test_backend backend_of(enum db_backend kind) {
    return (struct test_backend){.kind = kind,
                                 .options = {.connect_timeout_ms = 5000,
                                             .acquire_timeout_ms = 10000,
                                             .statement_timeout_ms = 20000}};
}

bool test_backend_open(enum db_backend kind, struct test_backend *ret) {
    *ret = backend_of(kind);
    if (kind == DB_SQLITE) {
        return open_directory(ret);
    }
    const char *given = getenv("ADJUTANT_TEST_PG_URL");
    return open_database(given && given[0] ? given : private_cluster(), ret);
}

bool test_private_cluster_open(struct test_backend *ret) {
    *ret = backend_of(DB_POSTGRES);
    return open_database(private_cluster(), ret);
}

static void remove_files(const struct test_backend *backend) {
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", backend->path, suffixes[i]);
        unlink(path);
    }
    rmdir(backend->directory);
}

void test_backend_close(struct test_backend *backend) {
    if (backend->kind == DB_SQLITE) {
        remove_files(backend);
    } else {
        drop_database(backend);
    }
    mem_free(backend->url);
    mem_free(backend->directory);
    mem_free(backend->path);
}

void test_on_backend(enum db_backend kind, void (*body)(struct test_backend *backend)) {
    struct test_backend backend;
    if (CHECK(test_backend_open(kind, &backend))) {
        body(&backend);
        test_backend_close(&backend);
    }
}
