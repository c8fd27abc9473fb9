/*
 * The daemon's story: loop, clocks, signals, reload, end.
 * Input: the configuration, time, signals. Output: calls of scan and work.
 */
#include "ocspd/cycle_private.h"

#include "shared/log.h"
#include "shared/now.h"
#include "shared/service.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    WAKE_MAX_MS = 10 * 1000, /* ours: watches are verified so often */
    WAKE_TEST_MS = 100, /* the test clock makes no event */
    CLOCK_JUMP_MS = 60 * 1000, /* ours: a step of NTP is smaller */
    SPOOL_FOLDER_MODE = 0755 /* responses are public */
};

/* ---- clocks ------------------------------------------------------------- */

static void
arm(struct cycle *c, int64_t boot_ms)
{
    int64_t delay = boot_ms - now_boot_ms();
    struct itimerspec spec = {0};

    if (delay < 1)
        delay = 1; /* 0 would disarm */
    spec.it_value.tv_sec = delay / 1000;
    spec.it_value.tv_nsec = (delay % 1000) * 1000000;
    c->armed_ms = boot_ms;
    (void)timerfd_settime(c->delay_fd, 0, &spec, NULL);
}

void
cycle_wake_ms(struct cycle *c, int64_t boot_ms)
{
    if (c->armed_ms == 0 || boot_ms < c->armed_ms)
        arm(c, boot_ms);
}

void
cycle_wake_wall(struct cycle *c, int64_t unix_s)
{
    int64_t now_ms = now_wall_ms();

    /* far times need no exact sum: the wake in WAKE_MAX_MS looks again */
    if (unix_s <= now_ms / 1000 + 2 * (WAKE_MAX_MS / 1000))
        cycle_wake_ms(c, now_boot_ms() + (unix_s * 1000 - now_ms));
}

/* The far future, so that only a set clock ends the wait (ECANCELED). */
static void
arm_clock(struct cycle *c)
{
    struct itimerspec spec = {.it_value.tv_sec = INT32_MAX};

    (void)timerfd_settime(
        c->clock_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &spec, NULL);
}

static void
drain(int fd)
{
    uint64_t expirations;
    ssize_t n = read(fd, &expirations, sizeof(expirations));

    (void)n; /* ECANCELED is the news itself */
}

static void
on_delay(uv_poll_t *poll, int status, int events)
{
    struct cycle *c = poll->data;

    (void)status;
    (void)events;
    drain(c->delay_fd);
    c->want_tick = true;
}

static void
on_clock(uv_poll_t *poll, int status, int events)
{
    struct cycle *c = poll->data;

    (void)status;
    (void)events;
    drain(c->clock_fd);
    arm_clock(c);
    c->want_tick = true;
}

/* A jump makes plans in Unix seconds worthless; validity is judged anew by
 * whoever looks at it. */
static void
check_clock(struct cycle *c, int64_t now)
{
    int64_t offset = now_wall_ms() - now_boot_ms();
    int64_t jump = offset - c->clock_offset_ms;

    c->clock_offset_ms = offset;
    if (jump > -CLOCK_JUMP_MS && jump < CLOCK_JUMP_MS)
        return;
    log_warn("the clock jumped, planning anew", LOG_I("by_s", jump / 1000));
    cycle_replan(c, now);
}

/* ---- one tick ----------------------------------------------------------- */

static void
tell_status(const struct cycle *c, int64_t now)
{
    unsigned live = 0, failing = 0, asked = 0;
    const struct care *care;

    for (care = c->cares; care != NULL; care = care->hh.next) {
        if (care->gone_at != 0)
            continue;
        asked += care->target->mode == TARGET_OCSP;
        live += care_is_live(care, now);
        failing += care->target->state.failures > 0;
    }
    service_status("%u of %u certificates stapled, %u failing%s", live, asked,
        failing, c->disk_failing_since != 0 ? ", spool cannot be written" : "");
}

/* Rounds, then their writes: all done? */
static bool
is_once_done(const struct cycle *c)
{
    const struct care *care;

    if (c->writing > 0)
        return false;
    for (care = c->cares; care != NULL; care = care->hh.next)
        if (care->target->mode == TARGET_OCSP && !care->is_attempted)
            return false;
    return true;
}

