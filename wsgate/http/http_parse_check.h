/*
 * What the fields of a head mean: whose host, how the body is framed, does the
 * connection live on. Refuses what two readers could see two ways. Pure.
 */
#ifndef WSGATE_HTTP_HTTP_PARSE_CHECK_H
#define WSGATE_HTTP_HTTP_PARSE_CHECK_H

#include "shared/err.h"
#include "wsgate/http/http_message.h"

#include <stdbool.h>

/*
 * method, target, minor and fields are there; fills the rest. The arena has
 * room for target and host once more. *status: what to answer.
 */
bool http_parse_check_request(
    struct http_request *head, unsigned *status, struct err *err);
/* `method` and `upgrade` as given to http_parser_expect(). */
bool http_parse_check_response(struct http_response *head,
    enum http_method method, bool upgrade, struct err *err);
/* No body whatever the fields say: to HEAD, 1xx, 204, 304 (RFC 9112 6.3). */
bool http_parse_check_is_bodyless(enum http_method method, unsigned status);
/* Trailers may not speak of framing or routing (RFC 9110 6.5.1). */
bool
http_parse_check_trailers(const struct http_fields *trailers, struct err *err);

#endif
