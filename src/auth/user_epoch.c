#include "auth/user_epoch.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"

enum { N_SLOTS = 4096 };
#define CHANNEL "adjutant_user_epoch"

struct user_epochs {
    struct db *db;
    struct id self; /* what we tell comes back to us, too */
    /* SQLite: there is one server, and commands beside it touch a file that it watches. */
    char *path;
    bool watching;
    uv_fs_event_t watch;
    uint64_t numbers[N_SLOTS];
};

/* FNV-1a. Processes tell each other the whole hash, so that the table's size is each one's own. */
static uint64_t hash_of(struct str user_id) {
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < user_id.n; i++) {
        h = (h ^ (unsigned char)user_id.p[i]) * UINT64_C(0x100000001b3);
    }
    return h;
}

/* "<process> <hash>" */
static void on_notify(struct str payload, void *arg) {
    struct user_epochs *e = arg;
    struct str hash = payload;
    char text[17] = "";
    uint64_t h;
    if (str_eq(str_cut(&hash, ' '), id_str(&e->self)) || hash.n != sizeof text - 1) {
        return;
    }
    memcpy(text, hash.p, hash.n);
    if (sscanf(text, "%16" SCNx64, &h) == 1) {
        e->numbers[h % N_SLOTS]++;
    }
}

static void on_lost(void *arg) {
    struct user_epochs *e = arg;
    for (size_t i = 0; i < N_SLOTS; i++) {
        e->numbers[i]++;
    }
}

struct user_epochs *user_epochs_new(struct db *db) {
    struct user_epochs *e = mem_alloc(sizeof *e);
    struct strbuf path cleanup(strbuf_done) = STRBUF(8192);
    e->db = db;
    e->self = id_new();
    if (db_sqlite_path(db)) {
        strbuf_addf(&path, "%s-epoch", db_sqlite_path(db));
        e->path = str_dup_z(strbuf_str(&path));
    }
    return e;
}

static void on_touched(uv_fs_event_t *watch, const char *name, int events, int status) {
    (void)name, (void)events, (void)status;
    on_lost(watch->data);
}

static int watch(struct user_epochs *e, struct err *err) {
    int fd = open(e->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) {
        close(fd);
    }
    uv_fs_event_init(fiber_loop(), &e->watch);
    e->watch.data = e;
    e->watching = true;
    int rc = uv_fs_event_start(&e->watch, on_touched, e->path, 0);
    uv_unref((uv_handle_t *)&e->watch);
    return rc < 0 ? err_set(err, ERR_IO, "cannot watch %s: %s", e->path, uv_strerror(rc)) : 0;
}

int user_epochs_start(struct user_epochs *e, struct err *err) {
    return e->path ? watch(e, err) : db_listen(e->db, CHANNEL, on_notify, on_lost, e, err);
}

static void free_it(uv_handle_t *handle) {
    struct user_epochs *e = handle->data;
    mem_free(e->path);
    mem_free(e);
}

void user_epochs_free(struct user_epochs *e) {
    if (!e) {
        return;
    }
    db_unlisten(e->db, e);
    e->watch.data = e;
    if (e->watching) {
        uv_close((uv_handle_t *)&e->watch, free_it);
    } else {
        free_it((uv_handle_t *)&e->watch);
    }
}

/* A file that is not there has nobody who watches it. */
static void touch(const struct user_epochs *e) {
    (void)utimensat(AT_FDCWD, e->path, NULL, 0);
}

uint64_t user_epoch(const struct user_epochs *e, struct str user_id) {
    return e->numbers[hash_of(user_id) % N_SLOTS];
}

void user_epoch_changed(struct user_epochs *e, struct str user_id) {
    char payload[ID_LEN + 1 + 16 + 1];
    struct err err;
    uint64_t h = hash_of(user_id);
    e->numbers[h % N_SLOTS]++;
    if (e->path) {
        if (!e->watching) {
            touch(e);
        }
        return;
    }
    int n = snprintf(payload, sizeof payload, "%s %016" PRIx64, e->self.z, h);
    if (db_notify(e->db, CHANNEL, (struct str){payload, (size_t)n}, &err) < 0) {
        log_warn("auth", "telling other processes of a user's change failed: %s", err.msg);
    }
}
