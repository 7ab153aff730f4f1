/* A gateway's heart without its skin, for tests: an engine with its runs and tools over a real
 * database, and the fake model as its upstream, all in the test's own loop. Several processes on
 * one database are several engines with ids of their own.
 *
 *     struct house h cleanup(house_close) = {0};
 *     struct process a cleanup(process_close) = {0};
 *     REQUIRE(house_open(&h, backend));
 *     process_open(&h, "a", &a);
 *     struct heard heard = talk(&a, "thread", "turn", "[say hello]");
 *     CHECK_STR(messages(&h, "thread"), "user:[say hello] assistant:hello ");
 */
#pragma once
#include "event/run.h"
#include "fake.h"
#include "graph/turn.h"
#include "store_fixture.h"
#include "tool/toolset.h"

/* The tools of the house. Each counts its calls; those that wait do so until house.gate_open. */
enum house_tool {
    TOOL_LOOK,      /* repeatable */
    TOOL_ACT,       /* not repeatable */
    TOOL_WAIT_LOOK, /* repeatable, waits */
    TOOL_WAIT_ACT,  /* not repeatable, waits */
    TOOL_SLOW_LOOK, /* repeatable, longer than its deadline */
    TOOL_SLOW_ACT,  /* not repeatable, the same */
    TOOL_REFUSE,    /* says no */
    TOOL_FAIL,      /* an error */
    TOOL_LOUD,      /* a result of the largest size, all to be escaped */
    HOUSE_TOOLS,
};

struct house {
    struct fixture f;
    struct fake_model model;
    struct http_server *upstream;
    struct profile profile;
    struct tool_registry *tools;
    struct user_epochs *epochs;
    struct toolbox *toolbox;
    unsigned calls[HOUSE_TOOLS];
    unsigned gave_up; /* calls that waited at the gate until their own patience ended */
    bool gate_open;
    struct fiber_cond gate;
    char url[96];
};

bool house_open(struct house *h, struct test_backend *backend);
/* Also checks that no ended turn left a tool call without its outcome. */
void house_close(struct house *h);
void house_open_gate(struct house *h);
/* Until the tool was called n times, or the patience of tests ends. */
bool house_called(struct house *h, enum house_tool tool, unsigned n);

struct process {
    struct house *house;
    char id[16];
    struct runs *runs;
    struct turn_engine *engine;
};

/* Without its housekeeping, so that its lease is what the test makes of it: here, valid. */
void process_open(struct house *h, const char *id, struct process *ret);
/* With it: it looks for turns to adopt. */
void process_start(struct house *h, const char *id, struct process *ret);
/* The same for one that was opened: as if it had stood still until now. */
void process_wake(struct process *p);
/* From now on others may adopt what it runs, while it goes on as if nothing were. */
void process_lose_lease(struct process *p);
void process_close(struct process *p); /* accepts one that is not open */

int say(struct process *p, const char *thread, const char *turn, const char *text,
        struct turn_ticket *ret, struct err *err);

/* What a client saw. */
struct heard {
    char types[2048];   /* of the events, each with a space behind; equal ones in a row once */
    char text[4096];    /* deltas, "|" at the end of each message */
    char results[2048]; /* of tools, "|" behind each */
    char error[512];
    int64_t last_seq;
    unsigned events, ends, out_of_order, unbalanced, after_end;
    int rc; /* of the last read */
};

void heard_note(struct heard *h, const struct run_event *events, size_t n);
/* Follows to the end; closes the reader. */
void hear(struct run_reader *reader, struct heard *ret);
/* Until an event of this type came, or the end. */
bool hear_until(struct run_reader *reader, const char *type, struct heard *ret);
/* Says it and hears the answer. Checks that the stream is whole. */
void talk(struct process *p, const char *thread, const char *turn, const char *text,
          struct heard *ret);
/* One RUN_STARTED at the beginning, one end at the end, numbers that grow, all that began ended. */
void check_whole(const struct heard *heard);

/* "user:text assistant:text+calls tool:text ", in order; lives as long as the house. */
struct str messages(struct house *h, const char *thread);
/* "done", "failed", ... and the number of its epoch: "done 0". */
struct str state_of(struct house *h, const char *turn);
/* The states of the turn's tool calls: "done unknown ". */
struct str effects_of(struct house *h, const char *turn);
/* Waits for the turn's end in the store. */
bool ended(struct house *h, const char *turn);
