/*
 * Heads of responses that a backend makes up itself.
 * Input: a status and fields. Output: a head whose spans point into its arena.
 */
#include "wsgate/backend/backend_answer.h"

#include "wsgate/http/http_write.h"

#include <stdio.h>
#include <string.h>

bool
backend_answer_begin(struct http_response *head, unsigned status, size_t room)
{
    head->status = status;
    head->reason = span_str(http_status_reason(status));
    head->minor = 1;
    head->keep_alive = true;
    head->body = HTTP_BODY_NONE;
    /* All at once: a span into the arena must not move. */
    buf_clear(&head->arena);
    head->fields.count = 0;
    head->arena.max = room;
    return buf_reserve(&head->arena, room);
}

bool
backend_answer_field(
    struct http_response *head, const char *name, const char *fmt, ...)
{
    size_t from = head->arena.len;
    va_list ap;
    bool ok;

    va_start(ap, fmt);
    ok = buf_add_vfmt(&head->arena, fmt, ap);
    va_end(ap);
    return ok && http_fields_add(&head->fields, span_str(name),
                     span_from(buf_span(&head->arena), from));
}

bool
backend_answer_length(
    struct http_response *head, uint64_t length, enum http_method asked)
{
    head->length = length;
    head->body = asked == HTTP_HEAD ? HTTP_BODY_NONE : HTTP_BODY_LENGTH;
    return backend_answer_field(
        head, "Content-Length", "%llu", (unsigned long long)length);
}

void
backend_answer_text(struct backend_core *core, struct http_response *head,
    unsigned status, const char *extra_name, const char *extra_value)
{
    enum http_method asked = core->request.head->method;
    size_t extra_len = extra_name == NULL ? 0 : strlen(extra_value);
    char text[80];
    struct err err;
    int len = snprintf(
        text, sizeof(text), "%u %s\n", status, http_status_reason(status));

    if (len < 0 || !backend_answer_begin(head, status, extra_len + 128) ||
        (extra_name != NULL &&
            !backend_answer_field(head, extra_name, "%s", extra_value)) ||
        !backend_answer_field(
            head, "Content-Type", "%s", "text/plain; charset=utf-8") ||
        !backend_answer_length(head, (uint64_t)len, asked)) {
        (void)err_memory(&err);
        backend_core_fail(core, BACKEND_FAILED_INTERNAL, &err);
        return;
    }
    backend_core_head(core, head);
    if (asked != HTTP_HEAD)
        backend_core_body(core, span_make(text, (size_t)len));
    backend_core_end(core, NULL);
}
