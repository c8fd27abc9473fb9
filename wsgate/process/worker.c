/*
 * One worker: one event loop, no threads on the data path.
 * Input: the master's messages (listeners, configuration, drain). Output:
 * clients served; answers to the master.
 */
#include "wsgate/process/worker.h"

#include "shared/log.h"
#include "shared/now.h"
#include "wsgate/backend/idle_pool.h"
#include "wsgate/client/client.h"
#include "wsgate/process/acceptor.h"
#include "wsgate/process/bundle.h"
#include "wsgate/process/channel.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    BUILD_SLICE_MS = 5, /* ours: a loop turn stays short */
    STAPLE_TICK_MS = 10 * 1000, /* slow net under inotify */
    RESERVED_FDS = 64,
    SPARE_FDS = 8,
    SPOOLS_MAX = 8 /* spool folders over a worker's life */
};

/* A spool folder that some generation uses; kept for the worker's life. */
struct worker_spool {
    char *path;
    struct staple_set *set;
    uv_poll_t poll;
};

struct worker {
    uv_loop_t loop;
    struct net_loop net;
    struct client_env env;
    struct acceptor *acceptor;
    int channel;
    uv_poll_t channel_poll;
    uv_timer_t staple_timer;
    uv_timer_t drain_timer;
    uv_prepare_t log_turn;
    uv_idle_t build_idle;

    struct bundle *bundle; /* while building */
    struct generation_builder *builder; /* NULL: nothing is being built */
    struct generation *pending; /* built, not committed */
    uint64_t pending_id;

    struct worker_spool spools[SPOOLS_MAX];
    size_t spool_count;
    int log_fd; /* of the access log; -1: none yet */
    int spare[SPARE_FDS]; /* closed while the master's messages are read: they
                             bring descriptors even when we have no more */
    int exit_code;
};

/* ---- talking to the master ------------------------------------------------- */

static void
tell(struct worker *w, enum channel_type type, uint64_t id, struct span payload)
{
    struct err err = {0};

    if (!channel_send(w->channel, type, id, payload, NULL, 0, &err))
        log_error("cannot answer the master", LOG_ERR(&err));
}

/* ---- staples ---------------------------------------------------------------- */

static void
on_staples_readable(uv_poll_t *poll, int status, int events)
{
    struct worker_spool *spool = poll->data;

    (void)status;
    (void)events;
    staple_set_on_readable(spool->set, now_wall());
}

static void
on_staple_tick(uv_timer_t *timer)
{
    struct worker *w = timer->data;

    for (size_t i = 0; i < w->spool_count; i++)
        staple_set_on_tick(w->spools[i].set, now_wall());
}

static struct staple_set *
open_spool(struct worker *w, const char *path, struct err *err)
{
    struct worker_spool *spool = &w->spools[w->spool_count];

    if (w->spool_count == SPOOLS_MAX) {
        (void)err_set(err, ERR_LIMIT,
            "spool: changed %d times, restart to change it again", SPOOLS_MAX);
        return NULL;
    }
    spool->path = strdup(path);
    spool->set = spool->path == NULL ? NULL : staple_set_new(path, err);
    if (spool->set == NULL ||
        uv_poll_init(&w->loop, &spool->poll, staple_set_fd(spool->set)) != 0) {
        staple_set_free(spool->set);
        free(spool->path);
        return NULL;
    }
    spool->poll.data = spool;
    (void)uv_poll_start(&spool->poll, UV_READABLE, on_staples_readable);
    w->spool_count++;
    return spool->set;
}

/* A spool that cannot be watched never stops us: we serve without staples. */
static struct staple_set *
staples_for(struct worker *w, const char *path)
{
    struct err err = {0};
    struct staple_set *set;

    if (path == NULL)
        return NULL;
    for (size_t i = 0; i < w->spool_count; i++)
        if (strcmp(w->spools[i].path, path) == 0)
            return w->spools[i].set;
    set = open_spool(w, path, &err);
    if (set == NULL)
        log_error("no stapling: the spool cannot be watched",
            LOG_S("spool", path), LOG_ERR(&err));
    return set;
}

/* ---- configuration ------------------------------------------------------------ */

