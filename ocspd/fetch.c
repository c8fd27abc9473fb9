/*
 * Requests over libcurl's multi interface on the libuv loop.
 * Input: a URL and maybe a body. Output: one verdict with at most 64 KiB.
 */
#include "ocspd/fetch.h"

#include "ocspd/fetch_http.h"
#include "ocspd/fetch_multi.h"
#include "ocspd/fetch_queue.h"
#include "ocspd/fetch_screen.h"
#include "ocspd/fetch_url.h"
#include "shared/buf.h"
#include "shared/list.h"
#include "shared/now.h"
#include "shared/ocsp_response.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    FETCH_HOPS_MAX = 2, /* ours: redirects */
    FETCH_DNS_CACHE_S =
        10 /* ours: one round asks once, an outage re-resolves */
};

struct fetch {
    struct fetch_multi *multi;
    uv_timer_t pump; /* starts what waits, from the loop */
    struct fetch_queue queue;
    struct fetch_screen screen;
    struct fetch_settings settings;
};

struct fetch_job {
    struct fetch *fetch;
    struct fetch_slot slot;
    fetch_done *done;
    void *ctx;
    char *responder; /* host:port of the first URL; slot borrows it */
    char *url; /* of the current hop */
    char *proxy; /* NULL: none */
    unsigned char *body;
    size_t body_len;
    bool is_exempt; /* the first URL's host:port is not screened */
    bool is_hop_screened;
    bool no_cache;
    unsigned hops;
    unsigned refused; /* addresses of this hop */
    unsigned opened;
    int64_t started_ms; /* 0: waits */
    CURL *easy;
    struct curl_slist *header_list;
    struct fetch_headers headers;
    struct buf in;
    char error[CURL_ERROR_SIZE];
};

/* ---- results ------------------------------------------------------------ */

static void
job_detach(struct fetch_job *job)
{
    if (job->easy != NULL) {
        fetch_multi_remove(job->fetch->multi, job->easy);
        curl_easy_cleanup(job->easy);
        job->easy = NULL;
    }
    curl_slist_free_all(job->header_list);
    job->header_list = NULL;
}

static void
job_free(struct fetch_job *job)
{
    job_detach(job);
    fetch_queue_remove(&job->fetch->queue, &job->slot);
    buf_fini(&job->in);
    free(job->responder);
    free(job->url);
    free(job->proxy);
    free(job->body);
    free(job);
}

static void on_pump(uv_timer_t *timer);

static void
pump_soon(struct fetch *fetch)
{
    (void)uv_timer_start(&fetch->pump, on_pump, 0, 0);
}

static void
job_finish(struct fetch_job *job, struct fetch_result *result)
{
    struct fetch *fetch = job->fetch;
    char address[INET6_ADDRSTRLEN + 32] = "";
    char *peer = NULL;

    if (job->easy != NULL &&
        curl_easy_getinfo(job->easy, CURLINFO_PRIMARY_IP, &peer) == CURLE_OK &&
        peer != NULL)
        (void)span_to_cstr(span_str(peer), address, sizeof(address));
    result->address = address;
    result->is_html = job->headers.is_html;
    result->clock = fetch_headers_clock(&job->headers);
    result->elapsed_ms = now_boot_ms() - job->started_ms;
    job_detach(job);
    fetch_queue_remove(&fetch->queue, &job->slot);
    pump_soon(fetch);
    job->done(job->ctx, result);
    job_free(job);
}

static void
job_fail(struct fetch_job *job, enum verdict verdict, enum err_kind kind,
    const char *why)
{
    struct fetch_result result = {.verdict = verdict};

    (void)err_set(&result.err, kind, "%s", why);
    job_finish(job, &result);
}

static const struct {
    CURLcode code;
    enum verdict verdict;
    enum err_kind kind;
} curl_verdicts[] = {
    {CURLE_COULDNT_RESOLVE_HOST, VERDICT_DNS, ERR_SYSTEM},
    {CURLE_COULDNT_RESOLVE_PROXY, VERDICT_DNS, ERR_SYSTEM},
    {CURLE_COULDNT_CONNECT, VERDICT_CONNECT, ERR_SYSTEM},
    {CURLE_OPERATION_TIMEDOUT, VERDICT_TIMEOUT, ERR_TIMEOUT},
    {CURLE_SSL_CONNECT_ERROR, VERDICT_TLS, ERR_REJECTED},
    {CURLE_PEER_FAILED_VERIFICATION, VERDICT_TLS, ERR_REJECTED},
    {CURLE_SSL_CACERT_BADFILE, VERDICT_TLS, ERR_REJECTED},
    {CURLE_SSL_CERTPROBLEM, VERDICT_TLS, ERR_REJECTED},
    {CURLE_SSL_CIPHER, VERDICT_TLS, ERR_REJECTED},
    {CURLE_SSL_ISSUER_ERROR, VERDICT_TLS, ERR_REJECTED},
    {CURLE_USE_SSL_FAILED, VERDICT_TLS, ERR_REJECTED},
    {CURLE_FILESIZE_EXCEEDED, VERDICT_TOO_LARGE, ERR_LIMIT},
    {CURLE_WRITE_ERROR, VERDICT_TOO_LARGE, ERR_LIMIT}, /* ours: see on_body */
    {CURLE_GOT_NOTHING, VERDICT_EMPTY, ERR_FORMAT},
};

