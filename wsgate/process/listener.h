/*
 * Bind or inherit sockets. The master creates every listener before it drops
 * privileges and keeps the descriptors; workers accept from them.
 */
#ifndef WSGATE_PROCESS_LISTENER_H
#define WSGATE_PROCESS_LISTENER_H

#include "shared/err.h"

#include <stdbool.h>
#include <stddef.h>

struct listener {
    char *address; /* as configured; owned */
    int *fds; /* one per worker slot, or one for all when inherited */
    int fd_count;
    bool is_inherited; /* LISTEN_FDS, matched by address */
};

/*
 * Inherited when systemd passed a socket for that address, else one
 * SO_REUSEPORT socket per slot ("unix:" one for all, mode applied). EADDRINUSE
 * and EACCES get a text with the mend ("port 443 is taken by ...", "ports below
 * 1024 need ..."). Port 0 is replaced by the one the kernel chose.
 */
bool listener_open(const char *address, const char *mode, int slots,
    struct listener *out, struct err *err);
void listener_close(struct listener *listener);
/* The address that a socket is bound to, as configured: "0.0.0.0:443". */
void listener_name(int fd, char *name, size_t size);
/* The descriptor for a worker slot; borrowed. */
int listener_fd(const struct listener *listener, int slot);

/* One accept4() (non-blocking, close-on-exec): -1 with errno. */
int listener_accept(int fd);

#endif
