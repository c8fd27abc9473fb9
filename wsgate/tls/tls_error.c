/*
 * What OpenSSL says of a failed connection, in the operator's words.
 * Input: OpenSSL's error queue, our own refusal. Output: struct err.
 */
#include "wsgate/tls/tls_error.h"

#include "wsgate/tls/tls_context.h"

#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <openssl/tls1.h>

struct words {
    int code;
    enum err_kind kind;
    const char *text;
};

/* RFC 8446 6.2 and RFC 6066 9: what the client told us. */
static const struct words alerts[] = {
    {SSL_AD_CLOSE_NOTIFY, ERR_REJECTED, "client closed the connection"},
    {SSL_AD_UNEXPECTED_MESSAGE, ERR_REJECTED,
        "client did not expect our message"},
    {SSL_AD_BAD_RECORD_MAC, ERR_FORMAT, "client got a damaged record"},
    {SSL_AD_HANDSHAKE_FAILURE, ERR_REJECTED,
        "client finds nothing in common with us"},
    {SSL_AD_BAD_CERTIFICATE, ERR_REJECTED, "client refuses the certificate"},
    {SSL_AD_UNSUPPORTED_CERTIFICATE, ERR_REJECTED,
        "client does not support this kind of certificate"},
    {SSL_AD_CERTIFICATE_REVOKED, ERR_REJECTED,
        "client says that the certificate is revoked"},
    {SSL_AD_CERTIFICATE_EXPIRED, ERR_REJECTED,
        "client says that the certificate is out of date"},
    {SSL_AD_CERTIFICATE_UNKNOWN, ERR_REJECTED,
        "client refuses the certificate"},
    {SSL_AD_UNKNOWN_CA, ERR_REJECTED, "client does not trust the certificate"},
    {SSL_AD_ACCESS_DENIED, ERR_REJECTED, "client denies access"},
    {SSL_AD_DECODE_ERROR, ERR_FORMAT, "client could not read our message"},
    {SSL_AD_DECRYPT_ERROR, ERR_REJECTED,
        "client could not verify our signature"},
    {SSL_AD_PROTOCOL_VERSION, ERR_REJECTED,
        "client does not speak our TLS versions"},
    {SSL_AD_INSUFFICIENT_SECURITY, ERR_REJECTED,
        "client finds our ciphers too weak"},
    {SSL_AD_INTERNAL_ERROR, ERR_REJECTED, "client had an internal error"},
    {SSL_AD_USER_CANCELLED, ERR_REJECTED, "client gave up"},
    {SSL_AD_UNRECOGNIZED_NAME, ERR_REJECTED, "client does not accept the name"},
    {SSL_AD_BAD_CERTIFICATE_STATUS_RESPONSE, ERR_REJECTED,
        "client refuses the stapled OCSP response"},
    {SSL_AD_NO_APPLICATION_PROTOCOL, ERR_REJECTED,
        "client speaks none of our protocols (ALPN)"},
};

/* What OpenSSL found itself. */
static const struct words reasons[] = {
    {SSL_R_NO_SHARED_CIPHER, ERR_REJECTED,
        "no cipher in common with the client, or none for the site's "
        "certificates"},
    {SSL_R_UNSUPPORTED_PROTOCOL, ERR_REJECTED,
        "client offers no TLS version that is allowed here"},
    {SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, ERR_REJECTED,
        "client can verify none of the site's certificates"},
    {SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS, ERR_REJECTED,
        "client can verify none of the site's certificates"},
    {SSL_R_NO_SUITABLE_KEY_SHARE, ERR_REJECTED,
        "no key exchange group in common with the client"},
    {SSL_R_NO_SHARED_GROUPS, ERR_REJECTED,
        "no key exchange group in common with the client"},
    {SSL_R_INAPPROPRIATE_FALLBACK, ERR_REJECTED,
        "client fell back to an older version without need"},
    {SSL_R_HTTP_REQUEST, ERR_FORMAT, "plain HTTP on a TLS port"},
    {SSL_R_HTTPS_PROXY_REQUEST, ERR_FORMAT, "plain HTTP on a TLS port"},
    {SSL_R_WRONG_VERSION_NUMBER, ERR_FORMAT, "these bytes are not TLS"},
    {SSL_R_UNKNOWN_PROTOCOL, ERR_FORMAT, "these bytes are not TLS"},
    {SSL_R_BAD_RECORD_TYPE, ERR_FORMAT, "these bytes are not TLS"},
    {SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, ERR_FORMAT,
        "damaged TLS record"},
};

static const struct words *
find(const struct words *table, size_t count, int code)
{
    for (size_t i = 0; i < count; i++)
        if (table[i].code == code)
            return &table[i];
    return NULL;
}

static bool
set_alert(struct err *err, int alert)
{
    const struct words *w =
        find(alerts, sizeof(alerts) / sizeof(alerts[0]), alert);

    if (w == NULL)
        return err_set(err, ERR_REJECTED, "client sent TLS alert %d", alert);
    return err_set(err, w->kind, "%s (alert %d)", w->text, alert);
}

/* The first reason of OpenSSL's own TLS code, else the very first; empties the
 * queue. Ciphers put theirs before it. */
static unsigned long
take_reason(void)
{
    unsigned long first = ERR_peek_error();
    unsigned long code;

    while ((code = ERR_get_error()) != 0) {
        if (ERR_GET_LIB(code) != ERR_LIB_SSL)
            continue;
        ERR_clear_error();
        return code;
    }
    return first;
}

static bool
set_reason(struct err *err, unsigned long code)
{
    const char *text = ERR_reason_error_string(code);

    return err_set(
        err, ERR_FORMAT, "TLS: %s", text == NULL ? "unknown error" : text);
}

bool
tls_error(const SSL *ssl, struct err *err)
{
    unsigned long code = take_reason();
    int reason = ERR_GET_REASON(code);
    const char *refusal = tls_context_refusal(ssl);
    const struct words *w;

    if (refusal[0] != 0)
        return err_set(err, ERR_REJECTED, "%s", refusal);
    if (ERR_GET_LIB(code) != ERR_LIB_SSL)
        return set_reason(err, code);
    if (reason >= SSL_AD_REASON_OFFSET)
        return set_alert(err, reason - SSL_AD_REASON_OFFSET);
    w = find(reasons, sizeof(reasons) / sizeof(reasons[0]), reason);
    if (w == NULL)
        return set_reason(err, code);
    return err_set(err, w->kind, "%s", w->text);
}
