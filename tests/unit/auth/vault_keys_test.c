#include "auth/vault_keys.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

#define BASE64 "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZT8="
#define BASE64URL "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZT8"
#define HEX "303132333435363738396162636465663031323334353637383961626364653F"

struct ring {
    char folder[64], path[96];
    struct profile profile;
    struct vault_keys keys;
    bool made;
    struct err err;
};

static void setup(struct ring *r) {
    *r = (struct ring){.folder = "/tmp/vault_keys_test.XXXXXX"};
    r->profile.system_db_url = STR_EMPTY;
    CHECK(mkdtemp(r->folder) != NULL);
    snprintf(r->path, sizeof r->path, "%s/credentials.key", r->folder);
}

static void forget(struct ring *r) {
    vault_keys_done(&r->keys);
    secret_free(r->profile.credentials_key);
    secret_free(r->profile.credentials_key_old);
    r->profile.credentials_key = r->profile.credentials_key_old = NULL;
    r->made = false;
}

static void teardown(struct ring *r) {
    forget(r);
    unlink(r->path);
    rmdir(r->folder); /* nothing else was left there */
    CHECK(access(r->folder, F_OK) < 0);
}

static int load(struct ring *r, const char *key, const char *old) {
    forget(r);
    r->profile.credentials_key = key ? secret_new(str_z(key)) : NULL;
    r->profile.credentials_key_old = old ? secret_new(str_z(old)) : NULL;
    return vault_keys_load(&r->profile, r->path, &r->keys, &r->made, &r->err);
}

static const char *first_id(struct ring *r, const char *key, const char *old) {
    static char id[VAULT_KEY_ID_LEN + 1];
    CHECK_OK(load(r, key, old), &r->err);
    snprintf(id, sizeof id, "%s", r->keys.n ? r->keys.keys[0].id : "none");
    return id;
}

TEST_FIBER(a_key_has_one_id_however_it_is_written) {
    struct ring r cleanup(teardown);
    char id[VAULT_KEY_ID_LEN + 1];
    setup(&r);
    r.profile.system_db_url = STR("postgres://x");
    snprintf(id, sizeof id, "%s", first_id(&r, BASE64, NULL));
    CHECK_INT(strlen(id), VAULT_KEY_ID_LEN);
    CHECK_STR(str_z(first_id(&r, BASE64URL, NULL)), id);
    CHECK_STR(str_z(first_id(&r, HEX, NULL)), id);
    CHECK(strcmp(first_id(&r, "a passphrase, long enough", NULL), id) != 0);
    CHECK(!r.made);
    CHECK(access(r.path, F_OK) < 0);
}

TEST_FIBER(older_keys_are_found_by_id) {
    struct ring r cleanup(teardown);
    char older[VAULT_KEY_ID_LEN + 1];
    setup(&r);
    r.profile.system_db_url = STR("postgres://x");
    snprintf(older, sizeof older, "%s", first_id(&r, "first-passphrase-0001", NULL));
    REQUIRE_OK(load(&r, BASE64, "second-passphrase-02,first-passphrase-0001," HEX), &r.err);
    CHECK_INT(r.keys.n, 3); /* the last one is the current one again */
    CHECK(vault_key_find(&r.keys, str_z(older)) == &r.keys.keys[2]);
    CHECK(vault_key_find(&r.keys, STR("0123456789abcdef")) == NULL);
    CHECK(memcmp(vault_key_for_rows(&r.keys.keys[0]), vault_key_for_seals(&r.keys.keys[0]),
                 AEAD_KEY_BYTES) != 0);
}

TEST_FIBER(what_is_no_key_is_told_by_name) {
    struct ring r cleanup(teardown);
    setup(&r);
    CHECK_FAILS(load(&r, "short", NULL), &r.err, ERR_INVALID);
    CHECK(strstr(r.err.msg, "CREDENTIALS_ENCRYPTION_KEY:") != NULL);
    CHECK_FAILS(load(&r, BASE64, "short"), &r.err, ERR_INVALID);
    CHECK(strstr(r.err.msg, "CREDENTIALS_ENCRYPTION_KEY_OLD:") != NULL);
    CHECK_FAILS(load(&r, NULL, BASE64), &r.err, ERR_INVALID);
    r.profile.system_db_url = STR("postgres://x");
    CHECK_FAILS(load(&r, NULL, NULL), &r.err, ERR_INVALID);
    CHECK(strstr(r.err.msg, "CREDENTIALS_ENCRYPTION_KEY must be set") != NULL);
    CHECK_FAILS(load(&r, "passphrase-number-1,with-a-comma",
                     "passphrase-number-2,passphrase-number-3,passphrase-number-4,"
                     "passphrase-number-5,passphrase-number-6,passphrase-number-7,"
                     "passphrase-number-8,passphrase-number-9"),
                &r.err, ERR_INVALID);
    CHECK_INT(r.keys.n, 0);
}

TEST_FIBER(without_a_server_the_key_is_a_file_made_once) {
    struct ring r cleanup(teardown);
    struct stat st;
    char id[VAULT_KEY_ID_LEN + 1];
    setup(&r);
    snprintf(id, sizeof id, "%s", first_id(&r, NULL, NULL));
    CHECK(r.made);
    CHECK_INT(stat(r.path, &st), 0);
    CHECK_INT(st.st_mode & 07777, 0600);
    CHECK_STR(str_z(first_id(&r, NULL, NULL)), id);
    CHECK(!r.made);
    /* A variable takes its place; what the file encrypted stays readable. */
    CHECK(strcmp(first_id(&r, BASE64, NULL), id) != 0);
    CHECK_INT(r.keys.n, 2);
    CHECK_STR(str_z(r.keys.keys[1].id), id);
}

TEST_FIBER(a_key_file_of_others_is_refused) {
    struct ring r cleanup(teardown);
    setup(&r);
    CHECK_OK(load(&r, NULL, NULL), &r.err);
    CHECK_INT(chmod(r.path, 0640), 0);
    CHECK_FAILS(load(&r, NULL, NULL), &r.err, ERR_INVALID);
    CHECK(strstr(r.err.msg, r.path) != NULL);
    CHECK_INT(chmod(r.path, 0600), 0);
    CHECK_INT(truncate(r.path, 0), 0);
    CHECK_FAILS(load(&r, NULL, NULL), &r.err, ERR_INVALID); /* and not made anew */
    CHECK_INT(truncate(r.path, 5000), 0);
    CHECK_FAILS(load(&r, NULL, NULL), &r.err, ERR_INVALID);
    unlink(r.path);
    CHECK_INT(symlink("/dev/zero", r.path), 0);
    CHECK_FAILS(load(&r, NULL, NULL), &r.err, ERR_INVALID);
}
