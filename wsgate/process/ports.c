/*
 * The master's listeners over reloads.
 * Input: the addresses of a configuration. Output: open sockets, and word of
 * what is new and what is gone.
 */
#include "wsgate/process/ports.h"

#include "shared/log.h"
#include "shared/service.h"
#include "wsgate/process/listener.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum port_state { PORT_OLD, PORT_NEW, PORT_KEPT };

struct port {
    struct listener listener;
    enum port_state state; /* PORT_OLD: not named by the newest config */
};

struct ports {
    struct port *items;
    size_t count;
    bool has_changed; /* since the last commit */
};

struct ports *
ports_new(void)
{
    return calloc(1, sizeof(struct ports));
}

static void
port_close(struct port *p)
{
    const char *address = p->listener.address;

    if (!p->listener.is_inherited && strncmp(address, "unix:", 5) == 0)
        (void)unlink(address + 5);
    listener_close(&p->listener);
}

void
ports_end(struct ports *ports)
{
    for (size_t i = 0; i < ports->count; i++)
        port_close(&ports->items[i]);
    ports->count = 0;
}

void
ports_free(struct ports *ports)
{
    if (ports == NULL)
        return;
    ports_end(ports);
    free(ports->items);
    free(ports);
}

/* Removes every port of that state. */
static void
drop(struct ports *ports, enum port_state state, ports_change *on_drop,
    void *ctx)
{
    size_t kept = 0;

    for (size_t i = 0; i < ports->count; i++) {
        struct port *p = &ports->items[i];

        if (p->state != state) {
            ports->items[kept++] = *p;
            continue;
        }
        if (on_drop != NULL)
            on_drop(ctx, p->listener.address, p->listener.fds,
                p->listener.fd_count);
        port_close(p);
    }
    ports->count = kept;
}

static bool
want(struct ports *ports, const struct config_mark *mark, const char *address,
    const char *mode, int slots, struct err *err)
{
    struct port *grown;

    for (size_t i = 0; i < ports->count; i++) {
        struct port *p = &ports->items[i];

        if (strcmp(p->listener.address, address) == 0) {
            p->state = p->state == PORT_OLD ? PORT_KEPT : p->state;
            return true;
        }
    }
    grown = realloc(ports->items, (ports->count + 1) * sizeof(*grown));
    if (grown == NULL)
        return err_memory(err);
    ports->items = grown;
    grown[ports->count] = (struct port){.state = PORT_NEW};
    if (!listener_open(
            address, mode, slots, &grown[ports->count].listener, err))
        return mark->file == NULL ? false
                                  : err_context(err, "%s:%u:%u", mark->file,
                                        mark->line, mark->column);
    ports->count++;
    return true;
}

static bool
want_site(struct ports *ports, const struct gate_site *site, int slots,
    struct err *err)
{
    const struct gate_listen *listens = site->listen.items;

    for (size_t i = 0; i < site->listen.count; i++)
        if (!want(ports, &listens[i].mark, listens[i].address, listens[i].mode,
                slots, err))
            return false;
    for (size_t i = 0; i < site->redirect_from.count; i++)
        if (!want(ports, &site->redirect_from.marks[i],
                site->redirect_from.items[i], NULL, slots, err))
            return false;
    return true;
}

bool
ports_prepare(struct ports *ports, const struct gate_config *config, int slots,
    struct err *err)
{
    const struct gate_site *sites = config->sites.items;

    for (size_t i = 0; i < ports->count; i++)
        ports->items[i].state = PORT_OLD;
    for (size_t i = 0; i < config->sites.count; i++) {
        if (want_site(ports, &sites[i], slots, err))
            continue;
        ports_abort(ports);
        return false;
    }
    return true;
}

static bool
is_used(const struct ports *ports, int fd)
{
    for (size_t i = 0; i < ports->count; i++)
        if (ports->items[i].listener.is_inherited &&
            ports->items[i].listener.fds[0] == fd)
            return true;
    return false;
}

/* Nobody accepts there, and the kernel lets clients connect all the same. */
static void
warn_unused(const struct ports *ports)
{
    char name[160]; /* "unix:" and a path, or an address and a port */

    for (int i = 0; i < service_listen_count(); i++) {
        if (is_used(ports, service_listen_fd(i)))
            continue;
        listener_name(service_listen_fd(i), name, sizeof(name));
        log_warn("a socket of systemd is not in the configuration: "
                 "connections to it wait in vain",
            LOG_S("address", name),
            LOG_S("mend", "listen: or redirect_from: it, or take it out of "
                          "wsgate.socket"));
    }
}

void
ports_drop_old(struct ports *ports, ports_change *on_old, void *ctx)
{
    size_t count = ports->count;

    drop(ports, PORT_OLD, on_old, ctx);
    ports->has_changed = ports->has_changed || ports->count < count;
}

void
ports_commit(struct ports *ports, ports_change *on_new, void *ctx)
{
    for (size_t i = 0; i < ports->count; i++) {
        struct port *p = &ports->items[i];

        if (p->state == PORT_NEW && on_new != NULL)
            on_new(ctx, p->listener.address, p->listener.fds,
                p->listener.fd_count);
        ports->has_changed = ports->has_changed || p->state == PORT_NEW;
        p->state = PORT_KEPT;
    }
    /* Most commits are of a renewed certificate: not said anew with each. */
    if (ports->has_changed)
        warn_unused(ports);
    ports->has_changed = false;
}

void
ports_abort(struct ports *ports)
{
    drop(ports, PORT_NEW, NULL, NULL);
    for (size_t i = 0; i < ports->count; i++)
        ports->items[i].state = PORT_KEPT;
}

void
ports_each(const struct ports *ports, int slot, bool with_new,
    void (*on_port)(void *ctx, int slot, const char *address, int fd),
    void *ctx)
{
    for (size_t i = 0; i < ports->count; i++) {
        const struct listener *l = &ports->items[i].listener;

        if (with_new || ports->items[i].state != PORT_NEW)
            on_port(ctx, slot, l->address, listener_fd(l, slot));
    }
}
