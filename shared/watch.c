/*
 * inotify on one folder that comes, goes and is replaced.
 * Input: the kernel's events for the folder and its nearest existing ancestor.
 * Output: names, "rescan" and "gone", one at a time.
 *
 * Whether the folder is still the one at the path is asked of inotify itself:
 * inotify_add_watch() on a path answers the old watch descriptor when the
 * folder is the one already watched, and a new one otherwise. The watch is
 * always there before "rescan" is told, so nothing falls between the two.
 */
#include "shared/watch.h"

#include "shared/span.h"

#include <errno.h>
#include <limits.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    WATCH_BYTES = 4096, /* ours: some dozens of events per read */
    ATTACH_TRIES = 8 /* ours: ancestors that appear while we look */
};

/* IN_CREATE only for what is complete at once: links and folders. IN_ATTRIB
 * because chmod makes an unreadable file readable. */
#define FOLDER_EVENTS                                                          \
    (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE |    \
        IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)
#define ANCHOR_EVENTS                                                          \
    (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB |         \
        IN_DELETE_SELF | IN_MOVE_SELF)
#define SELF_EVENTS (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)

struct watch {
    char *path; /* owned; absolute, no slash at the end */
    int poll_fd; /* epoll over the two below: what callers poll */
    int inotify_fd;
    int pending_fd; /* eventfd: readable while we hold something back */
    int folder_wd; /* -1: the folder is not there */
    int anchor_wd; /* nearest ancestor; -1: none can be watched */
    size_t anchor_len; /* path[0..anchor_len) is the anchor */
    bool is_rescan_due;
    bool is_gone_due;
    bool is_signalled; /* pending_fd has been written */
    size_t len, at; /* bytes read, bytes used */
    alignas(struct inotify_event) char bytes[WATCH_BYTES];
};

/* ---- attaching -------------------------------------------------------------- */

/* IN_MASK_ADD: anchor and folder may be one inode (a link to its parent). */
static int
add(struct watch *w, const char *path, uint32_t events)
{
    return inotify_add_watch(
        w->inotify_fd, path, events | IN_ONLYDIR | IN_MASK_ADD);
}

/* A descriptor that went away with its inode is no error. */
static void
drop(struct watch *w, int wd)
{
    if (wd >= 0 && wd != w->folder_wd && wd != w->anchor_wd)
        (void)inotify_rm_watch(w->inotify_fd, wd);
}

static void
prefix(const struct watch *w, size_t len, char out[PATH_MAX])
{
    memcpy(out, w->path, len);
    out[len] = 0;
}

/* Length of the path without its last component; "/" is its own parent. */
static size_t
parent_len(const struct watch *w, size_t len)
{
    while (len > 0 && w->path[len - 1] != '/')
        len--;
    while (len > 1 && w->path[len - 1] == '/')
        len--;
    return len;
}

/* Watches the nearest ancestor that can be; *below is the length of the path
 * one component further down. */
static int
add_nearest(struct watch *w, size_t *len, size_t *below)
{
    char path[PATH_MAX];
    int wd;

    *below = strlen(w->path);
    for (;;) {
        *len = parent_len(w, *below);
        if (*len == *below)
            return -1; /* the folder is "/" */
        prefix(w, *len, path);
        wd = add(w, path, ANCHOR_EVENTS);
        if (wd >= 0 || *len <= 1)
            return wd;
        *below = *len;
    }
}

