/*
 * Requests over libcurl's multi interface on the libuv loop, with limits on
 * time, bytes, redirects and addresses. The only file that includes curl.h.
 */
#ifndef OCSPD_FETCH_H
#define OCSPD_FETCH_H

#include "ocspd/verdict.h"
#include "shared/config_table.h"
#include "shared/err.h"
#include "shared/span.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct fetch_settings {
    int64_t connect_timeout_ms;
    int64_t timeout_ms;
    int64_t max_transfers;
    int64_t max_per_responder;
    bool public_only;
    const struct config_strings
        *allow_addresses; /* borrowed for fetch's life */
};

struct fetch; /* the station: one curl multi handle */
struct fetch_job; /* one request under way */

/* Checks the CIDRs (ERR_CONFIG names the one). */
struct fetch *fetch_new(
    uv_loop_t *loop, const struct fetch_settings *settings, struct err *err);
/* Ends every job without calling back. */
void fetch_free(struct fetch *fetch);

struct fetch_request {
    const char *url; /* whole GET URL, or the base for POST */
    struct span body; /* empty: GET. Copied. */
    const char *proxy; /* URL; NULL or "none": none */
    bool screen; /* false for a URL the operator configured */
    bool no_cache; /* Cache-Control: no-cache */
};

struct fetch_result {
    enum verdict verdict; /* VERDICT_GOOD: HTTP 200 and 1 .. 64 KiB */
    struct span body; /* borrowed till the callback returns */
    long http_status; /* 0: none was received */
    int64_t retry_after_s; /* 0: not given */
    int64_t max_age_s; /* 0: not given */
    bool is_html; /* Content-Type text/html: a captive page */
    int64_t elapsed_ms;
    int64_t clock; /* the responder's, Unix seconds; 0: unknown */
    const char *address; /* peer's, "" when none */
    struct err err; /* why, unless GOOD */
};

typedef void fetch_done(void *ctx, const struct fetch_result *result);

/*
 * Starts, or queues behind the limits. The callback comes exactly once, never
 * before fetch_start() has returned. Redirects (at most 2, http and https
 * only, each hop screened) are followed here. NULL only for lack of memory.
 */
struct fetch_job *fetch_start(struct fetch *fetch,
    const struct fetch_request *request, fetch_done *done, void *ctx);
/* No callback comes any more. */
void fetch_cancel(struct fetch_job *job);

/* Is an address refused by the screen? For tests and `check`;
 * text is a literal IPv4 or IPv6 address. */
bool fetch_address_refused(
    const struct fetch_settings *settings, const char *address);

#endif
