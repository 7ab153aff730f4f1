/* Words, and the search among tools. */
#include "tool/search.h"

#include "base/strbuf.h"
#include "test.h"
#include "tool/words.h"

static void words_are(const char *text, const char *want, int line) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(10000);
    struct words w = words_begin(str_z(text));
    struct str word;
    while (words_next(&w, &word)) {
        strbuf_addz(&out, out.n ? " " : "");
        strbuf_add(&out, word);
    }
    test_check_str(strbuf_str(&out), want, __FILE__, line, text);
}
#define WORDS(text, want) words_are(text, want, __LINE__)

TEST(names_fall_apart_into_words) {
    WORDS("", "");
    WORDS(" ._-/ ", "");
    WORDS("create_issue", "creat issu");
    WORDS("listPullRequests", "list pull request");
    WORDS("HTTPServer parseJSON v2beta", "http server pars json v 2 beta");
}

TEST(forms_of_a_word_meet) {
    WORDS("create creates created creating", "creat creat creat creat");
    WORDS("list lists listing listed", "list list list list");
    WORDS("query queries", "query query");
    WORDS("stop stopped stopping", "stop stop stop");
    WORDS("box boxes status process bus", "box box status process bus");
    WORDS("branches pushes calls calling", "branch push call call");
    WORDS("is as key us", "is as key us");
}

TEST(case_is_folded_beyond_ascii) {
    WORDS("GR\xc3\x9cSSE \xd0\x9f\xd0\x9e\xd0\x98\xd0\xa1\xd0\x9a \xce\x91\xce\xa9 \xc5\xa0koda",
          "gr\xc3\xbcsse \xd0\xbf\xd0\xbe\xd0\xb8\xd1\x81\xd0\xba \xce\xb1\xcf\x89 \xc5\xa1koda");
    WORDS("\xe6\x97\xa5\xe6\x9c\xac go", "\xe6\x97\xa5 \xe6\x9c\xac go");
    WORDS("a\xff\xfe"
          "b \xc3",
          "a b");
}

TEST(long_words_are_cut) {
    char text[501] = {0};
    memset(text, 'q', 500);
    struct words w = words_begin(str_z(text));
    struct str word;
    REQUIRE(words_next(&w, &word));
    CHECK_INT(word.n, WORD_MAX);
    CHECK(!words_next(&w, &word));
}

/* ---- ranking ---- */

#define S(literal)                                                                                 \
    { "" literal, sizeof(literal) - 1 }
static const struct search_document documents[] = {
    {S("create_issue"), S("Create issue"), S("github"), S("Opens a new issue in a repository."),
     S("owner\nrepo\ntitle\nbody")},
    {S("list_issues"), S(""), S("github"), S("Lists the issues of a repository."),
     S("owner\nrepo\nstate")},
    {S("create_event"), S("New calendar event"), S("calendar"), S("Puts an event into a calendar."),
     S("start\nend\nattendees")},
    {S("delete_event"), S(""), S("calendar"), S("Removes an event."), S("id")},
    {S("send_mail"), S(""), S("mail"), S("Sends a message to somebody."), S("to\nsubject")},
    {S("get_weather"), S(""), S("weather"), S("The forecast for a place."),
     S("latitude\nlongitude")},
};

static struct search_index *index_all(void) {
    struct search_index *x = search_index_new();
    for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
        search_index_add(x, &documents[i]);
    }
    search_index_end(x);
    return x;
}

static bool all_are_open(const void *arg, size_t document) {
    (void)arg;
    (void)document;
    return true;
}

static bool all_but_one(const void *arg, size_t document) {
    return document != *(const size_t *)arg;
}

static void finds(const char *query, const char *want, int line) {
    struct search_index *x = index_all();
    struct strbuf out cleanup(strbuf_done) = STRBUF(10000);
    size_t hits[3];
    size_t n = search_index_find(x, str_z(query), all_are_open, NULL, ARRAY_LEN(hits), hits);
    for (size_t i = 0; i < n; i++) {
        strbuf_addz(&out, i ? " " : "");
        strbuf_add(&out, documents[hits[i]].name);
    }
    test_check_str(strbuf_str(&out), want, __FILE__, line, query);
    search_index_free(x);
}
#define FINDS(query, want) finds(query, want, __LINE__)

TEST(the_best_fit_comes_first) {
    FINDS("creating issues", "create_issue list_issues create_event");
    FINDS("calendar event create", "create_event delete_event create_issue");
    FINDS("forecast", "get_weather");
    FINDS("LONGITUDE", "get_weather");
    FINDS("github", "list_issues create_issue");
}

TEST(the_beginning_of_a_word_finds_it_too) {
    FINDS("git", "list_issues create_issue");
    FINDS("attend", "create_event");
    FINDS("at", "");
}

TEST(nothing_fits_nothing) {
    FINDS("", "");
    FINDS("?!", "");
    FINDS("quantum chromodynamics", "");
}

TEST(what_is_closed_is_not_found) {
    struct search_index *x = index_all();
    size_t closed = 5, hits[3];
    CHECK_INT(search_index_find(x, STR("forecast"), all_but_one, &closed, 3, hits), 0);
    closed = 0;
    CHECK_INT(search_index_find(x, STR("create issue"), all_but_one, &closed, 3, hits), 2);
    CHECK_INT(hits[0], 1);
    search_index_free(x);
}

TEST(an_empty_index_finds_nothing) {
    struct search_index *x = search_index_new();
    size_t hits[1];
    search_index_end(x);
    CHECK_INT(search_index_find(x, STR("a"), all_are_open, NULL, 1, hits), 0);
    search_index_free(x);
    search_index_free(NULL);
}
