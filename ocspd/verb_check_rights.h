/*
 * May a user that we are not get at something? From its mode and owners; and
 * texts for what to do about it.
 */
#ifndef OCSPD_VERB_CHECK_RIGHTS_H
#define OCSPD_VERB_CHECK_RIGHTS_H

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

enum {
    RIGHTS_NAME_SIZE = 64,
    RIGHTS_TEXT_SIZE = 2 * RIGHTS_NAME_SIZE + 16,
    RIGHTS_QUOTED_SIZE = 4 * PATH_MAX + 8
};

/* Bits of a mode's triple. */
enum rights_want {
    RIGHTS_SEARCH = 1, /* a folder */
    RIGHTS_CONNECT = 2, /* a socket */
    RIGHTS_WRITE = 7 /* in a folder */
};

enum rights { RIGHTS_HAVE, RIGHTS_BY_GROUP, RIGHTS_NONE };

struct rights_user {
    bool is_there;
    uid_t uid;
    gid_t *groups; /* owned */
    int group_count;
};

/* A user that does not exist has no rights but everybody's. */
void rights_user_init(struct rights_user *user, const char *name);
void rights_user_fini(struct rights_user *user);

/* BY_GROUP: membership in *group would do; never that of root's group. */
enum rights rights_find(const struct rights_user *user, const struct stat *st,
    enum rights_want want, gid_t *group);

void rights_group_name(gid_t gid, char out[RIGHTS_NAME_SIZE]);
/* "root:haproxy 0750" */
void rights_describe(const struct stat *st, char out[RIGHTS_TEXT_SIZE]);
/* For a shell, and for a list of paths in a unit. */
void rights_quote(const char *text, char out[RIGHTS_QUOTED_SIZE]);
void rights_quote_unit(const char *path, char out[RIGHTS_QUOTED_SIZE]);

#endif
