/*
 * One OCSP response: parsed strictly, matched to a certificate, its times read.
 * Input: DER from a responder, the spool or a client's fuzzing.
 * Output: what it says of the certificate; ocsp_signature.c says whether to
 * believe it.
 */
#include "shared/ocsp_response.h"

#include "shared/ocsp_response_private.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdlib.h>

const char *
ocsp_outer_status_word(long status)
{
    switch (status) {
    case OCSP_OUTER_SUCCESSFUL:
        return "successful";
    case OCSP_OUTER_MALFORMED_REQUEST:
        return "malformedRequest";
    case OCSP_OUTER_INTERNAL_ERROR:
        return "internalError";
    case OCSP_OUTER_TRY_LATER:
        return "tryLater";
    case OCSP_OUTER_SIG_REQUIRED:
        return "sigRequired";
    case OCSP_OUTER_UNAUTHORIZED:
        return "unauthorized";
    default:
        return "unknown status";
    }
}

const char *
ocsp_cert_status_word(enum ocsp_cert_status status)
{
    switch (status) {
    case OCSP_CERT_GOOD:
        return "good";
    case OCSP_CERT_REVOKED:
        return "revoked";
    case OCSP_CERT_UNKNOWN:
        return "unknown";
    }
    return "unknown";
}

const char *
ocsp_reason_word(int reason)
{
    static const char *const words[] = {"unspecified", "keyCompromise",
        "cACompromise", "affiliationChanged", "superseded",
        "cessationOfOperation", "certificateHold", "unspecified",
        "removeFromCRL", "privilegeWithdrawn", "aACompromise"};

    if (reason < 0 || (size_t)reason >= sizeof(words) / sizeof(words[0]))
        return words[0];
    return words[reason]; /* RFC 5280 5.3.1; 7 is not used there */
}

/* ---- parsing --------------------------------------------------------------- */

/*
 * Cuts one DER element with this tag off *rest; *content is what is inside.
 * Definite lengths only: a signed response is DER (RFC 6960 4.2.1).
 */
static bool
cut_element(
    struct span *rest, int tag, int class, int form, struct span *content)
{
    const unsigned char *p = rest->data;
    long len = 0;
    int found_tag = 0, found_class = 0, flags;

    if (rest->len == 0)
        return false;
    flags =
        ASN1_get_object(&p, &len, &found_tag, &found_class, (long)rest->len);
    if (flags != form || found_tag != tag || found_class != class || len < 0)
        return false;
    *content = span_make(p, (size_t)len);
    *rest = span_from(*rest, (size_t)(p - rest->data) + content->len);
    return true;
}

static const unsigned char basic_oid[] = {
    0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01};

/*
 * ResponseBytes -> the octets of the BasicOCSPResponse. We walk there ourselves
 * because OCSP_response_get1_basic() ignores bytes behind it. False: malformed;
 * an empty *octets: another type of response.
 */
static bool
find_basic(struct span der, struct span *octets)
{
    const int seq = V_ASN1_SEQUENCE, uni = V_ASN1_UNIVERSAL,
              con = V_ASN1_CONSTRUCTED;
    struct span outer, status, tagged, inner, oid, bytes;

    if (!cut_element(&der, seq, uni, con, &outer) || der.len > 0 ||
        !cut_element(&outer, V_ASN1_ENUMERATED, uni, 0, &status))
        return false;
    *octets = SPAN_EMPTY;
    if (outer.len == 0)
        return true;
    if (!cut_element(&outer, 0, V_ASN1_CONTEXT_SPECIFIC, con, &tagged) ||
        !cut_element(&tagged, seq, uni, con, &inner) ||
        !cut_element(&inner, V_ASN1_OBJECT, uni, 0, &oid) ||
        !cut_element(&inner, V_ASN1_OCTET_STRING, uni, 0, &bytes) ||
        outer.len + tagged.len + inner.len > 0)
        return false;
    if (span_eq(oid, span_make(basic_oid, sizeof(basic_oid))))
        *octets = bytes;
    return true;
}

static bool
parse_basic(struct span octets, OCSP_BASICRESP **out)
{
    const unsigned char *p = octets.data;
    OCSP_BASICRESP *basic = d2i_OCSP_BASICRESP(NULL, &p, (long)octets.len);

    if (basic == NULL || p != octets.data + octets.len) {
        OCSP_BASICRESP_free(basic);
        return false;
    }
    *out = basic;
    return true;
}

static bool
parse_into(struct span der, struct ocsp_response *resp, struct err *err)
{
    const unsigned char *p = der.data;
    struct span octets;

    resp->outer = d2i_OCSP_RESPONSE(NULL, &p, (long)der.len);
    if (resp->outer == NULL)
        return err_openssl(err, ERR_FORMAT, "not an OCSP response");
    if (p != der.data + der.len)
        return err_set(err, ERR_FORMAT, "%zu bytes behind the OCSP response",
            der.len - (size_t)(p - der.data));
    if (ocsp_response_outer(resp) != OCSP_OUTER_SUCCESSFUL)
        return true;
    if (!find_basic(der, &octets))
        return err_set(err, ERR_FORMAT, "OCSP response is not strict DER");
    if (octets.data != NULL && !parse_basic(octets, &resp->basic))
        return err_openssl(err, ERR_FORMAT, "malformed basic OCSP response");
    return true;
}

