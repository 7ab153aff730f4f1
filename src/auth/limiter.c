#include "auth/limiter.h"

#include <arpa/inet.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

#define WINDOW_US (60 * INT64_C(1000000))

struct entry {
    struct list by_age; /* the front one failed longest ago */
    int64_t window_began_us;
    unsigned failures;
    size_t address_n;
    char address[];
};

struct limiter {
    struct map by_address;
    struct list by_age;
};

struct limiter *limiter_new(void) {
    struct limiter *l = mem_alloc(sizeof *l);
    list_init(&l->by_age);
    return l;
}

static void forget(struct limiter *l, struct entry *e) {
    map_remove(&l->by_address, (struct str){e->address, e->address_n});
    list_remove(&e->by_age);
    mem_free(e);
}

void limiter_free(struct limiter *l) {
    list_each (node, &l->by_age) {
        forget(l, list_entry(node, struct entry, by_age));
    }
    map_done(&l->by_address);
    mem_free(l);
}

/* Whoever has one IPv6 address has the 2^64 of its network: they count as one. */
static struct str subject_of(struct str address, char buffer[INET6_ADDRSTRLEN]) {
    struct in6_addr v6;
    if (address.n == 0 || address.n >= INET6_ADDRSTRLEN) {
        return str_head(address, INET6_ADDRSTRLEN);
    }
    memcpy(buffer, address.p, address.n);
    buffer[address.n] = '\0';
    if (inet_pton(AF_INET6, buffer, &v6) != 1 || IN6_IS_ADDR_V4MAPPED(&v6)) {
        return address;
    }
    memset(v6.s6_addr + 8, 0, 8);
    inet_ntop(AF_INET6, &v6, buffer, INET6_ADDRSTRLEN);
    return str_z(buffer);
}

/* The address's entry, unless its minute is over. */
static struct entry *current(struct limiter *l, struct str address) {
    struct entry *e = map_get(&l->by_address, address);
    if (e && clock_mono_us() - e->window_began_us >= WINDOW_US) {
        forget(l, e);
        return NULL;
    }
    return e;
}

bool limiter_blocked(struct limiter *l, struct str address) {
    char buffer[INET6_ADDRSTRLEN];
    const struct entry *e = current(l, subject_of(address, buffer));
    return e && e->failures >= LIMITER_MAX_FAILURES;
}

void limiter_failed(struct limiter *l, struct str address) {
    char buffer[INET6_ADDRSTRLEN];
    address = subject_of(address, buffer);
    struct entry *e = current(l, address);
    if (!e) {
        if (map_count(&l->by_address) >= LIMITER_ADDRESSES) {
            forget(l, list_entry(l->by_age.next, struct entry, by_age));
        }
        e = mem_alloc(sizeof *e + address.n);
        e->window_began_us = clock_mono_us();
        e->address_n = address.n;
        memcpy(e->address, address.p, address.n);
        map_put(&l->by_address, address, e);
    } else {
        list_remove(&e->by_age);
    }
    e->failures++;
    list_push(&l->by_age, &e->by_age);
}
