#include "profile/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/secret.h"

static bool is_name(struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
        if (!letter && !(i > 0 && c >= '0' && c <= '9')) {
            return false;
        }
    }
    return s.n > 0;
}

static struct str unquoted(struct str s) {
    bool quoted = s.n >= 2 && (s.p[0] == '"' || s.p[0] == '\'') && s.p[s.n - 1] == s.p[0];
    return quoted ? (struct str){s.p + 1, s.n - 2} : s;
}

static int add_line(struct source *s, struct str line, struct err *err) {
    line = str_trim(line);
    if (line.n == 0 || line.p[0] == '#') {
        return 0;
    }
    bool has_value = str_find_char(line, '=') != SIZE_MAX;
    struct str value = line;
    struct str name = str_trim(str_cut(&value, '='));
    if (!has_value || !is_name(name)) {
        return err_set(err, ERR_INVALID, "expected NAME=value");
    }
    if (s->n_settings == SOURCE_MAX_SETTINGS) {
        return err_set(err, ERR_INVALID, "more than %d settings", SOURCE_MAX_SETTINGS);
    }
    s->settings[s->n_settings++] = (struct source_setting){name, unquoted(str_trim(value))};
    return 0;
}

static int parse(struct source *s, const char *path, struct err *err) {
    struct str rest = {s->text, s->n_text};
    s->settings = mem_alloc(SOURCE_MAX_SETTINGS * sizeof *s->settings);
    if (memchr(s->text, 0, s->n_text)) {
        return err_set(err, ERR_INVALID, "%s: contains a NUL character", path);
    }
    for (int line = 1; rest.n > 0; line++) {
        if (add_line(s, str_cut(&rest, '\n'), err) < 0) {
            return err_prefix(err, "%s:%d", path, line);
        }
    }
    return 0;
}

static int check_file(int fd, const char *path, struct stat *ret, struct err *err) {
    if (fstat(fd, ret) < 0) {
        return err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    }
    if (!S_ISREG(ret->st_mode)) {
        return err_set(err, ERR_INVALID, "%s: is not a regular file", path);
    }
    if (ret->st_mode & (S_IRWXG | S_IRWXO)) {
        return err_set(err, ERR_INVALID, "%s: others may read or change it; run chmod 600 on it",
                       path);
    }
    if (ret->st_size > SOURCE_MAX_FILE_BYTES) {
        return err_set(err, ERR_INVALID, "%s: is larger than %d bytes", path,
                       SOURCE_MAX_FILE_BYTES);
    }
    return 0;
}

static int read_text(struct source *s, int fd, size_t size, const char *path, struct err *err) {
    s->text = mem_alloc(size + 1);
    while (s->n_text < size) {
        ssize_t n = read(fd, s->text + s->n_text, size - s->n_text);
        if (n < 0 && errno != EINTR) {
            return err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
        }
        if (n == 0) {
            break;
        }
        s->n_text += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int source_read(struct source *s, const char *path, struct err *err) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return errno == ENOENT ? 0 : err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    }
    int rc = check_file(fd, path, &st, err);
    if (rc == 0) {
        rc = read_text(s, fd, (size_t)st.st_size, path, err);
    }
    close(fd);
    return rc == 0 ? parse(s, path, err) : rc;
}

void source_done(struct source *s) {
    if (s->text) {
        secret_wipe(s->text, s->n_text);
    }
    mem_free(s->text);
    mem_free(s->settings);
    *s = (struct source){0};
}

struct str source_get(const struct source *s, const char *name) {
    const char *z = getenv(name);
    struct str value = {0};
    if (z) {
        value = str_z(z);
    } else {
        for (size_t i = 0; i < s->n_settings; i++) { /* the last one counts, as in a shell */
            if (str_eq(s->settings[i].name, str_z(name))) {
                value = s->settings[i].value;
            }
        }
    }
    return value.n ? value : (struct str){0};
}
