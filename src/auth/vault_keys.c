#include "auth/vault_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/kdf.h"
#include "fiber/fiber.h"

enum {
    MIN_PASSPHRASE = 16,
    MAX_FILE_BYTES = 4096,
    MATERIAL_BYTES = 2 * AEAD_KEY_BYTES,
    SCRYPT_N = 32768,
    SCRYPT_R = 8,
    SCRYPT_P = 1,
};

#define HOW_TO_MAKE "make one with 'openssl rand -base64 32'"

/* ---- one key ---- */

struct stretch {
    struct str passphrase;
    uint8_t *ret;
};

/* The salt is fixed: every process must come to the same key, and nothing of an instance is known
 * before its vault is open. */
static void stretch(void *arg) {
    struct stretch *s = arg;
    kdf_scrypt(s->passphrase, STR("adjutant credentials"), SCRYPT_N, SCRYPT_R, SCRYPT_P, s->ret,
               AEAD_KEY_BYTES);
}

/* Exactly 32 bytes, as 64 hexadecimal digits or as base64 of either alphabet. */
static bool decode(struct str text, uint8_t ret[AEAD_KEY_BYTES]) {
    struct strbuf bytes cleanup(secret_strbuf_done) = STRBUF(128);
    struct err err;
    strbuf_room(&bytes, 128);
    bool hex = text.n == 2 * AEAD_KEY_BYTES && crypto_hex_decode(&bytes, text, &err) == 0;
    if (!hex) {
        strbuf_reset(&bytes);
        if (text.n < 43 || text.n > 44 ||
            (crypto_base64_decode(&bytes, text, &err) < 0 &&
             (strbuf_reset(&bytes), crypto_base64url_decode(&bytes, text, &err) < 0))) {
            return false;
        }
    }
    if (bytes.n != AEAD_KEY_BYTES) {
        return false;
    }
    memcpy(ret, bytes.p, AEAD_KEY_BYTES);
    return true;
}

static int master_of(const char *name, struct str text, uint8_t ret[AEAD_KEY_BYTES],
                     struct err *err) {
    if (decode(text, ret)) {
        return 0;
    }
    if (text.n < MIN_PASSPHRASE) {
        return err_set(err, ERR_INVALID,
                       "%s: must be 32 bytes in base64 or hexadecimal, or a passphrase of at least "
                       "%d characters; " HOW_TO_MAKE,
                       name, MIN_PASSPHRASE);
    }
    struct stretch s = {text, ret};
    fiber_offload(stretch, &s);
    return 0;
}

static int add_key(struct vault_keys *k, const char *name, struct str text, struct err *err) {
    uint8_t master[AEAD_KEY_BYTES], id[VAULT_KEY_ID_LEN / 2];
    char *material;
    struct strbuf hex cleanup(strbuf_done) = STRBUF(VAULT_KEY_ID_LEN);
    if (master_of(name, text, master, err) < 0) {
        return -(int)err->code;
    }
    struct str key = {(const char *)master, sizeof master};
    kdf_hkdf_sha256(key, STR_EMPTY, STR("adjutant vault key id"), id, sizeof id);
    crypto_hex(&hex, id, sizeof id);
    if (vault_key_find(k, strbuf_str(&hex))) {
        secret_wipe(master, sizeof master);
        return 0;
    }
    if (k->n == VAULT_MAX_KEYS) {
        secret_wipe(master, sizeof master);
        return err_set(err, ERR_INVALID, "%s: there are more than %d keys", name, VAULT_MAX_KEYS);
    }
    struct vault_key *new = &k->keys[k->n++];
    memcpy(new->id, hex.p, VAULT_KEY_ID_LEN + 1);
    new->material = secret_alloc(MATERIAL_BYTES, &material);
    kdf_hkdf_sha256(key, STR_EMPTY, STR("adjutant vault rows"), (uint8_t *)material,
                    AEAD_KEY_BYTES);
    kdf_hkdf_sha256(key, STR_EMPTY, STR("adjutant vault seals"),
                    (uint8_t *)material + AEAD_KEY_BYTES, AEAD_KEY_BYTES);
    secret_wipe(master, sizeof master);
    return 0;
}

/* ---- the key file ---- */

/* One key a line, the newest first. */
static int add_lines(struct vault_keys *k, const char *path, struct str text, struct err *err) {
    size_t n = k->n;
    while (text.n > 0) {
        struct str line = str_trim(str_cut(&text, '\n'));
        if (line.n > 0 && line.p[0] != '#' && add_key(k, path, line, err) < 0) {
            return -(int)err->code;
        }
    }
    return k->n > n || n > 0 ? 0 : err_set(err, ERR_INVALID, "%s holds no key", path);
}