static bool
exists(const struct watch *w, size_t len)
{
    char path[PATH_MAX];
    struct stat st;

    prefix(w, len, path);
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* An ancestor that appeared between the refusal of the deeper one and our watch
 * has no event: look again, and go down. */
static void
attach_anchor(struct watch *w)
{
    size_t len = 0, below = 0;
    int old = w->anchor_wd, wd = -1;

    for (int i = 0; i < ATTACH_TRIES; i++) {
        int before = wd;

        wd = add_nearest(w, &len, &below);
        w->anchor_wd = wd;
        if (before != wd && before != old)
            drop(w, before);
        if (below == strlen(w->path) || !exists(w, below))
            break;
    }
    w->anchor_len = len;
    if (old != wd)
        drop(w, old);
}

/* Follows whatever is at the path now. The anchor comes first: a folder that
 * appears after our refused attempt then gives an event. */
static void
attach(struct watch *w)
{
    int old = w->folder_wd;

    attach_anchor(w);
    w->folder_wd = add(w, w->path, FOLDER_EVENTS);
    if (w->folder_wd < 0) {
        w->folder_wd = -1;
        w->is_gone_due = w->is_gone_due || old >= 0;
        w->is_rescan_due = false;
    } else if (w->folder_wd != old) {
        w->is_rescan_due = true;
        w->is_gone_due = false;
    }
    if (old != w->folder_wd)
        drop(w, old);
}

/* ---- events ------------------------------------------------------------------ */

static struct span
event_name(const struct inotify_event *e)
{
    return span_make(e->name, e->len == 0 ? 0 : strnlen(e->name, e->len));
}

/* A file under creation has one link and is told at IN_CLOSE_WRITE. */
static bool
is_complete(const struct watch *w, const char *name)
{
    char path[PATH_MAX];
    struct stat st;
    int n = snprintf(path, sizeof(path), "%s/%s", w->path, name);

    return n > 0 && (size_t)n < sizeof(path) && lstat(path, &st) == 0 &&
           (!S_ISREG(st.st_mode) || st.st_nlink > 1);
}

/* In the folder. True when *out is an event to tell. */
static bool
on_folder(
    struct watch *w, const struct inotify_event *e, struct watch_event *out)
{
    struct span name = event_name(e);

    if (e->mask & SELF_EVENTS) {
        if (e->mask & (IN_IGNORED | IN_UNMOUNT)) {
            /* The descriptor is void: whatever is there now is another. */
            w->is_gone_due = true;
            w->folder_wd = -1;
        }
        attach(w);
        return false;
    }
    if (span_eq(name, SPAN_LIT("..data"))) {
        /* Kubernetes swaps all files at once by this link. */
        w->is_rescan_due = true;
        return false;
    }
    if (name.len == 0 || name.data[0] == '.' ||
        !span_to_cstr(name, out->name, sizeof(out->name)))
        return false;
    out->kind = WATCH_NAME;
    return (e->mask & IN_CREATE) == 0 || is_complete(w, out->name);
}

/* Is `name` the next component of our path below the anchor? */
static bool
is_next_component(const struct watch *w, struct span name)
{
    struct span rest = span_from(span_str(w->path), w->anchor_len);

    while (rest.len > 0 && rest.data[0] == '/')
        rest = span_from(rest, 1);
    return span_eq(name, span_sub(rest, 0, span_find(rest, '/')));
}

static void
on_anchor(struct watch *w, const struct inotify_event *e)
{
    struct span name = event_name(e);

    if (e->mask & (IN_IGNORED | IN_UNMOUNT))
        w->anchor_wd = -1;
    if ((e->mask & SELF_EVENTS) || span_eq(name, SPAN_LIT("..data")) ||
        is_next_component(w, name))
        attach(w);
}

static bool
on_event(
    struct watch *w, const struct inotify_event *e, struct watch_event *out)
{
    bool is_folder = e->wd == w->folder_wd && e->wd >= 0;
    bool is_anchor = e->wd == w->anchor_wd && e->wd >= 0;

    if (e->mask & IN_Q_OVERFLOW) {
        attach(w);
        w->is_rescan_due = w->folder_wd >= 0;
        return false;
    }
    if (is_anchor)
        on_anchor(w, e);
    return is_folder && on_folder(w, e, out);
}

/* One event of the kernel; false when there is none. */
static bool
read_event(struct watch *w, const struct inotify_event **out)
{
    const struct inotify_event *e;

    if (w->at >= w->len) {
        ssize_t n = read(w->inotify_fd, w->bytes, sizeof(w->bytes));

        w->at = 0;
        w->len = n > 0 ? (size_t)n : 0;
        if (n <= 0)
            return false;
    }
    /* The kernel pads names so that every event is aligned. */
    e = (const struct inotify_event *)(const void *)(w->bytes + w->at);
    w->at += sizeof(*e) + e->len;
    *out = e;
    return true;
}

/* What we hold back must make the descriptor readable too. */
static void
signal_pending(struct watch *w)
{
    bool is_pending = w->is_rescan_due || w->is_gone_due || w->at < w->len;
    uint64_t one = 1;

    if (is_pending == w->is_signalled)
        return;
    w->is_signalled = is_pending;
    if (is_pending)
        (void)!write(w->pending_fd, &one, sizeof(one));
    else
        (void)!read(w->pending_fd, &one, sizeof(one));
}

/* Only one of the two is ever due: attach() sets what holds now. */
static bool
take_due(struct watch *w, struct watch_event *event)
{
    event->name[0] = 0;
    if (w->is_gone_due) {
        w->is_gone_due = false;
        event->kind = WATCH_GONE;
        return true;
    }
    if (w->is_rescan_due) {
        w->is_rescan_due = false;
        event->kind = WATCH_RESCAN;
        return true;
    }
    return false;
}

bool
watch_next(struct watch *w, struct watch_event *event)
{
    const struct inotify_event *e;
    bool found = take_due(w, event);

    while (!found && read_event(w, &e))
        found = on_event(w, e, event) || take_due(w, event);
    signal_pending(w);
    return found;
}

void
watch_verify(struct watch *w)
{
    attach(w);
    signal_pending(w);
}

int
watch_fd(const struct watch *w)
{
    return w->poll_fd;
}

/* ---- life -------------------------------------------------------------------- */

/* Absolute, so that a later chdir() means nothing; without slashes behind. */
static char *
absolute(const char *path)
{
    char cwd[PATH_MAX] = "", joined[PATH_MAX];
    size_t len;
    int n;

    if (path[0] != '/' && getcwd(cwd, sizeof(cwd)) == NULL)
        return NULL;
    n = snprintf(
        joined, sizeof(joined), "%s%s%s", cwd, path[0] == '/' ? "" : "/", path);
    if (n <= 0 || (size_t)n >= sizeof(joined)) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    len = (size_t)n;
    while (len > 1 && joined[len - 1] == '/')
        len--;
    return span_dup(span_make(joined, len));
}

static bool
poll_both(struct watch *w)
{
    struct epoll_event e = {.events = EPOLLIN};

    return w->poll_fd >= 0 && w->pending_fd >= 0 &&
           epoll_ctl(w->poll_fd, EPOLL_CTL_ADD, w->inotify_fd, &e) == 0 &&
           epoll_ctl(w->poll_fd, EPOLL_CTL_ADD, w->pending_fd, &e) == 0;
}

static bool
open_all(struct watch *w, const char *path, struct err *err)
{
    w->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->inotify_fd < 0)
        return err_sys(err, "inotify for %s", path);
    w->pending_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    w->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!poll_both(w))
        return err_sys(err, "watch %s", path);
    w->path = absolute(path);
    return w->path != NULL || err_sys(err, "watch %s", path);
}

struct watch *
watch_new(const char *path, struct err *err)
{
    struct watch *w = calloc(1, sizeof(*w));

    if (w == NULL) {
        (void)err_memory(err);
        return NULL;
    }
    w->poll_fd = w->inotify_fd = w->pending_fd = -1;
    w->folder_wd = w->anchor_wd = -1;
    if (!open_all(w, path, err)) {
        watch_free(w);
        return NULL;
    }
    w->is_gone_due = true; /* unless attach() finds it */
    attach(w);
    signal_pending(w);
    return w;
}

static void
close_one(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

void
watch_free(struct watch *w)
{
    if (w == NULL)
        return;
    close_one(w->poll_fd);
    close_one(w->inotify_fd);
    close_one(w->pending_fd);
    free(w->path);
    free(w);
}
