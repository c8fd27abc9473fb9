/*
 * What all kinds of backend have in common: the events go out through here, so
 * that none comes after the last one or after the release, and the memory stays
 * until no callback of the call is on the stack any more.
 */
#ifndef WSGATE_BACKEND_BACKEND_CORE_H
#define WSGATE_BACKEND_BACKEND_CORE_H

#include "shared/err.h"
#include "shared/span.h"
#include "wsgate/backend/backend.h"
#include "wsgate/net/net_loop.h"

#include <stdbool.h>

struct backend_core {
    struct backend_call call; /* first: this is what the caller holds */
    struct backend_env env;
    struct backend_request request;
    void (*free)(struct backend_core *core); /* all of its memory */
    unsigned pins; /* reasons why the memory must stay */
    bool is_released;
    bool is_over; /* the last event was given */
    bool has_head; /* on_head was given */
    struct net_task later;
    enum backend_failure later_why;
    enum err_kind later_kind;
    const char *later_text;
};

void backend_core_init(struct backend_core *core, const struct backend_ops *ops,
    const struct backend_env *env, const struct backend_request *request,
    const struct backend_events *events, void *ctx,
    void (*free_core)(struct backend_core *core));

static inline struct backend_core *
backend_core_of(struct backend_call *call)
{
    return (struct backend_core *)(void *)call;
}

/* Around everything that may lead to an event. unpin may free the call. */
void backend_core_pin(struct backend_core *core);
void backend_core_unpin(struct backend_core *core);
/* No event from here on; the kind has closed what it holds. May free. */
void backend_core_release(struct backend_core *core);

static inline bool
backend_core_is_live(const struct backend_core *core)
{
    return !core->is_released && !core->is_over;
}

/* The events; silent when the call is not live. The caller holds a pin. */
void backend_core_interim(
    struct backend_core *core, const struct http_response *head);
void
backend_core_head(struct backend_core *core, const struct http_response *head);
void backend_core_body(struct backend_core *core, struct span bytes);
void
backend_core_end(struct backend_core *core, const struct http_fields *trailers);
void backend_core_writable(struct backend_core *core);
void backend_core_upgraded(struct backend_core *core,
    const struct http_response *head, struct stream *stream, struct span rest);
void backend_core_fail(
    struct backend_core *core, enum backend_failure why, const struct err *err);
/* The same at the end of the loop turn; for calls that must not emit. */
void backend_core_fail_later(struct backend_core *core,
    enum backend_failure why, enum err_kind kind, const char *text);

#endif
