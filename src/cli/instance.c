#include "cli/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

enum { MAX_PLACES = 64, MAX_PATH = 4096, LINE_BYTES = ID_LEN + 1 };

/* 1: it is ours, 0: somebody's, negative: failed. */
static int take_place(const char *path, int *ret_fd, struct err *err) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_set(err, ERR_IO, "cannot open %s: %s", path, strerror(errno));
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        *ret_fd = fd;
        return 1;
    }
    int why = errno;
    close(fd);
    return why == EWOULDBLOCK ? 0 : err_set(err, ERR_IO, "cannot lock %s: %s", path, strerror(why));
}

static int write_id(struct instance *i, const char *path, struct err *err) {
    char line[LINE_BYTES + 1];
    snprintf(line, sizeof line, "%s\n", i->id.z);
    if (pwrite(i->fd, line, LINE_BYTES, 0) != LINE_BYTES || ftruncate(i->fd, LINE_BYTES) < 0) {
        int why = errno;
        close(i->fd);
        return err_set(err, ERR_IO, "cannot write %s: %s", path, strerror(why));
    }
    return 0;
}

int instance_open(struct instance *i, struct str home, bool alone, struct err *err) {
    char path[MAX_PATH], line[LINE_BYTES];
    int rc = 0;
    *i = (struct instance){.id = id_new(), .fd = -1};
    for (int place = 1; rc == 0 && place <= (alone ? 1 : MAX_PLACES); place++) {
        int n = place == 1 ? snprintf(path, sizeof path, "%.*s/instance", STR_ARG(home))
                           : snprintf(path, sizeof path, "%.*s/instance.%d", STR_ARG(home), place);
        if (n >= (int)sizeof path) {
            return err_set(err, ERR_INVALID, "the home folder's name is too long");
        }
        rc = take_place(path, &i->fd, err);
    }
    if (rc == 0) {
        return err_set(err, ERR_CONFLICT, "another server already runs in %.*s%s", STR_ARG(home),
                       alone ? "; with SQLite there can be one only (--home, or PostgreSQL)" : "");
    }
    if (rc < 0) {
        return rc;
    }
    if (pread(i->fd, line, sizeof line, 0) == (ssize_t)sizeof line) {
        id_parse((struct str){line, ID_LEN}, &i->previous);
    }
    return write_id(i, path, err);
}

void instance_close(struct instance *i) {
    (void)!ftruncate(i->fd, 0); /* a stale id costs one needless look */
    close(i->fd);
}
