/*
 * One request and its response: rule, checks, backend call, log line.
 * Input: a parsed head, body bytes, a backend's events. Output: events for the
 * transport and one record for the access log.
 */
#include "wsgate/client/exchange.h"

#include "shared/now.h"
#include "wsgate/client/forwarded.h"
#include "wsgate/http/ws_upgrade.h"
#include "wsgate/ws/ws_origin.h"

#include <stdlib.h>

struct exchange {
    const struct backend_env *env;
    struct generation *generation; /* counted */
    const struct exchange_origin *origin;
    const struct http_request *head;
    struct access_log *log;
    const struct exchange_events *events;
    void *ctx;

    const struct gate_location *location; /* NULL: none was found */
    const struct gate_limits *limits; /* NULL: no site */
    const char *handler; /* word for the log */
    struct backend_call *call; /* NULL: refused, or over */
    struct forwarded forwarded;
    uint64_t body_seen;
    int64_t body_max;
    int64_t started_ms;
    unsigned status;
    bool is_over; /* answered; nothing more goes to the backend */
    const char *failure;
};

static void
reply(struct exchange *x, unsigned status, const char *text, const char *extra)
{
    x->status = status;
    x->is_over = true;
    x->events->on_reply(x->ctx, status, text, extra);
}

/* ---- events of the backend ----------------------------------------------- */

static void
on_interim(void *ctx, const struct http_response *head)
{
    struct exchange *x = ctx;

    x->events->on_interim(x->ctx, head);
}

static void
on_head(void *ctx, const struct http_response *head)
{
    struct exchange *x = ctx;

    x->status = head->status;
    x->events->on_head(x->ctx, head);
}

static void
on_body(void *ctx, struct span bytes)
{
    struct exchange *x = ctx;

    x->events->on_body(x->ctx, bytes);
}

static void
on_end(void *ctx, const struct http_fields *trailers)
{
    struct exchange *x = ctx;

    x->is_over = true;
    x->events->on_end(x->ctx, trailers);
}

static void
on_writable(void *ctx)
{
    struct exchange *x = ctx;

    x->events->on_writable(x->ctx);
}

static void
on_upgraded(void *ctx, const struct http_response *head, struct stream *stream,
    struct span rest)
{
    struct exchange *x = ctx;

    x->status = head->status;
    x->is_over = true;
    x->events->on_upgraded(x->ctx, head, stream, rest);
}

static unsigned
failure_status(enum backend_failure why)
{
    switch (why) {
    case BACKEND_FAILED_TIMEOUT:
        return 504;
    case BACKEND_FAILED_LIMIT:
        return 413;
    case BACKEND_FAILED_INTERNAL:
        return 500;
    case BACKEND_FAILED_CONNECT:
    case BACKEND_FAILED_PROTOCOL:
        break;
    }
    return 502;
}

static void
log_failure(
    const struct exchange *x, enum backend_failure why, const struct err *err)
{
    log_warn("backend failed", LOG_S("handler", x->handler),
        LOG_S("location", x->location->prefix),
        LOG_S("server", backend_server(x->call)),
        LOG_S("why", backend_failure_word(why)),
        LOG_S("id", x->forwarded.request_id), LOG_ERR(err));
}

static void
on_fail(void *ctx, enum backend_failure why, const struct err *err)
{
    struct exchange *x = ctx;
    unsigned status = failure_status(why);

    x->failure = backend_failure_word(why);
    log_failure(x, why, err);
    x->is_over = true;
    if (x->status != 0) /* a head went out already */
        x->events->on_cut(x->ctx);
    else
        reply(x, status,
            status == 504   ? "The service behind this address did not answer "
                              "in time."
            : status == 413 ? "The request body is too large."
                            : "The service behind this address cannot be "
                              "reached or does not answer properly.",
            "");
}

static const struct backend_events backend_events = {
    .on_interim = on_interim,
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .on_writable = on_writable,
    .on_upgraded = on_upgraded,
    .on_fail = on_fail,
};

static void run_route(struct exchange *x, enum route_kind kind);

/* ---- refusals ------------------------------------------------------------ */

/* 308 keeps the method (RFC 9110 15.4.9). The port is https's own: behind a
 * mapping of ports ours says nothing. */
