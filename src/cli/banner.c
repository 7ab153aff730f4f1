#include "cli/banner.h"

#include <errno.h>
#include <stdio.h>

#include "graph/endpoints.h"

static void print_model(const struct profile *p) {
    const struct endpoints_request asker = {.profile = p, .allow_operator_llm = true};
    struct endpoints endpoints cleanup(endpoints_done) = {0};
    struct err err;
    if (!p->llm_configured || endpoints_resolve(&asker, &endpoints, &err) < 0) {
        printf("  model    none yet: set ANTHROPIC_API_KEY, OPENAI_API_KEY or OLLAMA_BASE_URL\n");
    } else if (p->demo) {
        printf("  model    made up, for the demonstration; it knows nothing\n");
    } else {
        printf("  model    %.*s of %s%s\n", STR_ARG(endpoints.list[0].model),
               llm_provider_label(endpoints.list[0].provider),
               endpoints.n > 1 ? ", with fallbacks" : "");
    }
}

static void print_callers(const struct profile *p, enum auth_mode mode) {
    switch (mode) {
    case AUTH_TABLE:
        printf("  callers  who has a key (adjutant keys create)\n");
        break;
    case AUTH_SHARED:
        printf("  callers  who has ASSISTANT_API_KEY, all as %.*s\n", STR_ARG(p->default_user));
        break;
    case AUTH_OPEN:
        printf("  callers  everybody on this machine, as %.*s; no key\n", STR_ARG(p->default_user));
        break;
    }
}

static void print_first_steps(const char *address, enum auth_mode mode) {
    const char *key = mode == AUTH_OPEN ? "" : " -H \"X-API-Key: $ASSISTANT_API_KEY\"";
    printf("\n  %s chat --url http://%s\n", program_invocation_name, address);
    printf("  curl -s http://%s/api/chat%s -H 'Content-Type: application/json' -d "
           "'{\"message\":\"Hello\"}'\n\n",
           address, key);
}

void banner_print(const struct profile *profile, enum db_backend backend, enum auth_mode mode,
                  const char *address) {
    printf("adjutant %s serves on http://%s\n", ADJUTANT_VERSION, address);
    if (backend == DB_SQLITE) {
        printf("  data     SQLite, %.*s\n", STR_ARG(profile->sqlite_path));
    } else {
        printf("  data     PostgreSQL\n");
    }
    print_model(profile);
    print_callers(profile, mode);
    print_first_steps(address, mode);
    fflush(stdout);
}
