/*
 * The parser: screens lines and chunks, lets llhttp read them, gives events.
 * Input: bytes from a client or backend. Output: heads, body bytes, ends.
 */
#include "wsgate/http/http_parse.h"

#include "wsgate/http/http_headers.h"
#include "wsgate/http/http_parse_check.h"
#include "wsgate/http/http_parse_chunks.h"
#include "wsgate/http/http_parse_lines.h"
#include "wsgate/http/http_parse_llhttp.h"

#include <stdlib.h>

const struct http_limits http_limits_default = {
    .head_max = 32 * 1024, .field_max = 100, .target_max = 8 * 1024};

enum {
    /* RFC 9112 2.2: at least one empty line before a request is ignored; two,
       because some clients end a form with a stray one. */
    HTTP_SKIP_MAX = 2,
    /* Longest method and version, with their spaces. */
    HTTP_LINE_REST = 32,
};

enum phase {
    PHASE_START, /* between two messages */
    PHASE_HEAD,
    PHASE_LENGTH,
    PHASE_CHUNKS,
    PHASE_TRAILER,
    PHASE_CLOSE, /* body until close */
    PHASE_END, /* complete, not yet told */
    PHASE_TUNNEL,
    PHASE_ERROR,
    PHASES
};

struct http_parser {
    bool is_response;
    enum phase phase;
    struct http_limits limits;
    struct http_parse_llhttp *llhttp;
    struct http_parse_lines lines; /* of the head, then of the trailer */
    struct http_parse_start start;
    struct http_parse_chunks chunks;
    union {
        struct http_request request;
        struct http_response response;
    };
    struct buf trailer_arena;
    struct http_fields trailers;
    unsigned skipped;
    uint64_t left; /* PHASE_LENGTH */
    size_t seen; /* body bytes llhttp told of in this run */
    bool is_complete; /* llhttp says so */
    unsigned status;
    enum http_method method; /* of the request this answers */
    bool upgrade;
};

/* ---- what llhttp tells --------------------------------------------------- */

static struct buf *
arena(struct http_parser *p)
{
    return p->is_response ? &p->response.arena : &p->request.arena;
}

static struct http_fields *
head_fields(struct http_parser *p)
{
    return p->is_response ? &p->response.fields : &p->request.fields;
}

static bool
on_field(void *owner, struct span name, struct span value)
{
    struct http_parser *p = owner;

    return http_fields_add(
        p->phase == PHASE_TRAILER ? &p->trailers : head_fields(p), name,
        span_trim(value));
}

static enum http_parse_verdict
on_head(void *owner)
{
    struct http_parser *p = owner;

    if (p->is_response &&
        http_parse_check_is_bodyless(p->method, p->start.status))
        return HTTP_PARSE_NO_BODY;
    return HTTP_PARSE_HAS_BODY;
}

static void
on_body(void *owner, struct span data)
{
    struct http_parser *p = owner;

    p->seen += data.len;
}

static void
on_end(void *owner)
{
    struct http_parser *p = owner;

    p->is_complete = true;
}

static const struct http_parse_hooks hooks = {
    on_field, on_head, on_body, on_end};

/* ---- life ---------------------------------------------------------------- */

static struct http_parser *
new_parser(const struct http_limits *limits, bool is_response)
{
    struct http_parser *p = calloc(1, sizeof(*p));

    if (p == NULL)
        return NULL;
    p->is_response = is_response;
    p->limits = limits == NULL ? http_limits_default : *limits;
    p->status = 400;
    if (is_response)
        http_response_init(&p->response);
    else
        http_request_init(&p->request);
    /* The head, and of its parts path and host once more. */
    arena(p)->max = 3 * p->limits.head_max;
    buf_init(&p->trailer_arena, p->limits.head_max);
    p->llhttp = http_parse_llhttp_new(&hooks, p, is_response);
    if (p->llhttp == NULL) {
        http_parser_free(p);
        return NULL;
    }
    return p;
}

struct http_parser *
http_parser_new_request(const struct http_limits *limits)
{
    return new_parser(limits, false);
}

struct http_parser *
http_parser_new_response(const struct http_limits *limits)
{
    return new_parser(limits, true);
}

void
http_parser_free(struct http_parser *p)
{
    if (p == NULL)
        return;
    if (p->is_response)
        http_response_fini(&p->response);
    else
        http_request_fini(&p->request);
    buf_fini(&p->trailer_arena);
    free(p->trailers.items);
    http_parse_llhttp_free(p->llhttp);
    free(p);
}

