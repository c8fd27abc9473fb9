/*
 * The admin socket: where it is, when it moves, and the end of reloads.
 * Input: the configuration, the owner's news. Output: a socket for admin_peer,
 * answers to those who wait.
 */
#include "wsgate/admin/admin.h"

#include "shared/log.h"
#include "shared/now.h"
#include "wsgate/admin/admin_peer.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

enum { TICK_MS = 1000 };

/* ---- the socket ---------------------------------------------------------------- */

/* systemd names one folder, or several between colons. */
static bool
default_path(char *out, size_t size)
{
    struct span all = span_str(getenv("RUNTIME_DIRECTORY"));
    struct span first = span_sub(all, 0, span_find(all, ':'));
    int len = snprintf(out, size, "%.*s/admin.sock", SPAN_FMT(first));

    return first.len > 0 && len > 0 && (size_t)len < size;
}

/* The path that this configuration wants, NULL for none. */
static const char *
wanted_path(const struct gate_config *config, char *room, size_t size)
{
    if (config->admin == NULL)
        return default_path(room, size) ? room : NULL;
    return strncmp(config->admin, "unix:", 5) == 0 ? config->admin + 5 : NULL;
}

static void
free_door(uv_handle_t *handle)
{
    free(handle->data);
}

static void
close_door(struct admin_door *door)
{
    if (door == NULL)
        return;
    uv_close((uv_handle_t *)&door->poll, free_door);
    control_unlisten(&door->socket);
}

static struct admin_door *
open_door(struct admin *admin, const char *path, struct err *err)
{
    struct admin_door *door = calloc(1, sizeof(*door));

    if (door == NULL) {
        (void)err_memory(err);
        return NULL;
    }
    door->admin = admin;
    if (!control_listen(path, &door->socket, err)) {
        free(door);
        return NULL;
    }
    (void)uv_poll_init(admin->loop, &door->poll, door->socket.fd);
    door->poll.data = door;
    return door;
}

static bool
fail_to_open(struct admin *admin, const struct gate_config *config,
    const char *path, struct err *err)
{
    const struct config_node *node =
        config_node_get(config->tree->root, "admin");

    if (config->admin != NULL)
        return node == NULL
                   ? err_context(err, "admin")
                   : err_context(err, "%s:%u:%u: admin", node->mark.file,
                         node->mark.line, node->mark.column);
    log_warn("no admin socket: `wsgate reload` and `status` do not work",
        LOG_S("path", path), LOG_ERR(err));
    admin->prepared = NULL;
    admin->is_prepared = true;
    return true;
}

bool
admin_prepare(
    struct admin *admin, const struct gate_config *config, struct err *err)
{
    char room[PATH_MAX];
    const char *path = wanted_path(config, room, sizeof(room));
    struct admin_door *door = admin->door;

    admin_abort(admin);
    /* Gone from the file system: somebody cleaned up there, it is made anew. */
    if (path != NULL && (door == NULL || strcmp(door->socket.path, path) != 0 ||
                            !control_is_there(&door->socket)))
        door = open_door(admin, path, err);
    if (path != NULL && door == NULL)
        return fail_to_open(admin, config, path, err);
    admin->prepared = path == NULL ? NULL : door;
    admin->is_prepared = true;
    return true;
}

static void on_tick(uv_timer_t *timer);

static void
run_tick(struct admin *admin)
{
    if (!uv_is_active((uv_handle_t *)&admin->tick))
        (void)uv_timer_start(&admin->tick, on_tick, TICK_MS, TICK_MS);
}

/* Descriptors are gone: the next tick tries again. */
static void
pause_door(struct admin_door *door)
{
    log_warn("admin socket: no connection can be taken",
        LOG_S("error", strerror(errno)));
    (void)uv_poll_stop(&door->poll);
    run_tick(door->admin);
}

static void
on_door(uv_poll_t *poll, int status, int events)
{
    struct admin_door *door = poll->data;

    (void)status;
    (void)events;
    for (int i = 0; i < ADMIN_PEERS_MAX; i++) {
        int fd = accept4(door->socket.fd, NULL, NULL, SOCK_CLOEXEC);

        if (fd >= 0) {
            admin_peer_add(door->admin, fd);
            run_tick(door->admin);
            continue;
        }
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            pause_door(door);
        return;
    }
}

