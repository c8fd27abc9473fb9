/*
 * inotify on a set of files, along every folder and link of their paths.
 * Input: paths, the kernel's events. Output: "something changed".
 *
 * A path is walked as the kernel walks it. Each folder on the way is watched
 * for the one name that comes next, before that name is looked at.
 */
#include "shared/file_watch.h"

#include "shared/span.h"

#include <errno.h>
#include <limits.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

enum {
    EVENT_BYTES = 16384, /* ours: some hundreds of events per read */
    LINKS_MAX = 40, /* as the kernel's: then ELOOP */
    NAME_KEY_SIZE = 16 + NAME_MAX + 1 /* "wd/name" */
};

/* Creation matters for links and folders; a file is complete when it is closed
 * or moved in, and chmod makes an unreadable one readable. */
#define EVENTS                                                                 \
    (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE |    \
        IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)
#define SELF_EVENTS                                                            \
    (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT | IN_Q_OVERFLOW)

/* A watched folder. */
struct watched {
    int wd;
    unsigned round; /* of the last file_watch_set() that wanted it */
    UT_hash_handle hh;
};

/* A name in it that is on the way to a file. */
struct wanted {
    UT_hash_handle hh;
    char key[]; /* "wd/name" */
};

struct file_watch {
    int fd;
    unsigned round;
    struct watched *folders;
    struct wanted *names;
    bool is_blind; /* in this round: something could not be watched */
    struct err err;
    char last[PATH_MAX]; /* the folder walked last: files are side by side */
    char last_real[PATH_MAX]; /* where that led */
};

/* Where a walk is. */
struct walk {
    char at[PATH_MAX]; /* no links in it; "" is the root */
    char rest[PATH_MAX]; /* what is still to go */
    int links;
    bool is_way; /* to the folder, not yet in it */
};

/* ---- what is watched ------------------------------------------------------- */

static void
make_key(int wd, struct span name, char key[NAME_KEY_SIZE])
{
    (void)snprintf(key, NAME_KEY_SIZE, "%d/%.*s", wd,
        (int)(name.len > NAME_MAX ? NAME_MAX : name.len),
        (const char *)name.data);
}

static bool
is_wanted(const struct file_watch *w, int wd, struct span name)
{
    char key[NAME_KEY_SIZE];
    struct wanted *found = NULL;

    make_key(wd, name, key);
    HASH_FIND(hh, w->names, key, strlen(key), found);
    return found != NULL;
}

static void
refused(struct file_watch *w, const char *path)
{
    if (!w->is_blind)
        (void)err_sys(&w->err, "watch %s", path);
    w->is_blind = true;
}

static bool
want_name(struct file_watch *w, int wd, struct span name)
{
    struct wanted *wanted;
    char key[NAME_KEY_SIZE];

    if (is_wanted(w, wd, name))
        return true;
    make_key(wd, name, key);
    wanted = calloc(1, sizeof(*wanted) + strlen(key) + 1);
    if (wanted == NULL)
        return false;
    memcpy(wanted->key, key, strlen(key) + 1);
    HASH_ADD_KEYPTR(hh, w->names, wanted->key, strlen(wanted->key), wanted);
    return true;
}

static bool
want_folder(struct file_watch *w, int wd)
{
    struct watched *folder = NULL;

    HASH_FIND_INT(w->folders, &wd, folder);
    if (folder == NULL) {
        folder = calloc(1, sizeof(*folder));
        if (folder == NULL)
            return false;
        folder->wd = wd;
        HASH_ADD_INT(w->folders, wd, folder);
    }
    folder->round = w->round;
    return true;
}

/*
 * Watches the folder for that name. One on the way may be closed to readers and
 * yet let us through (mode 0711): what is below it is watched.
 */
static void
watch_name(struct file_watch *w, const struct walk *walk, struct span name)
{
    const char *path = walk->at[0] == 0 ? "/" : walk->at;
    int wd = inotify_add_watch(w->fd, path, EVENTS | IN_ONLYDIR);

    if (wd < 0) {
        /* Gone again: the folder above it tells when it is back. */
        if (errno != ENOENT && errno != ENOTDIR &&
            !(errno == EACCES && walk->is_way))
            refused(w, path);
    } else if (!want_folder(w, wd) || !want_name(w, wd, name)) {
        errno = ENOMEM;
        refused(w, path);
    }
}

/* ---- walking ------------------------------------------------------------------ */

static bool
join(char out[PATH_MAX], const char *a, const char *b)
{
    char joined[PATH_MAX];
    int n = snprintf(joined, sizeof(joined), "%s/%s", a, b);

    if (n < 0 || (size_t)n >= sizeof(joined))
        return false;
    memcpy(out, joined, (size_t)n + 1);
    return true;
}

/* The link's target goes before what is still to go. */
static bool
follow(struct walk *walk, const char *target)
{
    if (++walk->links > LINKS_MAX || !join(walk->rest, target, walk->rest))
        return false;
    if (target[0] == '/')
        walk->at[0] = 0;
    return true;
}

static void
step_up(struct walk *walk)
{
    char *slash = strrchr(walk->at, '/');

    if (slash != NULL)
        *slash = 0;
}

