/* The page at the root, and its files. */
#include "api/handlers.h"
#include "net/assets.h"

extern const struct asset page_files[];
extern const size_t page_files_n;

static const struct http_field fields[] = {
    {"Content-Security-Policy",
     STR("default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; "
         "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")},
    {"Referrer-Policy", STR("no-referrer")},
    {"Cross-Origin-Opener-Policy", STR("same-origin")},
    {"Cross-Origin-Resource-Policy", STR("same-origin")},
};

static int respond(struct call *c, struct str path, struct err *err) {
    struct assets assets = {page_files, page_files_n, fields, ARRAY_LEN(fields)};
    const struct asset *asset = assets_find(&assets, path);
    if (!asset) {
        return err_set(err, ERR_NOT_FOUND, "there is no such file");
    }
    asset_respond(&assets, asset, c->request);
    return 0;
}

int handle_page(struct call *c, struct err *err) {
    return respond(c, STR("/static/index.html"), err);
}

int handle_static(struct call *c, struct err *err) {
    return respond(c, http_path(c->request), err);
}
