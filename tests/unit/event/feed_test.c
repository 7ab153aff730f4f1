/* Feeds of several processes on a database that is played here: what one sends reaches the others
 * at once, unless the test takes the line away. */
#include "event/feed.h"

#include <string.h>

#include "event/feed_internal.h"
#include "test.h"

enum { PROCESSES = 2, PATIENCE_MS = 5000, LITTLE_MS = 3 * FEED_COALESCE_MS };

#define ME STR("me")
#define CHANGED "{\"type\":\"changed\",\"what\":"
#define ALL CHANGED "\"all\"}\n"
#define THREAD(id) CHANGED "\"thread\",\"threadId\":\"" id "\"}\n"

/* ---- the database as the tests set it ---- */

struct db {
    bool away; /* nothing can be sent */
    bool deaf; /* nothing is heard */
    void (*on_notify)(struct str payload, void *arg);
    void (*on_lost)(void *arg);
    void *arg;
    unsigned sent, changes; /* messages; of them, those that tell changes */
    size_t largest;
};
static struct db dbs[PROCESSES];

enum db_backend db_backend(const struct db *db) {
    (void)db;
    return DB_POSTGRES;
}

int db_listen(struct db *db, const char *channel, void (*on_notify)(struct str payload, void *arg),
              void (*on_lost)(void *arg), void *arg, struct err *err) {
    (void)channel, (void)err;
    db->on_notify = on_notify;
    db->on_lost = on_lost;
    db->arg = arg;
    on_lost(arg);
    return 0;
}

void db_unlisten(struct db *db, void *arg) {
    (void)arg;
    db->on_notify = NULL;
}

int db_notify(struct db *db, const char *channel, struct str payload, struct err *err) {
    CHECK_STR(str_z(channel), "adjutant_feed");
    fiber_yield();
    if (db->away) {
        return err_set(err, ERR_UNAVAILABLE, "away");
    }
    db->sent++;
    db->changes += str_starts(payload, STR("changed "));
    db->largest = MAX(db->largest, payload.n);
    for (size_t i = 0; i < PROCESSES; i++) {
        if (dbs[i].on_notify && !dbs[i].deaf) {
            dbs[i].on_notify(payload, dbs[i].arg);
        }
    }
    return 0;
}

const char *turn_state_name(enum turn_state s) {
    return s == TURN_DONE ? "done" : s == TURN_RUNNING ? "running" : "other";
}

/* ---- processes and watchers ---- */

/* After the time in which it is not known what others watch. */
static struct feed *process(size_t i) {
    struct err err;
    dbs[i] = (struct db){0};
    struct feed *f = feed_new(&dbs[i]);
    CHECK_OK(feed_start(f, &err), &err);
    (void)fiber_sleep(1);
    f->line.blind_until_us = 0;
    return f;
}

static struct feed *alone(void) {
    struct err err;
    struct feed *f = feed_new(NULL);
    CHECK_OK(feed_start(f, &err), &err);
    return f;
}

static void end(struct feed *f) {
    feed_stop(f);
    feed_free(f);
}

struct listener {
    struct feed_watcher watcher;
    struct feed *feed;
    struct strbuf heard;
    unsigned told;
    bool once; /* ends at the first thing it hears */
};

static void hear(struct str json, void *arg) {
    struct listener *l = arg;
    l->told++;
    strbuf_add(&l->heard, json);
    strbuf_addc(&l->heard, '\n');
    if (l->once) {
        feed_unwatch(l->feed, &l->watcher);
    }
}

static void listen_to(struct listener *l, struct feed *f, struct str user) {
    *l = (struct listener){
        .feed = f, .heard = STRBUF(1 << 20), .watcher = {.on_change = hear, .arg = l}};
    feed_watch(f, user, &l->watcher);
}

static void stop_listening(struct listener *l) {
    feed_unwatch(l->feed, &l->watcher);
    strbuf_done(&l->heard);
}

