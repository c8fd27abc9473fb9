/*
 * Touching DIR/NAME, not too often, in worker threads of libuv.
 * Input: names that something changed for. Output: files with a new time.
 */
#include "ocspd/notify_mark.h"

#include "ocspd/notify_trouble.h"
#include "shared/log.h"
#include "shared/now.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uthash.h>

enum {
    FOLDER_MODE = 0755,
    MARK_MODE = 0644, /* they say nothing secret */
    URGENT_MS = 60 * 1000 /* ours: nginx's snippet goes 90 s ahead */
};

struct mark {
    struct notify_marks *owner;
    uv_work_t work;
    char *name;
    bool is_wanted;
    bool is_urgent;
    bool is_busy;
    bool is_begun; /* an earlier run's touch was looked for */
    int64_t touched_ms; /* boot time; 0: never */
    struct notify_trouble trouble;
    UT_hash_handle hh;

    char path[PATH_MAX]; /* the worker's while is_busy */
    int64_t least_age_ms;
    int64_t age_ms; /* of an earlier run's touch; -1: touched now */
    bool ok;
    struct err err;
};

struct notify_marks {
    uv_loop_t *loop;
    notify_news *news;
    void *ctx;
    char *dir;
    int64_t interval_ms;
    struct mark *marks; /* uthash by name */
};

/* ---- in the worker ------------------------------------------------------ */

/* The folder and the one above it: /run/ocspd is there under systemd. */
static void
make_folders(const char *path)
{
    char copy[PATH_MAX];
    char *slash;

    (void)snprintf(copy, sizeof(copy), "%s", path);
    slash = strrchr(copy, '/');
    if (slash == NULL || slash == copy)
        return;
    *slash = '\0';
    if (mkdir(copy, FOLDER_MODE) == 0 || errno != ENOENT)
        return;
    slash = strrchr(copy, '/');
    if (slash == NULL || slash == copy)
        return;
    *slash = '\0';
    (void)mkdir(copy, FOLDER_MODE);
    *slash = '/';
    (void)mkdir(copy, FOLDER_MODE);
}

/* What was touched a moment before a restart waits like any other; -1: older
 * than the interval, or not there. */
