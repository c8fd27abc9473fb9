/*
 * A certificate with its key, ready for handshakes.
 * Input: PEM bytes of a generation. Output: X509s, a key, the chain to send,
 * and a staple that is kept up to date.
 */
#include "wsgate/tls/tls_cert.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

/* ---- what a file holds ---------------------------------------------------- */

static bool
has_block(struct span pem, const char *word)
{
    struct span line;

    while (span_split(&pem, '\n', &line))
        if (span_starts(line, SPAN_LIT("-----BEGIN ")) &&
            span_ends(span_trim(line), span_str(word)))
            return true;
    return false;
}

/* Why a file has not what was looked for, where that can be told. */
static const char *
odd_key(struct span bytes)
{
    if (bytes.len > 0 && bytes.data[0] == 0x30)
        return " (it is DER: `openssl pkey -inform DER -in FILE -out NEW` "
               "makes PEM of it)";
    if (has_block(bytes, "CERTIFICATE-----"))
        return " (certificates alone: are chain and key swapped, or was the "
               "key left out?)";
    return "";
}

static const char *
odd_chain(struct span bytes)
{
    if (has_block(bytes, "PRIVATE KEY-----"))
        return " (a key alone: are chain and key swapped?)";
    return "";
}

/* A byte order mark hides the first line, and with it the first block. */
static bool
check_form(
    struct span bytes, const char *what, const char *name, struct err *err)
{
    if (span_starts(bytes, SPAN_LIT("\xEF\xBB\xBF")))
        return err_set(err, ERR_CONFIG,
            "%s %s: begins with a byte order mark: `tail -c +4 %s` prints it "
            "without",
            what, name, name);
    if (span_starts(bytes, SPAN_LIT("\xFF\xFE")) ||
        span_starts(bytes, SPAN_LIT("\xFE\xFF")))
        return err_set(err, ERR_CONFIG,
            "%s %s: is UTF-16: `iconv -f UTF-16 -t ASCII %s` prints it as PEM",
            what, name, name);
    return true;
}

/* ---- key ------------------------------------------------------------------ */

/* Nobody is there to type a password. */
static int
refuse_password(char *out, int size, int is_writing, void *was_asked)
{
    (void)out;
    (void)size;
    (void)is_writing;
    *(bool *)was_asked = true;
    return -1;
}

static bool
load_key(const struct tls_cert_source *source, EVP_PKEY **out, struct err *err)
{
    bool is_encrypted = false;
    EVP_PKEY *key = NULL;
    BIO *bio;

    if (source->key_pem.len > INT_MAX)
        return err_set(err, ERR_CONFIG, "key %s: too large", source->key_name);
    ERR_clear_error();
    bio = BIO_new_mem_buf(source->key_pem.data, (int)source->key_pem.len);
    if (bio != NULL)
        key =
            PEM_read_bio_PrivateKey(bio, NULL, refuse_password, &is_encrypted);
    BIO_free(bio);
    *out = key;
    if (key != NULL) {
        ERR_clear_error();
        return true;
    }
    if (is_encrypted)
        (void)err_set(err, ERR_CONFIG,
            "key %s: is encrypted; store it without a password (`openssl pkey "
            "-in %s -out NEW`), readable by the service only",
            source->key_name, source->key_name);
    else
        (void)err_set(err, ERR_CONFIG, "key %s: no private key in PEM found%s",
            source->key_name, odd_key(source->key_pem));
    ERR_clear_error();
    return false;
}

static bool
check_key(const struct tls_cert *cert, const struct tls_cert_source *source,
    struct err *err)
{
    ERR_clear_error();
    if (X509_check_private_key(cert->chain.leaf, cert->key) == 1)
        return true;
    ERR_clear_error();
    return err_set(err, ERR_CONFIG, "key %s: does not fit the certificate %s",
        source->key_name, source->chain_name);
}

/* ---- certificates --------------------------------------------------------- */

/* Every certificate of a file, the leaf first. New. */
static bool
load_all(struct span pem, STACK_OF(X509) * *out, struct err *err)
{
    struct cert_chain chain = {NULL, NULL};
    bool ok = false;

    if (!cert_chain_parse(pem, &chain, err))
        return false;
    if (chain.others == NULL)
        chain.others = sk_X509_new_null();
    if (chain.others == NULL || !sk_X509_unshift(chain.others, chain.leaf)) {
        (void)err_memory(err);
        goto out;
    }
    *out = chain.others;
    chain = (struct cert_chain){NULL, NULL}; /* now the caller's */
    ok = true;
out:
    cert_chain_fini(&chain);
    return ok;
}

static bool
find_issuer_in(struct tls_cert *cert, struct span pem, struct err *err)
{
    STACK_OF(X509) *candidates = NULL;
    X509 *issuer;

    if (!load_all(pem, &candidates, err))
        return err_context(err, "issuer");
    issuer = cert_find_issuer(cert->chain.leaf, candidates);
    if (issuer != NULL && X509_up_ref(issuer))
        cert->issuer = issuer;
    cert_stack_free(candidates);
    if (cert->issuer == NULL)
        return err_set(err, ERR_CONFIG,
            "issuer: none of its certificates issued this one");
    return true;
}

