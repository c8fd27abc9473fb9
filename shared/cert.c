/*
 * Certificate files: PEM or DER -> leaf, the others, who issued whom.
 * Input: the operator's files, and bundles a CA hands out over AIA.
 * Output: X509 objects, the fingerprint that names everything in the spool.
 */
#include "shared/cert.h"

#include "shared/atomic_file.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pkcs7.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

/* One "-----BEGIN name-----" ... "-----END name-----" of a PEM file. */
struct pem_block {
    struct span name;
    struct span body; /* the base64 lines */
};

void
cert_stack_free(STACK_OF(X509) * certs)
{
    sk_X509_pop_free(certs, X509_free);
}

void
cert_chain_fini(struct cert_chain *chain)
{
    X509_free(chain->leaf);
    cert_stack_free(chain->others);
    *chain = (struct cert_chain){NULL, NULL};
}

/* The next line of *rest without its end ("\n" or "\r\n"). */
static bool
next_line(struct span *rest, struct span *line)
{
    if (!span_split(rest, '\n', line))
        return false;
    if (line->len > 0 && line->data[line->len - 1] == '\r')
        line->len--;
    *line = span_trim(*line);
    return true;
}

/* Is `line` "-----<word> <name>-----"? */
static bool
is_marker(struct span line, struct span word, struct span *name)
{
    if (!span_starts(line, word) || !span_ends(line, SPAN_LIT("-----")) ||
        line.len < word.len + 5)
        return false;
    *name = span_sub(line, word.len, line.len - word.len - 5);
    return true;
}

/*
 * Finds the next block, whatever its name: text between blocks is comment
 * (RFC 7468 2). False at the end; then block->name.data is set when a block was
 * begun and never ended.
 */
static bool
next_block(struct span *rest, struct pem_block *block)
{
    struct span line, name;

    *block = (struct pem_block){SPAN_EMPTY, SPAN_EMPTY};
    while (next_line(rest, &line)) {
        if (block->name.data == NULL) {
            if (is_marker(line, SPAN_LIT("-----BEGIN "), &name)) {
                block->name = name;
                block->body = *rest;
            }
            continue;
        }
        if (is_marker(line, SPAN_LIT("-----END "), &name)) {
            block->body.len = (size_t)(line.data - block->body.data);
            return span_eq(name, block->name);
        }
    }
    return false;
}

static bool
is_cert_name(struct span name)
{
    return span_eq(name, SPAN_LIT("CERTIFICATE")) ||
           span_eq(name, SPAN_LIT("X509 CERTIFICATE")) ||
           span_eq(name, SPAN_LIT("TRUSTED CERTIFICATE"));
}

/* Base64 lines -> new bytes; NULL when they are none. */
static unsigned char *
decode(struct span body, size_t *len)
{
    EVP_ENCODE_CTX *ctx = EVP_ENCODE_CTX_new();
    unsigned char *out = malloc(body.len + 4);
    int n = 0, tail = 0;
    bool ok = false;

    if (ctx != NULL && out != NULL) {
        EVP_DecodeInit(ctx);
        ok = EVP_DecodeUpdate(ctx, out, &n, body.data, (int)body.len) >= 0 &&
             EVP_DecodeFinal(ctx, out + n, &tail) == 1 && n + tail > 0;
    }
    EVP_ENCODE_CTX_free(ctx);
    if (!ok) {
        free(out);
        return NULL;
    }
    *len = (size_t)(n + tail);
    return out;
}

