/*
 * The master: configuration, files, listeners, workers, signals.
 * Input: the operator's files and signals. Output: workers that serve; what
 * went wrong, in one line.
 */
#include "wsgate/process/master.h"

#include "shared/log.h"
#include "shared/now.h"
#include "shared/privs.h"
#include "shared/service.h"
#include "wsgate/admin/admin.h"
#include "wsgate/client/generation.h"
#include "wsgate/process/cpu_share.h"
#include "wsgate/process/pairs.h"
#include "wsgate/process/release.h"
#include "wsgate/process/rollout.h"
#include "wsgate/process/workforce.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    SIGNALS = 6,
    DESCRIPTORS_LOW = 4096 /* ours: about two thousand tunnels */
};

struct master {
    uv_loop_t loop;
    master_load *load;
    void *load_ctx;
    struct workforce *force;
    struct rollout *rollout;
    struct pairs *pairs;
    struct admin *admin;
    uint64_t next_id;
    bool is_reloading;
    bool is_swapping; /* certificates that changed on disk */
    bool reload_again; /* HUP came while one was under way */
    bool is_ending;
    int exit_code;
    uv_timer_t watchdog;
    uv_signal_t signals[SIGNALS];
};

bool
master_check(master_load *load, void *ctx, struct err *err)
{
    struct release *r = NULL;

    if (!release_make(load, ctx, 0, NULL, &r, err))
        return false;
    release_free(r);
    return true;
}

/* ---- reload ------------------------------------------------------------------------ */

static void start_reload(struct master *m);

static void
say_ready(const struct master *m)
{
    const struct release *r = rollout_current(m->rollout);

    service_ready("%zu sites, %d workers", release_config(r)->sites.count,
        workforce_slots(m->force));
    log_info(r->id == 1 ? "ready" : "reloaded", LOG_I("generation", r->id),
        LOG_I("sites", release_config(r)->sites.count),
        LOG_I("workers", workforce_slots(m->force)));
}

static void
on_all_switched(void *ctx)
{
    struct master *m = ctx;

    admin_all_switched(m->admin);
}

/*
 * Once at the end of every reload, whatever became of it: who asked for it is
 * answered here. Requests that come while one is under way share the next one
 * (reload_again), which begins right behind this.
 */
static void
reload_ended(struct master *m, const struct err *why)
{
    m->is_reloading = false;
    if (why == NULL) {
        admin_commit(m->admin);
        say_ready(m);
        pairs_follow(m->pairs, rollout_current(m->rollout));
    } else if (!m->is_ending) {
        pairs_resume(m->pairs);
        admin_abort(m->admin);
        log_error("reload failed, the old configuration stays", LOG_ERR(why));
        service_ready(
            "reload failed, the old configuration stays: %s", why->text);
    }
    admin_reload_over(m->admin, why);
    if (why == NULL)
        workforce_catch_up(m->force, on_all_switched, m);
}

static void
give_up(struct master *m, int exit_code)
{
    m->exit_code = exit_code;
    m->is_ending = true;
    workforce_kill(m->force);
}

/* Broken off by a reload, it is no failure: the reload reads the disk, too. */
static void
swap_ended(struct master *m, bool is_committed, const char *why)
{
    m->is_swapping = false;
    if (!m->is_ending && (is_committed || !m->reload_again))
        pairs_swapped(m->pairs, rollout_current(m->rollout), is_committed, why);
}

static void
on_rollout_end(void *ctx, bool is_committed, const char *why)
{
    struct master *m = ctx;
    struct err err = {0};

    if (m->is_swapping) {
        swap_ended(m, is_committed, why);
    } else if (m->is_reloading) {
        if (!is_committed)
            (void)err_set(&err, ERR_REJECTED, "%s", why);
        reload_ended(m, is_committed ? NULL : &err);
    } else if (is_committed) {
        admin_commit(m->admin);
        say_ready(m);
        pairs_follow(m->pairs, rollout_current(m->rollout));
    } else if (!m->is_ending) {
        log_error("start failed", LOG_S("error", why));
        give_up(m, EX_SOFTWARE);
    }
    if (m->reload_again && !m->is_ending) {
        m->reload_again = false;
        start_reload(m);
    }
}

