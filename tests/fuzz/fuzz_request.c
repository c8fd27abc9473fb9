/*
 * Fuzz target: a CertID and a responder's URL -> request and GET URL. OpenSSL
 * must read the request back; the URL must keep its limit and its characters.
 * Input: libFuzzer. Output: a crash, or nothing.
 */
#include "ocspd/request.h"

#include <openssl/ocsp.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Bytes 0..2: digest, length of the hashes, length of the serial; then as many
 * bytes of serial; the rest is the URL. */
static int
take_ids(struct span *in, struct cert_ids *ids)
{
    static const int nids[] = {NID_sha1, NID_sha256, NID_sha384, NID_md5};
    unsigned pick = in->data[0] % 4;
    struct cert_id_hashes *hashes = &ids->by_digest[pick % CERT_ID_DIGESTS];
    struct span serial = span_sub(*in, 3, in->data[2]);

    hashes->digest_nid = nids[pick];
    hashes->hash_len = in->data[1];
    ids->serial_len = (unsigned)serial.len;
    for (size_t i = 0; i < serial.len && i < CERT_SERIAL_MAX; i++)
        ids->serial[i] = serial.data[i];
    *in = span_from(*in, 3 + serial.len);
    return nids[pick];
}

static void
check_der(struct span der)
{
    const unsigned char *p = der.data;
    OCSP_REQUEST *req = d2i_OCSP_REQUEST(NULL, &p, (long)der.len);

    /* A serial is content as it came: OpenSSL refuses needless zeros. */
    if (req != NULL && p != der.data + der.len)
        abort();
    if (der.len > REQUEST_DER_MAX)
        abort();
    OCSP_REQUEST_free(req);
}

static void
check_url(const char *base, struct span der)
{
    struct buf url;

    buf_init(&url, 4096);
    if (request_get_url(base, der, &url, NULL)) {
        if (url.len > REQUEST_GET_URL_MAX)
            abort();
    } else if (url.len != 0) {
        abort();
    }
    buf_fini(&url);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cert_ids ids = {0};
    struct span in = span_make(data, size);
    char base[512];
    struct buf der;
    int nid = 0;

    if (size < 3)
        return 0;
    nid = take_ids(&in, &ids);
    buf_init(&der, REQUEST_DER_MAX);
    if (request_write(&ids, nid, &der, NULL))
        check_der(buf_span(&der));
    else if (der.len != 0)
        abort();
    if (span_to_cstr(in, base, sizeof(base)))
        check_url(base, buf_span(&der));
    buf_fini(&der);
    return 0;
}
