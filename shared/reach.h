/*
 * Why this process cannot get at a path: what on the way stops it, whose that
 * is, and what an operator does about it. For error texts only, after the call
 * that failed: nothing is decided by it.
 */
#ifndef SHARED_REACH_H
#define SHARED_REACH_H

#include "shared/err.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/* What it was wanted for: the mends differ. */
enum reach_want {
    REACH_FILE, /* to serve it */
    REACH_PAIR, /* to read a chain or a key */
    REACH_SOCKET, /* to connect */
    REACH_ROOT, /* to serve the files below it */
    REACH_SPOOL /* to read the responses in it */
};

enum reach_kind {
    REACH_FREE, /* nothing is in the way (any more) */
    REACH_MISSING, /* `path` does not exist */
    REACH_FOLDER, /* the folder `path` may not be searched */
    REACH_HIDDEN, /* ProtectHome= of our unit lies over `path` */
    REACH_DENIED, /* `path` itself, the end of the way */
    REACH_OTHER /* `error` */
};

struct reach {
    enum reach_want want;
    enum reach_kind kind;
    int error; /* errno; 0: REACH_FREE */
    const char *asked; /* borrowed: the path that was wanted */
    char path[PATH_MAX]; /* what stops us: links are followed */
    struct stat st; /* of it; zero when MISSING, OTHER */
};

/* Looks from the root downwards, with the rights of the effective user. */
void reach_find(const char *path, enum reach_want want, struct reach *out);
/* "user wsgate may not search the folder /x (root:root 0700)". */
void reach_describe(const struct reach *reach, char *out, size_t size);
/* What to do, word for word; "" when nothing can be said. */
void reach_mend(const struct reach *reach, char *out, size_t size);

/*
 * Behind the text of an error that a path caused: ": <description>: <mend>".
 * Only for ERR_SYSTEM with EACCES or EPERM, and where ProtectHome= lies over
 * it. False, as err_set().
 */
bool reach_explain(const char *path, enum reach_want want, struct err *err);

/* The systemd unit that runs us, without ".service"; false: none does. */
bool reach_unit(char *name, size_t size);
/* "wsgate", or the number of an id without a name. */
void reach_user_name(uid_t uid, char *name, size_t size);

#endif
