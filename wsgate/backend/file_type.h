/*
 * Media type of a file by the ending of its name. Pure.
 */
#ifndef WSGATE_BACKEND_FILE_TYPE_H
#define WSGATE_BACKEND_FILE_TYPE_H

#include "shared/span.h"

/* "text/html; charset=utf-8"; application/octet-stream for what is unknown. */
const char *file_type(struct span name);

#endif
