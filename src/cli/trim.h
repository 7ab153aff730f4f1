/* Memory that a peak of load has left to the allocator goes back to the system. */
#pragma once
#include "fiber/fiber.h"

struct trim {
    size_t settled_bytes; /* resident when nothing could be given back */
};

/* To be called every now and then. */
may_yield void trim_look(struct trim *t);
