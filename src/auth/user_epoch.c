#include "auth/user_epoch.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"

enum { N_SLOTS = 4096 };
#define CHANNEL "adjutant_user_epoch"

struct user_epochs {
    struct db *db;
    struct id self; /* what we tell comes back to us, too */
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
    e->db = db;
    e->self = id_new();
    return e;
}

int user_epochs_start(struct user_epochs *e, struct err *err) {
    return db_listen(e->db, CHANNEL, on_notify, on_lost, e, err);
}

void user_epochs_free(struct user_epochs *e) {
    if (e) {
        db_unlisten(e->db, e);
        mem_free(e);
    }
}

uint64_t user_epoch(const struct user_epochs *e, struct str user_id) {
    return e->numbers[hash_of(user_id) % N_SLOTS];
}

void user_epoch_changed(struct user_epochs *e, struct str user_id) {
    char payload[ID_LEN + 1 + 16 + 1];
    struct err err;
    uint64_t h = hash_of(user_id);
    e->numbers[h % N_SLOTS]++;
    int n = snprintf(payload, sizeof payload, "%s %016" PRIx64, e->self.z, h);
    if (db_notify(e->db, CHANNEL, (struct str){payload, (size_t)n}, &err) < 0) {
        log_warn("auth", "telling other processes of a user's change failed: %s", err.msg);
    }
}