static bool hears(struct listener *l, const char *what) {
    for (int ms = 0; ms < PATIENCE_MS; ms += 5) {
        if (str_find(strbuf_str(&l->heard), str_z(what)) != SIZE_MAX) {
            return true;
        }
        (void)fiber_sleep(5);
    }
    printf("heard: %.*s\n", STR_ARG(strbuf_str(&l->heard)));
    return false;
}

/* ---- one process ---- */

TEST_FIBER(what_comes_together_is_told_once_in_its_order) {
    struct listener l;
    struct feed *f = alone();
    listen_to(&l, f, ME);
    feed_turn(f, ME, STR("t"), STR("r"), TURN_RUNNING);
    for (int i = 0; i < 20; i++) {
        feed_thread(f, ME, STR("t"));
    }
    feed_thread(f, ME, STR("u"));
    feed_interrupt(f, ME, STR("t"), STR("r"));
    feed_notification(f, ME, STR("n\"1"));
    feed_settings(f, ME, FEED_KEYS);
    feed_settings(f, ME, FEED_PROFILE);
    feed_settings(f, ME, FEED_KEYS);
    feed_turn(f, ME, STR("t"), STR("r"), TURN_DONE);
    CHECK(hears(&l, "profile"));
    CHECK_STR(strbuf_str(&l.heard), CHANGED
              "\"turn\",\"threadId\":\"t\",\"runId\":\"r\",\"state\":\"done\"}\n" THREAD("t")
                  THREAD("u") CHANGED "\"interrupt\",\"threadId\":\"t\",\"runId\":\"r\"}\n" CHANGED
                                      "\"notification\",\"id\":\"n\\\"1\"}\n" CHANGED
                                      "\"settings\",\"name\":\"keys\"}\n" CHANGED
                                      "\"settings\",\"name\":\"profile\"}\n");
    feed_thread(f, ME, STR("t"));
    (void)fiber_sleep(LITTLE_MS);
    CHECK_INT(l.told, 8);
    stop_listening(&l);
    end(f);
}

TEST_FIBER(more_than_can_be_kept_is_all) {
    struct listener l;
    struct feed *f = alone();
    char id[16];
    listen_to(&l, f, ME);
    for (int i = 0; i < 10 * FEED_MAX_CHANGES; i++) {
        int n = snprintf(id, sizeof id, "t%d", i);
        feed_thread(f, ME, (struct str){id, (size_t)n});
    }
    CHECK_INT(map_count(&f->users), 1);
    CHECK(hears(&l, ALL));
    CHECK_STR(strbuf_str(&l.heard), ALL);
    feed_thread(f, ME, STR("after"));
    CHECK(hears(&l, THREAD("after")));
    stop_listening(&l);
    end(f);
}

TEST_FIBER(one_users_changes_are_not_anothers) {
    struct listener mine, yours;
    struct feed *f = alone();
    listen_to(&mine, f, ME);
    listen_to(&yours, f, STR("you"));
    feed_thread(f, ME, STR("t"));
    feed_thread(f, STR("yo"), STR("t"));
    feed_thread(f, STR_EMPTY, STR("t"));
    CHECK(hears(&mine, THREAD("t")));
    (void)fiber_sleep(LITTLE_MS);
    CHECK_INT(yours.told, 0);
    CHECK_INT(mine.told, 1);
    stop_listening(&mine);
    stop_listening(&yours);
    end(f);
}

TEST_FIBER(of_whom_nobody_watches_nothing_is_kept) {
    struct listener l;
    struct feed *f = alone();
    feed_thread(f, ME, STR("t"));
    feed_thread(NULL, ME, STR("t"));
    CHECK(!feed_wanted(NULL, ME));
    CHECK(!feed_wanted(f, ME));
    CHECK_INT(map_count(&f->users), 0);
    listen_to(&l, f, ME);
    CHECK(feed_wanted(f, ME));
    stop_listening(&l);
    CHECK(!feed_wanted(f, ME));
    CHECK_INT(map_count(&f->users), 0);
    end(f);
}