static bool
write_location(const struct http_request *head, struct buf *out)
{
    bool is_v6 = span_find(head->host, ':') < head->host.len;

    return buf_add_fmt(out,
               is_v6 ? "Location: https://[%.*s]%.*s"
                     : "Location: https://%.*s%.*s",
               SPAN_FMT(head->host), SPAN_FMT(head->path)) &&
           (head->query.data == NULL ||
               buf_add_fmt(out, "?%.*s", SPAN_FMT(head->query))) &&
           buf_add_str(out, "\r\n");
}

static void
redirect_to_https(struct exchange *x, const struct route_table *routes)
{
    const struct http_request *head = x->head;
    struct buf extra;

    if (head->host.len == 0) {
        reply(x, 400, "The request names no host.", "");
        return;
    }
    /* To nowhere but our own sites, whoever wrote the Host. */
    if (route_site(routes, head->host, x->origin->listen_address) ==
        (size_t)-1) {
        run_route(x, ROUTE_NO_SITE);
        return;
    }
    buf_init(&extra, 16 * 1024);
    if (write_location(head, &extra))
        reply(x, 308, "This site is served over https.", buf_cstr(&extra));
    else
        reply(x, 414, "The address is too long.", "");
    buf_fini(&extra);
}

/* SNI and Host must not lead to different sites (RFC 9110 15.5.20). */
static bool
is_misdirected(const struct exchange *x, size_t site)
{
    size_t by_sni;

    if (!x->origin->is_tls || x->origin->sni == NULL)
        return false;
    by_sni = route_site(x->generation->routes, span_str(x->origin->sni),
        x->origin->listen_address);
    return by_sni != site;
}

static bool
is_origin_allowed(const struct exchange *x)
{
    const struct config_strings *list = &x->location->websocket.origins;
    const struct http_field *field =
        http_field_find(&x->head->fields, SPAN_LIT("Origin"));
    struct ws_origin_policy policy = {
        .listed = (const char *const *)list->items,
        .listed_count = list->count,
    };

    for (size_t i = 0; i < list->count; i++) {
        policy.any = policy.any || strcmp(list->items[i], "any") == 0;
        policy.same = policy.same || strcmp(list->items[i], "same") == 0;
    }
    return ws_origin_allowed(&policy, field != NULL,
        field == NULL ? SPAN_EMPTY : field->value, x->origin->is_tls,
        x->head->authority);
}

static bool
check_upgrade(struct exchange *x)
{
    unsigned status = 400;
    struct err err = {0};

    if (!ws_upgrade_check_request(x->head, &status, &err)) {
        reply(x, status, err.text,
            status == 426 ? "Sec-WebSocket-Version: 13\r\n" : "");
        return false;
    }
    if (!is_origin_allowed(x)) {
        log_warn("websocket refused: foreign origin",
            LOG_SPAN("origin", http_field_value(&x->head->fields, "Origin")),
            LOG_SPAN("host", x->head->authority),
            LOG_S("location", x->location->prefix),
            LOG_S("mend", "list it under websocket: origins:"));
        reply(x, 403, "This page may not open this WebSocket.", "");
        return false;
    }
    return true;
}

/* ---- beginning ----------------------------------------------------------- */

typedef struct backend_call *backend_start(const struct backend_env *env,
    const struct backend_request *request, const struct backend_events *events,
    void *ctx);

static void
start_call(struct exchange *x, backend_start *start,
    const struct gate_upstream *upstream, const char *handler)
{
    struct backend_request request = {
        .head = x->head,
        .peer = &x->forwarded.peer,
        .location = x->location,
    };

    x->handler = handler;
    x->body_max = upstream != NULL && upstream->max_body > 0
                      ? upstream->max_body
                      : x->limits->max_body;
    request.max_body = x->body_max;
    if (upstream != NULL)
        request.pool = generation_pool(x->generation, upstream);
    if (x->head->body == HTTP_BODY_LENGTH &&
        x->head->length > (uint64_t)x->body_max) {
        reply(x, 413, "The request body is too large.", "");
        return;
    }
    x->call = start(x->env, &request, &backend_events, x);
    if (x->call == NULL)
        reply(x, 500, "Out of memory.", "");
    else if (x->head->expects_continue)
        x->events->on_continue(x->ctx);
}