bool
ocsp_response_parse(
    struct span der, struct ocsp_response **out, struct err *err)
{
    struct ocsp_response *resp;

    ERR_clear_error(); /* or the report speaks of an older failure */
    if (der.len == 0)
        return err_set(err, ERR_FORMAT, "empty OCSP response");
    if (der.len > OCSP_RESPONSE_MAX)
        return err_set(err, ERR_LIMIT, "OCSP response larger than %d bytes",
            OCSP_RESPONSE_MAX);
    resp = calloc(1, sizeof(*resp));
    if (resp == NULL)
        return err_memory(err);
    if (!parse_into(der, resp, err)) {
        ocsp_response_free(resp);
        return false;
    }
    *out = resp;
    return true;
}

void
ocsp_response_free(struct ocsp_response *resp)
{
    if (resp == NULL)
        return;
    OCSP_BASICRESP_free(resp->basic);
    OCSP_RESPONSE_free(resp->outer);
    free(resp);
}

long
ocsp_response_outer(const struct ocsp_response *resp)
{
    return OCSP_response_status(resp->outer);
}

/* ---- matching -------------------------------------------------------------- */

static const struct cert_id_hashes *
hashes_for(const struct cert_ids *ids, int digest_nid)
{
    for (int i = 0; i < CERT_ID_DIGESTS; i++)
        if (ids->by_digest[i].hash_len > 0 &&
            ids->by_digest[i].digest_nid == digest_nid)
            return &ids->by_digest[i];
    return NULL;
}