static void
forget_build(struct worker *w)
{
    generation_builder_free(w->builder);
    w->builder = NULL;
    bundle_free(w->bundle);
    w->bundle = NULL;
    (void)uv_idle_stop(&w->build_idle);
}

static void
build_failed(struct worker *w, const struct err *err)
{
    tell(w, CHANNEL_FAILED, w->pending_id, span_str(err->text));
    forget_build(w);
}

static void
on_build_turn(uv_idle_t *idle)
{
    struct worker *w = idle->data;
    uint64_t end_ns = uv_hrtime() + BUILD_SLICE_MS * 1000000ULL;
    enum generation_step step;
    struct err err = {0};

    do
        step = generation_build_step(w->builder, now_wall(), &w->pending, &err);
    while (step == GENERATION_AGAIN && uv_hrtime() < end_ns);
    if (step == GENERATION_AGAIN)
        return;
    if (step == GENERATION_FAILED) {
        build_failed(w, &err);
        return;
    }
    forget_build(w);
    /* The master swaps a pair when its staple is in the spool: what inotify
     * holds for us of that is read before we serve it. */
    for (size_t i = 0; i < w->spool_count; i++)
        staple_set_on_readable(w->spools[i].set, now_wall());
    tell(w, CHANNEL_READY, w->pending_id, SPAN_EMPTY);
}

static bool
begin_build(struct worker *w, int fd, struct err *err)
{
    struct gate_config *config = NULL;

    if (!bundle_open(fd, &w->bundle, err) ||
        !gate_config_parse(bundle_get(w->bundle, BUNDLE_CONFIG), &config, err))
        return false;
    w->builder = generation_build(config, w->pending_id,
        staples_for(w, config->spool), bundle_get, w->bundle, err);
    if (w->builder == NULL)
        return false;
    generation_build_reuse(w->builder, w->env.current);
    return true;
}

static void
drop_pending(struct worker *w)
{
    forget_build(w);
    generation_unref(w->pending);
    w->pending = NULL;
}

static void
take_bundle(struct worker *w, struct channel_message *m)
{
    struct err err = {0};

    drop_pending(w);
    w->pending_id = m->id;
    if (m->fd_count != 1) {
        (void)err_set(&err, ERR_FORMAT, "bundle message without a bundle");
        build_failed(w, &err);
        return;
    }
    m->fd_count = 0; /* taken */
    if (!begin_build(w, m->fds[0], &err)) {
        build_failed(w, &err);
        return;
    }
    (void)uv_idle_start(&w->build_idle, on_build_turn);
}

/* Each tunnel has two descriptors. */
static size_t
connection_limit(const struct gate_config *config)
{
    struct rlimit limit = {0};
    size_t fits = RESERVED_FDS / 4, wanted = (size_t)config->max_connections;

    (void)getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur > 2 * RESERVED_FDS)
        fits = (size_t)(limit.rlim_cur - RESERVED_FDS) / 2;
    if (wanted > fits)
        log_warn("max_connections is more than the descriptor limit allows",
            LOG_I("max_connections", wanted), LOG_I("taken", fits),
            LOG_I("descriptors", limit.rlim_cur));
    return wanted > 0 && wanted < fits ? wanted : fits;
}

static void
commit(struct worker *w, uint64_t id)
{
    struct generation *old = w->env.current;
    const struct gate_config *config;

    if (w->pending == NULL || w->pending_id != id)
        return;
    w->env.current = w->pending;
    w->pending = NULL;
    config = w->env.current->config;
    log_init("wsgate", (enum log_format)config->log.format,
        (enum log_level)config->log.level);
    access_log_set(w->env.log, w->log_fd, (enum log_format)config->log.format);
    generation_unref(old);
    if (!w->env.is_draining)
        acceptor_start(w->acceptor, connection_limit(config));
}

/* ---- listeners, log, drain ------------------------------------------------------ */

/* Payload: one NUL-ended address per descriptor. */
static void
take_listeners(struct worker *w, struct channel_message *m)
{
    struct span rest = span_make(m->payload, m->len);
    struct err err = {0};

    for (int i = 0; i < m->fd_count; i++) {
        struct span address;
        int fd = m->fds[i];

        m->fds[i] = -1; /* taken, or closed */
        if (span_find(rest, 0) == rest.len) {
            (void)close(fd);
            continue;
        }
        (void)span_split(&rest, 0, &address);
        if (!acceptor_add(w->acceptor, (const char *)address.data, fd, &err))
            log_error(
                "cannot accept", LOG_SPAN("listen", address), LOG_ERR(&err));
    }
}

