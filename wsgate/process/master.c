/*
 * The master: configuration, files, listeners, workers, signals.
 * Input: the operator's files and signals. Output: workers that serve; what
 * went wrong, in one line.
 */
#include "wsgate/process/master.h"

#include "shared/log.h"
#include "shared/now.h"
#include "shared/service.h"
#include "wsgate/client/generation.h"
#include "wsgate/process/cpu_share.h"
#include "wsgate/process/ports.h"
#include "wsgate/process/release.h"
#include "wsgate/process/workforce.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    COMMIT_TIMEOUT_MS = 30 * 1000, /* ours: then the reload is off */
    SIGNALS = 6
};

struct master {
    uv_loop_t loop;
    master_load *load;
    void *load_ctx;
    struct workforce *force;
    struct ports *ports;
    struct release *current; /* NULL before the first commit */
    struct release *pending; /* NULL: no reload under way */
    uint64_t next_id;
    bool reload_again; /* HUP came while one was under way */
    bool is_ending;
    int exit_code;
    uv_timer_t commit_timer;
    uv_timer_t watchdog;
    uv_signal_t signals[SIGNALS];
};

bool
master_check(master_load *load, void *ctx, struct err *err)
{
    struct release *r = NULL;

    if (!release_make(load, ctx, 0, &r, err))
        return false;
    release_free(r);
    return true;
}

/* ---- giving it to the workers --------------------------------------------------- */

static void
send_log(struct master *m, int slot, const struct release *r)
{
    (void)workforce_send(m->force, slot, CHANNEL_REOPEN, 0, SPAN_EMPTY,
        &r->log_fd, r->log_fd >= 0 ? 1 : 0);
}

static void
send_bundle(struct master *m, int slot, const struct release *r)
{
    (void)workforce_send(
        m->force, slot, CHANNEL_BUNDLE, r->id, SPAN_EMPTY, &r->bundle, 1);
}

static void
send_all(struct master *m, enum channel_type type, uint64_t id)
{
    for (int i = 0; i < workforce_slots(m->force); i++)
        if (workforce_is_up(m->force, i))
            (void)workforce_send(m->force, i, type, id, SPAN_EMPTY, NULL, 0);
}

static void
send_ports(void *ctx, int slot, const char *address, int fd)
{
    struct master *m = ctx;

    (void)workforce_send(m->force, slot, CHANNEL_LISTENERS, 0,
        span_make(address, strlen(address) + 1), &fd, 1);
}

static void
on_hello(void *ctx, int slot)
{
    struct master *m = ctx;
    const struct release *r = m->current != NULL ? m->current : m->pending;

    if (r == NULL || m->is_ending)
        return;
    ports_each(m->ports, slot, m->current == NULL, send_ports, m);
    send_log(m, slot, r);
    send_bundle(m, slot, r);
}

/* ---- commit everywhere or nowhere ------------------------------------------------ */

static void start_reload(struct master *m);

static void
say_ready(const struct master *m)
{
    service_ready("%zu sites, %d workers",
        release_config(m->current)->sites.count, workforce_slots(m->force));
    log_info(m->current->id == 1 ? "ready" : "reloaded",
        LOG_I("generation", m->current->id),
        LOG_I("sites", release_config(m->current)->sites.count),
        LOG_I("workers", workforce_slots(m->force)));
}

static void
reload_over(struct master *m)
{
    (void)uv_timer_stop(&m->commit_timer);
    if (m->reload_again && !m->is_ending) {
        m->reload_again = false;
        start_reload(m);
    }
}

static void
send_new_port(void *ctx, const char *address, const int *fds, int fd_count)
{
    struct master *m = ctx;

    for (int i = 0; i < workforce_slots(m->force); i++)
        if (workforce_is_up(m->force, i))
            send_ports(m, i, address, fds[fd_count == 1 ? 0 : i]);
}

static void
send_old_port(void *ctx, const char *address, const int *fds, int fd_count)
{
    struct master *m = ctx;

    (void)fds;
    (void)fd_count;
    for (int i = 0; i < workforce_slots(m->force); i++)
        if (workforce_is_up(m->force, i))
            (void)workforce_send(m->force, i, CHANNEL_UNLISTEN, 0,
                span_make(address, strlen(address) + 1), NULL, 0);
}

static void
commit(struct master *m)
{
    bool is_first = m->current == NULL;

    for (int i = 0; i < workforce_slots(m->force); i++)
        if (workforce_is_up(m->force, i) && !is_first)
            send_log(m, i, m->pending);
    /* What waits at an address that goes is still the old one's to serve. */
    ports_drop_old(m->ports, send_old_port, m);
    send_all(m, CHANNEL_COMMIT, m->pending->id);
    ports_commit(m->ports, is_first ? NULL : send_new_port, m);
    release_free(m->current);
    m->current = m->pending;
    m->pending = NULL;
    say_ready(m);
    reload_over(m);
}

static void
give_up(struct master *m, int exit_code)
{
    m->exit_code = exit_code;
    m->is_ending = true;
    workforce_kill(m->force);
}

