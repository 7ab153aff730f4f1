/* A TLS server for tests, on a thread of its own, with a certificate made for the occasion. */
#pragma once
#include <pthread.h>

struct tls_server_options {
    const char *subject_ip; /* what the certificate is for: "127.0.0.1" */
    long valid_seconds;     /* from now; negative: expired */
    const char *reply;      /* sent whole to each request; then the connection is closed */
};

struct tls_server {
    struct tls_server_options options;
    pthread_t thread;
    void *context; /* SSL_CTX */
    int listener, port;
    unsigned handshakes, resumed;
    char url[64];              /* "https://127.0.0.1:port" */
    char certificate_path[64]; /* PEM */
};

void tls_server_start(struct tls_server *s, const struct tls_server_options *options);
void tls_server_stop(struct tls_server *s);
