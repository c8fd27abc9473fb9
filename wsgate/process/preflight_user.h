/*
 * Who will serve, where it is not us: workers of a start as root, or the unit's
 * user for a -t that root gives.
 */
#ifndef WSGATE_PROCESS_PREFLIGHT_USER_H
#define WSGATE_PROCESS_PREFLIGHT_USER_H

#include "shared/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { PREFLIGHT_GROUPS_MAX = 64 /* ours: of an account and a unit */ };

struct preflight_user {
    uid_t uid;
    gid_t gid;
    gid_t groups[PREFLIGHT_GROUPS_MAX];
    int group_count;
    bool is_home_hidden; /* ProtectHome= of the unit */
};

/* The account's own groups. False: there is no such account. */
bool preflight_user_find(const char *name, struct preflight_user *out);
/* Adds what `systemctl show` tells of a unit: SupplementaryGroups=,
 * ProtectHome=. Nothing where there is no systemd. */
void preflight_user_add_unit(struct preflight_user *user, const char *unit);

/*
 * Calls `look` in a child with that user's rights; its answer, and the reason
 * for a false one. What it logs is logged.
 */
bool preflight_user_run(const struct preflight_user *user,
    bool (*look)(const void *ctx, struct err *err), const void *ctx,
    struct err *err);

#endif