static void
abandon(struct master *m, const char *why)
{
    log_error(m->current == NULL ? "start failed"
                                 : "reload failed, the old configuration stays",
        LOG_S("error", why));
    send_all(m, CHANNEL_ABORT, m->pending->id);
    ports_abort(m->ports);
    release_free(m->pending);
    m->pending = NULL;
    if (m->current == NULL) {
        give_up(m, EX_SOFTWARE);
        return;
    }
    service_ready("reload failed, the old configuration stays");
    reload_over(m);
}

static void
on_commit_timeout(uv_timer_t *timer)
{
    struct master *m = timer->data;

    if (m->pending != NULL && !m->is_ending)
        abandon(m, "workers did not get ready within 30 s");
}

/* A worker that is down will get the new one when it is back. */
static bool
everybody_is_ready(const struct master *m)
{
    int up = 0;

    for (int i = 0; i < workforce_slots(m->force); i++) {
        if (workforce_is_up(m->force, i) && !m->pending->ready[i])
            return false;
        up += workforce_is_up(m->force, i);
    }
    return up == workforce_slots(m->force) || (up > 0 && m->current != NULL);
}

static void
on_ready(void *ctx, int slot, uint64_t id)
{
    struct master *m = ctx;

    if (m->is_ending)
        return;
    if (m->pending != NULL && id == m->pending->id) {
        m->pending->ready[slot] = true;
        if (everybody_is_ready(m))
            commit(m);
    } else if (m->current != NULL && id == m->current->id) {
        (void)workforce_send(
            m->force, slot, CHANNEL_COMMIT, id, SPAN_EMPTY, NULL, 0);
        /* A replaced worker that missed the reload under way. */
        if (m->pending != NULL)
            send_bundle(m, slot, m->pending);
    }
}

static void
on_failed(void *ctx, int slot, uint64_t id, const char *text)
{
    struct master *m = ctx;

    if (m->is_ending)
        return;
    if (m->pending != NULL && id == m->pending->id)
        abandon(m, text);
    else
        log_error("worker cannot use the configuration", LOG_I("slot", slot),
            LOG_S("error", text));
}

static void
on_lost(void *ctx, int slot)
{
    struct master *m = ctx;

    if (m->is_ending || m->pending == NULL)
        return;
    m->pending->ready[slot] = false;
    if (m->current == NULL)
        abandon(m, "a worker ended while starting");
    else if (everybody_is_ready(m))
        commit(m);
}

static void
on_all_gone(void *ctx)
{
    struct master *m = ctx;

    uv_stop(&m->loop);
}

static const struct workforce_events workforce_events = {
    .on_hello = on_hello,
    .on_ready = on_ready,
    .on_failed = on_failed,
    .on_lost = on_lost,
    .on_all_gone = on_all_gone,
};

/* ---- reload ------------------------------------------------------------------------ */

static bool
prepare(struct master *m, struct release **out, struct err *err)
{
    struct release *r = NULL;
    int slots = workforce_slots(m->force);

    if (!release_make(m->load, m->load_ctx, ++m->next_id, &r, err))
        return false;
    r->ready = calloc((size_t)slots, sizeof(*r->ready));
    if (r->ready == NULL) {
        release_free(r);
        return err_memory(err);
    }
    if (!release_open_log(r, err) ||
        !ports_prepare(m->ports, release_config(r), slots, err)) {
        release_free(r);
        return false;
    }
    *out = r;
    return true;
}

static void
warn_fixed(const struct master *m)
{
    const struct gate_config *old = release_config(m->current);
    const struct gate_config *new = release_config(m->pending);

    if (old->workers != new->workers)
        log_warn("workers: changed, takes effect at the next start");
}

static void
start_reload(struct master *m)
{
    struct err err = {0};

    if (m->pending != NULL) {
        m->reload_again = true; /* the newest wins */
        return;
    }
    service_reloading();
    if (!prepare(m, &m->pending, &err)) {
        log_error("reload failed, the old configuration stays", LOG_ERR(&err));
        service_ready("reload failed, the old configuration stays");
        return;
    }
    warn_fixed(m);
    (void)uv_timer_start(
        &m->commit_timer, on_commit_timeout, COMMIT_TIMEOUT_MS, 0);
    for (int i = 0; i < workforce_slots(m->force); i++)
        if (workforce_is_up(m->force, i))
            send_bundle(m, i, m->pending);
}

/* ---- signals ------------------------------------------------------------------------ */

static void
rerelease_open_log(struct master *m)
{
    struct err err = {0};
    int old;

    if (m->current == NULL)
        return;
    old = m->current->log_fd;
    m->current->log_fd = -1;
    if (!release_open_log(m->current, &err)) {
        log_error("access log cannot be opened again", LOG_ERR(&err));
        m->current->log_fd = old;
        return;
    }
    for (int i = 0; i < workforce_slots(m->force); i++)
        if (workforce_is_up(m->force, i))
            send_log(m, i, m->current);
    if (old >= 0)
        (void)close(old);
}

