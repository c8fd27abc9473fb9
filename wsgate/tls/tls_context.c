/*
 * What a TLS listener decides: site, certificate, staple, protocol.
 * Input: sites of a generation; OpenSSL's callbacks within a handshake.
 * Output: SSLs that know their site, or a refusal in the operator's words.
 */
#include "wsgate/tls/tls_context.h"

#include "shared/now.h"
#include "shared/span.h"
#include "wsgate/tls/tls_site.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Forward secrecy and AEAD only; the client's order counts, so that a phone
 * without AES instructions gets ChaCha20. */
#define CIPHERS_TLS12 "ECDHE+AESGCM:ECDHE+CHACHA20"

struct tls_context {
    unsigned refs;
    SSL_CTX *ctx;
    struct tls_site_rules *sites;
    size_t site_count;
};

/* What one handshake has decided; lives in the SSL, freed with it. */
struct choice {
    struct tls_context *context; /* reference */
    int site; /* -1: none yet */
    enum tls_staple_result staple;
    char *sni; /* owned; NULL: none was sent */
    char *refusal; /* owned; NULL: not refused by us */
};

/* ---- the choice in the SSL ------------------------------------------------ */

static void
free_choice(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
    void *argp)
{
    struct choice *choice = ptr;

    (void)parent;
    (void)ad;
    (void)index;
    (void)argl;
    (void)argp;
    if (choice == NULL)
        return;
    tls_context_unref(choice->context);
    free(choice->sni);
    free(choice->refusal);
    free(choice);
}

/* OpenSSL hands such numbers out once per process: hence the static. */
static int
choice_index(void)
{
    static int index = -1;

    if (index < 0)
        index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_choice);
    return index;
}

static struct choice *
choice_of(const SSL *ssl)
{
    return SSL_get_ex_data(ssl, choice_index());
}

static const struct tls_site_rules *
site_of(const struct choice *choice)
{
    return &choice->context->sites[choice->site];
}

static void refuse(struct choice *choice, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
refuse(struct choice *choice, const char *fmt, ...)
{
    char text[ERR_TEXT_SIZE];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    free(choice->refusal);
    choice->refusal = strdup(text);
}

/* ---- site ----------------------------------------------------------------- */

static bool
read_sni(SSL *ssl, struct choice *choice, int *alert)
{
    const unsigned char *data;
    size_t len;
    struct span name;

    if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &data, &len))
        return true;
    if (!tls_site_parse_sni(span_make(data, len), &name)) {
        *alert = SSL_AD_DECODE_ERROR;
        refuse(choice, "client sent a malformed server name");
        return false;
    }
    free(choice->sni); /* a second ClientHello, after HelloRetryRequest */
    choice->sni = tls_site_copy_name(name);
    if (choice->sni == NULL)
        *alert = SSL_AD_INTERNAL_ERROR;
    return choice->sni != NULL;
}

static bool
choose_site(SSL *ssl, struct choice *choice, int *alert)
{
    const struct tls_context *context = choice->context;

    if (!read_sni(ssl, choice, alert))
        return false;
    choice->site =
        choice->sni == NULL
            ? tls_site_without_name(context->sites, context->site_count)
            : tls_site_find(
                  context->sites, context->site_count, span_str(choice->sni));
    if (choice->site >= 0)
        return true;
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    if (choice->sni == NULL)
        refuse(choice, "client names no site and none is for all");
    else
        refuse(choice, "client asks for \"%s\", which is no site here",
            choice->sni);
    return false;
}