static void
start_plain(struct exchange *x)
{
    const struct gate_location *l = x->location;

    if (l->proxy.is_set)
        start_call(x, backend_http_start, &l->proxy.up, "proxy");
    else if (l->fastcgi.is_set)
        start_call(x, backend_fastcgi_start, &l->fastcgi.up, "fastcgi");
    else if (l->files.is_set)
        start_call(x, backend_files_start, NULL, "files");
    else
        reply(x, 404, "There is nothing here.", "");
}

static void
run_route(struct exchange *x, enum route_kind kind)
{
    switch (kind) {
    case ROUTE_NO_SITE:
        reply(x, 421, "No site of that name is served here.", "");
        return;
    case ROUTE_NO_HANDLER:
        reply(x, 404, "There is nothing here.", "");
        return;
    case ROUTE_UPGRADE_REQUIRED:
        reply(x, 426, "Only WebSocket connections are served here.",
            "Sec-WebSocket-Version: 13\r\n");
        return;
    case ROUTE_WEBSOCKET:
        x->handler = "websocket";
        if (check_upgrade(x))
            start_call(
                x, backend_ws_start, &x->location->websocket.up, "websocket");
        return;
    case ROUTE_UPGRADE_REFUSED:
    case ROUTE_PROXY:
    case ROUTE_FASTCGI:
    case ROUTE_FILES:
        start_plain(x);
        return;
    }
}

void
exchange_begin(struct exchange *x)
{
    const struct route_table *routes = x->generation->routes;
    struct route_match match;
    size_t site;

    if (x->head->method == HTTP_CONNECT || x->head->method == HTTP_TRACE) {
        reply(x, 501, "This method is not served here.", "");
        return;
    }
    if (x->origin->is_redirect) {
        redirect_to_https(x, routes);
        return;
    }
    site = route_site(routes, x->head->host, x->origin->listen_address);
    if (site == (size_t)-1 || is_misdirected(x, site)) {
        run_route(x, ROUTE_NO_SITE);
        return;
    }
    match =
        route_find(routes, site, x->head->path, ws_upgrade_is_wanted(x->head));
    x->location = match.location_config;
    x->limits = &match.site_config->limits;
    run_route(x, match.kind);
}

struct exchange *
exchange_new(const struct backend_env *env, struct generation *generation,
    const struct exchange_origin *origin, const struct http_request *head,
    struct access_log *log, const struct exchange_events *events, void *ctx)
{
    struct exchange *x = calloc(1, sizeof(*x));

    if (x == NULL)
        return NULL;
    *x = (struct exchange){
        .env = env,
        .generation = generation_ref(generation),
        .origin = origin,
        .head = head,
        .log = log,
        .events = events,
        .ctx = ctx,
        .handler = "",
        .failure = "",
        .started_ms = now_boot_ms(),
    };
    forwarded_init(&x->forwarded, head, origin->peer_ip, origin->peer_address,
        generation->trusted, generation->trusted_count);
    x->forwarded.peer.is_tls = origin->is_tls;
    x->forwarded.peer.port = origin->port;
    return x;
}

/* ---- the request body ---------------------------------------------------- */

bool
exchange_send(struct exchange *x, struct span bytes)
{
    x->body_seen += bytes.len;
    if (x->is_over || x->call == NULL)
        return true;
    if (x->body_seen > (uint64_t)x->body_max) {
        if (x->status != 0) {
            x->failure = "body_too_large";
            x->is_over = true;
            x->events->on_cut(x->ctx);
        } else {
            reply(x, 413, "The request body is too large.", "");
        }
        return true;
    }
    return backend_send(x->call, bytes);
}

void
exchange_finish(struct exchange *x)
{
    if (!x->is_over && x->call != NULL)
        backend_finish(x->call);
}

void
exchange_answered(struct exchange *x, unsigned status)
{
    x->status = status;
    x->is_over = true;
}

void
exchange_pause(struct exchange *x)
{
    if (!x->is_over && x->call != NULL)
        backend_pause(x->call);
}