static bool
find_issuer(struct tls_cert *cert, const struct tls_cert_source *source,
    struct err *err)
{
    X509 *issuer;

    if (source->issuer_pem.len > 0)
        return find_issuer_in(cert, source->issuer_pem, err);
    issuer = cert->chain.others == NULL
                 ? NULL
                 : cert_find_issuer(cert->chain.leaf, cert->chain.others);
    if (issuer != NULL && X509_up_ref(issuer))
        cert->issuer = issuer;
    return true;
}

static bool
is_self_signed(X509 *cert)
{
    return (X509_get_extension_flags(cert) & EXFLAG_SS) != 0;
}

/*
 * RFC 8446 4.4.2: each certificate should certify the one before it, the root
 * may be left out. Whatever else the file holds stays here.
 */
static bool
order_sent(struct tls_cert *cert, struct err *err)
{
    X509 *at = cert->chain.leaf;

    cert->sent = sk_X509_new_null();
    if (cert->sent == NULL)
        return err_memory(err);
    while (!is_self_signed(at) && cert->chain.others != NULL &&
           sk_X509_num(cert->sent) < CERT_CHAIN_MAX) {
        at = cert_find_issuer(at, cert->chain.others);
        if (at == NULL || is_self_signed(at))
            break;
        if (!X509_up_ref(at) || !sk_X509_push(cert->sent, at))
            return err_memory(err);
    }
    return true;
}

static bool
load_chain(struct tls_cert *cert, const struct tls_cert_source *source,
    struct err *err)
{
    if (!cert_chain_parse(source->chain_pem, &cert->chain, err))
        return err == NULL ? false
                           : err_set(err, err->kind, "%s%s", err->text,
                                 odd_chain(source->chain_pem));
    if (!cert_fingerprint(cert->chain.leaf, cert->fp, err) ||
        !cert_facts_read(cert->chain.leaf, &cert->facts, err) ||
        !find_issuer(cert, source, err) || !order_sent(cert, err))
        return false;
    if (source->signers_pem.len > 0 &&
        !load_all(source->signers_pem, &cert->signers, err))
        return err_context(err, "signers");
    return true;
}

/* ---- staple --------------------------------------------------------------- */

/* Without an issuer no response could be checked: none is ever stapled. */
static bool
track(struct tls_cert *cert, struct staple_set *staples, int64_t now,
    struct err *err)
{
    const struct ocsp_trust trust = {
        .issuer = cert->issuer, .signers = cert->signers};
    struct cert_ids ids;

    if (staples == NULL || cert->issuer == NULL)
        return true;
    if (!cert_ids_make(cert->chain.leaf, cert->issuer, &ids, err))
        return false;
    cert->staple = staple_track(staples, cert->fp, &ids, &trust,
        cert_facts_label(&cert->facts), now, err);
    cert->staples = staples;
    return cert->staple != NULL;
}

struct span
tls_cert_staple(const struct tls_cert *cert, int64_t now)
{
    return staple_current(cert->staple, now);
}

bool
tls_cert_may_serve(const struct tls_cert *cert, int64_t now)
{
    if (cert->staple_mode == TLS_STAPLE_PREFER)
        return true;
    return tls_cert_staple(cert, now).len > 0 &&
           !staple_is_revoked(cert->staple);
}

/* ---- life ----------------------------------------------------------------- */

static bool
load(struct tls_cert *cert, const struct tls_cert_source *source,
    struct err *err)
{
    if (!check_form(
            source->chain_pem, "certificate", source->chain_name, err) ||
        !check_form(source->key_pem, "key", source->key_name, err))
        return false;
    if (load_chain(cert, source, err))
        return load_key(source, &cert->key, err) &&
               check_key(cert, source, err);
    (void)err_context(err, "certificate %s", source->chain_name);
    if (err != NULL && err->kind != ERR_MEMORY)
        err->kind = ERR_CONFIG;
    return false;
}

bool
tls_cert_new(const struct tls_cert_source *source, struct staple_set *staples,
    int64_t now, struct tls_cert **out, struct err *err)
{
    struct tls_cert *cert = calloc(1, sizeof(*cert));

    if (cert == NULL)
        return err_memory(err);
    cert->refs = 1;
    cert->staple_mode = source->staple_mode;
    if (!load(cert, source, err) || !track(cert, staples, now, err)) {
        tls_cert_unref(cert);
        return false;
    }
    *out = cert;
    return true;
}

struct tls_cert *
tls_cert_ref(struct tls_cert *cert)
{
    cert->refs++;
    return cert;
}

void
tls_cert_unref(struct tls_cert *cert)
{
    if (cert == NULL || --cert->refs > 0)
        return;
    if (cert->staple != NULL)
        staple_untrack(cert->staples, cert->staple);
    cert_chain_fini(&cert->chain);
    cert_facts_fini(&cert->facts);
    cert_stack_free(cert->sent);
    cert_stack_free(cert->signers);
    X509_free(cert->issuer);
    EVP_PKEY_free(cert->key);
    free(cert);
}