/* The DER of one certificate; bytes behind it only where `may_trail`. */
static X509 *
parse_der(struct span der, bool may_trail)
{
    const unsigned char *p = der.data;
    X509 *cert = d2i_X509(NULL, &p, (long)der.len);

    if (cert != NULL && !may_trail && p != der.data + der.len) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

static X509 *
parse_block(const struct pem_block *block)
{
    /* OpenSSL's trusted form carries its own data behind the certificate. */
    bool is_trusted = span_starts(block->name, SPAN_LIT("TRUSTED"));
    size_t len = 0;
    unsigned char *der = decode(block->body, &len);
    X509 *cert;

    if (der == NULL)
        return NULL;
    cert = parse_der(span_make(der, len), is_trusted);
    free(der);
    return cert;
}

/* cert is taken. */
static bool
push(STACK_OF(X509) * certs, X509 *cert, struct err *err)
{
    if (sk_X509_num(certs) >= CERT_CHAIN_MAX) {
        X509_free(cert);
        return err_set(
            err, ERR_LIMIT, "more than %d certificates", CERT_CHAIN_MAX);
    }
    if (sk_X509_push(certs, cert) <= 0) {
        X509_free(cert);
        return err_memory(err);
    }
    return true;
}

/* Blocks that are no certificate, keys above all, are passed over undecoded. */
static bool
parse_pem(struct span bytes, STACK_OF(X509) * certs, struct err *err)
{
    struct pem_block block;
    X509 *cert;

    while (next_block(&bytes, &block)) {
        if (!is_cert_name(block.name))
            continue;
        cert = parse_block(&block);
        if (cert == NULL)
            return err_openssl(err, ERR_FORMAT,
                "certificate %d of the file is malformed",
                sk_X509_num(certs) + 1);
        if (!push(certs, cert, err))
            return false;
    }
    if (block.name.data != NULL)
        return err_set(err, ERR_FORMAT, "a PEM block has no end: cut off?");
    return true;
}

/* The certificates of a PKCS#7 "certs-only" bundle (RFC 5280 4.2.2.1). */
static bool
parse_pkcs7(struct span der, STACK_OF(X509) * certs, struct err *err)
{
    const unsigned char *p = der.data;
    PKCS7 *bundle = d2i_PKCS7(NULL, &p, (long)der.len);
    STACK_OF(X509) *inside = NULL;
    bool ok = true;

    if (bundle != NULL && PKCS7_type_is_signed(bundle) &&
        bundle->d.sign != NULL)
        inside = bundle->d.sign->cert;
    for (int i = 0; ok && i < sk_X509_num(inside); i++) {
        X509 *cert = sk_X509_value(inside, i);

        ok = X509_up_ref(cert) == 1 && push(certs, cert, err);
    }
    PKCS7_free(bundle);
    return ok;
}

static bool
parse_any(struct span bytes, STACK_OF(X509) * certs, struct err *err)
{
    X509 *cert;

    /* A DER SEQUENCE begins with 0x30; so does text that begins with "0". */
    if (bytes.len > 0 && bytes.data[0] == 0x30) {
        cert = parse_der(bytes, false);
        if (cert != NULL)
            return push(certs, cert, err);
        if (!parse_pkcs7(bytes, certs, err))
            return false;
    }
    return sk_X509_num(certs) > 0 || parse_pem(bytes, certs, err);
}

bool
cert_stack_parse(struct span bytes, STACK_OF(X509) * *out, struct err *err)
{
    STACK_OF(X509) * certs;

    if (bytes.len > CERT_FILE_MAX)
        return err_set(err, ERR_LIMIT, "larger than %d bytes", CERT_FILE_MAX);
    certs = sk_X509_new_null();
    if (certs == NULL)
        return err_memory(err);
    if (!parse_any(bytes, certs, err)) {
        cert_stack_free(certs);
        return false;
    }
    ERR_clear_error();
    if (sk_X509_num(certs) == 0) {
        cert_stack_free(certs);
        return err_set(err, ERR_FORMAT, "no certificate found");
    }
    *out = certs;
    return true;
}

static bool
issued_another(const STACK_OF(X509) * certs, X509 *candidate)
{
    for (int i = 0; i < sk_X509_num(certs); i++) {
        X509 *cert = sk_X509_value(certs, i);

        /* Self-signed, or twice in the file, is not "another". */
        if (X509_cmp(cert, candidate) != 0 &&
            cert_is_issued_by(cert, candidate))
            return true;
    }
    return false;
}

static int
leaf_index(const STACK_OF(X509) * certs)
{
    int first = -1;

    for (int i = 0; i < sk_X509_num(certs); i++) {
        X509 *cert = sk_X509_value(certs, i);

        if (issued_another(certs, cert))
            continue;
        if (X509_check_ca(cert) == 0)
            return i;
        if (first < 0)
            first = i;
    }
    return first < 0 ? 0 : first; /* two CAs that signed each other */
}

bool
cert_chain_parse(struct span bytes, struct cert_chain *out, struct err *err)
{
    STACK_OF(X509) * certs;

    if (!cert_stack_parse(bytes, &certs, err))
        return false;
    out->leaf = sk_X509_delete(certs, leaf_index(certs));
    out->others = certs;
    return true;
}

/*
 * The file may hold a private key: the buffer gets its full size at once, so
 * that no copy stays behind in the heap, and is wiped by the caller.
 */
static bool
read_file(const char *path, struct buf *bytes, struct err *err)
{
    buf_init(bytes, CERT_FILE_MAX);
    if (!buf_reserve(bytes, CERT_FILE_MAX))
        return err_memory(err);
    return atomic_file_read(AT_FDCWD, path, bytes, err);
}

static void
wipe(struct buf *bytes)
{
    if (bytes->data != NULL)
        OPENSSL_cleanse(bytes->data, bytes->room);
    buf_fini(bytes);
}

bool
cert_file_load(const char *path, struct cert_chain *out, struct err *err)
{
    struct buf bytes;
    bool ok = read_file(path, &bytes, err);

    if (ok && !cert_chain_parse(buf_span(&bytes), out, err))
        ok = err_context(err, "%s", path);
    wipe(&bytes);
    return ok;
}

bool
cert_file_load_all(const char *path, STACK_OF(X509) * *out, struct err *err)
{
    struct buf bytes;
    bool ok = read_file(path, &bytes, err);

    if (ok && !cert_stack_parse(buf_span(&bytes), out, err))
        ok = err_context(err, "%s", path);
    wipe(&bytes);
    return ok;
}

bool
cert_is_issued_by(X509 *leaf, X509 *issuer)
{
    EVP_PKEY *key = X509_get0_pubkey(issuer);
    bool ok = key != NULL && X509_check_issued(issuer, leaf) == X509_V_OK &&
              X509_verify(leaf, key) == 1;

    ERR_clear_error();
    return ok;
}

X509 *
cert_find_issuer(X509 *leaf, const STACK_OF(X509) * candidates)
{
    X509 *best = NULL;

    /* Cross-signed twins share name and key: the longest life serves. */
    for (int i = 0; i < sk_X509_num(candidates); i++) {
        X509 *issuer = sk_X509_value(candidates, i);

        if (!cert_is_issued_by(leaf, issuer))
            continue;
        if (best == NULL || ASN1_TIME_compare(X509_get0_notAfter(issuer),
                                X509_get0_notAfter(best)) > 0)
            best = issuer;
    }
    return best;
}