static void
take_unlisten(struct worker *w, struct channel_message *m)
{
    m->payload[m->len < sizeof(m->payload) ? m->len : m->len - 1] = 0;
    acceptor_remove(w->acceptor, (const char *)m->payload);
}

static void
take_log(struct worker *w, struct channel_message *m)
{
    int old = w->log_fd;

    w->log_fd = -1;
    if (m->fd_count == 1) {
        w->log_fd = m->fds[0];
        m->fd_count = 0; /* taken */
    }
    if (w->env.current != NULL)
        access_log_set(w->env.log, w->log_fd,
            (enum log_format)w->env.current->config->log.format);
    if (old >= 0)
        (void)close(old);
}

static void
exit_when_empty(struct worker *w)
{
    if (!w->env.is_draining || w->env.count > 0)
        return;
    tell(w, CHANNEL_DRAINED, 0, SPAN_EMPTY);
    uv_stop(&w->loop);
}

static void
on_drain_deadline(uv_timer_t *timer)
{
    struct worker *w = timer->data;

    if (w->env.count > 0)
        log_info("drain deadline: closing what is left",
            LOG_I("connections", w->env.count));
    client_stop_all(&w->env);
}

static void
take_drain(struct worker *w, const struct channel_message *m)
{
    uint64_t deadline_ms = 0;

    (void)span_to_u64(span_make(m->payload, m->len), INT32_MAX, &deadline_ms);
    acceptor_end(w->acceptor);
    client_drain_all(&w->env);
    (void)uv_timer_start(&w->drain_timer, on_drain_deadline, deadline_ms, 0);
    exit_when_empty(w);
}

static void
on_client_gone(void *ctx)
{
    struct worker *w = ctx;

    acceptor_on_gone(w->acceptor);
    exit_when_empty(w);
}

/* ---- the channel ------------------------------------------------------------------ */

static void
take_message(struct worker *w, struct channel_message *m)
{
    switch (m->type) {
    case CHANNEL_LISTENERS:
        take_listeners(w, m);
        break;
    case CHANNEL_UNLISTEN:
        take_unlisten(w, m);
        break;
    case CHANNEL_BUNDLE:
        take_bundle(w, m);
        break;
    case CHANNEL_COMMIT:
        commit(w, m->id);
        break;
    case CHANNEL_ABORT:
        if (m->id == w->pending_id) /* we may build what is in force still */
            drop_pending(w);
        break;
    case CHANNEL_PING:
        tell(w, CHANNEL_PONG, m->id, SPAN_EMPTY);
        break;
    case CHANNEL_DRAIN:
        take_drain(w, m);
        break;
    case CHANNEL_REOPEN:
        take_log(w, m);
        break;
    case CHANNEL_HELLO:
    case CHANNEL_READY:
    case CHANNEL_FAILED:
    case CHANNEL_PONG:
    case CHANNEL_DRAINED:
        break; /* ours to send */
    }
}

