/* The web app: one page for all of its routes, and the files it loads. What it may do in a browser
 * is said here. */
#include "api/handlers.h"
#include "net/assets.h"

/* No script and no style stands in the page itself; pictures of other sites would tell them who
 * reads what. Scripts can't make HTML from text but by the policies named: those of the framework,
 * the sanitiser and what it cleans, and the service worker. */
#define CONTENT_SECURITY_POLICY                                                                    \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "        \
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; worker-src 'self'; "                \
    "media-src 'self' blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "        \
    "require-trusted-types-for 'script'; "                                                         \
    "trusted-types svelte-trusted-html dompurify adjutant-markdown adjutant-worker"

static const struct http_field fields[] = {
    {"Content-Security-Policy", STR(CONTENT_SECURITY_POLICY)},
    {"Permissions-Policy", STR("camera=(self), microphone=(), geolocation=(), display-capture=(), "
                               "payment=(), usb=(), serial=(), hid=(), midi=()")},
    {"Referrer-Policy", STR("no-referrer")},
    {"Cross-Origin-Opener-Policy", STR("same-origin")},
    {"Cross-Origin-Resource-Policy", STR("same-origin")},
};

static int respond(struct call *c, struct str path, struct err *err) {
    const struct gateway *g = c->gateway;
    struct assets assets = {g->web_files, g->n_web_files, fields, ARRAY_LEN(fields)};
    const struct asset *asset = assets_find(&assets, path);
    if (!asset) {
        return err_set(err, ERR_NOT_FOUND, "there is no such file");
    }
    asset_respond(&assets, asset, c->request);
    return 0;
}

static int respond_without_app(struct call *c) {
    static const struct http_response response = {
        .status = 200,
        .content_type = "text/plain; charset=utf-8",
        .body = STR("Adjutant is running. This build has no web app; its API is described at "
                    "/api/openapi.json.\n")};
    (void)http_respond(c->request, &response);
    return 0;
}

int handle_web_page(struct call *c, struct err *err) {
    return c->gateway->n_web_files > 0 ? respond(c, STR("/static/index.html"), err)
                                       : respond_without_app(c);
}

int handle_web_file(struct call *c, struct err *err) {
    return respond(c, http_path(c->request), err);
}

/* Files whose place is the root, by convention or, for the service worker, to have all pages in its
 * scope. */
int handle_web_root_file(struct call *c, struct err *err) {
    struct strbuf path cleanup(strbuf_done) = STRBUF(64);
    strbuf_addz(&path, "/static");
    strbuf_add(&path, http_path(c->request));
    return respond(c, strbuf_str(&path), err);
}