static void
stop(struct master *m)
{
    int64_t deadline_ms =
        m->current == NULL ? 0 : release_config(m->current)->drain.deadline_ms;

    if (m->is_ending) { /* a second TERM */
        workforce_kill(m->force);
        return;
    }
    m->is_ending = true;
    service_stopping("draining");
    service_extend_timeout((deadline_ms + 5000) * 1000);
    log_info("stopping: draining", LOG_I("deadline_ms", deadline_ms));
    workforce_drain(m->force, deadline_ms);
    ports_end(m->ports);
}

static void
on_signal(uv_signal_t *handle, int number)
{
    struct master *m = handle->data;

    switch (number) {
    case SIGCHLD:
        workforce_reap(m->force);
        break;
    case SIGHUP:
        if (!m->is_ending)
            start_reload(m);
        break;
    case SIGUSR1:
        rerelease_open_log(m);
        break;
    case SIGQUIT:
        m->is_ending = true;
        workforce_kill(m->force);
        break;
    default: /* SIGTERM, SIGINT */
        stop(m);
        break;
    }
}

static void
on_watchdog(uv_timer_t *timer)
{
    const struct master *m = timer->data;

    if (workforce_is_well(m->force))
        service_watchdog_pet();
}

/* ---- life ----------------------------------------------------------------------------- */

/* Two descriptors per tunnel: take what the hard limit gives. */
static void
raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
        limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
        log_debug("descriptor limit raised", LOG_I("limit", limit.rlim_cur));
}

static void
confine(void)
{
    struct rlimit none = {0, 0};

    (void)setrlimit(RLIMIT_CORE, &none); /* it would hold keys */
#ifndef __SANITIZE_ADDRESS__
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
    (void)signal(SIGPIPE, SIG_IGN);
}

static void
init_handles(struct master *m)
{
    static const int numbers[SIGNALS] = {
        SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGCHLD};
    int64_t pet_ms = service_watchdog_ms();

    (void)uv_timer_init(&m->loop, &m->commit_timer);
    (void)uv_timer_init(&m->loop, &m->watchdog);
    m->commit_timer.data = m;
    m->watchdog.data = m;
    if (pet_ms > 0)
        (void)uv_timer_start(&m->watchdog, on_watchdog, 0, (uint64_t)pet_ms);
    for (int i = 0; i < SIGNALS; i++) {
        (void)uv_signal_init(&m->loop, &m->signals[i]);
        m->signals[i].data = m;
        (void)uv_signal_start(&m->signals[i], on_signal, numbers[i]);
    }
}

static const char *
worker_user(const struct gate_config *config)
{
    if (geteuid() != 0)
        return NULL;
    if (config->user == NULL)
        log_warn("workers run as root", LOG_S("mend", "set user:"));
    return config->user;
}

/* The first configuration decides how many workers there are, and who. */
static bool
master_start(struct master *m, struct err *err)
{
    struct release *r = NULL;
    int slots;

    if (!release_make(m->load, m->load_ctx, ++m->next_id, &r, err))
        return false;
    m->pending = r;
    log_init("wsgate", (enum log_format)release_config(r)->log.format,
        (enum log_level)release_config(r)->log.level);
    raise_descriptor_limit();
    slots = release_config(r)->workers > 0 ? (int)release_config(r)->workers
                                           : cpu_share();
    r->ready = calloc((size_t)slots, sizeof(*r->ready));
    m->ports = ports_new();
    if (r->ready == NULL || m->ports == NULL)
        return err_memory(err);
    if (!release_open_log(r, err) ||
        !ports_prepare(m->ports, release_config(r), slots, err))
        return false;
    m->force = workforce_new(&m->loop, slots, worker_user(release_config(r)),
        &workforce_events, m, err);
    return m->force != NULL && workforce_start(m->force, err);
}

static void
close_handles(struct master *m)
{
    uv_close((uv_handle_t *)&m->commit_timer, NULL);
    uv_close((uv_handle_t *)&m->watchdog, NULL);
    for (int i = 0; i < SIGNALS; i++)
        uv_close((uv_handle_t *)&m->signals[i], NULL);
    if (m->force != NULL)
        workforce_close(m->force);
    (void)uv_run(&m->loop, UV_RUN_DEFAULT);
}

static void
master_fini(struct master *m)
{
    close_handles(m);
    workforce_free(m->force);
    ports_free(m->ports);
    release_free(m->current);
    release_free(m->pending);
    (void)uv_loop_close(&m->loop);
}

int
master_run(master_load *load, void *ctx)
{
    struct master m = {.load = load, .load_ctx = ctx};
    struct err err = {0};

    confine();
    if (uv_loop_init(&m.loop) != 0)
        return EX_OSERR;
    init_handles(&m);
    if (master_start(&m, &err)) {
        (void)uv_timer_start(
            &m.commit_timer, on_commit_timeout, COMMIT_TIMEOUT_MS, 0);
        (void)uv_run(&m.loop, UV_RUN_DEFAULT);
    } else {
        log_error("cannot start", LOG_ERR(&err));
        m.exit_code = err_exit_code(&err);
    }
    master_fini(&m);
    return m.exit_code;
}