static void
judge_curl(struct fetch_job *job, CURLcode code, struct fetch_result *result)
{
    const char *why = job->error[0] ? job->error : curl_easy_strerror(code);

    result->verdict = VERDICT_CONNECT;
    result->err.kind = ERR_SYSTEM;
    for (size_t i = 0; i < sizeof(curl_verdicts) / sizeof(curl_verdicts[0]);
         i++) {
        if (curl_verdicts[i].code != code)
            continue;
        result->verdict = curl_verdicts[i].verdict;
        result->err.kind = curl_verdicts[i].kind;
    }
    if (result->verdict == VERDICT_TOO_LARGE)
        why = "the answer is larger than 64 KiB";
    if (job->refused > 0 && job->opened == 0) {
        result->verdict = VERDICT_ADDRESS_REFUSED;
        result->err.kind = ERR_REJECTED;
        why = "the host's address is not allowed (allow_addresses)";
    }
    (void)err_set(&result->err, result->err.kind, "%s", why);
}

static void
judge_http(struct fetch_job *job, CURLcode code, struct fetch_result *result)
{
    if (result->http_status != 200) {
        result->verdict = VERDICT_HTTP_STATUS;
        (void)err_set(
            &result->err, ERR_REJECTED, "HTTP status %ld", result->http_status);
        return;
    }
    if (code != CURLE_OK) {
        judge_curl(job, code, result);
        return;
    }
    if (job->in.len == 0) {
        result->verdict = VERDICT_EMPTY;
        (void)err_set(&result->err, ERR_FORMAT, "the answer has no body");
        return;
    }
    result->verdict = VERDICT_GOOD;
    result->body = buf_span(&job->in);
    result->max_age_s = fetch_headers_freshness(&job->headers);
}

static bool job_start_hop(struct fetch_job *job);

static bool
is_redirect(const struct fetch_job *job, long status)
{
    /* 303 asks for a GET of something else; with POST that is no answer */
    return status == 301 || status == 302 || status == 307 || status == 308 ||
           (status == 303 && job->body_len == 0);
}

/* The job goes on at the next hop, or has failed and is gone. */
static void
job_follow(struct fetch_job *job)
{
    char *target = NULL;
    char *next;

    (void)curl_easy_getinfo(job->easy, CURLINFO_REDIRECT_URL, &target);
    if (target == NULL || job->hops >= FETCH_HOPS_MAX) {
        job_fail(job, VERDICT_REDIRECTS, ERR_REJECTED,
            target == NULL ? "redirect without a usable Location"
                           : "more than 2 redirects");
        return;
    }
    next = strdup(target);
    job_detach(job);
    if (next == NULL) {
        job_fail(job, VERDICT_CONNECT, ERR_MEMORY, "out of memory");
        return;
    }
    free(job->url);
    job->url = next;
    job->hops++;
    (void)job_start_hop(job);
}