static void
warn_fixed(const struct master *m)
{
    const struct gate_config *old = release_config(rollout_current(m->rollout));
    const struct gate_config *new = release_config(rollout_pending(m->rollout));

    if (old->workers != new->workers)
        log_warn("workers: changed, takes effect at the next start");
}

/* Takes the release. */
static bool
prepare(struct master *m, struct release *r, int slots, struct err *err)
{
    if (!admin_prepare(m->admin, release_config(r), err)) {
        release_free(r);
        return false;
    }
    return rollout_begin(m->rollout, r, slots, err);
}

static void
start_reload(struct master *m)
{
    struct release *r = NULL;
    struct err err = {0};

    if (rollout_pending(m->rollout) != NULL) {
        m->reload_again = true; /* the newest wins */
        if (m->is_swapping)
            rollout_cancel(m->rollout, "a reload took over");
        return;
    }
    m->is_reloading = true;
    service_reloading();
    admin_reload_begun(m->admin);
    if (!release_make(m->load, m->load_ctx, ++m->next_id,
            rollout_current(m->rollout), &r, &err) ||
        !prepare(m, r, workforce_slots(m->force), &err)) {
        reload_ended(m, &err);
        return;
    }
    warn_fixed(m);
    rollout_send(m->rollout);
}

/* ---- certificates that change on disk ------------------------------------------------ */

static bool
on_may_swap(void *ctx)
{
    const struct master *m = ctx;

    return !m->is_ending && rollout_pending(m->rollout) == NULL;
}

static bool
on_swap(void *ctx, bundle_source *source, void *source_ctx, struct err *err)
{
    struct master *m = ctx;
    struct release *r = NULL;

    if (!release_make_again(rollout_current(m->rollout), ++m->next_id, source,
            source_ctx, &r, err) ||
        !rollout_begin(m->rollout, r, workforce_slots(m->force), err))
        return false;
    m->is_swapping = true;
    rollout_send(m->rollout);
    return true;
}

static const struct pairs_events pairs_events = {
    .may_swap = on_may_swap,
    .swap = on_swap,
};

/* ---- the admin socket -------------------------------------------------------------- */

static bool
on_admin_reload(void *ctx, struct err *err)
{
    struct master *m = ctx;

    if (m->is_ending)
        return err_set(err, ERR_REJECTED, "wsgate is stopping");
    start_reload(m);
    return true;
}

static void
on_admin_status(void *ctx, struct admin_status *out)
{
    const struct master *m = ctx;
    const struct release *r = rollout_current(m->rollout);

    *out = (struct admin_status){
        .state = rollout_pending(m->rollout) != NULL ? "reloading" : "serving",
        .worker_count = m->force == NULL ? 0 : workforce_slots(m->force)};
    if (r == NULL)
        return;
    out->generation = r->id;
    out->sites = release_config(r)->sites.count;
    out->config = release_config(r)->path;
}

static void
on_admin_worker(void *ctx, int index, struct admin_worker *out)
{
    const struct master *m = ctx;
    struct workforce_member member;

    workforce_look(m->force, index, &member);
    out->pid = member.pid;
    out->state = member.is_up ? "up" : member.pid > 0 ? "starting" : "down";
    out->since = now_wall() - member.age_ms / 1000;
}

static const struct admin_ops admin_ops = {
    .reload = on_admin_reload,
    .status = on_admin_status,
    .worker = on_admin_worker,
};

/* ---- signals ------------------------------------------------------------------------ */

static void
reopen_log(struct master *m)
{
    struct err err = {0};

    if (!rollout_reopen_log(m->rollout, &err))
        log_error("access log cannot be opened again", LOG_ERR(&err));
}

