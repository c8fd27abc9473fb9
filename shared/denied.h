/*
 * Which folder or file keeps us from reading a path, in words for ocspd and for
 * configurations: whose it is, its mode, who we are, and the mend. Over
 * shared/reach, which finds it; blocking, for errors only.
 */
#ifndef SHARED_DENIED_H
#define SHARED_DENIED_H

#include "shared/err.h"

#include <limits.h>
#include <stdbool.h>

enum { DENIED_TEXT_SIZE = 320, DENIED_MEND_SIZE = 2 * PATH_MAX + 128 };

struct denied {
    char path[PATH_MAX]; /* what is in the way; links are followed */
    bool is_folder; /* a folder on the way: searching it is refused */
    bool is_hidden; /* by ProtectHome= of our unit */
    /* "user ocspd may not search this folder (mode 0700, owner root:root)" */
    char text[DENIED_TEXT_SIZE];
    char mend[DENIED_MEND_SIZE]; /* commands for root */
};

/*
 * False: nothing visible is in the way (it can be read, is not there, or
 * something beyond owners and modes refuses: ACLs, AppArmor, SELinux).
 */
bool denied_find(const char *path, struct denied *out);

/*
 * To an error of EACCES about `path`: adds what is in the way and the commands
 * that mend it. Other errors stay. Answers false, as err.h's functions do.
 */
bool denied_err(const char *path, struct err *err);

#endif