static int64_t
age_of(const char *path, int64_t least_age_ms)
{
    struct timespec now;
    struct stat st;
    int64_t age;

    /* The kernel's clock, which stamps files too; not the one tests move. */
    if (stat(path, &st) != 0 || clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    age = (now.tv_sec - st.st_mtim.tv_sec) * (int64_t)1000 +
          (now.tv_nsec - st.st_mtim.tv_nsec) / 1000000;
    return age < 0 || age >= least_age_ms ? -1 : age;
}

/* Closing what was open for writing is the event that PathChanged= means. */
static bool
touch(const char *path, struct err *err)
{
    int flags = O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    int fd = open(path, flags, MARK_MODE);
    bool ok;

    if (fd < 0 && errno == ENOENT) {
        make_folders(path);
        fd = open(path, flags, MARK_MODE);
    }
    if (fd < 0)
        return err_sys(err, "touch %s", path);
    ok = futimens(fd, NULL) == 0 || err_sys(err, "touch %s", path);
    (void)close(fd);
    return ok;
}

static void
on_work(uv_work_t *work)
{
    struct mark *mark = work->data;

    mark->age_ms = mark->is_begun ? -1 : age_of(mark->path, mark->least_age_ms);
    mark->ok = mark->age_ms >= 0 || touch(mark->path, &mark->err);
}

/* ---- on the loop -------------------------------------------------------- */

static void
tell_failure(struct mark *mark)
{
    if (notify_trouble_failed(&mark->trouble))
        log_error("cannot tell that responses changed",
            LOG_S("changed", mark->name), LOG_ERR(&mark->err));
    mark->is_wanted = true;
}

static void
tell_success(struct mark *mark)
{
    int64_t lasted = notify_trouble_over(&mark->trouble);

    if (lasted >= 0)
        log_info("told again that responses changed",
            LOG_S("changed", mark->name), LOG_I("after_s", lasted));
    log_debug("touched", LOG_S("changed", mark->name));
}

static void
on_worked(uv_work_t *work, int status)
{
    struct mark *mark = work->data;

    (void)status; /* never cancelled */
    mark->is_busy = false;
    if (!mark->ok) {
        tell_failure(mark);
    } else if (mark->age_ms >= 0) {
        mark->touched_ms = now_boot_ms() - mark->age_ms;
        mark->is_wanted = true;
    } else {
        mark->touched_ms = now_boot_ms();
        mark->is_urgent = mark->is_urgent && mark->is_wanted;
        tell_success(mark);
    }
    mark->is_begun = true;
    mark->owner->news(mark->owner->ctx);
}

static bool
make_path(const struct notify_marks *marks, struct mark *mark)
{
    int n = snprintf(
        mark->path, sizeof(mark->path), "%s/%s", marks->dir, mark->name);

    return n > 0 && (size_t)n < sizeof(mark->path);
}

static void
start(struct notify_marks *marks, struct mark *mark)
{
    if (!make_path(marks, mark))
        return;
    mark->is_wanted = false;
    mark->least_age_ms = marks->interval_ms;
    mark->work.data = mark;
    mark->is_busy =
        uv_queue_work(marks->loop, &mark->work, on_work, on_worked) == 0;
}

static int64_t
due_ms(const struct notify_marks *marks, const struct mark *mark)
{
    int64_t interval = mark->is_urgent && marks->interval_ms > URGENT_MS
                           ? URGENT_MS
                           : marks->interval_ms;
    int64_t due = mark->touched_ms == 0 ? 0 : mark->touched_ms + interval;

    return due > mark->trouble.retry_ms ? due : mark->trouble.retry_ms;
}

int64_t
notify_marks_tend(struct notify_marks *marks)
{
    int64_t now_ms = now_boot_ms(), next = 0;
    struct mark *mark, *after;

    HASH_ITER(hh, marks->marks, mark, after)
    {
        int64_t due = due_ms(marks, mark);

        if (!mark->is_wanted || mark->is_busy)
            continue;
        if (due <= now_ms)
            start(marks, mark);
        else if (next == 0 || due < next)
            next = due;
    }
    return next;
}

bool
notify_marks_want(struct notify_marks *marks, const char *name, bool is_urgent)
{
    struct mark *mark = NULL;

    HASH_FIND_STR(marks->marks, name, mark);
    if (mark == NULL) {
        mark = calloc(1, sizeof(*mark));
        if (mark == NULL || (mark->name = strdup(name)) == NULL) {
            free(mark);
            return false;
        }
        mark->owner = marks;
        HASH_ADD_KEYPTR(hh, marks->marks, mark->name, strlen(mark->name), mark);
    }
    mark->is_urgent = is_urgent || (mark->is_urgent && mark->is_wanted);
    mark->is_wanted = true;
    return true;
}

/* ---- life --------------------------------------------------------------- */

struct notify_marks *
notify_marks_new(uv_loop_t *loop, notify_news *news, void *ctx)
{
    struct notify_marks *marks = calloc(1, sizeof(*marks));

    if (marks == NULL)
        return NULL;
    marks->loop = loop;
    marks->news = news;
    marks->ctx = ctx;
    return marks;
}

/* Sooner than the interval allows, but nobody will be there at its end. */
static void
flush(struct notify_marks *marks, struct mark *mark)
{
    while (mark->is_busy)
        (void)uv_run(marks->loop, UV_RUN_ONCE);
    if (mark->is_wanted && make_path(marks, mark) &&
        !touch(mark->path, &mark->err))
        log_error("cannot tell that responses changed",
            LOG_S("changed", mark->name), LOG_ERR(&mark->err));
}

void
notify_marks_free(struct notify_marks *marks)
{
    struct mark *mark, *next;

    if (marks == NULL)
        return;
    HASH_ITER(hh, marks->marks, mark, next)
    {
        flush(marks, mark);
        HASH_DEL(marks->marks, mark);
        free(mark->name);
        free(mark);
    }
    free(marks->dir);
    free(marks);
}

bool
notify_marks_configure(
    struct notify_marks *marks, const char *dir, int64_t interval_ms)
{
    char *copy = strdup(dir);

    if (copy == NULL)
        return false;
    free(marks->dir);
    marks->dir = copy;
    marks->interval_ms = interval_ms;
    return true;
}

int64_t
notify_marks_interval_ms(const struct notify_marks *marks)
{
    return marks->interval_ms;
}

const char *
notify_marks_dir(const struct notify_marks *marks)
{
    return marks->dir;
}
