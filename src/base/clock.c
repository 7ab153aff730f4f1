#include "base/clock.h"

#include <time.h>

static int64_t read_us(clockid_t which) {
    struct timespec ts;
    clock_gettime(which, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_now_us(void) {
    return read_us(CLOCK_REALTIME);
}

int64_t clock_mono_us(void) {
    return read_us(CLOCK_MONOTONIC);
}

/* Days since 1970 to a civil date and back: Howard Hinnant's "chrono-compatible low-level date
 * algorithms". */
static void civil_from_days(int64_t z, int *ret_y, int *ret_m, int *ret_d) {
    z += 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *ret_d = (int)(doy - (153 * mp + 2) / 5 + 1);
    *ret_m = (int)(mp < 10 ? mp + 3 : mp - 9);
    *ret_y = (int)(yoe + era * 400 + (*ret_m <= 2));
}

static int64_t days_from_civil(int64_t y, int m, int d) {
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

static void digits(char *p, int64_t v, int width) {
    while (width-- > 0) {
        p[width] = (char)('0' + v % 10);
        v /= 10;
    }
}

void clock_iso(int64_t us, char ret[CLOCK_ISO_LEN + 1]) {
    int64_t day = us / 86400000000, rest = us % 86400000000;
    if (rest < 0) {
        day--;
        rest += 86400000000;
    }
    int y, m, d;
    civil_from_days(day, &y, &m, &d);
    memcpy(ret, "0000-00-00T00:00:00.000000Z", CLOCK_ISO_LEN + 1);
    digits(ret, y, 4);
    digits(ret + 5, m, 2);
    digits(ret + 8, d, 2);
    digits(ret + 11, rest / 3600000000, 2);
    digits(ret + 14, rest / 60000000 % 60, 2);
    digits(ret + 17, rest / 1000000 % 60, 2);
    digits(ret + 20, rest % 1000000, 6);
}

/* Takes exactly `width` digits off the front. */
static bool number(struct str *s, int width, int64_t *ret) {
    int64_t v = 0;
    if (s->n < (size_t)width) {
        return false;
    }
    for (int i = 0; i < width; i++) {
        if (s->p[i] < '0' || s->p[i] > '9') {
            return false;
        }
        v = v * 10 + (s->p[i] - '0');
    }
    *s = str_skip(*s, (size_t)width);
    *ret = v;
    return true;
}

static bool character(struct str *s, const char *set) {
    if (s->n == 0 || !strchr(set, s->p[0])) {
        return false;
    }
    *s = str_skip(*s, 1);
    return true;
}

static bool fraction(struct str *s, int64_t *ret_us) {
    *ret_us = 0;
    if (!character(s, ".")) {
        return true;
    }
    int n = 0;
    for (int64_t digit; number(s, 1, &digit); n++) {
        if (n < 6) {
            *ret_us = *ret_us * 10 + digit;
        }
    }
    for (int i = n; i < 6; i++) {
        *ret_us *= 10;
    }
    return n > 0;
}

static bool offset(struct str *s, int64_t *ret_minutes) {
    *ret_minutes = 0;
    if (s->n == 0 || character(s, "Zz")) {
        return true;
    }
    int64_t sign = s->p[0] == '-' ? -1 : 1, hours, minutes = 0;
    if (!character(s, "+-") || !number(s, 2, &hours)) {
        return false;
    }
    character(s, ":");
    if (s->n && !number(s, 2, &minutes)) {
        return false;
    }
    *ret_minutes = sign * (hours * 60 + minutes);
    return hours < 24 && minutes < 60;
}

bool clock_parse(struct str s, int64_t *ret_us) {
    int64_t y, mo, d, h, mi, sec, frac, zone;
    bool shape = number(&s, 4, &y) && character(&s, "-") && number(&s, 2, &mo) &&
                 character(&s, "-") && number(&s, 2, &d) && character(&s, "Tt ") &&
                 number(&s, 2, &h) && character(&s, ":") && number(&s, 2, &mi) &&
                 character(&s, ":") && number(&s, 2, &sec) && fraction(&s, &frac) &&
                 offset(&s, &zone) && s.n == 0;
    if (!shape || mo < 1 || mo > 12 || d < 1 || d > 31 || h > 23 || mi > 59 || sec > 60) {
        return false;
    }
    int back_y, back_m, back_d;
    int64_t days = days_from_civil(y, (int)mo, (int)d);
    civil_from_days(days, &back_y, &back_m, &back_d);
    if (back_d != d) { /* 31 June */
        return false;
    }
    *ret_us = (((days * 24 + h) * 60 + mi - zone) * 60 + sec) * 1000000 + frac;
    return true;
}
