/*
 * What all kinds of backend have in common: events, and how long memory stays.
 * Input: what a kind found out. Output: the caller's events, each at most once
 * where that is the promise.
 */
#include "wsgate/backend/backend_core.h"

const char *
backend_failure_word(enum backend_failure why)
{
    switch (why) {
    case BACKEND_FAILED_CONNECT:
        return "connect";
    case BACKEND_FAILED_TIMEOUT:
        return "timeout";
    case BACKEND_FAILED_PROTOCOL:
        return "protocol";
    case BACKEND_FAILED_LIMIT:
        return "limit";
    case BACKEND_FAILED_INTERNAL:
        return "internal";
    }
    return "internal";
}

static void
on_later(struct net_task *task)
{
    struct backend_core *core = LIST_ENTRY(task, struct backend_core, later);
    struct err err;

    (void)err_set(&err, core->later_kind, "%s", core->later_text);
    backend_core_pin(core);
    backend_core_fail(core, core->later_why, &err);
    backend_core_unpin(core);
}

void
backend_core_init(struct backend_core *core, const struct backend_ops *ops,
    const struct backend_env *env, const struct backend_request *request,
    const struct backend_events *events, void *ctx,
    void (*free_core)(struct backend_core *core))
{
    core->call = (struct backend_call){ops, events, ctx};
    core->env = *env;
    core->request = *request;
    core->free = free_core;
    net_task_init(&core->later, on_later);
}

void
backend_core_pin(struct backend_core *core)
{
    core->pins++;
}

void
backend_core_unpin(struct backend_core *core)
{
    core->pins--;
    if (core->pins == 0 && core->is_released)
        core->free(core);
}

void
backend_core_release(struct backend_core *core)
{
    net_task_cancel(&core->later);
    core->is_released = true;
    if (core->pins == 0)
        core->free(core);
}

void
backend_core_interim(
    struct backend_core *core, const struct http_response *head)
{
    if (backend_core_is_live(core))
        core->call.events->on_interim(core->call.ctx, head);
}

void
backend_core_head(struct backend_core *core, const struct http_response *head)
{
    if (!backend_core_is_live(core))
        return;
    core->has_head = true;
    core->call.events->on_head(core->call.ctx, head);
}

void
backend_core_body(struct backend_core *core, struct span bytes)
{
    if (backend_core_is_live(core) && bytes.len > 0)
        core->call.events->on_body(core->call.ctx, bytes);
}

void
backend_core_end(struct backend_core *core, const struct http_fields *trailers)
{
    if (!backend_core_is_live(core))
        return;
    core->is_over = true;
    core->call.events->on_end(core->call.ctx, trailers);
}

void
backend_core_writable(struct backend_core *core)
{
    if (backend_core_is_live(core))
        core->call.events->on_writable(core->call.ctx);
}

void
backend_core_upgraded(struct backend_core *core,
    const struct http_response *head, struct stream *stream, struct span rest)
{
    if (!backend_core_is_live(core)) {
        stream_discard(stream);
        return;
    }
    core->is_over = true;
    core->call.events->on_upgraded(core->call.ctx, head, stream, rest);
}

void
backend_core_fail(
    struct backend_core *core, enum backend_failure why, const struct err *err)
{
    if (!backend_core_is_live(core))
        return;
    core->is_over = true;
    core->call.events->on_fail(core->call.ctx, why, err);
}

void
backend_core_fail_later(struct backend_core *core, enum backend_failure why,
    enum err_kind kind, const char *text)
{
    core->later_why = why;
    core->later_kind = kind;
    core->later_text = text;
    net_task_defer(core->env.net, &core->later);
}
