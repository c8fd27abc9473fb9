/*
 * Why may we not read a path? The first folder or file in the way, whose it is,
 * its mode, and who we are: what an operator needs to mend it. Asks the file
 * system and the user database; blocking, for errors only.
 */
#ifndef SHARED_DENIED_H
#define SHARED_DENIED_H

#include "shared/err.h"

#include <limits.h>
#include <stdbool.h>

enum { DENIED_NAME_SIZE = 64, DENIED_TEXT_SIZE = 320 };

struct denied {
    char path[PATH_MAX]; /* what is in the way: the path or a folder above */
    bool is_folder; /* it may not be searched; else: may not be read */
    char group[DENIED_NAME_SIZE]; /* ours, for the mend */
    /* "user ocspd may not search this folder (mode 0700, owner root:root)" */
    char text[DENIED_TEXT_SIZE];
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
