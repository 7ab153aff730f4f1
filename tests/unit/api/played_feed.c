/* The real feed without a line to other processes. */
#include "event/feed_internal.h"

void line_init(struct feed *f) {
    list_init(&f->line.outbox);
}

int line_start(struct feed *f, struct err *err) {
    (void)f, (void)err;
    return 0;
}

void line_done(struct feed *f) {
    (void)f;
}

bool line_wanted(const struct feed *f, unsigned slot) {
    (void)f, (void)slot;
    return false;
}

void line_note_untold(struct feed *f, unsigned slot) {
    (void)f, (void)slot;
}

void line_note_missed(struct feed *f, unsigned slot) {
    (void)f, (void)slot;
}

void line_post(struct feed *f, const struct feed_user *u, struct str lines) {
    (void)f, (void)u, (void)lines;
}

void line_announce(struct feed *f) {
    (void)f;
}

void db_unlisten(struct db *db, void *arg) {
    (void)db, (void)arg;
}
