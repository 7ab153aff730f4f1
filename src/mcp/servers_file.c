/* mcp.json as a file: who may have written it, and what there is without one. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "mcp/servers.h"

static int check_file(int fd, struct stat *ret, struct err *err) {
    if (fstat(fd, ret) < 0) {
        return err_set(err, ERR_IO, "%s", strerror(errno));
    }
    if (!S_ISREG(ret->st_mode)) {
        return err_set(err, ERR_INVALID, "is not a regular file");
    }
    if (ret->st_mode & S_IWOTH) { /* it says which commands are run */
        return err_set(err, ERR_INVALID, "everybody may change it; run chmod o-w on it");
    }
    if (ret->st_size > SERVERS_MAX_FILE_BYTES) {
        return err_set(err, ERR_INVALID, "is larger than %d bytes", SERVERS_MAX_FILE_BYTES);
    }
    return 0;
}

static int read_all(int fd, size_t size, struct strbuf *out, struct err *err) {
    while (out->n < size) {
        char *room = strbuf_room(out, size - out->n);
        ssize_t n = room ? read(fd, room, size - out->n) : 0;
        if (n < 0 && errno != EINTR) {
            return err_set(err, ERR_IO, "%s", strerror(errno));
        }
        if (n == 0) {
            break;
        }
        strbuf_claim(out, n > 0 ? (size_t)n : 0);
    }
    return 0;
}

/* 1: there is none. */
static int read_file(const char *path, struct strbuf *out, struct err *err) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return errno == ENOENT ? 1 : err_set(err, ERR_IO, "%s", strerror(errno));
    }
    int rc = check_file(fd, &st, err);
    if (rc == 0) {
        rc = read_all(fd, (size_t)st.st_size, out, err);
    }
    close(fd);
    return rc;
}

static struct str get_variable(void *arg, const char *name) {
    return profile_environment_get(arg, name);
}

int servers_load(const struct profile *profile, struct servers **ret, struct err *err) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(SERVERS_MAX_FILE_BYTES + 1);
    struct profile_environment *environment;
    int rc = read_file(profile->mcp_config.p, &text, err);
    if (rc == 1 && !profile->mcp_config_named) {
        *ret = servers_preconfigured();
        return 0;
    }
    if (rc == 1) {
        return err_set(err, ERR_INVALID, "MCP_CONFIG: there is no file %s", profile->mcp_config.p);
    }
    if (rc == 0 && (rc = profile_environment_open(profile, &environment, err)) == 0) {
        const struct servers_variables variables = {get_variable, environment};
        rc = servers_parse(strbuf_str(&text), &variables, ret, err);
        profile_environment_free(environment);
    }
    if (text.p) {
        secret_wipe(text.p, text.cap);
    }
    return rc < 0 ? err_prefix(err, "%s", profile->mcp_config.p) : 0;
}