TEST_FIBER(watchers_may_end_while_they_are_told) {
    struct listener first, second, third;
    struct feed *f = alone();
    listen_to(&first, f, ME);
    listen_to(&second, f, ME);
    first.once = true;
    feed_thread(f, ME, STR("t"));
    feed_thread(f, ME, STR("u"));
    CHECK(hears(&second, THREAD("u")));
    CHECK_STR(strbuf_str(&first.heard), THREAD("t"));
    second.once = true;
    feed_thread(f, ME, STR("v"));
    feed_thread(f, ME, STR("w"));
    CHECK(hears(&second, THREAD("v"))); /* the last one: nobody is left for "w" */
    (void)fiber_sleep(LITTLE_MS);
    CHECK_INT(map_count(&f->users), 0);
    CHECK_INT(feed_stats(f).watchers, 0);
    listen_to(&third, f, ME);
    feed_thread(f, ME, STR("x"));
    stop_listening(&third); /* with a change on its way */
    end(f);
    stop_listening(&first);
    stop_listening(&second);
}

TEST_FIBER(what_changed_last_is_told_before_the_end) {
    struct listener l;
    struct feed *f = alone();
    listen_to(&l, f, ME);
    feed_thread(f, ME, STR("t"));
    feed_stop(f);
    CHECK_STR(strbuf_str(&l.heard), THREAD("t"));
    stop_listening(&l);
    feed_free(f);
}

/* ---- several ---- */

TEST_FIBER(another_process_is_told_while_somebody_watches_there) {
    struct listener here, there;
    struct feed *a = process(0), *b = process(1);
    listen_to(&there, b, ME);
    CHECK_INT(there.told, 0);
    feed_thread(a, ME, STR("t"));
    feed_thread(a, STR("you"), STR("t"));
    feed_turn(a, ME, STR("t"), STR("r"), TURN_DONE);
    CHECK(hears(&there, "\"state\":\"done\"}\n"));
    CHECK_INT(dbs[0].changes, 1);
    CHECK_INT(there.told, 2);

    /* Nobody watches elsewhere what is watched here only. */
    listen_to(&here, a, STR("you"));
    feed_thread(a, STR("you"), STR("t"));
    CHECK(hears(&here, THREAD("t")));
    (void)fiber_sleep(LITTLE_MS);
    CHECK_INT(dbs[0].changes, 1);
    stop_listening(&here);
    stop_listening(&there);
    end(a);
    end(b);
}

TEST_FIBER(what_nobody_was_told_of_is_all_for_who_comes_late) {
    struct listener there;
    struct feed *a = process(0), *b = process(1);
    feed_thread(a, ME, STR("t"));
    listen_to(&there, b, ME);
    CHECK(hears(&there, ALL));
    CHECK_INT(dbs[0].changes, 0);
    stop_listening(&there);
    end(a);
    end(b);
}

TEST_FIBER(a_new_process_tells_everybody_until_it_knows_who_watches) {
    struct listener there;
    struct feed *b = process(1);
    listen_to(&there, b, ME);
    struct feed *a = process(0); /* asks */
    (void)fiber_sleep(LITTLE_MS);
    CHECK(feed_wanted(a, ME)); /* answered */
    CHECK(!feed_wanted(a, STR("you")));
    a->line.blind_until_us = INT64_MAX;
    CHECK(feed_wanted(a, STR("you")));
    feed_thread(a, STR("you"), STR("t"));
    feed_thread(a, ME, STR("t"));
    CHECK(hears(&there, THREAD("t")));
    CHECK_INT(there.told, 1);
    CHECK_INT(map_count(&a->users), 0);
    stop_listening(&there);
    end(a);
    end(b);
}

TEST_FIBER(a_lost_line_is_all) {
    struct listener here, there;
    struct feed *a = process(0), *b = process(1);
    listen_to(&here, a, ME);
    listen_to(&there, b, STR("you"));
    a->line.elsewhere_until_us[feed_slot(STR("you"))] = 0; /* it was away for so long */
    feed_thread(a, STR("you"), STR("t"));
    feed_thread(a, ME, STR("t"));
    CHECK(hears(&here, THREAD("t")));
    CHECK_INT(there.told, 0);
    dbs[0].on_lost(dbs[0].arg);
    CHECK(hears(&here, ALL));
    CHECK(hears(&there, ALL)); /* of what it was not told */
    stop_listening(&here);
    stop_listening(&there);
    end(a);
    end(b);
}

