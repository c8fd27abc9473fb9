/*
 * FastCGI 1.0 records to bytes and back (the numbers of sections are those of
 * the FastCGI specification).
 * Input: parameters and bodies; an application's bytes. Output: records; data.
 */
#include "wsgate/backend/fcgi_record.h"

enum {
    FCGI_VERSION = 1,
    FCGI_ROLE_RESPONDER = 1,
    FCGI_SHORT_MAX = 127, /* 3.4: lengths above take four bytes */
    FCGI_LONG_MAX = 0x7fffffff
};

/* ---- writing ------------------------------------------------------------- */

static bool
write_header(struct buf *out, enum fcgi_type type, size_t len)
{
    const unsigned char header[FCGI_HEADER_SIZE] = {FCGI_VERSION,
        (unsigned char)type, 0, FCGI_ID, (unsigned char)(len >> 8),
        (unsigned char)len, 0, 0};

    return buf_add(out, span_make(header, sizeof(header)));
}

bool
fcgi_write_begin(struct buf *out)
{
    /* 5.1: role, then flags; without KEEP_CONN the application closes. */
    static const unsigned char body[8] = {0, FCGI_ROLE_RESPONDER};

    return write_header(out, FCGI_BEGIN_REQUEST, sizeof(body)) &&
           buf_add(out, span_make(body, sizeof(body)));
}

bool
fcgi_write_stream(struct buf *out, enum fcgi_type type, struct span bytes)
{
    if (bytes.len == 0)
        return write_header(out, type, 0);
    while (bytes.len > 0) {
        struct span part = span_sub(bytes, 0, FCGI_CONTENT_MAX);

        if (!write_header(out, type, part.len) || !buf_add(out, part))
            return false;
        bytes = span_from(bytes, part.len);
    }
    return true;
}

static bool
write_length(struct buf *out, size_t len)
{
    const unsigned char bytes[4] = {(unsigned char)(0x80 | len >> 24),
        (unsigned char)(len >> 16), (unsigned char)(len >> 8),
        (unsigned char)len};

    if (len <= FCGI_SHORT_MAX)
        return buf_add_byte(out, (unsigned char)len);
    return len <= FCGI_LONG_MAX && buf_add(out, span_make(bytes, 4));
}

bool
fcgi_write_pair(struct buf *out, struct span name, struct span value)
{
    return write_length(out, name.len) && write_length(out, value.len) &&
           buf_add(out, name) && buf_add(out, value);
}

/* ---- reading ------------------------------------------------------------- */

static bool
read_length(struct span *rest, size_t *len)
{
    const unsigned char *at = rest->data;

    if (rest->len == 0)
        return false;
    if (at[0] <= FCGI_SHORT_MAX) {
        *len = at[0];
        *rest = span_from(*rest, 1);
        return true;
    }
    if (rest->len < 4)
        return false;
    *len = (size_t)(at[0] & 0x7f) << 24 | (size_t)at[1] << 16 |
           (size_t)at[2] << 8 | at[3];
    *rest = span_from(*rest, 4);
    return true;
}

bool
fcgi_read_pair(struct span *rest, struct span *name, struct span *value)
{
    struct span left = *rest;
    size_t name_len;
    size_t value_len;

    if (!read_length(&left, &name_len) || !read_length(&left, &value_len) ||
        name_len > left.len || value_len > left.len - name_len)
        return false;
    *name = span_sub(left, 0, name_len);
    *value = span_sub(left, name_len, value_len);
    *rest = span_from(left, name_len + value_len);
    return true;
}

static unsigned
header_u16(const struct fcgi_reader *reader, size_t at)
{
    return (unsigned)reader->header[at] << 8 | reader->header[at + 1];
}