static void
on_transfer_done(void *ctx, CURLcode code)
{
    struct fetch_job *job = ctx;
    struct fetch_result result = {.verdict = VERDICT_NONE};
    curl_off_t wait_s = 0;
    long status = 0;

    (void)curl_easy_getinfo(job->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(job->easy, CURLINFO_RETRY_AFTER, &wait_s);
    if (is_redirect(job, status)) {
        job_follow(job);
        return;
    }
    result.http_status = status;
    result.retry_after_s = wait_s > 0 ? (int64_t)wait_s : 0;
    if (status == 0)
        judge_curl(job, code, &result);
    else
        judge_http(job, code, &result);
    job_finish(job, &result);
}

/* ---- one transfer ------------------------------------------------------- */

static size_t
on_body(char *data, size_t size, size_t count, void *ctx)
{
    struct fetch_job *job = ctx;

    (void)size; /* always 1 */
    return buf_add(&job->in, span_make(data, count)) ? count : 0;
}

static size_t
on_header(char *data, size_t size, size_t count, void *ctx)
{
    struct fetch_job *job = ctx;

    (void)size;
    return fetch_headers_line(&job->headers, span_make(data, count)) ? count
                                                                     : 0;
}

/* After DNS, before connect: the name cannot change its meaning in between. */
static curl_socket_t
on_open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct fetch_job *job = ctx;

    (void)purpose;
    if (job->proxy == NULL && job->is_hop_screened &&
        fetch_screen_refuses(&job->fetch->screen, &address->addr)) {
        job->refused++;
        return CURL_SOCKET_BAD;
    }
    job->opened++;
    return socket(
        address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static bool
add_header(struct fetch_job *job, const char *line)
{
    struct curl_slist *longer = curl_slist_append(job->header_list, line);

    if (longer == NULL)
        return false;
    job->header_list = longer;
    return true;
}

/* "Expect:" takes curl's own 100-continue away. */
static bool
make_headers(struct fetch_job *job)
{
    return add_header(job, "Accept: application/ocsp-response") &&
           add_header(job, "Expect:") &&
           (job->body_len == 0 ||
               add_header(job, "Content-Type: application/ocsp-request")) &&
           (!job->no_cache || add_header(job, "Cache-Control: no-cache"));
}

static void
set_limits(struct fetch_job *job, int64_t left_ms)
{
    int64_t connect_ms = job->fetch->settings.connect_timeout_ms;
    CURL *easy = job->easy;

    if (connect_ms > left_ms)
        connect_ms = left_ms;
    (void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)left_ms);
    (void)curl_easy_setopt(easy, CURLOPT_MAXFILESIZE, (long)OCSP_RESPONSE_MAX);
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* Without it a dead name server blocks the loop in pthread_join. */
    (void)curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    (void)curl_easy_setopt(
        easy, CURLOPT_DNS_CACHE_TIMEOUT, (long)FETCH_DNS_CACHE_S);
}

static void
set_callbacks(struct fetch_job *job)
{
    CURL *easy = job->easy;

    (void)curl_easy_setopt(easy, CURLOPT_PRIVATE, job);
    (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, job->error);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, job);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, job);
    (void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    (void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, job);
}

/*
 * A reused connection is not screened again, so the pool holds only screened
 * ones: an exempt connection is closed after use. Environment proxies do not
 * count: the configuration says all.
 */
static void
set_route(struct fetch_job *job)
{
    CURL *easy = job->easy;

    (void)curl_easy_setopt(
        easy, CURLOPT_PROXY, job->proxy == NULL ? "" : job->proxy);
    (void)curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    (void)curl_easy_setopt(
        easy, CURLOPT_FORBID_REUSE, job->is_hop_screened ? 0L : 1L);
    (void)curl_easy_setopt(
        easy, CURLOPT_DISALLOW_USERNAME_IN_URL, job->is_hop_screened ? 1L : 0L);
}

static bool
set_request(struct fetch_job *job)
{
    CURL *easy = job->easy;

    if (!make_headers(job) ||
        curl_easy_setopt(easy, CURLOPT_URL, job->url) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") != CURLE_OK)
        return false;
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, job->header_list);
    (void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "ocspd/" VERSION);
    if (job->body_len > 0) {
        (void)curl_easy_setopt(easy, CURLOPT_POST, 1L);
        (void)curl_easy_setopt(
            easy, CURLOPT_POSTFIELDSIZE, (long)job->body_len);
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, job->body);
    }
    return true;
}

/*
 * What is known before DNS. A redirect that stays at the responder the operator
 * named is as exempt as the first URL.
 */
static enum verdict
screen_url(struct fetch_job *job, const char **why)
{
    struct fetch_url parts;
    char *responder;
    bool refused;

    *why = "not an http or https URL";
    if (!fetch_url_read(job->url, &parts))
        return job->hops > 0 ? VERDICT_REDIRECTS : VERDICT_CONNECT;
    responder = fetch_url_responder(job->url);
    job->is_hop_screened = !job->is_exempt || responder == NULL ||
                           strcmp(responder, job->responder) != 0;
    free(responder);
    refused = job->proxy != NULL && job->is_hop_screened &&
              fetch_screen_refuses_host(&job->fetch->screen, parts.host);
    fetch_url_fini(&parts);
    *why = "the URL's address is not allowed (allow_addresses)";
    return refused ? VERDICT_ADDRESS_REFUSED : VERDICT_GOOD;
}

