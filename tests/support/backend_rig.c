/*
 * A backend call under test.
 * Input: a request as text, scripts of servers. Output: every event, noted.
 */
#include "tests/support/backend_rig.h"

#include "wsgate/backend/idle_pool.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { RIG_BYTES_MAX = 64 * 1024 * 1024, RIG_PATIENCE_MS = 3000 };

static void
release_at(struct backend_rig *rig, enum rig_release at)
{
    ck_assert(!rig->is_starting);
    ck_assert_ptr_nonnull(rig->call); /* no event after the release */
    if (rig->release == at)
        backend_rig_release(rig);
}

static void
note_fields(struct backend_rig *rig, const struct http_fields *fields)
{
    for (size_t i = 0; fields != NULL && i < fields->count; i++)
        ck_assert(buf_add_fmt(&rig->fields, "%.*s: %.*s\n",
            SPAN_FMT(fields->items[i].name), SPAN_FMT(fields->items[i].value)));
}

static void
on_interim(void *ctx, const struct http_response *head)
{
    struct backend_rig *rig = ctx;

    rig->interim = head->status;
    rig->interims++;
    ck_assert(!rig->is_starting);
}

static void
on_head(void *ctx, const struct http_response *head)
{
    struct backend_rig *rig = ctx;

    ck_assert_uint_eq(rig->status, 0);
    rig->status = head->status;
    rig->framing = head->body;
    rig->length = head->length;
    note_fields(rig, &head->fields);
    release_at(rig, RIG_RELEASE_AT_HEAD);
}

static void
on_body(void *ctx, struct span bytes)
{
    struct backend_rig *rig = ctx;

    ck_assert_uint_ne(rig->status, 0);
    ck_assert(buf_add(&rig->body, bytes));
    rig->bodies++;
    if (rig->pause_at_body)
        backend_pause(rig->call);
    release_at(rig, RIG_RELEASE_AT_BODY);
}

static void
on_end(void *ctx, const struct http_fields *trailers)
{
    struct backend_rig *rig = ctx;

    ck_assert(!backend_rig_is_over(rig));
    rig->is_ended = true;
    note_fields(rig, trailers);
    release_at(rig, RIG_RELEASE_AT_END);
}

static void
on_writable(void *ctx)
{
    struct backend_rig *rig = ctx;

    rig->writables++;
    ck_assert(!rig->is_starting);
}

static void
on_upgraded(void *ctx, const struct http_response *head, struct stream *stream,
    struct span rest)
{
    struct backend_rig *rig = ctx;

    ck_assert(!backend_rig_is_over(rig));
    rig->status = head->status;
    note_fields(rig, &head->fields);
    rig->tunnel = stream;
    ck_assert(buf_add(&rig->rest, rest));
}

static void
on_fail(void *ctx, enum backend_failure why, const struct err *err)
{
    struct backend_rig *rig = ctx;

    ck_assert(!backend_rig_is_over(rig));
    rig->is_failed = true;
    rig->why = why;
    (void)snprintf(rig->error, sizeof(rig->error), "%s", err->text);
    release_at(rig, RIG_RELEASE_AT_FAIL);
}

static const struct backend_events rig_events = {
    .on_interim = on_interim,
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .on_writable = on_writable,
    .on_upgraded = on_upgraded,
    .on_fail = on_fail,
};

/* ---- life ---------------------------------------------------------------- */

static struct gate_upstream
upstream(void)
{
    return (struct gate_upstream){
        .connect_timeout_ms = 1000,
        .read_timeout_ms = 1000,
        .send_timeout_ms = 1000,
    };
}

static void
set_location(struct backend_rig *rig)
{
    static char prefix[] = "/";
    static char root[] = "/srv/site";

    rig->location.prefix = prefix;
    rig->location.proxy.up = upstream();
    rig->location.websocket.up = upstream();
    rig->location.fastcgi.up = upstream();
    rig->location.fastcgi.root = root;
    rig->peer = (struct http_peer){
        .client = "192.0.2.1",
        .forwarded_for = "192.0.2.1",
        .request_id = "id-1",
        .is_tls = true,
        .host = "www.example.org",
        .port = 443,
    };
}

void
backend_rig_servers(struct backend_rig *rig, const char *const *names)
{
    backend_pool_free(rig->pool);
    rig->server_list = (struct config_strings){.items = rig->names};
    for (size_t i = 0; i < 3 && names[i] != NULL; i++) {
        free(rig->names[i]);
        rig->names[i] = strdup(names[i]);
        rig->server_list.count++;
    }
    ck_assert(backend_pool_new(&rig->server_list, &rig->pool, NULL));
}

