/* From what a user's vault has to the header a server gets, by the template of its definition:
 * {name} is a member of the entry, {a.b} a member of a member, {*} the whole entry on one line. The
 * result is ASCII without control characters, so that it can stand in a header. No copy is left in
 * memory but the secret that is returned. */
#pragma once
#include "base/err.h"
#include "base/secret.h"

enum { CREDENTIAL_MAX_BYTES = 96 * 1024 };

/* ERR_INVALID: the template names what the entry does not have, or the entry is no JSON object; the
 * message names the member, never a value. */
int credential_render(struct str template, struct str entry, struct secret **ret, struct err *err)
    must_check;
