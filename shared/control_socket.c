/*
 * Sockets of control: the one that is listened on, and a command's call.
 * Input: a path. Output: a listening descriptor; or the answer to one request.
 */
#include "shared/control.h"

#include "shared/now.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    SOCKET_MODE = 0660,
    BACKLOG = 128, /* ours: more scripts than ever ask at once */
    LOCK_TRIES = 100,
    LOCK_PAUSE_MS = 5 /* the lock is held for a few system calls */
};

static bool
fill_address(const char *path, struct sockaddr_un *out, struct err *err)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (span_to_cstr(span_str(path), out->sun_path, sizeof(out->sun_path)))
        return true;
    return err_set(err, ERR_CONFIG,
        "%.40s...: a unix socket's path has at most %zu bytes", path,
        sizeof(out->sun_path) - 1);
}

/* Connected within the time, or -1 with errno. */
static int
connect_to(const struct sockaddr_un *address, int64_t timeout_ms)
{
    struct timeval limit = {
        .tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int why;

    if (fd < 0)
        return -1;
    /* A full backlog makes connect(2) wait: for so long. */
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
        return fd;
    why = errno;
    (void)close(fd);
    errno = why;
    return -1;
}

/* ---- listening ----------------------------------------------------------------- */

/* Does the file stand in the way of nobody: a socket without a listener? */
static bool
remove_stale(const struct sockaddr_un *address, struct err *err)
{
    const char *path = address->sun_path;
    struct stat found;
    int fd;

    if (lstat(path, &found) != 0)
        return errno == ENOENT || err_sys(err, "%s", path);
    if (!S_ISSOCK(found.st_mode)) {
        errno = EEXIST;
        return err_sys(err, "%s: there is something that is no socket", path);
    }
    fd = connect_to(address, 1); /* EAGAIN: busy, so somebody is there */
    if (fd < 0 && errno == ECONNREFUSED)
        return unlink(path) == 0 || err_sys(err, "remove %s", path);
    if (fd >= 0)
        (void)close(fd);
    errno = EADDRINUSE;
    return err_sys(err, "%s: another program listens there", path);
}

/* The mode is the socket's before there is a file, and nothing is done to the
 * path behind it: no moment in which others could connect, none in which the
 * folder's owner could put a link in its place. */
static bool
bind_file(const struct sockaddr_un *address, struct control_socket *s,
    struct err *err)
{
    const char *path = address->sun_path;
    mode_t before = umask(0);
    struct stat made;
    bool ok =
        fchmod(s->fd, SOCKET_MODE) == 0 &&
        bind(s->fd, (const struct sockaddr *)address, sizeof(*address)) == 0;

    (void)umask(before);
    if (!ok)
        return err_sys(err, "%s", path);
    if (lstat(path, &made) != 0 || listen(s->fd, BACKLOG) != 0) {
        (void)err_sys(err, "%s", path);
        (void)unlink(path);
        return false;
    }
    s->device = made.st_dev;
    s->inode = made.st_ino;
    return true;
}

/* Whoever may open the folder may lock it, and keep it: not for ever then. */
static void
lock_patiently(int fd)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 ||
            (errno != EWOULDBLOCK && errno != EINTR))
            return;
        (void)poll(NULL, 0, LOCK_PAUSE_MS);
    }
}

/* One at a time: two that find the same stale file would each remove what the
 * other has just made. */
static int
lock_folder(const char *path, struct err *err)
{
    char *copy = strdup(path);
    int fd;

    if (copy == NULL) {
        (void)err_memory(err);
        return -1;
    }
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        lock_patiently(fd);
    else
        (void)err_sys(err, "%s: folder", path);
    free(copy);
    return fd;
}

bool
control_listen(const char *path, struct control_socket *out, struct err *err)
{
    struct control_socket made = {.fd = -1};
    struct sockaddr_un address;
    int lock = -1;
    bool ok = false;

    if (!fill_address(path, &address, err))
        return false;
    made.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    made.path = strdup(path);
    if (made.fd < 0 || made.path == NULL)
        (void)err_sys(err, "%s", path);
    else
        lock = lock_folder(path, err);
    ok = lock >= 0 && remove_stale(&address, err) &&
         bind_file(&address, &made, err);
    if (lock >= 0)
        (void)close(lock);
    if (ok) {
        *out = made;
        return true;
    }
    if (made.fd >= 0)
        (void)close(made.fd);
    free(made.path);
    return false;
}

bool
control_is_there(const struct control_socket *s)
{
    struct stat found;

    return lstat(s->path, &found) == 0 && found.st_dev == s->device &&
           found.st_ino == s->inode;
}

void
control_unlisten(struct control_socket *s)
{
    if (s->path != NULL && control_is_there(s))
        (void)unlink(s->path);
    if (s->fd >= 0)
        (void)close(s->fd);
    free(s->path);
    *s = (struct control_socket){.fd = -1};
}

/* ---- calling -------------------------------------------------------------------- */

static bool
wait_for(const struct control *c, int64_t until_ms, struct err *err)
{
    short events = c->out.len > 0 ? POLLIN | POLLOUT : POLLIN;
    struct pollfd fd = {.fd = c->fd, .events = events};
    int64_t left = until_ms - now_boot_ms();

    if (left <= 0)
        return err_set(err, ERR_TIMEOUT, "no answer in time");
    if (left > INT32_MAX)
        left = INT32_MAX;
    if (poll(&fd, 1, (int)left) < 0 && errno != EINTR)
        return err_sys(err, "poll");
    return true;
}

static bool
exchange(struct control *c, int64_t until_ms, json_t **answer, struct err *err)
{
    for (;;) {
        switch (control_next(c, answer, err)) {
        case CONTROL_OBJECT:
            return true;
        case CONTROL_GARBAGE:
        case CONTROL_TOO_LONG:
            return err_context(err, "the answer");
        case CONTROL_END:
            return err_set(err, ERR_FORMAT, "the connection ended unanswered");
        case CONTROL_NOTHING:
            break;
        }
        if (!control_flush(c, err) || !wait_for(c, until_ms, err) ||
            !control_receive(c, err))
            return false;
    }
}

bool
control_call(const char *path, const json_t *request, int64_t timeout_ms,
    json_t **answer, struct err *err)
{
    int64_t until_ms = now_boot_ms() + timeout_ms;
    struct sockaddr_un address;
    struct control c;
    bool ok;
    int fd;

    if (!fill_address(path, &address, err))
        return false;
    fd = connect_to(&address, timeout_ms);
    if (fd < 0 && errno == EAGAIN)
        return err_set(err, ERR_TIMEOUT, "no answer in time");
    if (fd < 0)
        return err_sys(err, "connect to %s", path);
    control_init(&c, fd);
    ok = control_put(&c, request, err) && exchange(&c, until_ms, answer, err);
    control_fini(&c);
    return ok;
}