static void
on_tick(uv_timer_t *timer)
{
    struct admin *admin = timer->data;

    admin_peer_check_all(admin);
    if (admin->door != NULL)
        (void)uv_poll_start(&admin->door->poll, UV_READABLE, on_door);
    if (admin->peer_count == 0)
        (void)uv_timer_stop(timer);
}

void
admin_commit(struct admin *admin)
{
    struct admin_door *old = admin->door;

    if (!admin->is_prepared)
        return;
    admin->door = admin->prepared;
    admin->prepared = NULL;
    admin->is_prepared = false;
    if (old == admin->door)
        return;
    close_door(old);
    if (admin->door == NULL) {
        log_info("admin socket closed");
        return;
    }
    (void)uv_poll_start(&admin->door->poll, UV_READABLE, on_door);
    log_info("admin socket", LOG_S("path", admin->door->socket.path));
}

void
admin_abort(struct admin *admin)
{
    if (admin->prepared != admin->door)
        close_door(admin->prepared);
    admin->prepared = NULL;
    admin->is_prepared = false;
}

/* ---- reloads --------------------------------------------------------------------- */

static void
move(struct admin *admin, enum admin_wait from, enum admin_wait to)
{
    LIST_EACH(&admin->peers, it)
    {
        struct admin_peer *peer = LIST_ENTRY(it, struct admin_peer, node);

        if (peer->wait == from)
            peer->wait = to;
    }
}

void
admin_reload_begun(struct admin *admin)
{
    move(admin, ADMIN_WAIT_NEXT, ADMIN_WAIT_THIS);
}

static void
answer(struct admin *admin, enum admin_wait wait, json_t *object)
{
    admin_peer_answer_waiting(admin, wait, object);
    json_decref(object);
}

void
admin_reload_over(struct admin *admin, const struct err *why)
{
    admin->last.at = now_wall();
    admin->last.ok = why == NULL;
    (void)snprintf(admin->last.error, sizeof(admin->last.error), "%s",
        why == NULL ? "" : why->text);
    if (why == NULL)
        move(admin, ADMIN_WAIT_THIS, ADMIN_WAIT_SWITCH);
    else
        answer(admin, ADMIN_WAIT_THIS,
            admin_answer_error(why->text, err_exit_code(why)));
}

void
admin_all_switched(struct admin *admin)
{
    answer(admin, ADMIN_WAIT_SWITCH, admin_answer_reload(admin));
}

/* ---- life -------------------------------------------------------------------------- */

struct admin *
admin_new(uv_loop_t *loop, const struct admin_ops *ops, void *ctx)
{
    struct admin *admin = calloc(1, sizeof(*admin));

    if (admin == NULL)
        return NULL;
    admin->loop = loop;
    admin->ops = ops;
    admin->ctx = ctx;
    admin->started_at = now_wall();
    admin->started_ms = uv_now(loop);
    list_init(&admin->peers);
    (void)uv_timer_init(loop, &admin->tick);
    admin->tick.data = admin;
    return admin;
}

void
admin_end(struct admin *admin, const char *why)
{
    admin_abort(admin);
    close_door(admin->door);
    admin->door = NULL;
    answer(admin, ADMIN_WAIT_NEXT, admin_answer_error(why, EX_TEMPFAIL));
    answer(admin, ADMIN_WAIT_THIS, admin_answer_error(why, EX_TEMPFAIL));
    answer(admin, ADMIN_WAIT_SWITCH, admin_answer_reload(admin));
    LIST_EACH(&admin->peers, it)
    {
        struct admin_peer *peer = LIST_ENTRY(it, struct admin_peer, node);

        (void)control_flush(&peer->control, &peer->gone);
        admin_peer_close(peer);
    }
}

void
admin_close(struct admin *admin)
{
    if (admin == NULL)
        return;
    admin_end(admin, "wsgate has stopped");
    uv_close((uv_handle_t *)&admin->tick, NULL);
}

void
admin_free(struct admin *admin)
{
    free(admin);
}
