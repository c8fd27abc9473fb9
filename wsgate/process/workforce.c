/*
 * The workers as the master sees them.
 * Input: SIGCHLD, messages of the workers, a timer. Output: processes, events
 * for the master.
 */
#include "wsgate/process/workforce.h"

#include "shared/log.h"
#include "wsgate/process/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PING_MS = 5 * 1000,
    SILENT_MS = 10 * 1000, /* ours: no pong for so long: SIGABRT */
    STUCK_MS = 20 * 1000, /* longer than it takes to end such a one */
    ROOM_MS = 1000, /* ours: the worker builds in slices of 5 ms */
    RESPAWN_FIRST_MS = 100, /* ours: doubled up to the next */
    RESPAWN_MAX_MS = 30 * 1000,
    STEADY_MS = 60 * 1000 /* lived so long: back-off starts anew */
};

struct slot {
    struct workforce *force;
    int index;
    pid_t pid; /* 0: none */
    int channel; /* -1: none */
    uv_poll_t *poll; /* heap: closes later than the slot's next life begins */
    uv_timer_t respawn;
    uint64_t started_ms;
    uint64_t answered_ms;
    uint64_t backoff_ms;
    bool is_up;
    bool is_given_up; /* SIGABRT was sent; the next check sends SIGKILL */
    uint64_t owes; /* the ping that workforce_catch_up() waits for; 0: none */
};

struct workforce {
    uv_loop_t *loop;
    const struct workforce_events *events;
    void *ctx;
    struct slot *slots;
    int count;
    int exe; /* our own binary: a replaced file changes nothing */
    char *user;
    uv_timer_t ping;
    uint64_t pinged_ms; /* when on_ping() ran last */
    uint64_t last_ping; /* of workforce_catch_up() */
    void (*on_caught_up)(void *ctx); /* NULL: nobody waits */
    void *caught_up_ctx;
    bool is_ending;
};

static void lose(struct slot *s);

/* ---- starting ---------------------------------------------------------------- */

/* What a worker may know of the environment: no secrets of ${NAME}. */
static bool
is_passed_on(const char *entry)
{
    static const char *const allowed[] = {
        "PATH=", "TZ=", "LANG=", "JOURNAL_STREAM=", "TEST_CLOCK_FILE=",
        "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "LSAN_OPTIONS=", "TSAN_OPTIONS=",
        "OPENSSL_CONF=", "MALLOC_", "LD_PRELOAD=", "FAKETIME", "DONT_FAKE_"};

    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
        if (strncmp(entry, allowed[i], strlen(allowed[i])) == 0)
            return true;
    return false;
}

static char **
worker_environment(void)
{
    size_t count = 0, kept = 0;
    char **list;

    while (environ[count] != NULL)
        count++;
    list = calloc(count + 1, sizeof(*list));
    for (size_t i = 0; list != NULL && i < count; i++)
        if (is_passed_on(environ[i]))
            list[kept++] = environ[i];
    return list;
}

static bool
become(const char *user)
{
    struct passwd *who = getpwnam(user);

    return who != NULL && initgroups(user, who->pw_gid) == 0 &&
           setgid(who->pw_gid) == 0 && setuid(who->pw_uid) == 0;
}

/* In the child: only the channel and stderr go along. */
static void
exec_worker(const struct workforce *force, int channel, char **environment)
{
    static const char *const args[] = {"wsgate", WORKER_ARGUMENT, NULL};
    int exe = force->exe;
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (force->user != NULL && !become(force->user))
        _exit(77);
    /* To bind ports (AmbientCapabilities=) is ours alone. */
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    /* Out of the way first: 3 and 4 are where the two will be. */
    exe = fcntl(exe, F_DUPFD, 10);
    channel = fcntl(channel, F_DUPFD, 10);
    if (dup2(channel, WORKER_CHANNEL_FD) < 0 ||
        dup2(exe, WORKER_CHANNEL_FD + 1) < 0)
        _exit(71);
    (void)fcntl(WORKER_CHANNEL_FD + 1, F_SETFD, FD_CLOEXEC);
    (void)close_range(WORKER_CHANNEL_FD + 2, ~0U, 0);
    (void)execveat(WORKER_CHANNEL_FD + 1, "", (char *const *)(uintptr_t)args,
        environment, AT_EMPTY_PATH);
    _exit(71);
}

static void on_channel(uv_poll_t *poll, int status, int events);

