/* Whether PostgreSQL's row-level security really binds the gateway. */
#pragma once
#include "db/db.h"

struct role_facts {
    bool bypasses;       /* the role in force is a superuser or has BYPASSRLS */
    bool owns_tables;    /* it owns tables here: FORCE ROW LEVEL SECURITY is all that binds it */
    bool login_is_super; /* the role that logged in could take another one */
};
/* PostgreSQL only. */
may_yield int role_facts_get(struct db *db, struct role_facts *ret, struct err *err) must_check;
