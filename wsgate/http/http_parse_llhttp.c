/*
 * llhttp's callbacks turned into ours.
 * Input: screened bytes of one message. Output: fields, body bytes, the end.
 */
#include "wsgate/http/http_parse_llhttp.h"

#include <llhttp.h>
#include <stdlib.h>

struct http_parse_llhttp {
    llhttp_t parser;
    llhttp_type_t type;
    const struct http_parse_hooks *hooks;
    void *owner;
    struct span name; /* of the field whose value is awaited */
    struct span value;
};

static int
on_name(llhttp_t *parser, const char *at, size_t len)
{
    struct http_parse_llhttp *l = parser->data;

    l->name = span_make(at, len);
    l->value = span_make(at + len, 0);
    return 0;
}

static int
on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct http_parse_llhttp *l = parser->data;

    l->value = span_make(at, len);
    return 0;
}

static int
on_value_complete(llhttp_t *parser)
{
    struct http_parse_llhttp *l = parser->data;

    return l->hooks->on_field(l->owner, l->name, l->value) ? 0 : -1;
}

/*
 * llhttp stops for CONNECT and for Connection: upgrade with any token; what is
 * an upgrade is decided by ws_upgrade, so here every message is an ordinary
 * one.
 */
static int
on_head(llhttp_t *parser)
{
    struct http_parse_llhttp *l = parser->data;

    parser->upgrade = 0;
    switch (l->hooks->on_head(l->owner)) {
    case HTTP_PARSE_HAS_BODY:
        return 0;
    case HTTP_PARSE_NO_BODY:
        return 1;
    case HTTP_PARSE_REFUSED:
        break;
    }
    return -1;
}

static int
on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct http_parse_llhttp *l = parser->data;

    l->hooks->on_body(l->owner, span_make(at, len));
    return 0;
}

static int
on_end(llhttp_t *parser)
{
    struct http_parse_llhttp *l = parser->data;

    l->hooks->on_end(l->owner);
    return 0;
}

static const llhttp_settings_t llhttp_settings = {
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_message_complete = on_end,
};

struct http_parse_llhttp *
http_parse_llhttp_new(
    const struct http_parse_hooks *hooks, void *owner, bool is_response)
{
    struct http_parse_llhttp *l = calloc(1, sizeof(*l));

    if (l == NULL)
        return NULL;
    l->type = is_response ? HTTP_RESPONSE : HTTP_REQUEST;
    l->hooks = hooks;
    l->owner = owner;
    http_parse_llhttp_begin(l);
    return l;
}

void
http_parse_llhttp_free(struct http_parse_llhttp *l)
{
    free(l);
}

void
http_parse_llhttp_begin(struct http_parse_llhttp *l)
{
    llhttp_init(&l->parser, l->type, &llhttp_settings);
    l->parser.data = l;
}

static bool
answer(const struct http_parse_llhttp *l, llhttp_errno_t code, struct err *err)
{
    const char *reason = llhttp_get_error_reason(&l->parser);

    if (code == HPE_OK)
        return true;
    return err_set(err, ERR_FORMAT, "%s",
        reason != NULL && *reason != 0 ? reason : llhttp_errno_name(code));
}

bool
http_parse_llhttp_run(
    struct http_parse_llhttp *l, struct span bytes, struct err *err)
{
    return answer(l,
        llhttp_execute(&l->parser, (const char *)bytes.data, bytes.len), err);
}

bool
http_parse_llhttp_finish(struct http_parse_llhttp *l, struct err *err)
{
    return answer(l, llhttp_finish(&l->parser), err);
}
