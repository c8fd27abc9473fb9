/*
 * http_parse: requests and responses fed whole and in pieces give the same
 * events; what is accepted can be written, and reads as the same again.
 * Input: one byte that chooses the kind and the pieces, then the message.
 * Output: abort() when that is not so.
 */
#include "wsgate/http/http_parse.h"
#include "wsgate/http/http_write.h"

#include <stdlib.h>

enum { TRANSCRIPT_MAX = 1 << 24 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct feeder {
    struct http_parser *parser;
    struct buf out;
    bool in_body;
};

static void
add_fields(struct buf *out, const struct http_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        buf_add(out, fields->items[i].name);
        buf_add_byte(out, '=');
        buf_add(out, fields->items[i].value);
        buf_add_byte(out, '\n');
    }
}

/* A request for a backend must be read there as the one that came. */
static void
check_rewritten(const struct http_request *head)
{
    static const struct http_peer peer = {
        .client = "192.0.2.1", .host = "a", .port = 443};
    struct http_framing framing = {.body = head->body, .length = head->length};
    struct http_limits limits = {1 << 20, 1000, 1 << 20};
    struct http_parser *again = http_parser_new_request(&limits);
    const struct http_request *read;
    struct span data;
    struct buf out;
    size_t eaten = 0;

    buf_init(&out, TRANSCRIPT_MAX);
    if (!http_write_request(&out, head, &peer, &framing, false, true))
        abort();
    if (http_parser_feed(again, buf_span(&out), &eaten, &data, NULL) !=
            HTTP_EVENT_HEAD ||
        eaten != out.len)
        abort();
    read = http_parser_request(again);
    if (!span_eq(read->path, head->path) ||
        !span_eq(read->query, head->query) || read->body != head->body ||
        read->length != head->length || read->is_upgrade ||
        (head->host.len > 0 && !span_eq(read->host, head->host)))
        abort();
    buf_fini(&out);
    http_parser_free(again);
}

static void
add_head(struct feeder *f)
{
    const struct http_request *q = http_parser_request(f->parser);
    const struct http_response *r = http_parser_response(f->parser);

    if (q != NULL) {
        buf_add_fmt(&f->out, "%d %d %d %u %d %d %llu ", (int)q->keep_alive,
            (int)q->is_upgrade, (int)q->expects_continue, q->minor,
            (int)q->method, (int)q->body, (unsigned long long)q->length);
        buf_add(&f->out, q->path);
        buf_add_byte(&f->out, ' ');
        buf_add(&f->out, q->host);
        add_fields(&f->out, &q->fields);
        check_rewritten(q);
    } else {
        buf_add_fmt(&f->out, "%u %d %u %d %llu ", r->status, (int)r->keep_alive,
            r->minor, (int)r->body, (unsigned long long)r->length);
        buf_add(&f->out, r->reason);
        add_fields(&f->out, &r->fields);
    }
}

static void
add_event(struct feeder *f, enum http_event event, struct span data)
{
    if (event == HTTP_EVENT_BODY) {
        if (!f->in_body)
            buf_add_str(&f->out, "body ");
        buf_add(&f->out, data);
    }
    f->in_body = event == HTTP_EVENT_BODY;
    if (event == HTTP_EVENT_HEAD)
        add_head(f);
    if (event == HTTP_EVENT_END) {
        buf_add_str(&f->out, "\nend\n");
        add_fields(&f->out, http_parser_trailers(f->parser));
    }
    if (event == HTTP_EVENT_ERROR)
        buf_add_fmt(&f->out, "\nerror %u\n", http_parser_status(f->parser));
}

static bool
feed_piece(struct feeder *f, struct span piece)
{
    for (;;) {
        struct span data = SPAN_EMPTY;
        size_t eaten = 0;
        const struct http_response *r = http_parser_response(f->parser);
        enum http_event event =
            http_parser_feed(f->parser, piece, &eaten, &data, NULL);

        if (eaten > piece.len)
            abort();
        piece = span_from(piece, eaten);
        if (event == HTTP_EVENT_MORE && piece.len > 0)
            abort();
        if (event == HTTP_EVENT_MORE)
            return true;
        add_event(f, event, data);
        if (event == HTTP_EVENT_ERROR ||
            (event == HTTP_EVENT_END && r != NULL && r->status == 101))
            return false;
    }
}

/* kind: bit 0 response, bit 1 to HEAD, bit 2 upgrade; the rest: piece size. */
static struct feeder
feed_all(uint8_t kind, struct span in, size_t step)
{
    struct feeder f = {.in_body = false};

    f.parser = (kind & 1) != 0 ? http_parser_new_response(NULL)
                               : http_parser_new_request(NULL);
    buf_init(&f.out, TRANSCRIPT_MAX);
    http_parser_expect(
        f.parser, (kind & 2) != 0 ? HTTP_HEAD : HTTP_GET, (kind & 4) != 0);
    for (size_t at = 0; at < in.len; at += step)
        if (!feed_piece(&f, span_sub(in, at, step)))
            return f;
    add_event(&f, http_parser_eof(f.parser, NULL), SPAN_EMPTY);
    return f;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_from(span_make(data, size), 1);
    struct feeder whole;
    struct feeder split;

    if (size < 2)
        return 0;
    whole = feed_all(data[0], in, in.len);
    split = feed_all(data[0], in, 1 + data[0] / 8);
    if (!span_eq(buf_span(&whole.out), buf_span(&split.out)))
        abort();
    http_parser_free(whole.parser);
    http_parser_free(split.parser);
    buf_fini(&whole.out);
    buf_fini(&split.out);
    return 0;
}
