/* The migrations of assistant_system, embedded in the program. */
#pragma once
#include "db/migrate.h"

const struct migration *store_migrations(size_t *ret_n);
/* The role the gateway takes on PostgreSQL: owns nothing, bypasses nothing. */
#define STORE_GATEWAY_ROLE "adjutant_gateway"
