#include "profile/profile.h"

#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

/* A new folder, no variable of ours set. */
struct fixture {
    char folder[64];
    char home[96];
    struct profile *profile;
    struct err err;
};

static void clear_environment(void) {
    size_t n;
    const struct profile_variable *variables = profile_variables(&n);
    for (size_t i = 0; i < n; i++) {
        unsetenv(variables[i].name);
    }
}

static void setup(struct fixture *f) {
    *f = (struct fixture){.folder = "/tmp/profile_test.XXXXXX"};
    clear_environment();
    CHECK(mkdtemp(f->folder) != NULL);
    snprintf(f->home, sizeof f->home, "%s/deep/home", f->folder);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void teardown(struct fixture *f) {
    profile_free(f->profile);
    nftw(f->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    clear_environment();
}

static void write_file(struct fixture *f, const char *text, mode_t mode) {
    char path[128];
    snprintf(path, sizeof path, "%s/adjutant.env", f->home);
    FILE *file = fopen(path, "w");
    if (CHECK(file != NULL)) {
        fputs(text, file);
        fclose(file);
        CHECK_INT(chmod(path, mode), 0);
    }
}

static int load(struct fixture *f) {
    profile_free(f->profile);
    f->profile = NULL;
    return profile_load(f->home, NULL, &f->profile, &f->err);
}

/* Loading fails, and the message names the variable. */
static void check_refused(struct fixture *f, const char *name, const char *value) {
    setenv(name, value, 1);
    CHECK_FAILS(load(f), &f->err, ERR_INVALID);
    CHECK(strstr(f->err.msg, name) != NULL);
    unsetenv(name);
}

TEST(nothing_set_gives_a_local_instance) {
    struct fixture f cleanup(teardown);
    struct stat st;
    setup(&f);
    REQUIRE_OK(load(&f), &f.err);
    CHECK_INT(stat(f.home, &st), 0);
    CHECK_INT(st.st_mode & 0777, 0700);
    CHECK_STR(f.profile->name, "personal");
    CHECK_STR(f.profile->default_user, "me");
    CHECK_STR(f.profile->listen, "127.0.0.1:8080");
    CHECK(f.profile->loopback_only && f.profile->migrate_on_start && !f.profile->demo);
    CHECK_INT(f.profile->system_db_url.n, 0);
    CHECK(str_starts(f.profile->sqlite_path, str_z(f.home)));
    CHECK(str_ends(f.profile->sqlite_path, STR("/home/adjutant.db")));
    CHECK(str_ends(f.profile->skills_dir, STR("/home/skills")));
    CHECK(str_ends(f.profile->user_context_path, STR("/home/user-context.md")));
    CHECK(!f.profile->llm_configured && !f.profile->api_key);
    CHECK_INT(f.profile->db_pool_size, 8);
    CHECK_INT(f.profile->turn_max_steps, 32);
    CHECK_INT(f.profile->lease_ms, 15000);
    CHECK_INT(f.profile->user_max_turns, 64);
}

TEST(arguments_win_over_the_environment) {
    struct fixture f cleanup(teardown);
    setup(&f);
    setenv("ADJUTANT_HOME", "/nonexistent/elsewhere", 1);
    setenv("ADJUTANT_LISTEN", "0.0.0.0:1", 1);
    REQUIRE_OK(profile_load(f.home, "[::1]:9", &f.profile, &f.err), &f.err);
    CHECK_STR(f.profile->home, f.home);
    CHECK_STR(f.profile->listen, "[::1]:9");
    CHECK(f.profile->loopback_only);
}

TEST(the_environment_wins_over_the_file) {
    struct fixture f cleanup(teardown);
    setup(&f);
    REQUIRE_OK(load(&f), &f.err);
    write_file(&f,
               "# mine\n\n  PROFILE_NAME = work \nASSISTANT_USER_ID='ann'\n"
               "OPENAI_API_KEY=\"sk-x=y\"\r\nLLM_MODEL=from-file\nJOURNAL_DB_URL=postgres://j\n",
               0600);
    setenv("LLM_MODEL", "from-environment", 1);
    setenv("JOURNAL_DB_URL", "", 1);
    REQUIRE_OK(load(&f), &f.err);
    CHECK_STR(f.profile->name, "work");
    CHECK_STR(f.profile->default_user, "ann");
    CHECK_STR(secret_reveal(f.profile->openai_key), "sk-x=y");
    CHECK_STR(f.profile->llm.provider, "openai");
    CHECK_STR(f.profile->llm.model, "from-environment");
    CHECK_INT(f.profile->journal_db_url.n, 0);
}

TEST(a_bad_file_is_refused) {
    struct fixture f cleanup(teardown);
    setup(&f);
    REQUIRE_OK(load(&f), &f.err);
    write_file(&f, "PROFILE_NAME=work\n", 0640);
    CHECK_FAILS(load(&f), &f.err, ERR_INVALID);
    CHECK(strstr(f.err.msg, "chmod 600") != NULL);
    write_file(&f, "PROFILE_NAME=work\nno value here\n", 0600);
    CHECK_FAILS(load(&f), &f.err, ERR_INVALID);
    CHECK(strstr(f.err.msg, "adjutant.env:2") != NULL);
    write_file(&f, "ADJUTANT_HOME=/elsewhere\n", 0600);
    CHECK_FAILS(load(&f), &f.err, ERR_INVALID);
    write_file(&f, "UNKNOWN=is only warned of\n", 0600);
    CHECK_OK(load(&f), &f.err);
}

TEST(a_home_that_is_a_file_is_refused) {
    struct fixture f cleanup(teardown);
    setup(&f);
    snprintf(f.home, sizeof f.home, "%s/file", f.folder);
    fclose(fopen(f.home, "w"));
    CHECK_FAILS(load(&f), &f.err, ERR_INVALID);
    CHECK(strstr(f.err.msg, "ADJUTANT_HOME") != NULL);
}

TEST(the_provider_is_the_first_configured) {
    struct fixture f cleanup(teardown);
    setup(&f);
    setenv("OPENAI_BASE_URL", "https://openai.example/v1", 1); /* would need a key */
    REQUIRE_OK(load(&f), &f.err);
    CHECK(!f.profile->llm_configured);
    setenv("OLLAMA_BASE_URL", "http://127.0.0.1:2", 1);
    REQUIRE_OK(load(&f), &f.err);
    CHECK_STR(f.profile->llm.provider, "ollama");
    CHECK(f.profile->llm_configured);
    setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1/", 1);
    REQUIRE_OK(load(&f), &f.err);
    CHECK_STR(f.profile->llm.provider, "openai");
    CHECK_STR(f.profile->openai_base_url, "http://127.0.0.1:1/v1");
    CHECK(f.profile->llm_configured);
    setenv("LLM_PROVIDER", "ollama", 1);
    REQUIRE_OK(load(&f), &f.err);
    CHECK_STR(f.profile->llm.provider, "ollama");
    unsetenv("LLM_PROVIDER");
    setenv("OPENAI_API_KEY", "o", 1);
    REQUIRE_OK(load(&f), &f.err);
    CHECK_STR(f.profile->llm.provider, "openai");
    setenv("ANTHROPIC_API_KEY", "a", 1);
    REQUIRE_OK(load(&f), &f.err);
    CHECK_STR(f.profile->llm.provider, "anthropic");
    setenv("LLM_PROVIDER", "Claude", 1);
    REQUIRE_OK(load(&f), &f.err);
    CHECK_STR(f.profile->llm.provider, "anthropic");
    CHECK(f.profile->llm_configured);
    unsetenv("ANTHROPIC_API_KEY");
    REQUIRE_OK(load(&f), &f.err);
    CHECK_STR(f.profile->llm.provider, "anthropic");
    CHECK(!f.profile->llm_configured);
}

TEST(fallbacks_are_provider_and_model) {
    struct fixture f cleanup(teardown);
    setup(&f);
    setenv("LLM_FALLBACKS", "openai:gpt-x, claude:c ,,ollama:llama:8b", 1);
    REQUIRE_OK(load(&f), &f.err);
    REQUIRE(f.profile->n_fallbacks == 3);
    CHECK_STR(f.profile->fallbacks[0].model, "gpt-x");
    CHECK_STR(f.profile->fallbacks[1].provider, "anthropic");
    CHECK_STR(f.profile->fallbacks[2].model, "llama:8b");
}

TEST(bad_values_name_their_variable) {
    struct fixture f cleanup(teardown);
    setup(&f);
    check_refused(&f, "LLM_PROVIDER", "gpt");
    check_refused(&f, "LLM_FALLBACKS", "openai");
    check_refused(&f, "LLM_FALLBACKS", "nobody:x");
    check_refused(
        &f, "LLM_FALLBACKS",
        "openai:1,openai:2,openai:3,openai:4,openai:5,openai:6,openai:7,openai:8,openai:9");
    check_refused(&f, "SYSTEM_DB_URL", "mysql://x");
    check_refused(&f, "SYSTEM_DB_MIGRATE_URL", "postgres://only-this");
    check_refused(&f, "OPENAI_BASE_URL", "ftp://x");
    check_refused(&f, "OPENAI_API_KEY", "two words");
    check_refused(&f, "ASSISTANT_API_KEY", "line\nbreak");
    check_refused(&f, "PROFILE_NAME", "\xff");
    check_refused(&f, "ADJUTANT_LISTEN", "8080");
    check_refused(&f, "ADJUTANT_LISTEN", ":8080");
    check_refused(&f, "ADJUTANT_LISTEN", "::1:8080");
    check_refused(&f, "ADJUTANT_LISTEN", "127.0.0.1:65536");
    check_refused(&f, "ADJUTANT_MIGRATE", "maybe");
    check_refused(&f, "ADJUTANT_DB_POOL", "0");
    check_refused(&f, "ADJUTANT_DB_POOL", "8x");
    check_refused(&f, "ADJUTANT_TURN_MAX_STEPS", "9999999999999999999999");
    check_refused(&f, "ADJUTANT_LEASE_MS", "-1");
}

TEST(only_loopback_is_loopback) {
    static const struct {
        const char *listen;
        bool loopback;
    } rows[] = {
        {"127.0.0.1:0", true},  {"127.9.9.9:80", true},    {"localhost:80", true},
        {"[::1]:80", true},     {"0.0.0.0:80", false},     {"[::]:80", false},
        {"10.0.0.1:80", false}, {"127.example:80", false}, {"[::ffff:127.0.0.1]:80", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f cleanup(teardown);
        setup(&f);
        setenv("ADJUTANT_LISTEN", rows[i].listen, 1);
        REQUIRE_OK(load(&f), &f.err);
        CHECK_INT(f.profile->loopback_only, rows[i].loopback);
    }
}
