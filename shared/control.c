/*
 * JSON lines: bytes of a unix socket -> objects, and back.
 * Input: whatever a client of the admin socket sends. Output: one JSON object
 * per line, or why a line is none.
 */
#include "shared/control.h"

#include <string.h>

/* A line of the full length, its end, and as much of the next. */
enum { READER_MAX = 2 * CONTROL_LINE_MAX + 1 };

void
control_reader_init(struct control_reader *reader)
{
    buf_init(&reader->bytes, READER_MAX);
    reader->scanned = 0;
}

void
control_reader_fini(struct control_reader *reader)
{
    buf_fini(&reader->bytes);
    reader->scanned = 0;
}

/* Length of what stands behind the last newline. */
static size_t
open_line(struct span bytes)
{
    const unsigned char *last =
        bytes.len == 0 ? NULL : memrchr(bytes.data, '\n', bytes.len);

    return last == NULL ? bytes.len
                        : bytes.len - (size_t)(last - bytes.data) - 1;
}

bool
control_reader_feed(
    struct control_reader *reader, struct span bytes, struct err *err)
{
    size_t line = open_line(bytes);

    if (line == bytes.len) /* it goes on with the line that lies there */
        line += open_line(buf_span(&reader->bytes));
    if (line > CONTROL_LINE_MAX || bytes.len > READER_MAX - reader->bytes.len)
        return err_set(
            err, ERR_LIMIT, "line longer than %d bytes", CONTROL_LINE_MAX);
    if (!buf_add(&reader->bytes, bytes))
        return err_memory(err);
    return true;
}

static bool
parse(struct span line, json_t **out, struct err *err)
{
    json_error_t why;
    json_t *root;

    if (line.len > CONTROL_LINE_MAX)
        return err_set(
            err, ERR_FORMAT, "line longer than %d bytes", CONTROL_LINE_MAX);
    root = json_loadb(
        (const char *)line.data, line.len, JSON_REJECT_DUPLICATES, &why);
    if (root == NULL)
        return err_set(err, ERR_FORMAT, "not JSON: %s", why.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return err_set(err, ERR_FORMAT, "not a JSON object");
    }
    *out = root;
    return true;
}

/* The next line that is not blank, at the front of the bytes; *used is its
 * length with its end. */
static bool
next_line(struct control_reader *reader, struct span *line, size_t *used)
{
    for (;;) {
        struct span all = buf_span(&reader->bytes);
        size_t at =
            reader->scanned + span_find(span_from(all, reader->scanned), '\n');

        if (at == all.len) {
            reader->scanned = all.len;
            return false;
        }
        *line = span_sub(all, 0, at);
        if (line->len > 0 && line->data[line->len - 1] == '\r')
            line->len--;
        *line = span_trim(*line);
        *used = at + 1;
        reader->scanned = 0;
        if (line->len > 0)
            return true;
        buf_consume(&reader->bytes, *used);
    }
}

bool
control_reader_next(
    struct control_reader *reader, json_t **out, struct err *err)
{
    struct span line;
    size_t used;
    bool ok;

    if (!next_line(reader, &line, &used)) {
        *out = NULL;
        return true;
    }
    ok = parse(line, out, err);
    buf_consume(&reader->bytes, used);
    return ok;
}

static int
on_dump(const char *bytes, size_t len, void *ctx)
{
    return buf_add(ctx, span_make(bytes, len)) ? 0 : -1;
}

bool
control_write(struct buf *out, const json_t *object, struct err *err)
{
    size_t before = out->len;

    if (!json_is_object(object))
        return err_set(err, ERR_FORMAT, "not a JSON object");
    if (json_dump_callback(object, on_dump, out, JSON_COMPACT) == 0 &&
        buf_add_byte(out, '\n'))
        return true;
    out->len = before; /* no half of a line is ever sent */
    return err_set(
        err, ERR_LIMIT, "answer does not fit into %zu bytes", out->max);
}