/* One component; false: there is nothing behind it. */
static bool
step_into(struct file_watch *w, struct walk *walk, struct span name)
{
    char text[NAME_MAX + 1], path[PATH_MAX], target[PATH_MAX];
    ssize_t n;

    if (!span_to_cstr(name, text, sizeof(text)) || !join(path, walk->at, text))
        return false;
    watch_name(w, walk, name);
    n = readlink(path, target, sizeof(target) - 1);
    if (n >= 0) {
        target[n] = 0;
        return follow(walk, target);
    }
    if (errno != EINVAL) /* it is not there */
        return false;
    memcpy(walk->at, path, strlen(path) + 1);
    return true;
}

/* False: it ends before the path does. */
static bool
walk_on(struct file_watch *w, struct walk *walk)
{
    bool more = true;

    while (more && walk->rest[0] != 0) {
        struct span rest = span_str(walk->rest), name;
        size_t len = span_find(rest, '/');
        char text[PATH_MAX];

        (void)span_to_cstr(span_sub(rest, 0, len), text, sizeof(text));
        memmove(walk->rest, walk->rest + len + (len < rest.len),
            rest.len - len + (len == rest.len));
        name = span_str(text);
        if (span_eq(name, SPAN_LIT("..")))
            step_up(walk);
        else if (name.len > 0 && !span_eq(name, SPAN_LIT(".")))
            more = step_into(w, walk, name);
    }
    return more;
}

/* Most files are in the folder of the one before: it is walked once. */
static void
watch_path(struct file_watch *w, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path);
    struct walk walk = {.is_way = true};

    if (slash == NULL || strlen(path) >= PATH_MAX)
        return;
    if (w->last[0] == 0 || strlen(w->last) != len ||
        memcmp(w->last, path, len) != 0) {
        memcpy(walk.rest, path, len);
        w->last[0] = 0;
        if (!walk_on(w, &walk))
            return; /* the folder is not there */
        memcpy(w->last, path, len);
        w->last[len] = 0;
        memcpy(w->last_real, walk.at, sizeof(walk.at));
    }
    walk.is_way = false;
    memcpy(walk.at, w->last_real, sizeof(walk.at));
    memcpy(walk.rest, slash + 1, strlen(slash + 1) + 1);
    (void)walk_on(w, &walk);
}

static void
forget_names(struct file_watch *w)
{
    struct wanted *name, *next;

    HASH_ITER(hh, w->names, name, next)
    {
        HASH_DEL(w->names, name);
        free(name);
    }
}

static void
forget_folders(struct file_watch *w)
{
    struct watched *folder, *next;

    HASH_ITER(hh, w->folders, folder, next)
    {
        if (folder->round == w->round)
            continue;
        (void)inotify_rm_watch(w->fd, folder->wd);
        HASH_DEL(w->folders, folder);
        free(folder);
    }
}

bool
file_watch_set(struct file_watch *w, const char *const *paths, size_t count,
    struct err *err)
{
    w->round++;
    w->is_blind = false;
    w->last[0] = 0;
    forget_names(w);
    for (size_t i = 0; i < count; i++)
        watch_path(w, paths[i]);
    forget_folders(w);
    if (w->is_blind)
        *err = w->err;
    return !w->is_blind;
}

/* ---- events -------------------------------------------------------------------- */

static bool
is_news(const struct file_watch *w, const struct inotify_event *e)
{
    struct span name =
        span_make(e->name, e->len == 0 ? 0 : strnlen(e->name, e->len));

    if (e->mask & IN_Q_OVERFLOW)
        return true;
    if (e->mask & SELF_EVENTS) {
        struct watched *folder = NULL;

        /* Of a folder that we let go ourselves it is none. */
        HASH_FIND_INT(w->folders, &e->wd, folder);
        return folder != NULL;
    }
    return is_wanted(w, e->wd, name);
}

bool
file_watch_take(struct file_watch *w)
{
    alignas(struct inotify_event) char bytes[EVENT_BYTES];
    bool found = false;
    ssize_t n;

    while ((n = read(w->fd, bytes, sizeof(bytes))) > 0)
        for (size_t at = 0; at < (size_t)n;) {
            /* The kernel pads names so that every event is aligned. */
            const struct inotify_event *e =
                (const struct inotify_event *)(const void *)(bytes + at);

            found = found || is_news(w, e);
            at += sizeof(*e) + e->len;
        }
    return found;
}

int
file_watch_fd(const struct file_watch *w)
{
    return w->fd;
}

/* ---- life ---------------------------------------------------------------------- */

struct file_watch *
file_watch_new(struct err *err)
{
    struct file_watch *w = calloc(1, sizeof(*w));

    if (w == NULL) {
        (void)err_memory(err);
        return NULL;
    }
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->fd < 0) {
        (void)err_sys(err, "inotify");
        free(w);
        return NULL;
    }
    return w;
}

void
file_watch_free(struct file_watch *w)
{
    struct watched *folder, *next;

    if (w == NULL)
        return;
    forget_names(w);
    HASH_ITER(hh, w->folders, folder, next)
    {
        HASH_DEL(w->folders, folder);
        free(folder);
    }
    (void)close(w->fd);
    free(w);
}