static bool
watch_channel(struct slot *s, struct err *err)
{
    s->poll = calloc(1, sizeof(*s->poll));
    if (s->poll == NULL)
        return err_memory(err);
    (void)uv_poll_init(s->force->loop, s->poll, s->channel);
    s->poll->data = s;
    (void)uv_poll_start(s->poll, UV_READABLE, on_channel);
    return true;
}

static bool
spawn(struct slot *s, struct err *err)
{
    char **environment = worker_environment();
    int ends[2];

    if (environment == NULL)
        return err_memory(err);
    if (!channel_pair(ends, err)) {
        free(environment);
        return false;
    }
    s->pid = fork();
    if (s->pid == 0)
        exec_worker(s->force, ends[1], environment);
    free(environment);
    (void)close(ends[1]);
    if (s->pid < 0) {
        s->pid = 0;
        (void)close(ends[0]);
        return err_sys(err, "fork");
    }
    s->channel = ends[0];
    uv_update_time(s->force->loop); /* thousands of keys were read before */
    s->started_ms = uv_now(s->force->loop);
    s->answered_ms = s->started_ms;
    s->is_up = false;
    return watch_channel(s, err);
}

static void respawn_later(struct slot *s);

static void
on_respawn(uv_timer_t *timer)
{
    struct slot *s = timer->data;
    struct err err = {0};

    if (s->force->is_ending || spawn(s, &err))
        return;
    log_error(
        "worker cannot be started", LOG_I("slot", s->index), LOG_ERR(&err));
    respawn_later(s);
}

static void
respawn_later(struct slot *s)
{
    if (uv_now(s->force->loop) - s->started_ms > STEADY_MS)
        s->backoff_ms = RESPAWN_FIRST_MS;
    (void)uv_timer_start(&s->respawn, on_respawn, s->backoff_ms, 0);
    s->backoff_ms *= 2;
    if (s->backoff_ms > RESPAWN_MAX_MS)
        s->backoff_ms = RESPAWN_MAX_MS;
}

/* ---- messages ----------------------------------------------------------------- */

static void
take_hello(struct slot *s, const struct channel_message *m)
{
    if (!span_eq(span_make(m->payload, m->len), span_str(VERSION))) {
        log_error("worker of another version",
            LOG_SPAN("version", span_make(m->payload, m->len)));
        (void)kill(s->pid, SIGKILL);
        return;
    }
    s->is_up = true;
    log_debug("worker is up", LOG_I("slot", s->index), LOG_I("pid", s->pid));
    s->force->events->on_hello(s->force->ctx, s->index);
}

static void
take_failed(struct slot *s, struct channel_message *m)
{
    m->payload[m->len < sizeof(m->payload) ? m->len : m->len - 1] = 0;
    s->force->events->on_failed(
        s->force->ctx, s->index, m->id, (const char *)m->payload);
}

static void
tell_caught_up(struct workforce *force)
{
    void (*tell)(void *ctx) = force->on_caught_up;

    for (int i = 0; i < force->count; i++)
        if (force->slots[i].owes != 0)
            return;
    force->on_caught_up = NULL;
    if (tell != NULL)
        tell(force->caught_up_ctx);
}

static void
take_message(struct slot *s, struct channel_message *m)
{
    s->answered_ms = uv_now(s->force->loop); /* whatever it says: it lives */
    switch (m->type) {
    case CHANNEL_HELLO:
        take_hello(s, m);
        break;
    case CHANNEL_READY:
        s->force->events->on_ready(s->force->ctx, s->index, m->id);
        break;
    case CHANNEL_FAILED:
        take_failed(s, m);
        break;
    case CHANNEL_PONG:
        if (m->id != 0 && m->id == s->owes)
            s->owes = 0;
        tell_caught_up(s->force);
        break;
    case CHANNEL_DRAINED:
    case CHANNEL_LISTENERS:
    case CHANNEL_UNLISTEN:
    case CHANNEL_BUNDLE:
    case CHANNEL_COMMIT:
    case CHANNEL_ABORT:
    case CHANNEL_PING:
    case CHANNEL_DRAIN:
    case CHANNEL_REOPEN:
        break; /* SIGCHLD tells the first; the others are ours to send */
    }
}

static void
free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void
close_channel(struct slot *s)
{
    if (s->poll != NULL)
        uv_close((uv_handle_t *)s->poll, free_handle);
    s->poll = NULL;
    if (s->channel >= 0)
        (void)close(s->channel);
    s->channel = -1;
    s->is_up = false;
}

