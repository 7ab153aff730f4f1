/* What the bridges stand on, made up: clients of servers that do as they are told, a vault that is
 * an array, epochs that a test counts up. They take the place of the real ones at linking. */
#pragma once
#include "mcp/bridge.h"

enum { FAKE_MAX = 64 };

/* How servers behave, by name. */
struct fake_server {
    const char *name;
    enum err_code connect_fails, list_fails, call_fails; /* ERR_NONE: it works */
    bool connect_waits, list_waits, call_waits;          /* until the gate is opened */
    bool without_tools;
    const char *tools[4]; /* items of the list */
    int64_t ttl_ms;       /* 0: none is given */
    unsigned connects, lists, calls;
};

struct fake_credential {
    const char *user, *service, *value;
    int64_t updated_us;
};

/* A client that was made, freed or not. */
struct fake_client {
    char server[32], header[256]; /* "Name: value" of all headers or variables, each with a ';' */
    bool freed, deaf;
    unsigned calls;
    struct mcp_client *client;
};

struct fakes {
    struct fake_server servers[8];
    struct fake_credential vault[16];
    enum err_code vault_fails;
    unsigned vault_reads;
    uint64_t epoch;
    struct fake_client clients[FAKE_MAX];
    size_t n_clients;
    bool gate_open;
    struct fiber_cond gate;
};
extern struct fakes fakes;

void fakes_reset(void);
struct fake_server *fake_server(const char *name); /* made when missing */
void fakes_open_gate(void);
/* Makes or replaces; value NULL: deletes. The epoch counts up. */
void fake_credential(const char *user, const char *service, const char *value);
/* The newest client of the server that has this in its headers; NULL: none. */
struct fake_client *fake_client(const char *server, const char *header);
unsigned fake_clients_open(void);
/* list_changed from each client of the server. */
void fake_tools_changed(const char *server);
