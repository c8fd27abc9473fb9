/*
 * Which part of a file a request wants, if any: validators and ranges
 * (RFC 9110 13, 14). Pure.
 */
#ifndef WSGATE_BACKEND_FILE_RANGE_H
#define WSGATE_BACKEND_FILE_RANGE_H

#include "shared/span.h"
#include "wsgate/http/http_message.h"

#include <stdbool.h>
#include <stdint.h>

struct file_version {
    const char *etag; /* strong, with its quotes */
    int64_t modified_at; /* Unix seconds */
    uint64_t size;
};

struct file_range {
    unsigned status; /* 200, 206, 304, 416 */
    uint64_t from;
    uint64_t len; /* bytes to send from there */
};

struct file_range file_range_find(
    const struct http_request *head, const struct file_version *version);

#endif