/* False: the job ended. */
static bool
job_start_hop(struct fetch_job *job)
{
    int64_t left_ms =
        job->fetch->settings.timeout_ms - (now_boot_ms() - job->started_ms);
    const char *why = "";
    enum verdict verdict = screen_url(job, &why);

    if (verdict != VERDICT_GOOD) {
        job_fail(job, verdict, ERR_REJECTED, why);
        return false;
    }
    if (left_ms <= 0) {
        job_fail(job, VERDICT_TIMEOUT, ERR_TIMEOUT, "deadline passed");
        return false;
    }
    buf_clear(&job->in);
    job->headers = (struct fetch_headers){0};
    job->refused = job->opened = 0;
    job->easy = curl_easy_init();
    if (job->easy == NULL || !set_request(job)) {
        job_fail(job, VERDICT_CONNECT, ERR_MEMORY, "out of memory");
        return false;
    }
    set_limits(job, left_ms);
    set_callbacks(job);
    set_route(job);
    fetch_multi_add(job->fetch->multi, job->easy);
    return true;
}

/* ---- the station -------------------------------------------------------- */

static void
on_pump(uv_timer_t *timer)
{
    struct fetch *fetch = timer->data;
    struct fetch_slot *slot;

    while ((slot = fetch_queue_next(&fetch->queue)) != NULL) {
        struct fetch_job *job = LIST_ENTRY(slot, struct fetch_job, slot);

        job->started_ms = now_boot_ms();
        (void)job_start_hop(job);
    }
}

struct fetch *
fetch_new(
    uv_loop_t *loop, const struct fetch_settings *settings, struct err *err)
{
    struct fetch *fetch = calloc(1, sizeof(*fetch));

    if (fetch == NULL)
        return err_memory(err), NULL;
    fetch->settings = *settings;
    if (!fetch_screen_init(&fetch->screen, settings->allow_addresses,
            settings->public_only, err))
        goto fail;
    fetch->multi = fetch_multi_new(loop, on_transfer_done, err);
    if (fetch->multi == NULL)
        goto fail;
    fetch_queue_init(
        &fetch->queue, settings->max_transfers, settings->max_per_responder);
    (void)uv_timer_init(loop, &fetch->pump);
    fetch->pump.data = fetch;
    return fetch;
fail:
    fetch_screen_fini(&fetch->screen);
    free(fetch);
    return NULL;
}

static void
free_jobs(struct list *jobs)
{
    LIST_EACH(jobs, it)
    job_free(LIST_ENTRY(
        LIST_ENTRY(it, struct fetch_slot, node), struct fetch_job, slot));
}

static void
on_pump_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void
fetch_free(struct fetch *fetch)
{
    if (fetch == NULL)
        return;
    free_jobs(&fetch->queue.waiting);
    free_jobs(&fetch->queue.active);
    fetch_multi_free(fetch->multi);
    fetch_screen_fini(&fetch->screen);
    uv_close((uv_handle_t *)&fetch->pump, on_pump_closed);
}

static bool
copy_request(struct fetch_job *job, const struct fetch_request *request)
{
    bool has_proxy = request->proxy != NULL && request->proxy[0] != '\0' &&
                     strcmp(request->proxy, "none") != 0;

    job->responder = fetch_url_responder(request->url);
    job->url = strdup(request->url);
    job->proxy = has_proxy ? strdup(request->proxy) : NULL;
    job->body_len = request->body.len;
    job->body = request->body.len > 0 ? malloc(request->body.len) : NULL;
    if (job->body != NULL)
        memcpy(job->body, request->body.data, request->body.len);
    job->is_exempt = !request->screen;
    job->no_cache = request->no_cache;
    return job->responder != NULL && job->url != NULL &&
           (!has_proxy || job->proxy != NULL) &&
           (job->body_len == 0 || job->body != NULL);
}

struct fetch_job *
fetch_start(struct fetch *fetch, const struct fetch_request *request,
    fetch_done *done, void *ctx)
{
    struct fetch_job *job = calloc(1, sizeof(*job));

    if (job == NULL)
        return NULL;
    job->fetch = fetch;
    job->done = done;
    job->ctx = ctx;
    list_init(&job->slot.node);
    buf_init(&job->in, OCSP_RESPONSE_MAX);
    if (!copy_request(job, request)) {
        job_free(job);
        return NULL;
    }
    fetch_queue_add(&fetch->queue, &job->slot, job->responder);
    pump_soon(fetch);
    return job;
}

void
fetch_cancel(struct fetch_job *job)
{
    struct fetch *fetch;

    if (job == NULL)
        return;
    fetch = job->fetch;
    job_free(job);
    pump_soon(fetch);
}

bool
fetch_address_refused(
    const struct fetch_settings *settings, const char *address)
{
    struct fetch_screen screen;
    bool refused;

    if (!fetch_screen_init(
            &screen, settings->allow_addresses, settings->public_only, NULL))
        return true;
    refused = fetch_screen_refuses_host(&screen, address);
    fetch_screen_fini(&screen);
    return refused;
}