static void
begin_lines(struct http_parser *p)
{
    size_t first_max = p->is_response ? p->limits.head_max
                                      : p->limits.target_max + HTTP_LINE_REST;

    http_parse_lines_init(&p->lines, arena(p), p->limits.head_max, first_max);
}

/* Keeps the memory of the last head for the next one. */
static void
begin_message(struct http_parser *p)
{
    struct http_fields fields = *head_fields(p);
    struct buf bytes = *arena(p);

    buf_clear(&bytes);
    fields.count = 0;
    if (p->is_response)
        p->response = (struct http_response){.arena = bytes, .fields = fields};
    else
        p->request = (struct http_request){.arena = bytes, .fields = fields};
    buf_clear(&p->trailer_arena);
    p->trailers.count = 0;
    p->skipped = 0;
    p->is_complete = false;
    http_parse_llhttp_begin(p->llhttp);
    begin_lines(p);
    p->phase = PHASE_HEAD;
}

/* ---- errors -------------------------------------------------------------- */

static enum http_event
fail(struct http_parser *p, unsigned status)
{
    p->phase = PHASE_ERROR;
    p->status = status;
    return HTTP_EVENT_ERROR;
}

/* Screened bytes for llhttp; an answer other than ours is a refusal. */
static bool
confirm(struct http_parser *p, struct span bytes, size_t body, bool complete,
    struct err *err)
{
    p->seen = 0;
    if (!http_parse_llhttp_run(p->llhttp, bytes, err))
        return false;
    if (p->seen != body || p->is_complete != complete)
        return err_set(err, ERR_FORMAT, "message ends in two places");
    return true;
}

/* ---- head ---------------------------------------------------------------- */

static bool
read_request(struct http_parser *p, struct err *err)
{
    struct http_request *head = &p->request;
    struct span block = buf_span(&head->arena);

    head->method = p->start.method;
    head->minor = p->start.minor;
    head->method_text = span_sub(block, 0, p->start.method_len);
    head->target =
        span_sub(block, p->start.method_len + 1, p->start.target_len);
    return http_parse_check_request(head, &p->status, err);
}

static bool
read_response(struct http_parser *p, struct err *err)
{
    struct http_response *head = &p->response;

    head->status = p->start.status;
    head->minor = p->start.minor;
    head->reason = span_sub(
        buf_span(&head->arena), p->start.reason_at, p->start.reason_len);
    return http_parse_check_response(head, p->method, p->upgrade, err);
}

static enum http_body
head_body(const struct http_parser *p, uint64_t *length)
{
    *length = p->is_response ? p->response.length : p->request.length;
    return p->is_response ? p->response.body : p->request.body;
}

static void
enter_body(struct http_parser *p)
{
    switch (head_body(p, &p->left)) {
    case HTTP_BODY_NONE:
        p->phase = PHASE_END;
        break;
    case HTTP_BODY_LENGTH:
        p->phase = p->left > 0 ? PHASE_LENGTH : PHASE_END;
        break;
    case HTTP_BODY_CHUNKED:
        p->chunks = (struct http_parse_chunks){.state = CHUNK_SIZE};
        p->phase = PHASE_CHUNKS;
        break;
    case HTTP_BODY_UNTIL_CLOSE:
        p->phase = PHASE_CLOSE;
        break;
    }
}

/*
 * The block is whole: from here on the arena must not move, so room for path
 * and host is made first. llhttp splits the fields, the check reads them, and
 * both must agree on whether a body follows.
 */
static enum http_event
finish_head(struct http_parser *p, struct err *err)
{
    struct buf *block = arena(p);

    if (!buf_reserve(block, p->start.target_len + block->len)) {
        err_memory(err);
        return fail(p, 500);
    }
    if (!http_parse_llhttp_run(p->llhttp, buf_span(block), err))
        return fail(p, 400);
    if (head_fields(p)->count != p->lines.count - 2) {
        err_set(err, ERR_FORMAT, "header fields counted two ways");
        return fail(p, 400);
    }
    if (!(p->is_response ? read_response(p, err) : read_request(p, err)))
        return fail(p, p->status);
    enter_body(p);
    if (p->is_complete != (p->phase == PHASE_END)) {
        err_set(err, ERR_FORMAT, "message ends in two places");
        return fail(p, 400);
    }
    return HTTP_EVENT_HEAD;
}

static bool
check_line(struct http_parser *p, struct span line, struct err *err)
{
    enum http_parse_block block = p->phase == PHASE_TRAILER ? HTTP_PARSE_TRAILER
                                  : p->is_response ? HTTP_PARSE_RESPONSE
                                                   : HTTP_PARSE_REQUEST;

    return http_parse_lines_check(
        &p->lines, line, block, &p->limits, &p->start, &p->status, err);
}