void
backend_rig_init(struct backend_rig *rig, size_t peers)
{
    const char *names[3] = {NULL, NULL, NULL};

    memset(rig, 0, sizeof(*rig));
    ck_assert_int_eq(uv_loop_init(&rig->uv), 0);
    ck_assert(net_loop_init(&rig->net, &rig->uv, NULL));
    ck_assert_int_eq(uv_timer_init(&rig->uv, &rig->watchdog), 0);
    rig->watchdog.data = rig;
    rig->env.net = &rig->net;
    rig->env.idle = idle_pool_new(&rig->net, NULL);
    ck_assert_ptr_nonnull(rig->env.idle);
    buf_init(&rig->fields, RIG_BYTES_MAX);
    buf_init(&rig->body, RIG_BYTES_MAX);
    buf_init(&rig->rest, RIG_BYTES_MAX);
    set_location(rig);
    rig->server_count = peers;
    for (size_t i = 0; i < peers; i++) {
        peer_server_init(&rig->servers[i], &rig->uv);
        names[i] = rig->servers[i].address;
    }
    if (peers > 0)
        backend_rig_servers(rig, names);
}

void
backend_rig_fini(struct backend_rig *rig)
{
    backend_rig_release(rig);
    stream_discard(rig->tunnel);
    idle_pool_free(rig->env.idle);
    for (size_t i = 0; i < rig->server_count; i++)
        peer_server_close(&rig->servers[i]);
    uv_close((uv_handle_t *)&rig->watchdog, NULL);
    net_loop_close(&rig->net);
    ck_assert_int_eq(uv_run(&rig->uv, UV_RUN_DEFAULT), 0);
    net_loop_fini(&rig->net);
    ck_assert_int_eq(uv_loop_close(&rig->uv), 0);
    for (size_t i = 0; i < rig->server_count; i++)
        peer_server_fini(&rig->servers[i]);
    backend_pool_free(rig->pool);
    http_parser_free(rig->parser);
    buf_fini(&rig->fields);
    buf_fini(&rig->body);
    buf_fini(&rig->rest);
    for (size_t i = 0; i < 3; i++)
        free(rig->names[i]);
}

/* ---- running ------------------------------------------------------------- */

static void
parse_head(struct backend_rig *rig, const char *text)
{
    struct span data;
    size_t eaten;
    size_t used = 0;
    struct err err = {0};
    enum http_event event = HTTP_EVENT_MORE;
    struct span in = span_str(text);

    http_parser_free(rig->parser);
    rig->parser = http_parser_new_request(NULL);
    while (event == HTTP_EVENT_MORE && used < in.len) {
        event = http_parser_feed(
            rig->parser, span_from(in, used), &eaten, &data, &err);
        used += eaten;
    }
    ck_assert_msg(event == HTTP_EVENT_HEAD, "%s", err.text);
}

static void
forget(struct backend_rig *rig)
{
    rig->interim = 0;
    rig->interims = 0;
    rig->status = 0;
    buf_clear(&rig->fields);
    buf_clear(&rig->body);
    rig->bodies = 0;
    rig->writables = 0;
    rig->is_ended = false;
    rig->is_failed = false;
    rig->error[0] = 0;
}

void
backend_rig_begin(struct backend_rig *rig, backend_rig_start *start,
    const char *head, bool whole)
{
    backend_rig_release(rig);
    forget(rig);
    parse_head(rig, head);
    rig->request.head = http_parser_request(rig->parser);
    rig->request.peer = &rig->peer;
    rig->request.location = &rig->location;
    rig->request.pool = rig->pool;
    rig->is_starting = true;
    rig->call = start(&rig->env, &rig->request, &rig_events, rig);
    rig->is_starting = false;
    ck_assert_ptr_nonnull(rig->call);
    if (whole)
        backend_finish(rig->call);
}

void
backend_rig_release(struct backend_rig *rig)
{
    struct backend_call *call = rig->call;

    rig->call = NULL;
    if (call != NULL)
        backend_release(call);
}

static void
on_watchdog(uv_timer_t *timer)
{
    ((struct backend_rig *)timer->data)->is_late = true;
}

void
backend_rig_until(
    struct backend_rig *rig, bool (*is_done)(struct backend_rig *rig))
{
    rig->is_late = false;
    uv_update_time(&rig->uv);
    (void)uv_timer_start(&rig->watchdog, on_watchdog, RIG_PATIENCE_MS, 0);
    /* What runs before the poll must not wait for the poll's end. */
    while (!is_done(rig) && !rig->is_late)
        if (uv_run(&rig->uv, UV_RUN_NOWAIT) != 0 && !is_done(rig))
            (void)uv_run(&rig->uv, UV_RUN_ONCE);
    (void)uv_timer_stop(&rig->watchdog);
    ck_assert_msg(!rig->is_late, "nothing came: %s", rig->error);
}

bool
backend_rig_is_over(struct backend_rig *rig)
{
    return rig->is_ended || rig->is_failed || rig->tunnel != NULL;
}

void
backend_rig_run(struct backend_rig *rig)
{
    backend_rig_until(rig, backend_rig_is_over);
}

void
backend_rig_turn(struct backend_rig *rig)
{
    for (int i = 0; i < 4; i++)
        (void)uv_run(&rig->uv, UV_RUN_NOWAIT);
}

const char *
backend_rig_body(struct backend_rig *rig)
{
    return buf_cstr(&rig->body);
}

bool
backend_rig_has_field(struct backend_rig *rig, const char *line)
{
    struct span rest = buf_span(&rig->fields);
    struct span part;

    while (span_split(&rest, '\n', &part))
        if (span_eq(part, span_str(line)))
            return true;
    return false;
}
