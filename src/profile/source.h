/* Where settings come from: the environment, and below it the file <home>/adjutant.env. Only
 * profile/ includes this. */
#pragma once
#include "base/err.h"
#include "base/str.h"

enum { SOURCE_MAX_FILE_BYTES = 64 * 1024, SOURCE_MAX_SETTINGS = 256 };

struct source {
    char *text; /* the file's; wiped when done, as keys may stand in it */
    size_t n_text;
    struct source_setting {
        struct str name, value;
    } * settings;
    size_t n_settings;
};

/* Reads the file, if there is one. It must be a regular file that only its owner can read or write.
 * ERR_INVALID names the file and the line. */
int source_read(struct source *s, const char *path, struct err *err) must_check;
void source_done(struct source *s);
/* The environment wins, also with an empty value. p == NULL: unset or empty. Views into the file
 * live until source_done. */
struct str source_get(const struct source *s, const char *name);
