/*
 * llhttp behind a narrow door: it splits heads into fields and keeps its own
 * count of the body, as a second opinion on what http_parse has screened. It
 * sees one message at a time and never a byte behind its end. A file of its own
 * because llhttp.h and http_message.h name their methods alike.
 */
#ifndef WSGATE_HTTP_HTTP_PARSE_LLHTTP_H
#define WSGATE_HTTP_HTTP_PARSE_LLHTTP_H

#include "shared/err.h"
#include "shared/span.h"

#include <stdbool.h>

enum http_parse_verdict {
    HTTP_PARSE_REFUSED,
    HTTP_PARSE_HAS_BODY, /* as far as llhttp thinks so too */
    HTTP_PARSE_NO_BODY /* whatever the fields say */
};

/* Called from within http_parse_llhttp_run(); spans point into its bytes. */
struct http_parse_hooks {
    bool (*on_field)(void *owner, struct span name, struct span value);
    enum http_parse_verdict (*on_head)(void *owner);
    void (*on_body)(void *owner, struct span data);
    void (*on_end)(void *owner);
};

struct http_parse_llhttp;

/* New; hooks and owner are borrowed for its life. NULL: memory. */
struct http_parse_llhttp *http_parse_llhttp_new(
    const struct http_parse_hooks *hooks, void *owner, bool is_response);
void http_parse_llhttp_free(struct http_parse_llhttp *l);
/* Forgets the last message. */
void http_parse_llhttp_begin(struct http_parse_llhttp *l);
/* Heads and trailers come in one piece each. ERR_FORMAT: it refuses. */
bool http_parse_llhttp_run(
    struct http_parse_llhttp *l, struct span bytes, struct err *err);
/* The peer ended: completes a body until close, else ERR_FORMAT. */
bool http_parse_llhttp_finish(struct http_parse_llhttp *l, struct err *err);

#endif
