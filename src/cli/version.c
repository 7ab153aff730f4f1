#include "cli/common.h"

#include <curl/curl.h>
#include <libpq-fe.h>
#include <openssl/crypto.h>
#include <sqlite3.h>

static int run(const struct cli_args *args) {
    if (!cli_flag(args, "libraries")) {
        printf("adjutant %s\n", ADJUTANT_VERSION);
        return EXIT_OK;
    }
    int pq = PQlibVersion();
    printf("adjutant %s\nlibuv %s\nlibcurl %s\nlibpq %d.%d\nSQLite %s\n%s\n", ADJUTANT_VERSION,
           uv_version_string(), curl_version_info(CURLVERSION_NOW)->version, pq / 10000, pq % 10000,
           sqlite3_libversion(), OpenSSL_version(OPENSSL_VERSION));
    return EXIT_OK;
}

static const struct cli_option options[] = {
    {"libraries", NULL, "with the versions of the libraries it runs on"},
};

const struct cli_command cli_version = {
    .name = "version",
    .summary = "Tells the program's version.",
    .options = options,
    .n_options = ARRAY_LEN(options),
    .run = run,
};
