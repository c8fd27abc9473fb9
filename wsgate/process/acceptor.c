/*
 * A worker's listeners on its loop.
 * Input: listening descriptors from the master. Output: accepted sockets for
 * client_accept().
 */
#include "wsgate/process/acceptor.h"

#include "shared/log.h"
#include "wsgate/process/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ACCEPT_TURN = 16, /* ours: per wake-up, so that others get turns */
    ACCEPT_PAUSE_MS = 100 /* ours: EMFILE and friends */
};

struct port {
    struct list node;
    struct acceptor *owner;
    uv_poll_t poll;
    int fd;
    char address[]; /* also every client's listen_address: freed last */
};

struct acceptor {
    uv_loop_t *loop;
    struct client_env *env;
    struct list ports;
    struct list removed; /* closed; clients may still name their address */
    uv_timer_t pause;
    size_t max_connections;
    bool is_started;
    bool is_paused;
    bool said; /* EMFILE was logged */
};

static void on_readable(uv_poll_t *poll, int status, int events);

static bool
is_full(const struct acceptor *a)
{
    return a->env->count >= a->max_connections;
}

static void
poll_all(struct acceptor *a, bool on)
{
    LIST_EACH(&a->ports, it)
    {
        struct port *p = LIST_ENTRY(it, struct port, node);

        if (on)
            (void)uv_poll_start(&p->poll, UV_READABLE, on_readable);
        else
            (void)uv_poll_stop(&p->poll);
    }
}

static void
update(struct acceptor *a)
{
    poll_all(a, a->is_started && !a->is_paused && !is_full(a));
}

static void
on_pause_over(uv_timer_t *timer)
{
    struct acceptor *a = timer->data;

    a->is_paused = false;
    update(a);
}

static void
pause_accepting(struct acceptor *a, int reason)
{
    if (!a->said)
        log_error("cannot accept connections", LOG_S("error", strerror(reason)),
            LOG_I("connections", a->env->count),
            LOG_S("mend", "raise LimitNOFILE= or lower max_connections"));
    a->said = true;
    a->is_paused = true;
    (void)uv_timer_start(&a->pause, on_pause_over, ACCEPT_PAUSE_MS, 0);
    update(a);
}

/* False: nothing more to take here now. */
static bool
accept_one(struct port *p)
{
    int fd = listener_accept(p->fd);

    if (fd >= 0) {
        client_accept(p->owner->env, fd, p->address);
        return true;
    }
    switch (errno) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        pause_accepting(p->owner, errno);
        return false;
    case ECONNABORTED: /* gone before we came: accept(2) */
    case EPROTO:
    case EPERM:
        return true;
    default:
        return false;
    }
}

static void
on_readable(uv_poll_t *poll, int status, int events)
{
    struct port *p = poll->data;
    struct acceptor *a = p->owner;

    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPT_TURN && !is_full(a); i++)
        if (!accept_one(p))
            return;
    if (is_full(a)) {
        log_warn("connection limit reached, accepting waits",
            LOG_I("connections", a->env->count));
        update(a);
    }
}

struct acceptor *
acceptor_new(uv_loop_t *loop, struct client_env *env, struct err *err)
{
    struct acceptor *a = calloc(1, sizeof(*a));

    if (a == NULL) {
        (void)err_memory(err);
        return NULL;
    }
    a->loop = loop;
    a->env = env;
    list_init(&a->ports);
    list_init(&a->removed);
    a->max_connections = SIZE_MAX;
    (void)uv_timer_init(loop, &a->pause);
    a->pause.data = a;
    return a;
}

bool
acceptor_add(struct acceptor *a, const char *address, int fd, struct err *err)
{
    size_t size = strlen(address) + 1;
    struct port *p = calloc(1, sizeof(*p) + size);

    if (p == NULL) {
        (void)close(fd);
        return err_memory(err);
    }
    memcpy(p->address, address, size);
    p->owner = a;
    p->fd = fd;
    if (uv_poll_init(a->loop, &p->poll, fd) != 0) {
        (void)close(fd);
        free(p);
        return err_set(
            err, ERR_SYSTEM, "cannot watch the socket of %s", address);
    }
    p->poll.data = p;
    list_add_last(&a->ports, &p->node);
    update(a);
    return true;
}

static void
on_port_closed(uv_handle_t *handle)
{
    struct port *p = handle->data;

    (void)close(p->fd);
    p->fd = -1;
}

static void
port_close(struct port *p)
{
    list_remove(&p->node);
    list_add_last(&p->owner->removed, &p->node);
    uv_close((uv_handle_t *)&p->poll, on_port_closed);
}

void
acceptor_remove(struct acceptor *a, const char *address)
{
    LIST_EACH(&a->ports, it)
    {
        struct port *p = LIST_ENTRY(it, struct port, node);

        if (strcmp(p->address, address) != 0)
            continue;
        while (a->is_started && accept_one(p) && !is_full(a))
            ;
        port_close(p);
    }
}

void
acceptor_start(struct acceptor *a, size_t max_connections)
{
    a->is_started = true;
    a->max_connections = max_connections;
    update(a);
}

void
acceptor_stop(struct acceptor *a)
{
    a->is_started = false;
    update(a);
}

void
acceptor_end(struct acceptor *a)
{
    acceptor_stop(a);
    LIST_EACH(&a->ports, it)
    {
        port_close(LIST_ENTRY(it, struct port, node));
    }
}

void
acceptor_on_gone(struct acceptor *a)
{
    if (a->is_started && !a->is_paused &&
        a->env->count + 1 == a->max_connections)
        update(a);
}

void
acceptor_close(struct acceptor *a)
{
    LIST_EACH(&a->ports, it)
    {
        port_close(LIST_ENTRY(it, struct port, node));
    }
    uv_close((uv_handle_t *)&a->pause, NULL);
}

void
acceptor_free(struct acceptor *a)
{
    if (a == NULL)
        return;
    LIST_EACH(&a->removed, it)
    {
        free(LIST_ENTRY(it, struct port, node));
    }
    free(a);
}
