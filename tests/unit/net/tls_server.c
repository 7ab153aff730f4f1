#include "tls_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void add_extension(X509 *certificate, int nid, const char *value) {
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert(extension);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

static X509 *make_certificate(const struct tls_server_options *options, EVP_PKEY *key) {
    char subject[64];
    X509 *certificate = X509_new();
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -2 * 24 * 3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), options->valid_seconds);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    X509_set_pubkey(certificate, key);
    snprintf(subject, sizeof subject, "IP:%s", options->subject_ip);
    add_extension(certificate, NID_subject_alt_name, subject);
    add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
    int rc = X509_sign(certificate, key, EVP_sha256());
    assert(rc > 0);
    return certificate;
}

static void make_context(struct tls_server *s) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = make_certificate(&s->options, key);
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    int rc = SSL_CTX_use_certificate(context, certificate);
    assert(rc == 1);
    rc = SSL_CTX_use_PrivateKey(context, key);
    assert(rc == 1);
    snprintf(s->certificate_path, sizeof s->certificate_path, "/tmp/tls-server-test-%d.pem",
             (int)getpid());
    FILE *f = fopen(s->certificate_path, "w");
    assert(f);
    PEM_write_X509(f, certificate);
    fclose(f);
    X509_free(certificate);
    EVP_PKEY_free(key);
    s->context = context;
}

static void serve(struct tls_server *s, int fd) {
    char request[4096];
    struct timeval patience = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    SSL *ssl = SSL_new(s->context);
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1) {
        s->handshakes++;
        s->resumed += SSL_session_reused(ssl) ? 1 : 0;
        if (SSL_read(ssl, request, sizeof request) > 0) {
            SSL_write(ssl, s->options.reply, (int)strlen(s->options.reply));
        }
        SSL_shutdown(ssl);
    }
    SSL_free(ssl);
    close(fd);
}

static void *run(void *arg) {
    struct tls_server *s = arg;
    for (int fd; (fd = accept(s->listener, NULL, NULL)) >= 0;) {
        serve(s, fd);
    }
    return NULL;
}

void tls_server_start(struct tls_server *s, const struct tls_server_options *options) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    *s = (struct tls_server){.options = *options};
    make_context(s);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = bind(s->listener, (struct sockaddr *)&address, length);
    assert(rc == 0);
    rc = listen(s->listener, 16);
    assert(rc == 0);
    rc = getsockname(s->listener, (struct sockaddr *)&address, &length);
    assert(rc == 0);
    s->port = ntohs(address.sin_port);
    snprintf(s->url, sizeof s->url, "https://127.0.0.1:%d", s->port);
    rc = pthread_create(&s->thread, NULL, run, s);
    assert(rc == 0);
}

void tls_server_stop(struct tls_server *s) {
    shutdown(s->listener, SHUT_RDWR); /* ends the accept */
    pthread_join(s->thread, NULL);
    close(s->listener);
    SSL_CTX_free(s->context);
    unlink(s->certificate_path);
}
