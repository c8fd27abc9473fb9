/*
 * inotify on a set of files, along every folder and symbolic link of their
 * paths: a link switched anywhere (a release folder, certbot's live to archive,
 * "..data") is noticed as a file replaced in its place. No loop inside.
 */
#ifndef SHARED_FILE_WATCH_H
#define SHARED_FILE_WATCH_H

#include "shared/err.h"

#include <stdbool.h>
#include <stddef.h>

struct file_watch;

/* ERR_SYSTEM when inotify is refused (EMFILE: max_user_instances). */
struct file_watch *file_watch_new(struct err *err);
void file_watch_free(struct file_watch *watch);
/* Readable: file_watch_take(). */
int file_watch_fd(const struct file_watch *watch);

/*
 * From now on these absolute paths, and no others; nothing falls between this
 * call and a look at the files after it. Links may lead elsewhere after each
 * change: call it again then. A file that is not there is watched for. False:
 * some folder cannot be watched (rights, limits), the rest is.
 */
bool file_watch_set(struct file_watch *watch, const char *const *paths,
    size_t count, struct err *err);
/* Empties the queue. True: something happened to a file or on the way to it. */
bool file_watch_take(struct file_watch *watch);

#endif
