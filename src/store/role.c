#include "store/role.h"

static const struct db_sql SQL_FACTS = DB_SQL(
    "role_facts",
    "SELECT r.rolsuper OR r.rolbypassrls, l.rolsuper,"
    "  EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    "          WHERE c.relowner = r.oid AND c.relkind = 'r' AND n.nspname = current_schema())"
    " FROM pg_roles r, pg_roles l WHERE r.rolname = current_user AND l.rolname = session_user");

int role_facts_get(struct db *db, struct role_facts *ret, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_READ);
    size_t facts = db_tx_add_values(tx, &SQL_FACTS, NULL, 0);
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    *ret = (struct role_facts){.bypasses = db_get_bool(tx, facts, 0, 0),
                               .login_is_super = db_get_bool(tx, facts, 0, 1),
                               .owns_tables = db_get_bool(tx, facts, 0, 2)};
    return 0;
}