static void
tick(struct cycle *c)
{
    int64_t boot_ms = now_boot_ms();
    int64_t now = now_wall();
    struct err err;

    c->want_tick = false;
    arm(c, boot_ms + (c->is_test_clock ? WAKE_TEST_MS : WAKE_MAX_MS));
    if (service_watchdog_ms() > 0)
        cycle_wake_ms(c, boot_ms + service_watchdog_ms());
    service_watchdog_pet();
    check_clock(c, now);
    if (c->verify_at_ms <= boot_ms) {
        cycle_verify_watches(c);
        c->verify_at_ms = boot_ms + WAKE_MAX_MS;
    }
    if (c->scan_at_ms != 0 && c->scan_at_ms <= boot_ms &&
        !cycle_scan(c, &err)) {
        log_error("cannot look for certificates", LOG_ERR(&err));
        cycle_scan_soon(c);
    }
    if (c->scan_at_ms != 0)
        cycle_wake_ms(c, c->scan_at_ms);
    cycle_work(c, now);
    tell_status(c, now);
    if (c->options->once && is_once_done(c))
        c->want_stop = true;
}

/* ---- stations of a configuration ---------------------------------------- */

static struct fetch *
make_fetch(struct cycle *c, const struct ocspd_config *config, struct err *err)
{
    struct fetch_settings settings = {
        .connect_timeout_ms = config->fetch.connect_timeout_ms,
        .timeout_ms = config->fetch.timeout_ms,
        .max_transfers = config->fetch.max_transfers,
        .max_per_responder = config->fetch.max_per_responder,
        .public_only = config->fetch.public_only,
        .allow_addresses = &config->fetch.allow_addresses};

    return fetch_new(&c->loop, &settings, err);
}

static int64_t
at_least_1s(int64_t ms)
{
    return ms < 1000 ? 1 : ms / 1000;
}

static void
apply_config(struct cycle *c)
{
    const struct ocspd_config *config = c->config;

    c->limits.probe_interval_s = at_least_1s(config->fetch.probe_interval_ms);
    c->limits.min_interval_s = at_least_1s(config->fetch.min_interval_ms);
    if (!c->options->once)
        log_init("ocspd", (enum log_format)config->log.format,
            (enum log_level)config->log.level);
}

/* A folder that is not there is made where its parent lets us. */
static struct publish *
make_publish(struct cycle *c, const char *spool, struct err *err)
{
    struct publish *publish;

    /* chmod: the umask has no say, other users' servers read here */
    if (mkdir(spool, SPOOL_FOLDER_MODE) == 0)
        (void)chmod(spool, SPOOL_FOLDER_MODE);
    else if (errno != EEXIST)
        return err_sys(err,
                   "spool %s cannot be created (`systemd-tmpfiles --create "
                   "ocspd.conf` does)",
                   spool),
               NULL;
    publish = publish_new(&c->loop, spool, !c->options->once, err);
    if (publish == NULL)
        return NULL;
    (void)spool_sweep(publish_spool(publish), NULL);
    return publish;
}

/* ---- reload ------------------------------------------------------------- */

/* All of the new configuration or nothing of it. */
static bool
switch_config(struct cycle *c, struct ocspd_config *config, struct err *err)
{
    bool is_moved = strcmp(config->spool, c->config->spool) != 0;
    struct fetch *fetch = make_fetch(c, config, err);
    struct publish *publish = NULL;
    struct ocspd_config *old = c->config;
    bool ok;

    if (fetch == NULL)
        return false;
    if (is_moved) {
        publish = make_publish(c, config->spool, err);
        if (publish == NULL) {
            fetch_free(fetch);
            return false;
        }
        publish_free(c->publish);
        c->publish = publish;
    }
    cycle_cancel_rounds(c);
    fetch_free(c->fetch);
    c->fetch = fetch;
    c->config = config;
    apply_config(c);
    if (is_moved)
        cycle_reload_spool(c);
    ok = cycle_scan(c, err);
    if (ok)
        ocspd_config_free(old); /* else targets may still borrow from it */
    return true;
}

static bool
load_config(struct cycle *c, struct err *err)
{
    struct ocspd_config *config = NULL;

    if (c->options->config_path == NULL)
        return cycle_scan(c, err);
    if (!ocspd_config_load(c->options->config_path, &config, err))
        return false;
    if (switch_config(c, config, err))
        return true;
    ocspd_config_free(config);
    return false;
}

static void
reload(struct cycle *c)
{
    struct err err;

    c->want_reload = false;
    service_reloading();
    if (load_config(c, &err))
        log_info("configuration loaded",
            LOG_I("certificates", HASH_COUNT(c->cares)));
    else
        log_error("reload failed, the old configuration stays", LOG_ERR(&err));
    service_ready("%u certificates", HASH_COUNT(c->cares));
}

/* ---- signals ------------------------------------------------------------ */

static void
on_signal(uv_signal_t *handle, int number)
{
    struct cycle *c = handle->data;

    if (number == SIGHUP)
        c->want_reload = true;
    else
        c->want_stop = true;
}

static void
init_signals(struct cycle *c)
{
    static const int numbers[] = {SIGHUP, SIGTERM, SIGINT};

    (void)signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        (void)uv_signal_init(&c->loop, &c->signals[i]);
        c->signals[i].data = c;
        (void)uv_signal_start(&c->signals[i], on_signal, numbers[i]);
    }
}