static unsigned
status_of(const struct http_parser *p, enum err_kind kind)
{
    if (kind == ERR_MEMORY)
        return 500;
    if (kind != ERR_LIMIT)
        return 400;
    if (p->phase == PHASE_HEAD && p->lines.count == 0 &&
        p->lines.first_max < p->lines.max)
        return 414; /* before the line's end is there */
    return 431;
}

/* One line into p->lines; false: the parser has failed. */
static bool
take_line(struct http_parser *p, struct span in, size_t *eaten, bool *complete,
    struct span *line, struct err *err)
{
    struct err why = {.kind = ERR_NONE};

    if (http_parse_lines_take(&p->lines, in, eaten, complete, line, &why))
        return true;
    fail(p, status_of(p, why.kind));
    if (err != NULL)
        *err = why;
    return false;
}

static bool
may_skip(const struct http_parser *p)
{
    return !p->is_response && p->lines.count == 1 && p->skipped < HTTP_SKIP_MAX;
}

static enum http_event
step_head(struct http_parser *p, struct span in, size_t *eaten,
    struct span *data, struct err *err)
{
    bool complete = false;
    struct span line = SPAN_EMPTY;

    (void)data;
    if (!take_line(p, in, eaten, &complete, &line, err))
        return HTTP_EVENT_ERROR;
    if (!complete)
        return HTTP_EVENT_MORE;
    if (line.len == 0 && p->lines.count > 1)
        return finish_head(p, err);
    if (line.len == 0 && may_skip(p)) {
        p->skipped++;
        buf_clear(arena(p));
        begin_lines(p);
        return HTTP_EVENT_MORE;
    }
    return check_line(p, line, err) ? HTTP_EVENT_MORE : fail(p, p->status);
}

static enum http_event
step_start(struct http_parser *p, struct span in, size_t *eaten,
    struct span *data, struct err *err)
{
    *eaten = 0;
    if (in.len == 0)
        return HTTP_EVENT_MORE;
    begin_message(p);
    return step_head(p, in, eaten, data, err);
}

/* ---- body ---------------------------------------------------------------- */

static enum http_event
step_length(struct http_parser *p, struct span in, size_t *eaten,
    struct span *data, struct err *err)
{
    size_t len = p->left < in.len ? (size_t)p->left : in.len;

    *eaten = len;
    if (len == 0)
        return HTTP_EVENT_MORE;
    *data = span_sub(in, 0, len);
    p->left -= len;
    if (!confirm(p, *data, len, p->left == 0, err))
        return fail(p, 400);
    if (p->left == 0)
        p->phase = PHASE_END;
    return HTTP_EVENT_BODY;
}

static enum http_event
step_close(struct http_parser *p, struct span in, size_t *eaten,
    struct span *data, struct err *err)
{
    *eaten = in.len;
    if (in.len == 0)
        return HTTP_EVENT_MORE;
    *data = in;
    return confirm(p, in, in.len, false, err) ? HTTP_EVENT_BODY : fail(p, 400);
}

static enum http_event
step_chunks(struct http_parser *p, struct span in, size_t *eaten,
    struct span *data, struct err *err)
{
    enum http_parse_chunk_kind kind;
    struct span run;
    size_t body;

    *eaten = 0;
    if (in.len == 0)
        return HTTP_EVENT_MORE;
    if (!http_parse_chunks_run(&p->chunks, in, eaten, &kind, err))
        return fail(p, 400);
    run = span_sub(in, 0, *eaten);
    body = kind == CHUNK_RUN_DATA ? run.len : 0;
    if (kind != CHUNK_RUN_DROPPED && !confirm(p, run, body, false, err))
        return fail(p, 400);
    if (p->chunks.state == CHUNK_TRAILER) {
        http_parse_lines_init(&p->lines, &p->trailer_arena, p->limits.head_max,
            p->limits.head_max);
        p->phase = PHASE_TRAILER;
    }
    *data = span_sub(run, 0, body);
    return body > 0 ? HTTP_EVENT_BODY : HTTP_EVENT_MORE;
}

static enum http_event
step_trailer(struct http_parser *p, struct span in, size_t *eaten,
    struct span *data, struct err *err)
{
    bool complete = false;
    struct span line = SPAN_EMPTY;

