/*
 * A folder for one test.
 * Input: TMPDIR. Output: an empty folder, gone afterwards.
 */
#include "tests/support/temp_folder.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static _Noreturn void
die(const char *what)
{
    perror(what);
    abort();
}

void
temp_folder_init(struct temp_folder *folder)
{
    const char *base = getenv("TMPDIR");

    (void)snprintf(folder->path, sizeof(folder->path), "%s/unit.XXXXXX",
        base == NULL ? "/tmp" : base);
    if (mkdtemp(folder->path) == NULL)
        die(folder->path);
    folder->dirfd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder->dirfd < 0)
        die(folder->path);
}

static int
remove_entry(
    const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

void
temp_folder_fini(struct temp_folder *folder)
{
    (void)close(folder->dirfd);
    (void)nftw(folder->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

const char *
temp_folder_path(
    const struct temp_folder *folder, const char *name, char out[PATH_MAX])
{
    if (snprintf(out, PATH_MAX, "%s/%s", folder->path, name) >= PATH_MAX)
        die(name);
    return out;
}

void
temp_folder_put(
    const struct temp_folder *folder, const char *name, const char *text)
{
    int fd = openat(
        folder->dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    size_t len = strlen(text);

    if (fd < 0 || write(fd, text, len) != (ssize_t)len || close(fd) != 0)
        die(name);
}
