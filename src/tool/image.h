/* What an image says of itself: providers refuse a request whose image is not what it is said to
 * be, is broken at its head, or is too large. Only tool/ includes this. */
#pragma once
#include "base/str.h"

struct image_facts {
    const char *media_type; /* one that all providers' models see */
    uint32_t width, height;
};
/* False for anything but PNG, JPEG, GIF and WebP with a sound head. */
bool image_look(struct str bytes, struct image_facts *ret);
