/* Keys made of other secrets. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* HKDF with SHA-256 (RFC 5869): independent keys of one good key, told apart by `info`. salt may be
 * empty. At most 255 * 32 bytes. */
void kdf_hkdf_sha256(struct str key, struct str salt, struct str info, uint8_t *ret, size_t n);

/* scrypt (RFC 7914): a key of what a person made up. Uses 128 * n * r bytes and, with n = 32768,
 * r = 8, p = 1, a tenth of a second: not on the loop. */
void kdf_scrypt(struct str passphrase, struct str salt, uint64_t n, uint32_t r, uint32_t p,
                uint8_t *ret, size_t ret_n);
