/*
 * Birth and end of request and response heads.
 * Input: nothing. Output: empty heads for http_parse and the backends to fill.
 */
#include "wsgate/http/http_message.h"

#include <stdlib.h>

/* Ours: far above any head; http_parse sets a tighter one from its limits. */
enum { HTTP_ARENA_MAX = 1 << 20 };

void
http_request_init(struct http_request *head)
{
    *head = (struct http_request){.minor = 1, .keep_alive = true};
    buf_init(&head->arena, HTTP_ARENA_MAX);
}

void
http_request_fini(struct http_request *head)
{
    buf_fini(&head->arena);
    free(head->fields.items);
    http_request_init(head);
}

void
http_response_init(struct http_response *head)
{
    *head = (struct http_response){.minor = 1, .keep_alive = true};
    buf_init(&head->arena, HTTP_ARENA_MAX);
}

void
http_response_fini(struct http_response *head)
{
    buf_fini(&head->arena);
    free(head->fields.items);
    http_response_init(head);
}