static void
stop(struct master *m)
{
    const struct release *r = rollout_current(m->rollout);
    int64_t deadline_ms = r == NULL ? 0 : release_config(r)->drain.deadline_ms;

    if (m->is_ending) { /* a second TERM */
        workforce_kill(m->force);
        return;
    }
    m->is_ending = true;
    admin_end(m->admin, "wsgate is stopping");
    service_stopping("draining");
    service_extend_timeout((deadline_ms + 5000) * 1000);
    log_info("stopping: draining", LOG_I("deadline_ms", deadline_ms));
    workforce_drain(m->force, deadline_ms);
    pairs_stop(m->pairs);
    rollout_stop(m->rollout);
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
        reopen_log(m);
        break;
    case SIGQUIT:
        m->is_ending = true;
        admin_end(m->admin, "wsgate is stopping");
        workforce_kill(m->force);
        pairs_stop(m->pairs);
        rollout_stop(m->rollout);
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

    rlim_t from;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    if (limit.rlim_max < DESCRIPTORS_LOW)
        log_warn("few descriptors are allowed: each tunnel takes two",
            LOG_I("hard_limit", limit.rlim_max),
            LOG_S("mend", "LimitNOFILE=524288 in a drop-in (systemctl edit "
                          "wsgate), or ulimit -Hn where wsgate is started"));
    from = limit.rlim_cur;
    if (from == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
        log_info("descriptor limit raised", LOG_I("from", from),
            LOG_I("to", limit.rlim_cur));
    else
        log_warn("descriptor limit cannot be raised", LOG_I("limit", from),
            LOG_I("hard_limit", limit.rlim_max),
            LOG_S("error", strerror(errno)));
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

    (void)uv_timer_init(&m->loop, &m->watchdog);
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

/*
 * A start as root with `user:` (without, root is what was asked for): of root's
 * rights the master keeps those to read keys and open logs (logrotate gives them
 * to the user) at any time, bind ports, start workers as that user and signal
 * them.
 */
static bool
keep_few_rights(const struct gate_config *config, struct err *err)
{
    static const int keep[] = {CAP_DAC_OVERRIDE, CAP_NET_BIND_SERVICE,
        CAP_SETUID, CAP_SETGID, CAP_KILL};

    if (geteuid() != 0 || config->user == NULL)
        return true;
    return privs_keep(keep, sizeof(keep) / sizeof(*keep), err);
}

/* The first configuration decides how many workers there are, and who. */
static bool
master_start(struct master *m, struct err *err)
{
    struct release *r = NULL;
    int slots;

    if (!release_make(m->load, m->load_ctx, ++m->next_id, NULL, &r, err))
        return false;
    log_init("wsgate", (enum log_format)release_config(r)->log.format,
        (enum log_level)release_config(r)->log.level);
    raise_descriptor_limit();
    slots = release_config(r)->workers > 0 ? (int)release_config(r)->workers
                                           : cpu_share();
    if (!prepare(m, r, slots, err) || !keep_few_rights(release_config(r), err))
        return false;
    m->force = workforce_new(&m->loop, slots, worker_user(release_config(r)),
        &rollout_workforce_events, m->rollout, err);
    rollout_set_force(m->rollout, m->force);
    return m->force != NULL && workforce_start(m->force, err);
}

static void
close_handles(struct master *m)
{
    rollout_close(m->rollout);
    pairs_close(m->pairs);
    admin_close(m->admin);
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
    rollout_free(m->rollout);
    pairs_free(m->pairs);
    admin_free(m->admin);
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
    m.rollout = rollout_new(&m.loop, on_rollout_end, &m);
    m.pairs = pairs_new(&m.loop, &pairs_events, &m);
    m.admin = admin_new(&m.loop, &admin_ops, &m);
    if (m.rollout == NULL || m.pairs == NULL || m.admin == NULL) {
        (void)err_memory(&err);
        log_error("cannot start", LOG_ERR(&err));
        m.exit_code = err_exit_code(&err);
    } else if (master_start(&m, &err)) {
        (void)uv_run(&m.loop, UV_RUN_DEFAULT);
    } else {
        log_error("cannot start", LOG_ERR(&err));
        m.exit_code = err_exit_code(&err);
    }
    master_fini(&m);
    return m.exit_code;
}