/* ---- beginning and end -------------------------------------------------- */

static bool
init_clocks(struct cycle *c, struct err *err)
{
    c->delay_fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    c->clock_fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (c->delay_fd < 0 || c->clock_fd < 0)
        return err_sys(err, "timerfd");
    (void)uv_poll_init(&c->loop, &c->delay, c->delay_fd);
    (void)uv_poll_init(&c->loop, &c->clock, c->clock_fd);
    c->delay.data = c->clock.data = c;
    (void)uv_poll_start(&c->delay, UV_READABLE, on_delay);
    (void)uv_poll_start(&c->clock, UV_READABLE, on_clock);
    c->clock_offset_ms = now_wall_ms() - now_boot_ms();
    arm_clock(c);
    return true;
}

static bool
cycle_init(
    struct cycle *c, const struct cycle_options *options, struct err *err)
{
    c->options = options;
    c->config = options->config;
    c->delay_fd = c->clock_fd = -1;
    list_init(&c->watches);
    list_init(&c->found.targets);
    c->host_seed = discover_host_seed();
    c->is_test_clock = now_init();
    apply_config(c);
    if (c->is_test_clock)
        log_warn("TEST_CLOCK_FILE moves the clock of this process");
    init_signals(c);
    if (!init_clocks(c, err))
        return false;
    c->fetch = make_fetch(c, c->config, err);
    c->publish =
        c->fetch == NULL ? NULL : make_publish(c, c->config->spool, err);
    return c->publish != NULL && cycle_open_outputs(c, err) &&
           cycle_scan(c, err);
}

static void
close_handle(uv_handle_t *handle, void *ctx)
{
    (void)ctx;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void
cycle_fini(struct cycle *c)
{
    struct care *care, *next;

    cycle_cancel_rounds(c);
    notify_free(c->notify); /* waits for a server, seconds at most */
    c->notify = NULL;
    publish_free(c->publish); /* waits for the disk */
    c->publish = NULL;
    fetch_free(c->fetch);
    c->fetch = NULL;
    HASH_ITER(hh, c->cares, care, next)
    {
        HASH_DEL(c->cares, care);
        care_free(care);
    }
    cycle_close_watches(c);
    uv_walk(&c->loop, close_handle, NULL);
    (void)uv_run(&c->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&c->loop);
    if (c->delay_fd >= 0)
        (void)close(c->delay_fd);
    if (c->clock_fd >= 0)
        (void)close(c->clock_fd);
    discover_result_fini(&c->found);
    ocspd_config_free(c->config);
}

/* Every decision is made between two turns: callbacks leave a wish. */
static void
loop(struct cycle *c)
{
    while (!c->want_stop) {
        if (c->want_reload)
            reload(c);
        if (c->want_tick)
            tick(c);
        if (!c->want_stop)
            (void)uv_run(&c->loop, UV_RUN_ONCE);
    }
}

static int
report_all(struct cycle *c)
{
    int64_t now = now_wall();
    int code = EX_OK;
    struct care *care, *next;

    HASH_ITER(hh, c->cares, care, next)
    {
        enum target_mode mode = care->target->mode;
        bool is_live = care_is_live(care, now);

        /* nothing can be stapled, and nobody demands it: that is no failure */
        if (!is_live && mode != TARGET_DISABLED &&
            (mode != TARGET_NO_URL || care->target->must_staple))
            code = EX_TEMPFAIL;
        if (c->options->report != NULL)
            c->options->report(
                c->options->ctx, care->target, is_live, care->last_error);
    }
    return code;
}

static int
start_failure(const struct err *err)
{
    log_error("cannot start", LOG_ERR(err));
    if (err->kind == ERR_SYSTEM && err->sys_errno != EACCES &&
        err->sys_errno != EPERM)
        return EX_CANTCREAT; /* only the spool is created here */
    return err_exit_code(err);
}

int
cycle_run(const struct cycle_options *options)
{
    struct cycle *c = calloc(1, sizeof(*c));
    struct err err = {0};
    int code = EX_OK;

    if (c == NULL || uv_loop_init(&c->loop) != 0) {
        ocspd_config_free(options->config);
        free(c);
        return EX_OSERR;
    }
    if (cycle_init(c, options, &err)) {
        if (!options->once)
            log_info("started", LOG_I("certificates", HASH_COUNT(c->cares)),
                LOG_S("spool", c->config->spool));
        service_ready("%u certificates", HASH_COUNT(c->cares));
        loop(c);
        service_stopping("ending");
        if (options->once)
            code = report_all(c);
        else
            log_info("ended");
    } else {
        code = start_failure(&err);
    }
    cycle_fini(c);
    free(c);
    return code;
}
