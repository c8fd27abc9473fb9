/*
 * A client that looks at what servers show: full TLS handshakes at a steady
 * rate, each with its certificate and staple judged by OpenSSL alone.
 * Input: handshakes ROOT-PEM ADDRESS PORT NAME PER-SECOND COUNT (0: until the
 * standard input ends).
 * Output: a line per handshake "FINGERPRINT STAPLE-SHA256|none VERDICT", verdict
 * "ok" or what was wrong.
 */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct client {
    SSL_CTX *ctx;
    struct sockaddr_in to;
    const char *name;
};

static void
print_digest(const unsigned char *data, size_t len)
{
    unsigned char digest[32];

    (void)EVP_Digest(data, len, digest, NULL, EVP_sha256(), NULL);
    for (size_t i = 0; i < sizeof(digest); i++)
        (void)printf("%02x", digest[i]);
}

static void
print_leaf(X509 *leaf)
{
    unsigned char *der = NULL;
    int len = i2d_X509(leaf, &der);

    if (len > 0)
        print_digest(der, (size_t)len);
    OPENSSL_free(der);
}

/* Is it about this certificate, good and of now? */
static const char *
judge_single(OCSP_BASICRESP *basic, X509 *leaf, X509 *issuer)
{
    OCSP_SINGLERESP *single = OCSP_resp_get0(basic, 0);
    ASN1_GENERALIZEDTIME *from = NULL, *to = NULL;
    OCSP_CERTID *wanted = NULL;
    const OCSP_CERTID *got;
    const EVP_MD *digest = NULL;
    ASN1_OBJECT *algorithm = NULL;
    const char *verdict = "ok";
    int reason;

    if (single == NULL)
        return "empty";
    got = OCSP_SINGLERESP_get0_id(single);
    (void)OCSP_id_get0_info(
        NULL, &algorithm, NULL, NULL, (OCSP_CERTID *)(uintptr_t)got);
    digest = EVP_get_digestbyobj(algorithm);
    wanted = OCSP_cert_to_id(digest, leaf, issuer);
    if (wanted == NULL || OCSP_id_cmp(wanted, (OCSP_CERTID *)(uintptr_t)got))
        verdict = "other-certificate";
    else if (OCSP_single_get0_status(single, &reason, NULL, &from, &to) !=
             V_OCSP_CERTSTATUS_GOOD)
        verdict = "not-good";
    else if (!OCSP_check_validity(from, to, 60, -1))
        verdict = "out-of-date";
    OCSP_CERTID_free(wanted);
    return verdict;
}

static const char *
judge(SSL *ssl, const unsigned char *der, long len)
{
    STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &der, len);
    OCSP_BASICRESP *basic =
        response == NULL ? NULL : OCSP_response_get1_basic(response);
    const char *verdict = "malformed";

    if (basic == NULL || sk_X509_num(chain) < 2)
        verdict = "malformed";
    else if (OCSP_basic_verify(basic, chain,
                 SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl)), 0) != 1)
        verdict = "bad-signature";
    else
        verdict = judge_single(
            basic, sk_X509_value(chain, 0), sk_X509_value(chain, 1));
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    return verdict;
}

static void
look(SSL *ssl)
{
    X509 *leaf = SSL_get0_peer_certificate(ssl);
    unsigned char *der = NULL;
    long len = SSL_get_tlsext_status_ocsp_resp(ssl, &der);

    print_leaf(leaf);
    (void)putchar(' ');
    if (der == NULL || len <= 0) {
        (void)puts("none no-staple");
        return;
    }
    print_digest(der, (size_t)len);
    (void)printf(" %s\n", judge(ssl, der, len));
}

static int
connect_to(const struct client *c)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval limit = {.tv_sec = 10};

    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(fd, (const struct sockaddr *)&c->to, sizeof(c->to)) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

static void
shake_hands(const struct client *c)
{
    int fd = connect_to(c);
    SSL *ssl = fd < 0 ? NULL : SSL_new(c->ctx);

    if (fd < 0)
        (void)puts("none none no-connection");
    if (ssl != NULL && SSL_set_fd(ssl, fd) == 1 &&
        SSL_set_tlsext_host_name(ssl, c->name) == 1 &&
        SSL_set1_host(ssl, c->name) == 1 &&
        SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp) == 1 &&
        SSL_connect(ssl) == 1) {
        look(ssl);
        (void)SSL_shutdown(ssl);
    } else if (fd >= 0) {
        (void)printf("none none handshake-failed:%s\n",
            ERR_reason_error_string(ERR_peek_error()));
    }
    ERR_clear_error();
    SSL_free(ssl);
    if (fd >= 0)
        (void)close(fd);
    (void)fflush(stdout);
}

static bool
is_input_at_end(void)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    char byte;

    return poll(&in, 1, 0) == 1 && read(STDIN_FILENO, &byte, 1) <= 0;
}

static void
wait_until_ns(struct timespec *next, long step_ns)
{
    next->tv_nsec += step_ns;
    next->tv_sec += next->tv_nsec / 1000000000;
    next->tv_nsec %= 1000000000;
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, next, NULL);
}

int
main(int argc, char **argv)
{
    struct client c = {.to = {.sin_family = AF_INET}};
    struct timespec next;
    long per_second, count;

    if (argc != 7)
        return 64;
    (void)signal(SIGPIPE, SIG_IGN); /* a server that dies is a verdict */
    c.ctx = SSL_CTX_new(TLS_client_method());
    c.name = argv[4];
    c.to.sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10));
    per_second = strtol(argv[5], NULL, 10);
    count = strtol(argv[6], NULL, 10);
    if (c.ctx == NULL || per_second < 1 ||
        inet_pton(AF_INET, argv[2], &c.to.sin_addr) != 1 ||
        SSL_CTX_load_verify_locations(c.ctx, argv[1], NULL) != 1)
        return 66;
    SSL_CTX_set_verify(c.ctx, SSL_VERIFY_PEER, NULL);
    (void)clock_gettime(CLOCK_MONOTONIC, &next);
    for (long i = 0; count > 0 ? i < count : !is_input_at_end(); i++) {
        shake_hands(&c);
        wait_until_ns(&next, 1000000000L / per_second);
    }
    SSL_CTX_free(c.ctx);
    return 0;
}
