/* Whom the HTTP client trusts. */
#include "client_fixture.h"
#include "tls_server.h"

static const char ok_reply[] =
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/* trusted: the server's own certificate is the only one the client knows. */
static void begin_tls(struct tls_server *s, const struct tls_server_options *options,
                      bool trusted) {
    struct err err;
    tls_server_start(s, options);
    setenv("NO_PROXY", "*", 1);
    unsetenv("CURL_CA_BUNDLE");
    unsetenv("SSL_CERT_FILE");
    if (trusted) {
        setenv("SSL_CERT_FILE", s->certificate_path, 1);
    }
    CHECK_OK(http_client_start(&err), &err);
}

static void end_tls(struct tls_server *s) {
    http_client_stop();
    tls_server_stop(s);
    unsetenv("SSL_CERT_FILE");
}

static void check_refused(const struct tls_server_options *options, bool trusted,
                          const char *text) {
    struct tls_server s;
    struct got got cleanup(got_done) = {0};
    char host[64];
    begin_tls(&s, options, trusted);
    CHECK_FAILS(fetch(&(struct http_call){.url = s.url}, &got), &got.err, ERR_UNAVAILABLE);
    snprintf(host, sizeof host, "the certificate of 127.0.0.1:%d is not trusted: ", s.port);
    if (!CHECK(str_starts(str_z(got.err.msg), str_z(host))) ||
        !CHECK(str_find(str_z(got.err.msg), str_z(text)) != SIZE_MAX)) {
        printf("  \"%s\" is not in \"%s\"\n", text, got.err.msg);
    }
    CHECK_INT(got.body.n, 0);
    end_tls(&s);
}

TEST_FIBER(client_refuses_certificates_it_cannot_trust) {
    check_refused(&(struct tls_server_options){"127.0.0.1", 3600, ok_reply}, false,
                  "self-signed certificate");
    check_refused(&(struct tls_server_options){"127.0.0.2", 3600, ok_reply}, true,
                  "matches target host name");
    check_refused(&(struct tls_server_options){"127.0.0.1", -3600, ok_reply}, true,
                  "certificate has expired");
}

TEST_FIBER(client_trusts_what_the_environment_names) {
    struct tls_server s;
    struct got got cleanup(got_done) = {0};
    begin_tls(&s, &(struct tls_server_options){"127.0.0.1", 3600, ok_reply}, true);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(fetch(&(struct http_call){.url = s.url}, &got), &got.err);
        CHECK_STR(strbuf_str(&got.body), "ok");
    }
    end_tls(&s);
    CHECK_INT(s.handshakes, 3);
    CHECK_INT(s.resumed, 2);
}

TEST_FIBER(client_does_not_leave_tls_for_a_redirect) {
    struct tls_server s;
    struct got got cleanup(got_done) = {0};
    begin_tls(&s,
              &(struct tls_server_options){"127.0.0.1", 3600,
                                           "HTTP/1.1 302 R\r\nLocation: http://127.0.0.1:1/\r\n"
                                           "Content-Length: 0\r\n\r\n"},
              true);
    CHECK_FAILS(fetch(&(struct http_call){.url = s.url, .follow_redirects = true}, &got), &got.err,
                ERR_PROTOCOL);
    end_tls(&s);
}

static void talk_plain(struct raw_connection *c) {
    raw_writez(c, "220 hello, this is not TLS\r\n");
    raw_wait_hang_up(c);
}

TEST_FIBER(client_says_when_a_peer_speaks_no_tls) {
    struct raw_server s;
    struct got got cleanup(got_done) = {0};
    char url[64];
    begin(&s, talk_plain);
    snprintf(url, sizeof url, "https://127.0.0.1:%d/", s.port);
    CHECK_FAILS(fetch(&(struct http_call){.url = url}, &got), &got.err, ERR_UNAVAILABLE);
    CHECK(str_starts(str_z(got.err.msg), STR("no TLS with 127.0.0.1:")));
    end(&s);
}

TEST_FIBER(client_does_not_start_with_certificates_it_cannot_read) {
    struct err err;
    setenv("SSL_CERT_FILE", "/nonexistent/ca.pem", 1);
    CHECK_FAILS(http_client_start(&err), &err, ERR_INVALID);
    CHECK_STR(str_z(err.msg), "SSL_CERT_FILE names /nonexistent/ca.pem, which cannot be read");
    unsetenv("SSL_CERT_FILE");
}
