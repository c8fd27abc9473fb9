/*
 * A backend call under test: loop, scripted servers, a parsed request, and a
 * caller that notes every event.
 */
#ifndef TESTS_SUPPORT_BACKEND_RIG_H
#define TESTS_SUPPORT_BACKEND_RIG_H

#include "tests/support/peer_server.h"
#include "wsgate/backend/backend.h"
#include "wsgate/backend/backend_pick.h"
#include "wsgate/http/http_parse.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

/* Events at which the caller releases the call at once. */
enum rig_release {
    RIG_RELEASE_NEVER,
    RIG_RELEASE_AT_HEAD,
    RIG_RELEASE_AT_BODY,
    RIG_RELEASE_AT_END,
    RIG_RELEASE_AT_FAIL
};

struct backend_rig {
    uv_loop_t uv;
    struct net_loop net;
    struct backend_env env;
    struct peer_server servers[2];
    size_t server_count;
    char *names[3];
    struct config_strings server_list;
    struct backend_pool *pool;
    struct gate_location location;
    struct http_parser *parser;
    struct http_peer peer;
    struct backend_request request;
    uv_timer_t watchdog;
    bool is_late;

    struct backend_call *call;
    bool is_starting; /* no event may come now */
    enum rig_release release;
    bool pause_at_body;
    unsigned interim; /* status of the last one */
    size_t interims;
    unsigned status; /* of the head; 0: none */
    enum http_body framing;
    uint64_t length;
    struct buf fields; /* "Name: value\n" of the head, then of trailers */
    struct buf body;
    size_t bodies;
    size_t writables;
    bool is_ended;
    bool is_failed;
    enum backend_failure why;
    char error[640];
    struct stream *tunnel;
    struct buf rest;
};

/* `peers`: scripted servers to begin with. */
void backend_rig_init(struct backend_rig *rig, size_t peers);
void backend_rig_fini(struct backend_rig *rig);
/* Sets the list of servers; default: those of the peers. */
void backend_rig_servers(struct backend_rig *rig, const char *const *names);

typedef struct backend_call *backend_rig_start(const struct backend_env *env,
    const struct backend_request *request, const struct backend_events *events,
    void *ctx);
/* Parses `head`, forgets what was noted, starts; `whole`: finishes too. */
void backend_rig_begin(struct backend_rig *rig, backend_rig_start *start,
    const char *head, bool whole);
void backend_rig_release(struct backend_rig *rig);

/* Turns the loop until `is_done`; fails the test after some seconds. */
void backend_rig_until(
    struct backend_rig *rig, bool (*is_done)(struct backend_rig *rig));
/* Until on_end, on_fail or on_upgraded. */
void backend_rig_run(struct backend_rig *rig);
bool backend_rig_is_over(struct backend_rig *rig);
/* What is due now, no waiting. */
void backend_rig_turn(struct backend_rig *rig);

const char *backend_rig_body(struct backend_rig *rig);
bool backend_rig_has_field(struct backend_rig *rig, const char *line);

#endif