static void
on_channel(uv_poll_t *poll, int status, int events)
{
    struct slot *s = poll->data;
    struct channel_message m;

    (void)status;
    (void)events;
    while (s->channel >= 0) {
        enum channel_got got = channel_receive(s->channel, &m);

        if (got == CHANNEL_GOT_NONE)
            return;
        if (got == CHANNEL_GOT_END) {
            close_channel(s); /* SIGCHLD comes, or has come */
            return;
        }
        take_message(s, &m);
        channel_close_fds(&m);
    }
}

/* Many messages at once, as for a thousand listeners, may be more than the
 * socket holds: the worker reads while we wait. */
static bool
send_patiently(int fd, enum channel_type type, uint64_t id, struct span payload,
    const int *fds, int fd_count, struct err *err)
{
    struct pollfd room = {.fd = fd, .events = POLLOUT};

    if (channel_send(fd, type, id, payload, fds, fd_count, err))
        return true;
    return err->kind == ERR_LIMIT && poll(&room, 1, ROOM_MS) == 1 &&
           channel_send(fd, type, id, payload, fds, fd_count, err);
}

bool
workforce_send(struct workforce *force, int slot, enum channel_type type,
    uint64_t id, struct span payload, const int *fds, int fd_count)
{
    struct slot *s = &force->slots[slot];
    struct err err = {0};

    if (s->channel < 0)
        return false;
    if (send_patiently(s->channel, type, id, payload, fds, fd_count, &err))
        return true;
    log_error("worker cannot be reached", LOG_I("pid", s->pid), LOG_ERR(&err));
    if (s->pid > 0)
        (void)kill(s->pid, SIGKILL);
    close_channel(s); /* what else was for it is not waited with again */
    return false;
}

void
workforce_catch_up(
    struct workforce *force, void (*on_caught_up)(void *ctx), void *ctx)
{
    force->on_caught_up = on_caught_up;
    force->caught_up_ctx = ctx;
    force->last_ping++;
    for (int i = 0; i < force->count; i++) {
        struct slot *s = &force->slots[i];

        if (s->is_up && workforce_send(force, i, CHANNEL_PING, force->last_ping,
                            SPAN_EMPTY, NULL, 0))
            s->owes = force->last_ping;
    }
    tell_caught_up(force);
}

/* ---- pings and deaths ------------------------------------------------------------ */

static void
check_slot(struct slot *s)
{
    uint64_t silent = uv_now(s->force->loop) - s->answered_ms;

    if (s->pid == 0)
        return;
    if (silent <= SILENT_MS) {
        s->is_given_up = false;
    } else if (!s->is_given_up) {
        s->is_given_up = true;
        log_error("worker does not answer, it is replaced",
            LOG_I("pid", s->pid), LOG_I("silent_ms", silent));
        (void)kill(s->pid, SIGABRT);
    } else {
        (void)kill(s->pid, SIGKILL); /* stopped: no other signal arrives */
    }
    if (s->is_up)
        (void)workforce_send(
            s->force, s->index, CHANNEL_PING, 0, SPAN_EMPTY, NULL, 0);
}

static void
on_ping(uv_timer_t *timer)
{
    struct workforce *force = timer->data;
    uint64_t now = uv_now(force->loop);
    bool was_away = now - force->pinged_ms > 2 * PING_MS;

    /* We were stopped, or busy with a reload: their answers lie unread. */
    for (int i = 0; was_away && i < force->count; i++)
        force->slots[i].answered_ms = now;
    force->pinged_ms = now;
    for (int i = 0; i < force->count; i++)
        check_slot(&force->slots[i]);
}

bool
workforce_is_well(const struct workforce *force)
{
    for (int i = 0; i < force->count; i++) {
        const struct slot *s = &force->slots[i];

        if (s->pid > 0 && uv_now(force->loop) - s->answered_ms > STUCK_MS)
            return false;
    }
    return true;
}

static bool
anybody_left(const struct workforce *force)
{
    for (int i = 0; i < force->count; i++)
        if (force->slots[i].pid > 0)
            return true;
    return false;
}

static void
lose(struct slot *s)
{
    struct workforce *force = s->force;

    s->pid = 0;
    s->owes = 0; /* its successor begins with what is in force */
    close_channel(s);
    tell_caught_up(force);
    force->events->on_lost(force->ctx, s->index);
    if (!force->is_ending)
        respawn_later(s);
    else if (!anybody_left(force))
        force->events->on_all_gone(force->ctx);
}

