/*
 * Whole files: replaced by rename, read with a size limit.
 * Input: bytes and a name inside an open folder. Output: the file; a reader
 * sees the old bytes or the new ones, never a part.
 */
#include "shared/atomic_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    TAIL_LEN = 6, /* ".NAME.XXXXXX" */
    TEMP_TRIES = 16, /* ours: of 62^6 names, 16 in a row are never taken */
    NAME_KEPT = 240, /* ours: the temp name stays within NAME_MAX (255) */
    READ_CHUNK = 16384 /* ours: a response or a chain is one or two reads */
};

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

static bool
random_tail(char out[TAIL_LEN + 1])
{
    unsigned char raw[TAIL_LEN];

    if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
        return false;
    for (int i = 0; i < TAIL_LEN; i++)
        out[i] = alphabet[raw[i] % (sizeof(alphabet) - 1)];
    out[TAIL_LEN] = 0;
    return true;
}

/* A new file of our own in the folder; its name is in `temp`. */
static int
open_temp(int dirfd, const char *name, char temp[NAME_MAX + 1])
{
    char tail[TAIL_LEN + 1];
    int fd = -1;

    for (int i = 0; i < TEMP_TRIES && fd < 0; i++) {
        if (!random_tail(tail))
            return -1;
        (void)snprintf(temp, NAME_MAX + 1, ATOMIC_FILE_TEMP_PREFIX "%.*s.%s",
            NAME_KEPT, name, tail);
        fd = openat(dirfd, temp,
            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 && errno != EEXIST)
            return -1;
    }
    return fd;
}

static bool
write_all(int fd, struct span bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.data, bytes.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        bytes = span_from(bytes, (size_t)n);
    }
    return true;
}

/* fchmod and not the mode of open(): the umask has no say. fd is taken. */
static bool
fill(int fd, struct span bytes, mode_t mode)
{
    bool ok = fchmod(fd, mode) == 0 && write_all(fd, bytes) && fsync(fd) == 0;
    int saved = errno;

    /* NFS and quotas report a full disk as late as here. */
    if (close(fd) != 0 && ok)
        return false;
    errno = saved;
    return ok;
}

bool
atomic_file_write(int dirfd, const char *name, struct span bytes, mode_t mode,
    struct err *err)
{
    char temp[NAME_MAX + 1];
    int fd;

    if (name[0] == 0 || strchr(name, '/') != NULL || strlen(name) > NAME_MAX)
        return err_set(err, ERR_FORMAT, "write %s: not a file name", name);
    fd = open_temp(dirfd, name, temp);
    if (fd < 0)
        return err_sys(err, "write %s", name);
    if (fill(fd, bytes, mode) && renameat(dirfd, temp, dirfd, name) == 0)
        return true;
    (void)err_sys(err, "write %s", name);
    (void)unlinkat(dirfd, temp, 0);
    return false;
}

bool
atomic_file_sync_dir(int dirfd, struct err *err)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok;

    if (fd < 0)
        return err_sys(err, "open the folder to sync it");
    ok = fsync(fd) == 0;
    /* A filesystem that cannot sync a folder says EINVAL: nothing to do. */
    if (!ok && errno != EINVAL)
        (void)err_sys(err, "sync the folder");
    else
        ok = true;
    (void)close(fd);
    return ok;
}

bool
atomic_file_remove(int dirfd, const char *name, struct err *err)
{
    if (unlinkat(dirfd, name, 0) != 0 && errno != ENOENT)
        return err_sys(err, "remove %s", name);
    return true;
}

/* One byte beyond max is asked for, so that a larger file is noticed. */
static bool
read_all(int fd, const char *name, struct buf *out, struct err *err)
{
    unsigned char extra;

    for (;;) {
        size_t want = out->max - out->len;
        ssize_t n;

        if (want > READ_CHUNK)
            want = READ_CHUNK;
        if (!buf_reserve(out, want))
            return err_memory(err);
        n = want == 0 ? read(fd, &extra, 1)
                      : read(fd, out->data + out->len, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, "read %s", name);
        if (n == 0)
            return true;
        if (want == 0)
            return err_set(
                err, ERR_LIMIT, "%s is larger than %zu bytes", name, out->max);
        buf_grew(out, (size_t)n);
    }
}

static bool
read_regular(int fd, const char *name, struct buf *out, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return err_sys(err, "stat %s", name);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_FORMAT, "%s is not a regular file", name);
    if (st.st_size > 0 && (size_t)st.st_size > out->max)
        return err_set(
            err, ERR_LIMIT, "%s is larger than %zu bytes", name, out->max);
    return read_all(fd, name, out, err);
}

bool
atomic_file_read(int dirfd, const char *name, struct buf *out, struct err *err)
{
    /* O_NONBLOCK: opening a fifo would wait for its writer. */
    int fd = openat(dirfd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    bool ok;

    buf_clear(out);
    if (fd < 0)
        return err_sys(err, "open %s", name);
    ok = read_regular(fd, name, out, err);
    (void)close(fd);
    return ok;
}

/* ".<anything>.XXXXXX" */
static bool
is_temp_name(const char *name)
{
    size_t len = strlen(name);
    const char *tail;

    if (name[0] != '.' || len < 1 + 1 + 1 + TAIL_LEN)
        return false;
    tail = name + len - TAIL_LEN;
    return tail[-1] == '.' && strspn(tail, alphabet) == TAIL_LEN;
}

static bool
is_old(int dirfd, const char *name, int min_age_s)
{
    struct timespec now;
    struct stat st;

    /* The kernel's clock, which stamps files too; not the one tests move. */
    return clock_gettime(CLOCK_REALTIME, &now) == 0 &&
           fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(st.st_mode) && now.tv_sec - st.st_mtime >= min_age_s;
}

bool
atomic_file_sweep(int dirfd, int min_age_s, size_t *removed, struct err *err)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    size_t count = 0;

    if (dir == NULL) {
        (void)err_sys(err, "list the folder");
        if (fd >= 0)
            (void)close(fd);
        return false;
    }
    while ((entry = readdir(dir)) != NULL)
        if (is_temp_name(entry->d_name) &&
            is_old(dirfd, entry->d_name, min_age_s) &&
            unlinkat(dirfd, entry->d_name, 0) == 0)
            count++;
    (void)closedir(dir);
    if (removed != NULL)
        *removed = count;
    return true;
}
