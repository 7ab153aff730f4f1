/* What went wrong with a request, in words for people: which host, and what it did. */
#include <errno.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/http_client_internal.h"

void http_host_text(const char *url, char ret[HTTP_HOST_TEXT]) {
    char *host = NULL, *port = NULL;
    CURLU *parts = curl_url();
    if (parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK) {
        snprintf(ret, HTTP_HOST_TEXT, "%.110s:%.5s", host, port);
    } else {
        snprintf(ret, HTTP_HOST_TEXT, "the server");
    }
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(parts);
}

/* Whether a proxy was used, and so which of the two is meant, curl does not tell. */
static bool proxy_configured(void) {
    static const char *const variables[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                            "ALL_PROXY"};
    for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
        const char *value = getenv(variables[i]);
        if (value && value[0]) {
            return true;
        }
    }
    return false;
}

static int connection_error(const struct http_transfer *t, const char *host, struct err *err) {
    long os_errno = 0;
    curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &os_errno);
    if (os_errno == ECONNREFUSED) {
        return err_set(err, ERR_UNAVAILABLE, "%s %srefused the connection", host,
                       proxy_configured() ? "or the proxy before it " : "");
    }
    return err_set(err, ERR_UNAVAILABLE, "no connection to %s: %s", host,
                   os_errno ? strerror((int)os_errno) : curl_easy_strerror(t->result));
}

static int certificate_error(const struct http_transfer *t, const char *host, const char *detail,
                             struct err *err) {
    long verdict = X509_V_OK;
    curl_easy_getinfo(t->easy, CURLINFO_SSL_VERIFYRESULT, &verdict);
    /* The chain was not what failed when nothing was specified: then curl itself says what. */
    bool chain = verdict != X509_V_OK && verdict != X509_V_ERR_UNSPECIFIED;
    return err_set(err, ERR_UNAVAILABLE, "the certificate of %s is not trusted: %s", host,
                   chain ? X509_verify_cert_error_string(verdict) : detail);
}

/* Curl reports a body that breaks the rules of chunked coding as a receive error, too. */
static int receive_error(const struct http_transfer *t, const char *host, const char *detail,
                         struct err *err) {
    long os_errno = 0;
    curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &os_errno);
    if (strstr(detail, "chunked")) {
        return err_set(err, ERR_PROTOCOL, "%s sent a broken response: %s", host, detail);
    }
    if (os_errno == ECONNRESET || os_errno == EPIPE) {
        return err_set(err, ERR_UNAVAILABLE, "%s reset the connection", host);
    }
    return err_set(err, ERR_UNAVAILABLE, "the connection to %s broke: %s", host, detail);
}

int http_transfer_error(const struct http_transfer *t, const char *detail, struct err *err) {
    char host[HTTP_HOST_TEXT];
    const char *url = "";
    curl_easy_getinfo(t->easy, CURLINFO_EFFECTIVE_URL, &url);
    http_host_text(url, host);
    detail = detail[0] ? detail : curl_easy_strerror(t->result);
    switch (t->result) {
    case CURLE_URL_MALFORMAT:
    case CURLE_LOGIN_DENIED:
        return err_set(err, ERR_INVALID, "not a usable URL: %s", detail);
    case CURLE_COULDNT_RESOLVE_HOST:
        return err_set(err, ERR_UNAVAILABLE, "the name of %s cannot be resolved", host);
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_PROXY:
        return err_set(err, ERR_UNAVAILABLE, "no way to %s: %s", host, detail);
    case CURLE_COULDNT_CONNECT:
        return connection_error(t, host, err);
    case CURLE_OPERATION_TIMEDOUT:
        return err_set(err, ERR_TIMEOUT, "no connection to %s in time", host);
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_FAIL_REWIND: /* it would have had to be sent again */
        return err_set(err, ERR_UNAVAILABLE, "%s closed the connection without an answer", host);
    case CURLE_PARTIAL_FILE:
        return err_set(err, ERR_UNAVAILABLE, "%s closed the connection in mid-response", host);
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return receive_error(t, host, detail, err);
    case CURLE_PEER_FAILED_VERIFICATION:
        return certificate_error(t, host, detail, err);
    case CURLE_SSL_CACERT_BADFILE:
        return err_set(err, ERR_UNAVAILABLE,
                       "no trusted certificates: install ca-certificates or set SSL_CERT_FILE");
    case CURLE_SSL_CONNECT_ERROR:
        return err_set(err, ERR_UNAVAILABLE, "no TLS with %s: %s", host, detail);
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
        return err_set(err, ERR_PROTOCOL, "%s sent a broken response: %s", host, detail);
    case CURLE_OUT_OF_MEMORY:
        return err_set(err, ERR_LIMIT, "%s sent header fields that are too large", host);
    default:
        return err_set(err, ERR_UNAVAILABLE, "request to %s failed: %s", host, detail);
    }
}
