/*
 * inotify on one folder that may come late, go and be replaced (rename, mount,
 * the "..data" swap of Kubernetes volumes). An own descriptor to poll, no loop
 * inside. Any doubt is an event that says "rescan".
 */
#ifndef SHARED_WATCH_H
#define SHARED_WATCH_H

#include "shared/err.h"

#include <stdbool.h>

enum watch_kind {
    WATCH_NAME, /* `name` in the folder was written, moved in or removed */
    WATCH_RESCAN, /* look at everything: overflow, folder new or replaced */
    WATCH_GONE /* the folder is not there (now watching an ancestor) */
};

struct watch_event {
    enum watch_kind kind;
    char name[256]; /* WATCH_NAME only; dot-names are never reported */
};

struct watch;

/*
 * New. A folder that does not exist is no error: the nearest existing ancestor
 * is watched until it appears. The first event is WATCH_RESCAN or WATCH_GONE.
 * ERR_SYSTEM when inotify itself is refused (EMFILE: max_user_instances).
 */
struct watch *watch_new(const char *path, struct err *err);
void watch_free(struct watch *watch);
/* Readable when watch_next() has something; -1 never. */
int watch_fd(const struct watch *watch);
/* False: nothing (more) now. Never blocks. */
bool watch_next(struct watch *watch, struct watch_event *event);
/*
 * Is the watched folder still the one at the path (device and inode)? When not,
 * it re-attaches and the next watch_next() says so. A slow net under inotify:
 * call it about every 10 s.
 */
void watch_verify(struct watch *watch);

#endif