/* Is this a record that an application may send (3.3, 8)? */
static bool
check_header(const struct fcgi_reader *reader, struct err *err)
{
    unsigned type = reader->header[1];
    unsigned id = header_u16(reader, 2);

    if (reader->header[0] != FCGI_VERSION)
        return err_set(
            err, ERR_FORMAT, "not FastCGI: version %u", reader->header[0]);
    if (id == 0)
        return true; /* 4: management records, which we did not ask for */
    if (id != FCGI_ID)
        return err_set(err, ERR_FORMAT, "FastCGI record of request %u", id);
    if (type != FCGI_STDOUT && type != FCGI_STDERR && type != FCGI_END_REQUEST)
        return err_set(err, ERR_FORMAT, "FastCGI record of type %u", type);
    if (type == FCGI_END_REQUEST && reader->content_left < 8)
        return err_set(err, ERR_FORMAT, "FastCGI end record is too short");
    return true;
}

/* False: the header is no good. */
static bool
read_header(
    struct fcgi_reader *reader, struct span in, size_t *eaten, struct err *err)
{
    struct span part = span_sub(in, 0, FCGI_HEADER_SIZE - reader->header_len);

    if (part.len > 0)
        memcpy(reader->header + reader->header_len, part.data, part.len);
    reader->header_len += part.len;
    *eaten += part.len;
    if (reader->header_len < FCGI_HEADER_SIZE)
        return true;
    reader->content_left = header_u16(reader, 4);
    reader->padding_left = reader->header[6];
    reader->end_len = 0;
    return check_header(reader, err);
}

static enum fcgi_event
read_end(struct fcgi_reader *reader, struct span part)
{
    part = span_sub(part, 0, sizeof(reader->end) - reader->end_len);
    if (part.len > 0)
        memcpy(reader->end + reader->end_len, part.data, part.len);
    reader->end_len += part.len;
    if (reader->end_len < sizeof(reader->end) || part.len == 0)
        return FCGI_EVENT_MORE;
    reader->app_status = (uint32_t)reader->end[0] << 24 |
                         (uint32_t)reader->end[1] << 16 |
                         (uint32_t)reader->end[2] << 8 | reader->end[3];
    reader->protocol_status = reader->end[4];
    return FCGI_EVENT_END;
}

/* Bytes of the present record's content. */
static enum fcgi_event
read_content(struct fcgi_reader *reader, struct span in, size_t *eaten,
    struct span *data)
{
    struct span part = span_sub(in, 0, reader->content_left);

    reader->content_left -= part.len;
    *eaten += part.len;
    if (header_u16(reader, 2) != FCGI_ID)
        return FCGI_EVENT_MORE;
    if (reader->header[1] == FCGI_END_REQUEST)
        return read_end(reader, part);
    *data = part;
    return reader->header[1] == FCGI_STDOUT ? FCGI_EVENT_STDOUT
                                            : FCGI_EVENT_STDERR;
}

static void
skip_padding(struct fcgi_reader *reader, struct span in, size_t *eaten)
{
    struct span part = span_sub(in, 0, reader->padding_left);

    reader->padding_left -= part.len;
    *eaten += part.len;
    if (reader->padding_left == 0)
        reader->header_len = 0;
}

enum fcgi_event
fcgi_read(struct fcgi_reader *reader, struct span in, size_t *eaten,
    struct span *data, struct err *err)
{
    enum fcgi_event event = FCGI_EVENT_MORE;

    *eaten = 0;
    while (event == FCGI_EVENT_MORE && *eaten < in.len) {
        if (reader->header_len < FCGI_HEADER_SIZE) {
            if (!read_header(reader, span_from(in, *eaten), eaten, err))
                return FCGI_EVENT_ERROR;
        } else if (reader->content_left > 0) {
            event = read_content(reader, span_from(in, *eaten), eaten, data);
        } else {
            skip_padding(reader, span_from(in, *eaten), eaten);
        }
        /* A record without content and padding is over with its header. */
        if (reader->header_len == FCGI_HEADER_SIZE &&
            reader->content_left == 0 && reader->padding_left == 0)
            reader->header_len = 0;
    }
    return event;
}

const char *
fcgi_protocol_word(uint8_t protocol_status)
{
    switch (protocol_status) {
    case 0:
        return "complete";
    case 1:
        return "cannot multiplex";
    case 2:
        return "overloaded";
    case 3:
        return "unknown role";
    }
    return "unknown status";
}
