/*
 * What the admin socket answers, as JSON.
 * Input: what the owner knows, how a reload ended. Output: objects.
 */
#include "wsgate/admin/admin_peer.h"

#include "shared/now.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Names of files may be any bytes, JSON may not: '?' for what is no UTF-8. */
static json_t *
text_json(const char *text)
{
    struct span rest = span_str(text);
    char *copy = span_dup(rest);
    json_t *json;
    size_t at = 0;

    while (copy != NULL && at < rest.len) {
        uint32_t code;
        size_t len = span_utf8(span_from(rest, at), &code);

        if (len == 0)
            copy[at] = '?';
        at += len == 0 ? 1 : len;
    }
    json = copy == NULL ? NULL : json_string(copy);
    free(copy);
    return json;
}

json_t *
admin_answer_error(const char *text, int exit_code)
{
    return json_pack(
        "{s:b,s:o,s:i}", "ok", 0, "error", text_json(text), "exit", exit_code);
}

json_t *
admin_answer_reload(const struct admin *admin)
{
    struct admin_status now = {0};

    admin->ops->status(admin->ctx, &now);
    return json_pack(
        "{s:b,s:I}", "ok", 1, "generation", (json_int_t)now.generation);
}

static json_t *
workers_json(const struct admin *admin, int count)
{
    json_t *list = json_array();

    for (int i = 0; i < count; i++) {
        struct admin_worker w = {.state = ""};

        admin->ops->worker(admin->ctx, i, &w);
        /* A NULL of json_pack() is refused, and told at the end. */
        if (json_array_append_new(list,
                json_pack("{s:I,s:s,s:I}", "pid", (json_int_t)w.pid, "state",
                    w.state, "since", (json_int_t)w.since)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *
last_json(const struct admin *admin)
{
    if (admin->last.at == 0)
        return json_null();
    if (admin->last.ok)
        return json_pack(
            "{s:I,s:b}", "at", (json_int_t)admin->last.at, "ok", 1);
    return json_pack("{s:I,s:b,s:o}", "at", (json_int_t)admin->last.at, "ok", 0,
        "error", text_json(admin->last.error));
}

json_t *
admin_answer_status(const struct admin *admin)
{
    struct admin_status now = {.state = ""};
    uint64_t up_ms = uv_now(admin->loop) - admin->started_ms;

    admin->ops->status(admin->ctx, &now);
    return json_pack("{s:b,s:s,s:I,s:s,s:o,s:I,s:I,s:I,s:I,s:o,s:o}", "ok", 1,
        "version", VERSION, "pid", (json_int_t)getpid(), "state", now.state,
        "config", now.config == NULL ? json_null() : text_json(now.config),
        "generation", (json_int_t)now.generation, "sites",
        (json_int_t)now.sites, "started", (json_int_t)admin->started_at,
        "uptime_s", (json_int_t)(up_ms / 1000), "workers",
        workers_json(admin, now.worker_count), "last_reload", last_json(admin));
}
