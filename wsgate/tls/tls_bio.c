/*
 * OpenSSL's end of the wire.
 * Input: ciphertext that a stream has just read. Output: the lower stream.
 */
#include "wsgate/tls/tls_bio.h"

#include <limits.h>
#include <string.h>

static int
wire_read(BIO *bio, char *out, size_t size, size_t *got)
{
    struct tls_wire *wire = BIO_get_data(bio);
    size_t n = size < wire->in.len ? size : wire->in.len;

    BIO_clear_retry_flags(bio);
    if (n == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(out, wire->in.data, n);
    wire->in = span_from(wire->in, n);
    *got = n;
    return 1;
}

static int
wire_write(BIO *bio, const char *data, size_t len, size_t *written)
{
    struct tls_wire *wire = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    stream_write(wire->lower, span_make(data, len));
    *written = len;
    return 1;
}

/* Flush is the loop's business: the output of a turn leaves at its end. */
static long
wire_ctrl(BIO *bio, int command, long number, void *arg)
{
    (void)bio;
    (void)number;
    (void)arg;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

/* One method per process: OpenSSL hands its type numbers out once. */
static const BIO_METHOD *
method(void)
{
    static BIO_METHOD *made;
    BIO_METHOD *m;

    if (made != NULL)
        return made;
    m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wire");
    if (m == NULL || BIO_meth_set_read_ex(m, wire_read) != 1 ||
        BIO_meth_set_write_ex(m, wire_write) != 1 ||
        BIO_meth_set_ctrl(m, wire_ctrl) != 1) {
        BIO_meth_free(m);
        return NULL;
    }
    made = m;
    return made;
}

BIO *
tls_bio_new(struct tls_wire *wire)
{
    const BIO_METHOD *m = method();
    BIO *bio = m == NULL ? NULL : BIO_new(m);

    if (bio == NULL)
        return NULL;
    BIO_set_data(bio, wire);
    BIO_set_init(bio, 1);
    return bio;
}
