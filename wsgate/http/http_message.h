/*
 * Plain structs: request head, response head, field list. A head owns one arena
 * with its bytes; every span in it points there and lives as long as the head.
 */
#ifndef WSGATE_HTTP_HTTP_MESSAGE_H
#define WSGATE_HTTP_HTTP_MESSAGE_H

#include "shared/buf.h"
#include "shared/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_field {
    struct span name; /* as it came */
    struct span value; /* trimmed */
};

struct http_fields {
    struct http_field *items; /* owned by the head */
    size_t count;
    size_t room;
};

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_PATCH,
    HTTP_TRACE,
    HTTP_CONNECT,
    HTTP_OTHER /* the token stands in `method_text` */
};

enum http_body {
    HTTP_BODY_NONE,
    HTTP_BODY_LENGTH,
    HTTP_BODY_CHUNKED,
    HTTP_BODY_UNTIL_CLOSE /* responses only */
};

struct http_request {
    struct buf arena;
    enum http_method method;
    struct span method_text;
    struct span target; /* as it came (origin-form, or absolute-form) */
    struct span path; /* normal form (url_path.h): routing, access rules
                              and forwarding all use this one */
    struct span query; /* behind "?", raw; data NULL: no "?" */
    struct span authority; /* Host, or the absolute-form's authority */
    struct span host; /* of authority: lower case, no port, no brackets */
    unsigned minor; /* HTTP/1.minor: 0 or 1 */
    struct http_fields fields;
    enum http_body body;
    uint64_t length; /* HTTP_BODY_LENGTH */
    bool keep_alive;
    bool expects_continue;
    bool is_upgrade; /* Connection: upgrade and an Upgrade field */
};

struct http_response {
    struct buf arena;
    unsigned status; /* 100 .. 599 */
    struct span reason;
    unsigned minor;
    struct http_fields fields;
    enum http_body body;
    uint64_t length;
    bool keep_alive;
};

void http_request_init(struct http_request *head);
void http_request_fini(struct http_request *head);
void http_response_init(struct http_response *head);
void http_response_fini(struct http_response *head);

#endif