/* ERR_NOT_FOUND when there is none. */
static int read_file(struct vault_keys *k, const char *path, struct err *err) {
    char text[MAX_FILE_BYTES];
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_INVALID, "cannot open %s: %s",
                       path, strerror(errno));
    }
    bool ours = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && !(st.st_mode & 077);
    ssize_t n = ours ? read(fd, text, sizeof text) : -1;
    close(fd);
    if (!ours) {
        return err_set(err, ERR_INVALID,
                       "%s must be a file that only its owner can read (chmod 600)", path);
    }
    if (n < 0 || n == (ssize_t)sizeof text) {
        return err_set(err, ERR_INVALID, "%s cannot be read, or is no key file", path);
    }
    int rc = add_lines(k, path, (struct str){text, (size_t)n}, err);
    secret_wipe(text, sizeof text);
    return rc;
}

static int write_all(int fd, struct str text) {
    while (text.n > 0) {
        ssize_t n = write(fd, text.p, text.n);
        if (n < 0 && errno != EINTR) {
            return -1;
        }
        text = str_skip(text, n > 0 ? (size_t)n : 0);
    }
    return fsync(fd);
}

/* Whole and under its name at once: of several processes that begin together one makes the key and
 * the others find it. */
static int make_file(const char *path, struct err *err) {
    char temporary[4096];
    uint8_t key[AEAD_KEY_BYTES];
    struct strbuf text cleanup(secret_strbuf_done) = STRBUF(128);
    int n = snprintf(temporary, sizeof temporary, "%s.%d", path, getpid());
    if (n >= (int)sizeof temporary) {
        return err_set(err, ERR_INVALID, "the home folder's name is too long");
    }
    crypto_random(key, sizeof key);
    strbuf_room(&text, 128);
    crypto_base64(&text, (struct str){(const char *)key, sizeof key});
    strbuf_addc(&text, '\n');
    secret_wipe(key, sizeof key);
    unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write_all(fd, strbuf_str(&text)) == 0;
    int why = errno;
    if (fd >= 0) {
        close(fd);
    }
    if (ok && link(temporary, path) < 0 && errno != EEXIST) {
        why = errno;
        ok = false;
    }
    unlink(temporary);
    return ok ? 0 : err_set(err, ERR_IO, "cannot make %s: %s", path, strerror(why));
}

/* ---- all of them ---- */

static int add_old(struct vault_keys *k, const struct secret *old, struct err *err) {
    struct str rest = secret_reveal(old);
    while (rest.n > 0) {
        struct str text = str_cut(&rest, ',');
        if (text.n > 0 && add_key(k, "CREDENTIALS_ENCRYPTION_KEY_OLD", text, err) < 0) {
            return -(int)err->code;
        }
    }
    return 0;
}

/* What was written under the file's key stays readable when a variable takes its place. */
static int add_file(struct vault_keys *k, const char *path, bool *ret_made, struct err *err) {
    int rc = read_file(k, path, err);
    if (rc != -ERR_NOT_FOUND) {
        return rc;
    }
    if (k->n > 0) {
        return 0;
    }
    if (make_file(path, err) < 0 || read_file(k, path, err) < 0) {
        return -(int)err->code;
    }
    *ret_made = true;
    return 0;
}

static int load(struct vault_keys *k, const struct profile *p, const char *key_path, bool *ret_made,
                struct err *err) {
    bool server = p->system_db_url.n > 0;
    if (!p->credentials_key && (server || p->credentials_key_old)) {
        return err_set(err, ERR_INVALID,
                       "CREDENTIALS_ENCRYPTION_KEY must be set%s; " HOW_TO_MAKE
                       ", the same for all processes, and keep it",
                       server ? " with SYSTEM_DB_URL" : " with CREDENTIALS_ENCRYPTION_KEY_OLD");
    }
    if (p->credentials_key &&
        add_key(k, "CREDENTIALS_ENCRYPTION_KEY", secret_reveal(p->credentials_key), err) < 0) {
        return -(int)err->code;
    }
    if (!server && add_file(k, key_path, ret_made, err) < 0) {
        return -(int)err->code;
    }
    return add_old(k, p->credentials_key_old, err);
}

int vault_keys_load(const struct profile *profile, const char *key_path, struct vault_keys *ret,
                    bool *ret_made, struct err *err) {
    struct vault_keys keys = {0};
    bool made = false;
    fiber_point();
    if (load(&keys, profile, key_path, &made, err) < 0) {
        vault_keys_done(&keys);
        return -(int)err->code;
    }
    *ret = keys;
    *ret_made = made;
    return 0;
}

void vault_keys_done(struct vault_keys *k) {
    for (size_t i = 0; i < k->n; i++) {
        secret_free(k->keys[i].material);
    }
    *k = (struct vault_keys){0};
}

const struct vault_key *vault_key_find(const struct vault_keys *k, struct str id) {
    for (size_t i = 0; i < k->n; i++) {
        if (str_eq(str_z(k->keys[i].id), id)) {
            return &k->keys[i];
        }
    }
    return NULL;
}

const uint8_t *vault_key_for_rows(const struct vault_key *key) {
    return (const uint8_t *)secret_reveal(key->material).p;
}

const uint8_t *vault_key_for_seals(const struct vault_key *key) {
    return vault_key_for_rows(key) + AEAD_KEY_BYTES;
}
