/*
 * Heads of responses that a backend makes up itself: files, refusals.
 */
#ifndef WSGATE_BACKEND_BACKEND_ANSWER_H
#define WSGATE_BACKEND_BACKEND_ANSWER_H

#include "wsgate/backend/backend_core.h"
#include "wsgate/http/http_message.h"

#include <stdbool.h>
#include <stddef.h>

/* Begins a head (http_response_init() before, http_response_fini() by the
 * caller in any case); `room`: bytes of field values to come, at most. */
bool
backend_answer_begin(struct http_response *head, unsigned status, size_t room);
/* The name is borrowed for ever. False: no room, or out of memory. */
bool backend_answer_field(struct http_response *head, const char *name,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Body and Content-Length: so many bytes, which HEAD does not get. */
bool backend_answer_length(
    struct http_response *head, uint64_t length, enum http_method asked);

/*
 * A whole small answer: status and its reason as text. `extra_name` may be
 * NULL. Gives on_head, on_body, on_end, or on_fail when memory is gone.
 */
void backend_answer_text(struct backend_core *core, struct http_response *head,
    unsigned status, const char *extra_name, const char *extra_value);

#endif
