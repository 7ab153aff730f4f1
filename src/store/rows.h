/* Taking results out of a transaction into a caller's arena. Only store/ includes this. */
#pragma once
#include "base/arena.h"
#include "db/db.h"

static inline struct str row_text(struct arena *arena, const struct db_tx *tx, size_t statement,
                                  size_t row, size_t column) {
    return arena_str(arena, db_get_text(tx, statement, row, column));
}
