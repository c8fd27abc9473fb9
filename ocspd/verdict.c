/*
 * The closed list of verdicts: word, class and mend of each, in one table.
 * Input: fetch and verify. Output: schedule, logs, status, side files.
 */
#include "ocspd/verdict.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *word;
    enum verdict_class class;
    const char *mend;
} verdicts[VERDICT_COUNT] = {
    [VERDICT_NONE] = {"none", VERDICT_CLASS_NONE, NULL},
    [VERDICT_GOOD] = {"good", VERDICT_CLASS_ACCEPTED, NULL},
    [VERDICT_REVOKED] = {"revoked", VERDICT_CLASS_ACCEPTED,
        "Get a new certificate with a new key; the CA has withdrawn this one."},
    [VERDICT_UNCHANGED] = {"unchanged", VERDICT_CLASS_ACCEPTED, NULL},

    [VERDICT_DNS] = {"dns", VERDICT_CLASS_TRANSPORT,
        "Check that this host resolves the responder's name, or set proxy:."},
    [VERDICT_CONNECT] = {"connect", VERDICT_CLASS_TRANSPORT,
        "Check route and firewall towards the responder, or set proxy:."},
    [VERDICT_TIMEOUT] = {"timeout", VERDICT_CLASS_TRANSPORT,
        "Check the path to the responder; fetch: timeout: gives it longer."},
    [VERDICT_TLS] = {"tls", VERDICT_CLASS_TRANSPORT,
        "The responder's https certificate is not trusted here: check this "
        "host's clock; an http URL in responder: is as safe, responses are "
        "signed."},
    [VERDICT_ADDRESS_REFUSED] = {"address-refused", VERDICT_CLASS_TRANSPORT,
        "Name the responder in responder:, or its network in "
        "allow_addresses:, if it is meant to be there."},
    [VERDICT_REDIRECTS] = {"redirects", VERDICT_CLASS_TRANSPORT,
        "Set responder: to the URL at the end of the redirects."},
    [VERDICT_TOO_LARGE] = {"too-large", VERDICT_CLASS_TRANSPORT,
        "Something other than an OCSP responder answers; check responder: and "
        "proxy:."},
    [VERDICT_HTTP_STATUS] = {"http-status", VERDICT_CLASS_TRANSPORT,
        "Check the URL and the proxy; if both are right the responder is ill."},
    [VERDICT_EMPTY] = {"empty", VERDICT_CLASS_TRANSPORT,
        "The responder answers without a body; tell the CA."},

    [VERDICT_MALFORMED_REQUEST] = {"malformed-request", VERDICT_CLASS_REFUSAL,
        "The responder does not understand the request; check that the URL is "
        "a responder of this CA."},
    [VERDICT_INTERNAL_ERROR] = {"internal-error", VERDICT_CLASS_REFUSAL,
        "The responder is ill; if it lasts, tell the CA."},
    [VERDICT_TRY_LATER] = {"try-later", VERDICT_CLASS_REFUSAL,
        "The responder is busy; if it lasts, tell the CA."},
    [VERDICT_SIG_REQUIRED] = {"sig-required", VERDICT_CLASS_REFUSAL,
        "The responder wants signed requests, which are not supported; name "
        "another one in responder:."},
    [VERDICT_UNAUTHORIZED] = {"unauthorized", VERDICT_CLASS_UNAUTHORIZED,
        "The responder does not know this certificate: wait if it is new, "
        "else check issuer: and responder:."},
    [VERDICT_UNKNOWN] = {"unknown", VERDICT_CLASS_UNAUTHORIZED,
        "The responder does not know this certificate: wait if it is new, "
        "else check issuer: and responder:."},

    [VERDICT_NOT_OCSP] = {"not-ocsp", VERDICT_CLASS_VERIFY,
        "Something other than an OCSP responder answers; check responder: and "
        "proxy:."},
    [VERDICT_TRAILING_BYTES] = {"trailing-bytes", VERDICT_CLASS_VERIFY,
        "The responder, or a proxy on the way, adds bytes; tell the CA."},
    [VERDICT_WEAK_SIGNATURE] = {"weak-signature", VERDICT_CLASS_VERIFY,
        "The CA signs with SHA-1 or a short key; allow_weak: true accepts it "
        "for a legacy CA of your own."},
    [VERDICT_BAD_SIGNATURE] = {"bad-signature", VERDICT_CLASS_VERIFY,
        "The response was changed on the way or signed by another CA's key; "
        "check issuer: and proxy:."},
    [VERDICT_NO_SIGNER_CERT] = {"no-signer-cert", VERDICT_CLASS_VERIFY,
        "The response leaves its signer's certificate out; put that "
        "certificate into a file and name it in signers:."},
    [VERDICT_NOT_AUTHORISED] = {"not-authorised", VERDICT_CLASS_VERIFY,
        "The signer was not issued by this CA for OCSP signing; check issuer:, "
        "or list a signer that you trust in signers:."},
    [VERDICT_SIGNER_EXPIRED] = {"signer-expired", VERDICT_CLASS_VERIFY,
        "The responder signs with a certificate out of date; tell the CA, and "
        "check this host's clock."},
    [VERDICT_NO_NOCHECK] = {"no-nocheck", VERDICT_CLASS_VERIFY,
        "The signer's certificate lacks ocsp-nocheck; strict: false accepts "
        "it."},
    [VERDICT_WRONG_CERT] = {"wrong-cert", VERDICT_CLASS_VERIFY,
        "The response is about another certificate; check issuer: and "
        "responder:."},
    [VERDICT_CONFLICT] = {"conflict", VERDICT_CLASS_VERIFY,
        "The response contradicts itself about this certificate; ask the CA "
        "whether it is revoked."},
    [VERDICT_BAD_TIME] = {"bad-time", VERDICT_CLASS_VERIFY,
        "The response carries a malformed time; tell the CA."},
    [VERDICT_NOT_YET_VALID] = {"not-yet-valid", VERDICT_CLASS_VERIFY,
        "Check this host's clock; if it is right, the CA's runs ahead."},
    [VERDICT_TOO_OLD] = {"too-old", VERDICT_CLASS_VERIFY,
        "The response is older than max_age: allows; check this host's clock, "
        "or raise max_age:."},
    [VERDICT_NO_NEXT_UPDATE] = {"no-next-update", VERDICT_CLASS_VERIFY,
        "The response says not how long it is valid; max_age: sets that for a "
        "CA of your own."},
    [VERDICT_EXPIRED] = {"expired", VERDICT_CLASS_VERIFY,
        "The responder, or a cache before it, serves an old response; check "
        "this host's clock, then tell the CA."},
    [VERDICT_LIFE_TOO_SHORT] = {"life-too-short", VERDICT_CLASS_VERIFY,
        "The response, its signer or the certificate ends within minutes; "
        "check this host's clock and the certificate's end."},
    [VERDICT_OLDER_THAN_STORED] = {"older-than-stored", VERDICT_CLASS_VERIFY,
        "A cache serves an older response than the one held; this mends "
        "itself, else tell the CA."},
};

const char *
verdict_word(enum verdict verdict)
{
    if ((unsigned)verdict >= VERDICT_COUNT)
        return verdicts[VERDICT_NONE].word;
    return verdicts[verdict].word;
}

enum verdict
verdict_parse(const char *word)
{
    if (word == NULL)
        return VERDICT_NONE;
    for (int i = 0; i < VERDICT_COUNT; i++)
        if (strcmp(verdicts[i].word, word) == 0)
            return (enum verdict)i;
    return VERDICT_NONE;
}

enum verdict_class
verdict_class(enum verdict verdict)
{
    if ((unsigned)verdict >= VERDICT_COUNT)
        return VERDICT_CLASS_NONE;
    return verdicts[verdict].class;
}

const char *
verdict_mend(enum verdict verdict)
{
    if ((unsigned)verdict >= VERDICT_COUNT)
        return NULL;
    return verdicts[verdict].mend;
}