    (void)data;
    if (!take_line(p, in, eaten, &complete, &line, err))
        return HTTP_EVENT_ERROR;
    if (!complete)
        return HTTP_EVENT_MORE;
    if (line.len > 0)
        return check_line(p, line, err) ? HTTP_EVENT_MORE : fail(p, p->status);
    if (!confirm(p, buf_span(&p->trailer_arena), 0, true, err) ||
        !http_parse_check_trailers(&p->trailers, err) ||
        p->trailers.count != p->lines.count - 1)
        return fail(p, 400);
    p->phase = PHASE_END;
    return HTTP_EVENT_MORE;
}

static enum http_event
step_end(struct http_parser *p, struct span in, size_t *eaten,
    struct span *data, struct err *err)
{
    (void)in;
    (void)data;
    (void)err;
    *eaten = 0;
    p->phase = PHASE_START;
    if (p->is_response && p->response.status == 101)
        p->phase = PHASE_TUNNEL;
    else if (p->is_response && p->response.status >= 200)
        p->upgrade = false; /* it was for this one */
    return HTTP_EVENT_END;
}

static enum http_event
step_over(struct http_parser *p, struct span in, size_t *eaten,
    struct span *data, struct err *err)
{
    (void)data;
    *eaten = 0;
    if (p->phase == PHASE_TUNNEL && in.len == 0)
        return HTTP_EVENT_MORE;
    err_set(err, ERR_FORMAT,
        p->phase == PHASE_TUNNEL ? "bytes of a tunnel given to the HTTP parser"
                                 : "HTTP parser has failed before");
    return fail(p, p->status);
}

/* ---- what the owner calls ------------------------------------------------ */

static enum http_event (*const steps[PHASES])(struct http_parser *p,
    struct span in, size_t *eaten, struct span *data, struct err *err) = {
    [PHASE_START] = step_start,
    [PHASE_HEAD] = step_head,
    [PHASE_LENGTH] = step_length,
    [PHASE_CHUNKS] = step_chunks,
    [PHASE_TRAILER] = step_trailer,
    [PHASE_CLOSE] = step_close,
    [PHASE_END] = step_end,
    [PHASE_TUNNEL] = step_over,
    [PHASE_ERROR] = step_over,
};

enum http_event
http_parser_feed(struct http_parser *p, struct span in, size_t *eaten,
    struct span *data, struct err *err)
{
    enum http_event event = HTTP_EVENT_MORE;
    struct span rest = in;
    size_t n = 0;

    *data = SPAN_EMPTY;
    do {
        event = steps[p->phase](p, rest, &n, data, err);
        rest = span_from(rest, n);
    } while (
        event == HTTP_EVENT_MORE && (rest.len > 0 || p->phase == PHASE_END));
    *eaten = in.len - rest.len;
    return event;
}

void
http_parser_expect(struct http_parser *p, enum http_method method, bool upgrade)
{
    p->method = method;
    p->upgrade = upgrade;
    if (p->phase == PHASE_TUNNEL)
        p->phase = PHASE_START;
}

enum http_event
http_parser_eof(struct http_parser *p, struct err *err)
{
    if (p->phase == PHASE_CLOSE) {
        if (!http_parse_llhttp_finish(p->llhttp, err))
            return fail(p, 400);
        p->phase = PHASE_END;
    }
    if (p->phase == PHASE_END) {
        p->phase = PHASE_START;
        return HTTP_EVENT_END;
    }
    if (!http_parser_in_message(p) && p->phase != PHASE_ERROR)
        return HTTP_EVENT_MORE;
    err_set(err, ERR_FORMAT, "peer ended in the middle of a message");
    return fail(p, p->phase == PHASE_ERROR ? p->status : 400);
}

struct http_request *
http_parser_request(struct http_parser *p)
{
    return p->is_response ? NULL : &p->request;
}

struct http_response *
http_parser_response(struct http_parser *p)
{
    return p->is_response ? &p->response : NULL;
}

const struct http_fields *
http_parser_trailers(const struct http_parser *p)
{
    return &p->trailers;
}

unsigned
http_parser_status(const struct http_parser *p)
{
    return p->status;
}

bool
http_parser_in_message(const struct http_parser *p)
{
    switch (p->phase) {
    case PHASE_START:
    case PHASE_TUNNEL:
    case PHASE_ERROR:
    case PHASES:
        return false;
    case PHASE_HEAD: /* an empty line before it does not count */
        return p->lines.count > 0 ||
               (p->lines.to->len > 0 && p->lines.to->data[0] != '\r');
    case PHASE_LENGTH:
    case PHASE_CHUNKS:
    case PHASE_TRAILER:
    case PHASE_CLOSE:
    case PHASE_END:
        break;
    }
    return true;
}