static void
hold_spares(struct worker *w)
{
    for (int i = 0; i < SPARE_FDS; i++)
        if (w->spare[i] < 0)
            w->spare[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void
free_spares(struct worker *w)
{
    for (int i = 0; i < SPARE_FDS; i++) {
        if (w->spare[i] >= 0)
            (void)close(w->spare[i]);
        w->spare[i] = -1;
    }
}

static void
on_channel(uv_poll_t *poll, int status, int events)
{
    struct worker *w = poll->data;
    struct channel_message m;
    enum channel_got got;

    (void)status;
    (void)events;
    free_spares(w);
    while ((got = channel_receive(w->channel, &m)) == CHANNEL_GOT_ONE) {
        take_message(w, &m);
        channel_close_fds(&m);
    }
    hold_spares(w);
    if (got == CHANNEL_GOT_END) {
        /* The master is gone: nobody would hand our listeners on. */
        w->exit_code = 1;
        uv_stop(&w->loop);
    }
}

/* Right before the loop waits: what closing handles log is not left behind. */
static void
on_log_turn(uv_prepare_t *prepare)
{
    struct worker *w = prepare->data;

    net_loop_flush(&w->net); /* may end connections, too */
    access_log_flush(w->env.log);
}

/* ---- life --------------------------------------------------------------------------- */

/* Nobody reads our memory, nobody gains rights through us. The sanitizers'
 * leak check needs ptrace. */
static void
confine(void)
{
    static const int ignored[] = {SIGPIPE, SIGHUP, SIGTERM, SIGINT, SIGQUIT,
        SIGUSR1, SIGUSR2}; /* the master's; a terminal sends to all of us */
    struct rlimit none = {0, 0};

    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        (void)signal(ignored[i], SIG_IGN);
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
#ifndef __SANITIZE_ADDRESS__
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

static void
init_handles(struct worker *w)
{
    (void)uv_timer_init(&w->loop, &w->staple_timer);
    (void)uv_timer_init(&w->loop, &w->drain_timer);
    (void)uv_prepare_init(&w->loop, &w->log_turn);
    (void)uv_idle_init(&w->loop, &w->build_idle);
    w->staple_timer.data = w;
    w->drain_timer.data = w;
    w->log_turn.data = w;
    w->build_idle.data = w;
    (void)uv_timer_start(
        &w->staple_timer, on_staple_tick, STAPLE_TICK_MS, STAPLE_TICK_MS);
    (void)uv_prepare_start(&w->log_turn, on_log_turn);
}

static bool
worker_init(struct worker *w, int channel, struct err *err)
{
    *w = (struct worker){.channel = channel, .log_fd = -1};
    memset(w->spare, 0xff, sizeof(w->spare)); /* all -1 */
    hold_spares(w);
    client_env_init(&w->env);
    if (uv_loop_init(&w->loop) != 0 || !net_loop_init(&w->net, &w->loop, err) ||
        uv_poll_init(&w->loop, &w->channel_poll, channel) != 0)
        return err_set(err, ERR_SYSTEM, "cannot make an event loop");
    w->env.backend.net = &w->net;
    w->env.backend.idle = idle_pool_new(&w->net, err);
    w->env.log = access_log_new();
    w->env.on_gone = on_client_gone;
    w->env.ctx = w;
    w->acceptor = acceptor_new(&w->loop, &w->env, err);
    if (w->env.backend.idle == NULL || w->env.log == NULL ||
        w->acceptor == NULL)
        return err_memory(err);
    w->channel_poll.data = w;
    init_handles(w);
    (void)uv_poll_start(&w->channel_poll, UV_READABLE, on_channel);
    return true;
}

static void
close_handle(void *handle)
{
    uv_close(handle, NULL);
}

static void
worker_close(struct worker *w)
{
    w->env.on_gone = NULL;
    client_stop_all(&w->env);
    acceptor_close(w->acceptor);
    idle_pool_free(w->env.backend.idle);
    drop_pending(w);
    close_handle(&w->channel_poll);
    close_handle(&w->staple_timer);
    close_handle(&w->drain_timer);
    close_handle(&w->log_turn);
    close_handle(&w->build_idle);
    for (size_t i = 0; i < w->spool_count; i++)
        close_handle(&w->spools[i].poll);
    net_loop_close(&w->net);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
}

static void
worker_fini(struct worker *w)
{
    acceptor_free(w->acceptor);
    generation_unref(w->env.current);
    access_log_free(w->env.log);
    for (size_t i = 0; i < w->spool_count; i++) {
        staple_set_free(w->spools[i].set);
        free(w->spools[i].path);
    }
    free_spares(w);
    net_loop_fini(&w->net);
    (void)uv_loop_close(&w->loop);
}

int
worker_run(int channel_fd)
{
    struct err err = {0};
    struct worker w;

    confine();
    if (!worker_init(&w, channel_fd, &err)) {
        log_error("worker cannot start", LOG_ERR(&err));
        return 1;
    }
    tell(&w, CHANNEL_HELLO, 0, span_str(VERSION));
    (void)uv_run(&w.loop, UV_RUN_DEFAULT);
    worker_close(&w);
    worker_fini(&w);
    return w.exit_code;
}
