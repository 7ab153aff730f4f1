/* Names for models: legal, unique, the same in any order. */
#include "tool/names.h"

#include <stdio.h>

#include "base/map.h"
#include "test.h"

static bool is_reserved(struct str name, const void *arg) {
    (void)arg;
    return str_eq(name, STR("calculate")) || str_eq(name, STR("search_tools"));
}

struct pair {
    const char *server, *tool, *want;
};

static void check_names(const struct pair *pairs, size_t n, int line) {
    struct arena arena cleanup(arena_done) = {0};
    struct tool_name names[16];
    for (size_t i = 0; i < n; i++) {
        names[i] = (struct tool_name){str_z(pairs[i].server), str_z(pairs[i].tool), STR_EMPTY};
    }
    tool_names_make(names, n, is_reserved, NULL, &arena);
    for (size_t i = 0; i < n; i++) {
        test_check_str(names[i].name, pairs[i].want, __FILE__, line, pairs[i].tool);
    }
}
#define NAMES(...)                                                                                 \
    check_names((const struct pair[]){__VA_ARGS__},                                                \
                sizeof((const struct pair[]){__VA_ARGS__}) / sizeof(struct pair), __LINE__)

TEST(a_name_of_its_own_stays) {
    NAMES({"github", "get_issue", "get_issue"}, {"notes", "read-note", "read-note"});
}

TEST(names_that_meet_get_their_server) {
    NAMES({"a", "search", "a_search"}, {"b", "search", "b_search"}, {"b", "read", "read"});
    NAMES({"a", "calculate", "a_calculate"}, {"a", "search_tools", "a_search_tools"});
}

TEST(names_that_are_not_legal_are_sanitised) {
    NAMES({"files", "fs.read", "files_fs_read"}, {"files", "fs/write file", "files_fs_write_file"},
          {"files", "\xe6\x97\xa5\xe6\x9c\xac", "files_"});
}

TEST(what_is_still_not_unique_gets_a_hash) {
    /* "a_b" + "c" and "a" + "b_c"; a bare name that looks like another's long one; "." and "/". */
    NAMES({"a_b", "c", "a_b_c_e31f5a7a"}, {"a", "b_c", "a_b_c_e474ae6c"}, {"x", "c", "x_c"},
          {"y", "b_c", "y_b_c"});
    NAMES({"a", "s", "a_s_66befee3"}, {"b", "s", "b_s"}, {"c", "a_s", "a_s"});
    NAMES({"a", "x.y", "a_x_y_08579040"}, {"a", "x/y", "a_x_y_8f6958a5"});
}

TEST(the_second_of_two_equal_ones_gets_none) {
    NAMES({"a", "x", "x"}, {"a", "x", ""}, {"a", "y", "y"});
}

TEST(long_names_are_cut_with_a_hash) {
    struct arena arena cleanup(arena_done) = {0};
    char tool[101] = {0};
    memset(tool, 'x', 100);
    struct tool_name names[] = {{STR("server"), str_z(tool), STR_EMPTY},
                                {STR("server"), str_head(str_z(tool), 99), STR_EMPTY}};
    tool_names_make(names, 2, is_reserved, NULL, &arena);
    CHECK_INT(names[0].name.n, TOOL_NAME_MAX);
    CHECK_INT(names[1].name.n, TOOL_NAME_MAX);
    CHECK(!str_eq(names[0].name, names[1].name));
    CHECK(str_starts(names[0].name, STR("server_xxxx")));
}

/* ---- any set, any order ---- */

static uint32_t seed = 12345;

static uint32_t rnd(uint32_t n) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static bool is_legal(struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", s.p[i])) {
            return false;
        }
    }
    return s.n > 0 && s.n <= TOOL_NAME_MAX;
}

/* Few letters and illegal ones, so that nearly everything collides; now and then a name that an
 * earlier round made, as a server would give that wants to be taken for another. */
static struct str random_name(struct arena *arena, const struct tool_name *made, size_t n) {
    static const char letters[] = "ab_. /\xc3\xa9";
    char name[100];
    size_t length = rnd(20) == 0 ? 60 + rnd(40) : 1 + rnd(4);
    if (n && rnd(4) == 0) {
        return made[rnd((uint32_t)n)].name;
    }
    for (size_t i = 0; i < length; i++) {
        name[i] = letters[rnd(sizeof letters - 1)];
    }
    return arena_str(arena, (struct str){name, length});
}

static void shuffle(struct tool_name *names, size_t n) {
    for (size_t i = n; i > 1; i--) {
        size_t k = rnd((uint32_t)i);
        struct tool_name t = names[i - 1];
        names[i - 1] = names[k];
        names[k] = t;
    }
}

enum { SET = 60 };

static size_t random_set(struct arena *arena, const struct tool_name *made, size_t n_made,
                         struct tool_name *ret) {
    struct map seen = {0};
    size_t n = 0;
    while (n < SET) {
        struct str server = random_name(arena, NULL, 0), tool = random_name(arena, made, n_made);
        struct str key = arena_printf(arena, "%.*s\n%.*s", STR_ARG(server), STR_ARG(tool));
        if (!map_get(&seen, key)) {
            map_put(&seen, key, ret);
            ret[n++] = (struct tool_name){server, tool, STR_EMPTY};
        }
    }
    map_done(&seen);
    return n;
}

static bool same_in_other_order(struct tool_name *names, size_t n, struct arena *arena) {
    struct tool_name again[SET];
    memcpy(again, names, n * sizeof *names);
    shuffle(again, n);
    tool_names_make(again, n, is_reserved, NULL, arena);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n; k++) {
            if (str_eq(names[i].server, again[k].server) && str_eq(names[i].tool, again[k].tool) &&
                !str_eq(names[i].name, again[k].name)) {
                return false;
            }
        }
    }
    return true;
}

TEST(any_set_gets_legal_unique_names_that_no_order_changes) {
    struct arena arena cleanup(arena_done) = {0};
    struct tool_name names[SET], before[SET];
    size_t n_before = 0;
    for (int round = 0; round < 60; round++) {
        struct map taken = {0};
        size_t n = random_set(&arena, before, n_before, names);
        tool_names_make(names, n, is_reserved, NULL, &arena);
        for (size_t i = 0; i < n; i++) {
            CHECK(is_legal(names[i].name) && !is_reserved(names[i].name, NULL));
            CHECK(!map_get(&taken, names[i].name));
            map_put(&taken, names[i].name, names);
        }
        CHECK(same_in_other_order(names, n, &arena));
        memcpy(before, names, sizeof names);
        n_before = n;
        map_done(&taken);
    }
}