void
exchange_resume(struct exchange *x)
{
    if (!x->is_over && x->call != NULL)
        backend_resume(x->call);
}

int64_t
exchange_linger_ms(const struct exchange *x)
{
    return x->limits->linger_ms;
}

int64_t
exchange_send_ms(const struct exchange *x)
{
    return x->limits->send_timeout_ms;
}

/* ---- log ----------------------------------------------------------------- */

static struct access_record
record_of(const struct exchange *x)
{
    return (struct access_record){
        .kind = ACCESS_EXCHANGE,
        .wall_ms = now_wall_ms(),
        .peer = x->origin->peer,
        .client = x->forwarded.client,
        .host = x->head->authority,
        .method = x->head->method_text,
        .target = x->head->target,
        .status = x->status,
        .handler = x->handler,
        .server = x->call == NULL ? "" : backend_server(x->call),
        .request_id = x->forwarded.request_id,
        .tls_version = x->origin->tls_version,
        .staple = x->origin->staple,
        .user_agent = http_field_value(&x->head->fields, "User-Agent"),
    };
}

void
exchange_free(
    struct exchange *x, const char *end, uint64_t bytes_in, uint64_t bytes_out)
{
    struct access_record record;

    if (x == NULL)
        return;
    record = record_of(x);
    record.bytes_in = bytes_in;
    record.bytes_out = bytes_out;
    record.duration_ms = now_boot_ms() - x->started_ms;
    /* Why the backend failed says more than that the client was cut. */
    record.end = x->failure[0] != 0 ? x->failure : end;
    if (x->status != 101) /* a tunnel has records of its own */
        access_log_write(x->log, &record);
    if (x->call != NULL)
        backend_release(x->call);
    forwarded_fini(&x->forwarded);
    generation_unref(x->generation);
    free(x);
}

struct tunnel_note {
    struct access_log *log;
    struct access_record record; /* its text points into `text` */
    int64_t opened_ms;
    char text[];
};

/* Copies one text behind the others; *at moves on. */
static const char *
keep(char **at, struct span text)
{
    char *copy = *at;

    if (text.len > 0)
        memcpy(copy, text.data, text.len);
    copy[text.len] = 0;
    *at += text.len + 1;
    return copy;
}

enum { NOTE_TEXT_MAX = 256 /* ours: of the target and the agent, each */ };

struct tunnel_note *
exchange_tunnel_open(struct exchange *x)
{
    struct access_record r = record_of(x);
    struct tunnel_note *note;
    char *at;

    r.target = span_sub(r.target, 0, NOTE_TEXT_MAX);
    r.user_agent = span_sub(r.user_agent, 0, NOTE_TEXT_MAX);
    note = malloc(sizeof(*note) + strlen(r.peer) + strlen(r.client) +
                  r.host.len + r.target.len + strlen(r.server) +
                  strlen(r.request_id) + r.user_agent.len + 7);
    if (note == NULL)
        return NULL;
    at = note->text;
    r.peer = keep(&at, span_str(r.peer));
    r.client = keep(&at, span_str(r.client));
    r.host = span_str(keep(&at, r.host));
    r.method = SPAN_LIT("GET"); /* RFC 6455 4.1: no other opens one */
    r.target = span_str(keep(&at, r.target));
    r.server = keep(&at, span_str(r.server));
    r.request_id = keep(&at, span_str(r.request_id));
    r.user_agent = span_str(keep(&at, r.user_agent));
    r.kind = ACCESS_TUNNEL_OPEN;
    note->log = x->log;
    note->record = r;
    note->opened_ms = now_boot_ms();
    access_log_write(x->log, &r);
    return note;
}

void
exchange_tunnel_close(struct tunnel_note *note, const char *end,
    uint64_t bytes_in, uint64_t bytes_out)
{
    if (note == NULL)
        return;
    note->record.kind = ACCESS_TUNNEL_CLOSE;
    note->record.wall_ms = now_wall_ms();
    note->record.duration_ms = now_boot_ms() - note->opened_ms;
    note->record.bytes_in = bytes_in;
    note->record.bytes_out = bytes_out;
    note->record.end = end;
    access_log_write(note->log, &note->record);
    free(note);
}
