/*
 * One curl multi handle driven by the libuv loop: sockets by uv_poll, its one
 * timer by uv_timer. Knows nothing of OCSP; used by fetch alone.
 */
#ifndef OCSPD_FETCH_MULTI_H
#define OCSPD_FETCH_MULTI_H

#include "shared/err.h"

#include <curl/curl.h>
#include <uv.h>

struct fetch_multi;

/* The transfer ended; `ctx` is the easy handle's CURLOPT_PRIVATE. */
typedef void fetch_multi_done(void *ctx, CURLcode code);

/* New; NULL for lack of memory. */
struct fetch_multi *
fetch_multi_new(uv_loop_t *loop, fetch_multi_done *done, struct err *err);
/* Every easy handle must have been removed. The loop must turn once more. */
void fetch_multi_free(struct fetch_multi *multi);

void fetch_multi_add(struct fetch_multi *multi, CURL *easy);
void fetch_multi_remove(struct fetch_multi *multi, CURL *easy);

#endif
