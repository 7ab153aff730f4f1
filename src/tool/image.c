#include "tool/image.h"

static uint32_t byte_at(struct str s, size_t i) {
    return i < s.n ? (unsigned char)s.p[i] : 0;
}

static uint32_t big16(struct str s, size_t i) {
    return byte_at(s, i) << 8 | byte_at(s, i + 1);
}

static uint32_t little16(struct str s, size_t i) {
    return byte_at(s, i) | byte_at(s, i + 1) << 8;
}

static uint32_t little24(struct str s, size_t i) {
    return little16(s, i) | byte_at(s, i + 2) << 16;
}

/* PNG: the header chunk is the first one. */
static bool look_png(struct str s, struct image_facts *f) {
    if (!str_starts(s, STR("\x89PNG\r\n\x1a\n")) ||
        !str_eq(str_head(str_skip(s, 12), 4), STR("IHDR"))) {
        return false;
    }
    *f = (struct image_facts){"image/png", big16(s, 16) << 16 | big16(s, 18),
                              big16(s, 20) << 16 | big16(s, 22)};
    return s.n > 33;
}

static bool look_gif(struct str s, struct image_facts *f) {
    *f = (struct image_facts){"image/gif", little16(s, 6), little16(s, 8)};
    return (str_starts(s, STR("GIF87a")) || str_starts(s, STR("GIF89a"))) && s.n > 13;
}

/* JPEG: the size stands in the first frame header (SOF), behind other segments. */
static bool look_jpeg(struct str s, struct image_facts *f) {
    if (!str_starts(s, STR("\xff\xd8\xff"))) {
        return false;
    }
    for (size_t at = 2; at + 9 < s.n;) {
        uint32_t marker = byte_at(s, at + 1);
        if (byte_at(s, at) != 0xff) {
            return false;
        }
        if (marker == 0xff) { /* padding */
            at++;
            continue;
        }
        if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 &&
            marker != 0xcc) {
            *f = (struct image_facts){"image/jpeg", big16(s, at + 7), big16(s, at + 5)};
            return true;
        }
        bool alone = marker == 0x01 || (marker >= 0xd0 && marker <= 0xd7);
        at += 2 + (alone ? 0 : big16(s, at + 2));
    }
    return false;
}

static bool look_webp(struct str s, struct image_facts *f) {
    if (!str_starts(s, STR("RIFF")) || !str_eq(str_head(str_skip(s, 8), 4), STR("WEBP")) ||
        s.n < 30) {
        return false;
    }
    struct str kind = str_head(str_skip(s, 12), 4);
    *f = (struct image_facts){.media_type = "image/webp"};
    if (str_eq(kind, STR("VP8 "))) {
        f->width = little16(s, 26) & 0x3fff;
        f->height = little16(s, 28) & 0x3fff;
    } else if (str_eq(kind, STR("VP8L"))) {
        uint32_t bits = little24(s, 21) | byte_at(s, 24) << 24;
        f->width = (bits & 0x3fff) + 1;
        f->height = (bits >> 14 & 0x3fff) + 1;
    } else if (str_eq(kind, STR("VP8X"))) {
        f->width = little24(s, 24) + 1;
        f->height = little24(s, 27) + 1;
    }
    return true;
}

bool image_look(struct str bytes, struct image_facts *ret) {
    struct image_facts f;
    if (!look_png(bytes, &f) && !look_jpeg(bytes, &f) && !look_gif(bytes, &f) &&
        !look_webp(bytes, &f)) {
        return false;
    }
    if (f.width == 0 || f.height == 0) {
        return false;
    }
    *ret = f;
    return true;
}