TEST_FIBER(what_could_not_be_sent_is_all_in_the_end) {
    struct listener here, there;
    struct feed *a = process(0), *b = process(1);
    char id[16];
    listen_to(&here, a, STR("you"));
    listen_to(&there, b, ME);
    dbs[0].away = true;
    feed_thread(a, ME, STR("t"));
    for (int ms = 0; ms < PATIENCE_MS && !a->line.failing; ms += 5) {
        (void)fiber_sleep(5);
    }
    CHECK_INT(there.told, 0);
    dbs[0].away = false;
    CHECK(hears(&there, ALL));
    CHECK(hears(&here, ALL)); /* others may have taken us for dead */
    CHECK_STR(strbuf_str(&there.heard), ALL);

    /* More at once than is kept to be sent. */
    strbuf_reset(&there.heard);
    a->line.blind_until_us = INT64_MAX;
    for (int i = 0; i < FEED_MAX_OUTBOX + 10; i++) {
        int n = snprintf(id, sizeof id, "u%d", i);
        feed_thread(a, (struct str){id, (size_t)n}, STR("t"));
    }
    feed_thread(a, ME, STR("t"));
    CHECK(hears(&there, ALL));
    CHECK_STR(strbuf_str(&there.heard), ALL);
    stop_listening(&here);
    stop_listening(&there);
    end(a);
    end(b);
}

TEST_FIBER(a_message_never_has_more_than_it_may) {
    struct listener there;
    struct feed *a = process(0), *b = process(1);
    char id[129];
    memset(id, '"', sizeof id);
    listen_to(&there, b, ME);
    for (int i = 0; i < FEED_MAX_CHANGES; i++) {
        snprintf(id + 120, 9, "%08d", i);
        feed_turn(a, ME, str_z(id), str_z(id), TURN_RUNNING);
    }
    CHECK(hears(&there, "00000063\",\"state\""));
    CHECK_INT(there.told, FEED_MAX_CHANGES);
    CHECK(dbs[0].largest <= DB_NOTIFY_MAX_BYTES);
    CHECK(dbs[0].changes > 1);
    stop_listening(&there);
    end(a);
    end(b);
}

TEST_FIBER(other_messages_change_nothing) {
    static const char *const strange[] = {"",
                                          "here",
                                          "here x",
                                          "here x 00ff",
                                          "missed x zz",
                                          "changed x",
                                          "nonsense",
                                          "changed x\nme",
                                          "changed x\nme\n\n",
                                          "changed x\n\n\n",
                                          "changed x\nyou\n{}\n\n"};
    struct listener l;
    struct feed *f = process(0);
    listen_to(&l, f, ME);
    for (size_t i = 0; i < ARRAY_LEN(strange); i++) {
        dbs[0].on_notify(str_z(strange[i]), dbs[0].arg);
    }
    (void)fiber_sleep(LITTLE_MS);
    CHECK_INT(l.told, 0);
    dbs[0].on_notify(STR("changed x\nyou\n{}\n\nme\n{\"a\":1}\n{\"b\":2}\n\n"), dbs[0].arg);
    CHECK_STR(strbuf_str(&l.heard), "{\"a\":1}\n{\"b\":2}\n");
    stop_listening(&l);
    end(f);
}

TEST_FIBER(watching_does_not_wait_for_ever_for_the_others) {
    struct listener l;
    struct feed *a = process(0), *b = process(1);
    dbs[1].away = true;
    listen_to(&l, b, ME); /* returns */
    CHECK(!feed_wanted(a, ME));
    dbs[1].away = false;
    CHECK(hears(&l, ALL));
    CHECK(feed_wanted(a, ME));
    stop_listening(&l);
    end(a);
    end(b);
}
