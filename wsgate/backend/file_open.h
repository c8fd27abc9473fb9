/*
 * A request path to an open file below a root, which nothing leaves: openat2
 * with RESOLVE_BENEATH.
 */
#ifndef WSGATE_BACKEND_FILE_OPEN_H
#define WSGATE_BACKEND_FILE_OPEN_H

#include "shared/buf.h"
#include "shared/err.h"
#include "shared/span.h"
#include "wsgate/gate_config.h"
#include "wsgate/http/http_message.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct file_open {
    int fd; /* -1: none */
    struct stat st;
    const char *type; /* media type, of the file before compression */
    const char *encoding; /* "br", "gzip"; NULL: as it is */
};

enum file_found {
    FILE_FOUND,
    FILE_IS_FOLDER, /* asked for without the slash at its end: 301 */
    FILE_NONE, /* 404: not there, hidden, outside of the root */
    FILE_FORBIDDEN, /* 403: there, but not readable for us: *err */
    FILE_FAILED /* 500: *err */
};

/* `location`: its prefix stands for the root. out->fd is the caller's to
 * close when FILE_FOUND. */
enum file_found file_open(const struct gate_location *location,
    const struct http_request *head, struct file_open *out, struct err *err);

/* Does Accept-Encoding take that coding (RFC 9110 12.5.3)? */
bool file_open_accepts(const struct http_fields *fields, const char *coding);

#endif