/* Before resumption: a ticket of one site never resumes at another. */
static int
on_client_hello(SSL *ssl, int *alert, void *arg)
{
    struct choice *choice = choice_of(ssl);
    const struct tls_site_rules *site;

    (void)arg;
    if (!choose_site(ssl, choice, alert))
        return SSL_CLIENT_HELLO_ERROR;
    site = site_of(choice);
    *alert = SSL_AD_INTERNAL_ERROR;
    if (site->tls13_only && !SSL_set_min_proto_version(ssl, TLS1_3_VERSION))
        return SSL_CLIENT_HELLO_ERROR;
    if (!SSL_set_session_id_context(ssl, site->identity, site->identity_len))
        return SSL_CLIENT_HELLO_ERROR;
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* RFC 6066 3: the answer that says the name was used. */
static int
on_server_name(SSL *ssl, int *alert, void *arg)
{
    (void)ssl;
    (void)alert;
    (void)arg;
    return SSL_TLSEXT_ERR_OK;
}

/* ---- certificate ---------------------------------------------------------- */

static bool
asks_for_staple(SSL *ssl)
{
    return SSL_get_tlsext_status_type(ssl) == TLSEXT_STATUSTYPE_ocsp;
}

static bool
has_type_before(const struct tls_site_rules *site, const bool *used, size_t at)
{
    int type = EVP_PKEY_get_base_id(site->certs[at]->key);

    for (size_t i = 0; i < at; i++)
        if (used[i] && EVP_PKEY_get_base_id(site->certs[i]->key) == type)
            return true;
    return false;
}

static bool
use_cert(SSL *ssl, const struct tls_cert *cert)
{
    ERR_clear_error();
    return SSL_use_cert_and_key(
               ssl, cert->chain.leaf, cert->key, cert->sent, 1) == 1;
}

static void
refuse_for_staple(struct choice *choice)
{
    const struct tls_site_rules *site = site_of(choice);

    if (site->cert_count == 0)
        refuse(choice, "the site has no certificate");
    else
        refuse(choice,
            "staple: require, but no certificate of the site has one: %s",
            staple_is_revoked(site->certs[0]->staple)
                ? "the response says revoked"
                : staple_problem(site->certs[0]->staple));
}

/*
 * Lends the handshake what may be shown; among these OpenSSL picks by what the
 * client can verify (signature_algorithms, ciphers, groups). The first of a
 * kind wins.
 */
static int
on_certificate(SSL *ssl, void *arg)
{
    struct choice *choice = choice_of(ssl);
    const struct tls_site_rules *site = site_of(choice);
    bool used[TLS_SITE_CERTS_MAX] = {false};
    int64_t now = asks_for_staple(ssl) ? now_wall() : 0;
    bool any = false;

    (void)arg;
    for (size_t i = 0; i < site->cert_count; i++) {
        if (has_type_before(site, used, i) ||
            (asks_for_staple(ssl) && !tls_cert_may_serve(site->certs[i], now)))
            continue;
        if (!use_cert(ssl, site->certs[i]))
            return 0;
        used[i] = true;
        any = true;
    }
    if (!any)
        refuse_for_staple(choice);
    return any ? 1 : 0;
}

/* ---- staple --------------------------------------------------------------- */

static const struct tls_cert *
shown_cert(SSL *ssl, const struct choice *choice)
{
    const struct tls_site_rules *site = site_of(choice);
    const X509 *shown = SSL_get_certificate(ssl);

    for (size_t i = 0; i < site->cert_count; i++)
        if (site->certs[i]->chain.leaf == shown)
            return site->certs[i];
    return NULL;
}

/* Called when the client asked and the certificate stands. */
static int
on_status(SSL *ssl, void *arg)
{
    struct choice *choice = choice_of(ssl);
    const struct tls_cert *cert = shown_cert(ssl, choice);
    struct span der =
        cert == NULL ? SPAN_EMPTY : tls_cert_staple(cert, now_wall());
    void *copy;

    (void)arg;
    choice->staple = TLS_STAPLE_NONE;
    if (der.len == 0)
        return SSL_TLSEXT_ERR_NOACK;
    copy = OPENSSL_memdup(der.data, der.len);
    if (copy == NULL)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    (void)SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)der.len);
    choice->staple = TLS_STAPLE_SENT;
    return SSL_TLSEXT_ERR_OK;
}

/* ---- ALPN ----------------------------------------------------------------- */

static bool
offers(struct span list, struct span wanted, const unsigned char **out,
    unsigned char *out_len)
{
    while (list.len > 0 && list.len > list.data[0]) {
        struct span name = span_sub(list, 1, list.data[0]);

        if (span_eq(name, wanted)) {
            *out = name.data;
            *out_len = (unsigned char)name.len;
            return true;
        }
        list = span_from(list, 1 + name.len);
    }
    return false;
}

/* RFC 7301 3.2: a list without anything of ours is fatal; the client that sends
 * no list never gets here. */
