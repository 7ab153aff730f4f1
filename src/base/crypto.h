/* Thin names over OpenSSL's EVP. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"

enum { SHA256_BYTES = 32, SHA256_HEX = 64 };

void crypto_random(void *buf, size_t n);
void crypto_sha256(struct str data, uint8_t ret[SHA256_BYTES]);
void crypto_sha256_hex(struct str data, char ret[SHA256_HEX + 1]);
void crypto_hmac_sha256(struct str key, struct str data, uint8_t ret[SHA256_BYTES]);
void crypto_sha1(struct str data, uint8_t ret[20]); /* for RFC 6455's handshake only */
/* In time that depends on the lengths only. */
bool crypto_equal(struct str a, struct str b);

void crypto_hex(struct strbuf *out, const void *data, size_t n);
void crypto_base64(struct strbuf *out, struct str data);    /* RFC 4648, padded */
void crypto_base64url(struct strbuf *out, struct str data); /* unpadded */
/* Padded standard alphabet; ERR_INVALID on anything else. */
int crypto_base64_decode(struct strbuf *out, struct str text, struct err *err) must_check;
/* base64url, padded or not; one text only decodes to the same bytes. */
int crypto_base64url_decode(struct strbuf *out, struct str text, struct err *err) must_check;
/* Two digits a byte, either case. */
int crypto_hex_decode(struct strbuf *out, struct str text, struct err *err) must_check;
