/*
 * Any bytes as a FastCGI application's output, in two splits, and the CGI head
 * in it; any bytes as parameters.
 * Input: the fuzzer, seeded from corpus/fcgi_record. Output: a crash, or not.
 */
#include "wsgate/backend/cgi_head.h"
#include "wsgate/backend/fcgi_record.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
    struct buf out;
    struct buf errors;
    unsigned ends;
    bool has_failed;
};

static void
take(struct result *result, enum fcgi_event event, struct span data)
{
    switch (event) {
    case FCGI_EVENT_MORE:
        break;
    case FCGI_EVENT_STDOUT:
        assert(data.len > 0 && buf_add(&result->out, data));
        break;
    case FCGI_EVENT_STDERR:
        assert(data.len > 0 && buf_add(&result->errors, data));
        break;
    case FCGI_EVENT_END:
        result->ends++;
        break;
    case FCGI_EVENT_ERROR:
        result->has_failed = true;
        break;
    }
}

static void
read_all(struct span in, size_t step, struct result *result)
{
    struct fcgi_reader reader = {0};

    *result = (struct result){.ends = 0};
    buf_init(&result->out, in.len);
    buf_init(&result->errors, in.len);
    for (size_t at = 0; at < in.len && !result->has_failed; at += step) {
        struct span part = span_sub(in, at, step);

        while (part.len > 0 && !result->has_failed) {
            struct span data = SPAN_EMPTY;
            struct err err = {0};
            size_t eaten;
            enum fcgi_event event =
                fcgi_read(&reader, part, &eaten, &data, &err);

            assert(eaten <= part.len);
            assert(eaten > 0 || event == FCGI_EVENT_ERROR);
            assert(event != FCGI_EVENT_ERROR || err.text[0] != 0);
            take(result, event, data);
            part = span_from(part, eaten);
        }
    }
}

static void
forget(struct result *result)
{
    buf_fini(&result->out);
    buf_fini(&result->errors);
}

static void
read_head(struct span in)
{
    size_t len = cgi_head_find_end(in, 0);
    struct http_response head;
    struct err err = {0};

    assert(len <= in.len);
    if (len == 0)
        return;
    http_response_init(&head);
    if (cgi_head_parse(span_sub(in, 0, len), HTTP_GET, &head, &err))
        assert(head.status >= 200 && head.status <= 599);
    else
        assert(err.text[0] != 0);
    http_response_fini(&head);
}

static void
read_pairs(struct span in)
{
    struct span name;
    struct span value;
    struct buf out;
    struct span rest = in;

    buf_init(&out, 4 * in.len + 8);
    while (fcgi_read_pair(&rest, &name, &value))
        assert(fcgi_write_pair(&out, name, value));
    buf_fini(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_make(data, size);
    struct result whole;
    struct result parts;

    read_all(in, size + 1, &whole);
    read_all(in, 1, &parts);
    assert(span_eq(buf_span(&whole.out), buf_span(&parts.out)));
    assert(span_eq(buf_span(&whole.errors), buf_span(&parts.errors)));
    assert(whole.ends == parts.ends);
    assert(whole.has_failed == parts.has_failed);
    read_head(buf_span(&whole.out));
    read_head(in);
    read_pairs(in);
    forget(&whole);
    forget(&parts);
    return 0;
}