static void
log_death(const struct slot *s, int status)
{
    bool is_asked = WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL
                                        : WEXITSTATUS(status) == 0;

    if (s->force->is_ending && is_asked)
        return;
    if (WIFSIGNALED(status))
        log_error("worker died", LOG_I("pid", s->pid),
            LOG_S("signal", strsignal(WTERMSIG(status))));
    else
        log_error("worker ended", LOG_I("pid", s->pid),
            LOG_I("exit", WEXITSTATUS(status)));
}

void
workforce_reap(struct workforce *force)
{
    for (int i = 0; i < force->count; i++) {
        struct slot *s = &force->slots[i];
        int status;

        if (s->pid > 0 && waitpid(s->pid, &status, WNOHANG) == s->pid) {
            log_death(s, status);
            lose(s);
        }
    }
}

/* ---- the end ------------------------------------------------------------------------ */

static void
end(struct workforce *force)
{
    force->is_ending = true;
    for (int i = 0; i < force->count; i++)
        (void)uv_timer_stop(&force->slots[i].respawn);
}

void
workforce_drain(struct workforce *force, int64_t deadline_ms)
{
    char text[24];

    end(force);
    (void)snprintf(text, sizeof(text), "%lld", (long long)deadline_ms);
    for (int i = 0; i < force->count; i++) {
        struct slot *s = &force->slots[i];

        if (s->is_up)
            (void)workforce_send(
                force, i, CHANNEL_DRAIN, 0, span_str(text), NULL, 0);
        else if (s->pid > 0)
            (void)kill(s->pid, SIGKILL);
    }
    if (!anybody_left(force))
        force->events->on_all_gone(force->ctx);
}

void
workforce_kill(struct workforce *force)
{
    end(force);
    for (int i = 0; i < force->count; i++)
        if (force->slots[i].pid > 0)
            (void)kill(force->slots[i].pid, SIGKILL);
    if (!anybody_left(force))
        force->events->on_all_gone(force->ctx);
}

/* ---- life ---------------------------------------------------------------------------- */

static void
init_slot(struct workforce *force, int i)
{
    struct slot *s = &force->slots[i];

    s->force = force;
    s->index = i;
    s->channel = -1;
    s->backoff_ms = RESPAWN_FIRST_MS;
    (void)uv_timer_init(force->loop, &s->respawn);
    s->respawn.data = s;
}

struct workforce *
workforce_new(uv_loop_t *loop, int slots, const char *user,
    const struct workforce_events *events, void *ctx, struct err *err)
{
    struct workforce *force = calloc(1, sizeof(*force));

    if (force == NULL)
        goto memory;
    force->loop = loop;
    force->events = events;
    force->ctx = ctx;
    force->exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    force->slots = calloc((size_t)slots, sizeof(*force->slots));
    if (force->slots == NULL ||
        (user != NULL && (force->user = strdup(user)) == NULL))
        goto memory;
    force->count = slots;
    for (int i = 0; i < slots; i++)
        init_slot(force, i);
    (void)uv_timer_init(loop, &force->ping);
    force->ping.data = force;
    force->pinged_ms = uv_now(loop);
    (void)uv_timer_start(&force->ping, on_ping, PING_MS, PING_MS);
    return force;
memory:
    workforce_free(force);
    (void)err_memory(err);
    return NULL;
}

bool
workforce_start(struct workforce *force, struct err *err)
{
    for (int i = 0; i < force->count; i++)
        if (!spawn(&force->slots[i], err))
            return false;
    return true;
}

void
workforce_look(
    const struct workforce *force, int slot, struct workforce_member *out)
{
    const struct slot *s = &force->slots[slot];

    *out = (struct workforce_member){.pid = s->pid,
        .is_up = s->is_up,
        .age_ms = (int64_t)(uv_now(force->loop) - s->started_ms)};
}

int
workforce_slots(const struct workforce *force)
{
    return force->count;
}

bool
workforce_is_up(const struct workforce *force, int slot)
{
    return force->slots[slot].is_up;
}

void
workforce_close(struct workforce *force)
{
    for (int i = 0; i < force->count; i++) {
        close_channel(&force->slots[i]);
        uv_close((uv_handle_t *)&force->slots[i].respawn, NULL);
    }
    uv_close((uv_handle_t *)&force->ping, NULL);
}

void
workforce_free(struct workforce *force)
{
    if (force == NULL)
        return;
    if (force->exe >= 0)
        (void)close(force->exe);
    free(force->slots);
    free(force->user);
    free(force);
}
