/*
 * The head of a CGI response (RFC 3875 6): fields, among them Status and
 * Location, up to an empty line. Pure.
 */
#ifndef WSGATE_BACKEND_CGI_HEAD_H
#define WSGATE_BACKEND_CGI_HEAD_H

#include "shared/err.h"
#include "shared/span.h"
#include "wsgate/http/http_message.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    CGI_HEAD_MAX = 32 * 1024, /* as http_limits_default */
    CGI_FIELDS_MAX = 100
};

/* Length of the head with its empty line; 0: the end is not there yet. `from`:
 * so many bytes were searched before. */
size_t cgi_head_find_end(struct span bytes, size_t from);

/*
 * Fills `out` (http_response_init() by the caller, who also fini()s it on
 * failure) from a whole head. Body: none for HEAD, 204 and 304; of a length
 * when the script gave one; chunked otherwise.
 */
bool cgi_head_parse(struct span head, enum http_method asked,
    struct http_response *out, struct err *err);

#endif