static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
    const unsigned char *in, unsigned in_len, void *arg)
{
    struct span list = span_make(in, in_len);

    (void)arg;
    if (offers(list, SPAN_LIT("http/1.1"), out, out_len) ||
        offers(list, SPAN_LIT("http/1.0"), out, out_len))
        return SSL_TLSEXT_ERR_OK;
    refuse(choice_of(ssl), "client offers no HTTP/1 (ALPN)");
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- building ------------------------------------------------------------- */

/* Key too small, curve unknown: said at start, not in each handshake. */
static bool
probe_cert(SSL_CTX *ctx, const struct tls_cert *cert, const char *host,
    struct err *err)
{
    SSL *ssl;
    bool ok;

    ERR_clear_error();
    ssl = SSL_new(ctx);
    if (ssl == NULL)
        return err_memory(err);
    ok = use_cert(ssl, cert);
    SSL_free(ssl);
    return ok ||
           err_openssl(err, ERR_CONFIG, "certificate of %s (%s) cannot be used",
               host, cert_facts_label(&cert->facts));
}

static bool
add_site(
    struct tls_context *context, const struct tls_site *from, struct err *err)
{
    struct tls_site_rules *site = &context->sites[context->site_count++];
    const char *host = from->host_count > 0 ? from->hosts[0] : "*";

    if (from->cert_count > TLS_SITE_CERTS_MAX)
        return err_set(err, ERR_CONFIG, "%s: at most %d certificates", host,
            TLS_SITE_CERTS_MAX);
    if (!tls_site_init(site, from))
        return err_memory(err);
    for (size_t i = 0; i < from->cert_count; i++) {
        if (!probe_cert(context->ctx, from->certs[i], host, err))
            return false;
        site->certs[site->cert_count++] = tls_cert_ref(from->certs[i]);
    }
    return true;
}

static void
set_callbacks(SSL_CTX *ctx)
{
    SSL_CTX_set_client_hello_cb(ctx, on_client_hello, NULL);
    (void)SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
    SSL_CTX_set_cert_cb(ctx, on_certificate, NULL);
    (void)SSL_CTX_set_tlsext_status_cb(ctx, on_status);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
}

/* No finite-field groups: their key exchange costs us far more than the client.
 * The first list is for libraries that know ML-KEM (OpenSSL 3.5). */
static bool
set_groups(SSL_CTX *ctx)
{
    bool ok = SSL_CTX_set1_groups_list(
                  ctx, "X25519MLKEM768:X25519:P-256:P-384") == 1 ||
              SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384") == 1;

    ERR_clear_error();
    return ok;
}

/*
 * One ticket: browsers use one, and the second costs 9 of 225 us. No cache in
 * the process: tickets alone resume. The chain is sent as it is configured,
 * never completed from a store. No partial writes: our BIO takes everything,
 * so that one SSL_write makes all records with one buffer.
 */
static SSL_CTX *
new_ctx(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    if (ctx == NULL)
        return NULL;
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(ctx, CIPHERS_TLS12) != 1 ||
        SSL_CTX_set_num_tickets(ctx, 1) != 1 || !set_groups(ctx)) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    (void)SSL_CTX_set_options(
        ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    (void)SSL_CTX_clear_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    (void)SSL_CTX_set_mode(
        ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    set_callbacks(ctx);
    return ctx;
}

bool
tls_context_new(const struct tls_site *sites, size_t count,
    struct tls_context **out, struct err *err)
{
    struct tls_context *context = calloc(1, sizeof(*context));

    if (context == NULL)
        return err_memory(err);
    context->refs = 1;
    context->sites = calloc(count + 1, sizeof(*context->sites));
    context->ctx = new_ctx();
    if (context->sites == NULL || context->ctx == NULL) {
        tls_context_unref(context);
        return err_openssl(err, ERR_MEMORY, "TLS context");
    }
    for (size_t i = 0; i < count; i++) {
        if (!add_site(context, &sites[i], err)) {
            tls_context_unref(context);
            return false;
        }
    }
    *out = context;
    return true;
}

struct tls_context *
tls_context_ref(struct tls_context *context)
{
    context->refs++;
    return context;
}

void
tls_context_unref(struct tls_context *context)
{
    if (context == NULL || --context->refs > 0)
        return;
    for (size_t i = 0; i < context->site_count; i++)
        tls_site_fini(&context->sites[i]);
    free(context->sites);
    SSL_CTX_free(context->ctx);
    free(context);
}

SSL_CTX *
tls_context_ssl_ctx(struct tls_context *context)
{
    return context->ctx;
}

/* ---- one connection ------------------------------------------------------- */

SSL *
tls_context_accept(struct tls_context *context, struct err *err)
{
    struct choice *choice = calloc(1, sizeof(*choice));
    SSL *ssl;

    ERR_clear_error();
    ssl = choice == NULL ? NULL : SSL_new(context->ctx);
    if (ssl == NULL || SSL_set_ex_data(ssl, choice_index(), choice) != 1) {
        SSL_free(ssl);
        free(choice);
        (void)err_openssl(err, ERR_MEMORY, "TLS connection");
        return NULL;
    }
    choice->context = tls_context_ref(context);
    choice->site = -1;
    SSL_set_accept_state(ssl);
    return ssl;
}

int
tls_context_site(const SSL *ssl)
{
    return choice_of(ssl)->site;
}

enum tls_staple_result
tls_context_staple_result(const SSL *ssl)
{
    return choice_of(ssl)->staple;
}

const char *
tls_staple_result_word(enum tls_staple_result result)
{
    switch (result) {
    case TLS_STAPLE_NOT_ASKED:
        return "not_asked";
    case TLS_STAPLE_SENT:
        return "sent";
    case TLS_STAPLE_NONE:
        return "none";
    }
    return "unknown";
}

const char *
tls_context_sni(const SSL *ssl)
{
    return choice_of(ssl)->sni;
}

const char *
tls_context_refusal(const SSL *ssl)
{
    const char *refusal = choice_of(ssl)->refusal;

    return refusal == NULL ? "" : refusal;
}
