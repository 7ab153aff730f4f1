#include "base/id.h"

#include "base/clock.h"
#include "base/crypto.h"

/* UUIDv7 with the sub-millisecond fraction in rand_a (RFC 9562, method 3): 12 bits, a step of 244
 * ns. */
static uint64_t next_tick(void) {
    static uint64_t last;
    uint64_t us = (uint64_t)clock_now_us();
    uint64_t tick = (us / 1000 << 12) | (us % 1000 * 4096 / 1000);
    if (tick <= last) {
        tick = last + 1;
    }
    return last = tick;
}

/* Random bytes are drawn in bulk: a draw costs a locked generator and a system call now and then.
 */
static void random_tail(uint8_t ret[8]) {
    static uint8_t pool[512];
    static size_t used = sizeof pool;
    if (used == sizeof pool) {
        crypto_random(pool, sizeof pool);
        used = 0;
    }
    memcpy(ret, pool + used, 8);
    used += 8;
}

struct id id_new(void) {
    uint64_t tick = next_tick();
    uint8_t b[16];
    for (int i = 0; i < 6; i++) {
        b[i] = (uint8_t)(tick >> (52 - 8 * i));
    }
    b[6] = (uint8_t)(0x70 | (tick >> 8 & 15));
    b[7] = (uint8_t)tick;
    random_tail(b + 8);
    b[8] = (uint8_t)(0x80 | (b[8] & 0x3F));

    static const char digits[] = "0123456789abcdef";
    struct id id;
    char *out = id.z;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *out++ = '-';
        }
        *out++ = digits[b[i] >> 4];
        *out++ = digits[b[i] & 15];
    }
    *out = '\0';
    return id;
}

bool id_parse(struct str s, struct id *ret) {
    struct id id = {0};
    if (s.n != ID_LEN) {
        return false;
    }
    for (size_t i = 0; i < ID_LEN; i++) {
        char c = s.p[i];
        if (c >= 'A' && c <= 'F') {
            c = (char)(c + 32);
        }
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (dash ? c != '-' : !hex) {
            return false;
        }
        id.z[i] = c;
    }
    *ret = id;
    return true;
}
