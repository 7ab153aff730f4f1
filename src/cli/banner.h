/* What a server says of itself when it is ready. */
#pragma once
#include "auth/auth.h"

void banner_print(const struct profile *profile, enum db_backend backend, enum auth_mode mode,
                  const char *address);
