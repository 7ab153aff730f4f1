/* One running process and its place in the home folder: a lock that dies with the process, and the
 * id it was known by, so that whoever comes after a crash can let go of what the dead one held. */
#pragma once
#include "base/err.h"
#include "base/id.h"
#include "base/str.h"

struct instance {
    struct id id;       /* this process; new at every start */
    struct id previous; /* the dead process whose place this one took; empty when there is none */
    int fd;
};

/* Takes a free place in `home`. One process at a time when `alone`; ERR_CONFLICT tells who is
 * there. ERR_IO. */
int instance_open(struct instance *i, struct str home, bool alone, struct err *err) must_check;
/* After an orderly end nothing is left to let go of: the id is removed. */
void instance_close(struct instance *i);