static struct span
string_span(const ASN1_STRING *s)
{
    return span_make(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
}

/* All of the CertID counts: the digest, both hashes and the serial. */
static bool
is_ours(const OCSP_SINGLERESP *single, const struct cert_ids *ids, int *nid)
{
    /* OpenSSL's getter takes no const; it changes nothing. */
    OCSP_CERTID *id = (OCSP_CERTID *)(uintptr_t)OCSP_SINGLERESP_get0_id(single);
    ASN1_OCTET_STRING *name, *key;
    ASN1_OBJECT *digest;
    ASN1_INTEGER *number;
    unsigned char serial[CERT_SERIAL_MAX];
    unsigned serial_len;
    const struct cert_id_hashes *mine;

    if (OCSP_id_get0_info(&name, &digest, &key, &number, id) != 1 ||
        !cert_serial_read(number, serial, &serial_len))
        return false;
    *nid = OBJ_obj2nid(digest);
    mine = hashes_for(ids, *nid);
    return mine != NULL &&
           span_eq(
               string_span(name), span_make(mine->name_hash, mine->hash_len)) &&
           span_eq(
               string_span(key), span_make(mine->key_hash, mine->hash_len)) &&
           span_eq(span_make(serial, serial_len),
               span_make(ids->serial, ids->serial_len));
}

/*
 * RFC 9919: a GeneralizedTime, exactly YYYYMMDDHHMMSSZ. OpenSSL 3.0 lets an
 * expired nextUpdate written with a fraction or "+0000" pass, so OpenSSL is not
 * asked.
 */
static bool
read_time(const ASN1_GENERALIZEDTIME *time, int64_t *out)
{
    return time != NULL && ASN1_STRING_type(time) == V_ASN1_GENERALIZEDTIME &&
           cert_time_read(time, out);
}

static bool
read_single(OCSP_SINGLERESP *single, struct ocsp_single *out)
{
    ASN1_GENERALIZEDTIME *revoked = NULL, *this_update = NULL,
                         *next_update = NULL;
    int reason = -1;
    int status = OCSP_single_get0_status(
        single, &reason, &revoked, &this_update, &next_update);

    out->revoked_reason = -1;
    out->status = OCSP_CERT_UNKNOWN;
    if (status == V_OCSP_CERTSTATUS_GOOD)
        out->status = OCSP_CERT_GOOD;
    if (status == V_OCSP_CERTSTATUS_REVOKED) {
        out->status = OCSP_CERT_REVOKED;
        out->revoked_reason = reason;
        if (!read_time(revoked, &out->revoked_at))
            return false;
    }
    if (next_update != NULL && !read_time(next_update, &out->next_update))
        return false;
    return read_time(this_update, &out->this_update);
}

static bool
is_same_answer(const struct ocsp_single *a, const struct ocsp_single *b)
{
    return a->status == b->status && a->this_update == b->this_update &&
           a->next_update == b->next_update && a->revoked_at == b->revoked_at &&
           a->revoked_reason == b->revoked_reason;
}

/* RFC 6960 4.4: an extension that is critical and not known is a refusal; we
 * ask for none, so we know none. */
static bool
has_critical(OCSP_BASICRESP *basic, OCSP_SINGLERESP *single)
{
    return OCSP_SINGLERESP_get_ext_by_critical(single, 1, -1) >= 0 ||
           OCSP_BASICRESP_get_ext_by_critical(basic, 1, -1) >= 0;
}

static enum ocsp_match
merge(enum ocsp_match so_far, const struct ocsp_single *single,
    struct ocsp_single *out)
{
    if (so_far == OCSP_MATCH_NONE) {
        *out = *single;
        return OCSP_MATCH_ONE;
    }
    if (so_far == OCSP_MATCH_ONE && is_same_answer(single, out))
        return OCSP_MATCH_ONE;
    if (single->status == OCSP_CERT_REVOKED)
        *out = *single;
    return OCSP_MATCH_CONFLICT;
}

static enum ocsp_match
scan(OCSP_BASICRESP *basic, const struct cert_ids *ids, struct ocsp_single *out,
    struct err *err)
{
    enum ocsp_match match = OCSP_MATCH_NONE;
    const char *why = "no answer for this certificate in the response";

    /* Every one is looked at: OCSP_resp_find_status() takes the first and only
     * one digest. */
    for (int i = 0; i < OCSP_resp_count(basic); i++) {
        OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
        struct ocsp_single found = {.produced_at = out->produced_at};

        if (!is_ours(single, ids, &found.digest_nid))
            continue;
        if (has_critical(basic, single)) {
            why = "critical extension in the response";
            continue;
        }
        if (!read_single(single, &found)) {
            (void)err_set(err, ERR_FORMAT,
                "a time in the response is not written YYYYMMDDHHMMSSZ");
            return OCSP_MATCH_BAD_TIME;
        }
        match = merge(match, &found, out);
    }
    if (match == OCSP_MATCH_NONE)
        (void)err_set(err, ERR_REJECTED, "%s", why);
    if (match == OCSP_MATCH_CONFLICT)
        (void)err_set(err, ERR_REJECTED,
            "the response answers twice for this certificate and differs");
    return match;
}

enum ocsp_match
ocsp_response_match(const struct ocsp_response *resp,
    const struct cert_ids *ids, struct ocsp_single *out, struct err *err)
{
    struct ocsp_single found = {0};
    enum ocsp_match match;

    if (resp->basic == NULL) {
        (void)err_set(err, ERR_REJECTED, "no basic response inside: %s",
            ocsp_outer_status_word(ocsp_response_outer(resp)));
        return OCSP_MATCH_NOT_BASIC;
    }
    if (!read_time(
            OCSP_resp_get0_produced_at(resp->basic), &found.produced_at)) {
        (void)err_set(
            err, ERR_FORMAT, "producedAt is not written YYYYMMDDHHMMSSZ");
        return OCSP_MATCH_BAD_TIME;
    }
    match = scan(resp->basic, ids, &found, err);
    ERR_clear_error();
    if (match == OCSP_MATCH_ONE || match == OCSP_MATCH_CONFLICT)
        *out = found;
    return match;
}

/* ---- all of it -------------------------------------------------------------- */

static bool
check_times(const struct ocsp_single *single, int64_t at, struct err *err)
{
    if (single->next_update == 0)
        return err_set(err, ERR_REJECTED, "no nextUpdate");
    if (single->this_update > at + OCSP_SKEW_S)
        return err_set(err, ERR_REJECTED,
            "thisUpdate is in the future: is this host's clock right?");
    if (single->produced_at > at + OCSP_SKEW_S)
        return err_set(err, ERR_REJECTED,
            "producedAt is in the future: is this host's clock right?");
    if (single->next_update <= single->this_update)
        return err_set(err, ERR_REJECTED, "nextUpdate before thisUpdate");
    if (single->next_update <= at) /* no skew here: clients grant none */
        return err_set(err, ERR_REJECTED, "expired");
    return true;
}

static bool
check_usable(const struct ocsp_response *resp, const struct cert_ids *ids,
    const struct ocsp_trust *trust, int64_t at, struct ocsp_single *single,
    int64_t *valid_until, struct err *err)
{
    struct ocsp_signer signer;

    if (ocsp_response_outer(resp) != OCSP_OUTER_SUCCESSFUL)
        return err_set(err, ERR_REJECTED, "the responder said %s",
            ocsp_outer_status_word(ocsp_response_outer(resp)));
    if (ocsp_response_match(resp, ids, single, err) != OCSP_MATCH_ONE)
        return false;
    if (single->status == OCSP_CERT_UNKNOWN)
        return err_set(err, ERR_REJECTED, "status unknown");
    if (!check_times(single, at, err) ||
        ocsp_response_check_signature(resp, trust, at, &signer, err) !=
            OCSP_SIGNATURE_OK)
        return false;
    *valid_until = single->next_update < signer.not_after ? single->next_update
                                                          : signer.not_after;
    return true;
}

bool
ocsp_response_usable(struct span der, const struct cert_ids *ids,
    const struct ocsp_trust *trust, int64_t at, struct ocsp_single *single,
    int64_t *valid_until, struct err *err)
{
    struct ocsp_response *resp = NULL;
    struct ocsp_single found;
    bool ok;

    if (!ocsp_response_parse(der, &resp, err))
        return false;
    ok = check_usable(resp, ids, trust, at, &found, valid_until, err);
    if (ok)
        *single = found;
    ocsp_response_free(resp);
    return ok;
}
