/*
 * What modes and owners allow a user, in the words of a shell and a unit.
 * Input: struct stat, the user database. Output: an answer, texts.
 */
#include "ocspd/verb_check_rights.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GROUPS_MAX = 256 /* ours: a service has two or three */ };

static const char safe[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "0123456789_./:@+,-";

void
rights_user_init(struct rights_user *user, const char *name)
{
    const struct passwd *entry = getpwnam(name);

    memset(user, 0, sizeof(*user));
    user->uid = (uid_t)-1;
    if (entry == NULL)
        return;
    user->is_there = true;
    user->uid = entry->pw_uid;
    user->groups = calloc(GROUPS_MAX, sizeof(*user->groups));
    user->group_count = GROUPS_MAX;
    if (user->groups == NULL ||
        getgrouplist(name, entry->pw_gid, user->groups, &user->group_count) < 0)
        user->group_count = 0;
}

void
rights_user_fini(struct rights_user *user)
{
    free(user->groups);
    user->groups = NULL;
}

static bool
is_member(const struct rights_user *user, gid_t gid)
{
    for (int i = 0; i < user->group_count; i++)
        if (user->groups[i] == gid)
            return true;
    return false;
}

static bool
allows(unsigned bits, enum rights_want want)
{
    return (bits & (unsigned)want) == (unsigned)want;
}

/* The kernel's order: the owner's bits are all an owner has. */
enum rights
rights_find(const struct rights_user *user, const struct stat *st,
    enum rights_want want, gid_t *group)
{
    unsigned mode = st->st_mode;

    if (st->st_uid == user->uid)
        return allows(mode >> 6, want) ? RIGHTS_HAVE : RIGHTS_NONE;
    if (is_member(user, st->st_gid))
        return allows(mode >> 3, want) ? RIGHTS_HAVE : RIGHTS_NONE;
    if (allows(mode, want))
        return RIGHTS_HAVE;
    if (st->st_gid == 0 || !allows(mode >> 3, want))
        return RIGHTS_NONE;
    *group = st->st_gid;
    return RIGHTS_BY_GROUP;
}

void
rights_group_name(gid_t gid, char out[RIGHTS_NAME_SIZE])
{
    const struct group *entry = getgrgid(gid);

    if (entry != NULL)
        (void)snprintf(out, RIGHTS_NAME_SIZE, "%s", entry->gr_name);
    else
        (void)snprintf(out, RIGHTS_NAME_SIZE, "%u", (unsigned)gid);
}

void
rights_describe(const struct stat *st, char out[RIGHTS_TEXT_SIZE])
{
    const struct passwd *owner = getpwuid(st->st_uid);
    char number[16], group[RIGHTS_NAME_SIZE];

    (void)snprintf(number, sizeof(number), "%u", (unsigned)st->st_uid);
    rights_group_name(st->st_gid, group);
    (void)snprintf(out, RIGHTS_TEXT_SIZE, "%.63s:%s %04o",
        owner != NULL ? owner->pw_name : number, group,
        (unsigned)(st->st_mode & 07777));
}

void
rights_quote(const char *text, char out[RIGHTS_QUOTED_SIZE])
{
    size_t at = 0;

    if (text[strspn(text, safe)] == '\0') {
        (void)snprintf(out, RIGHTS_QUOTED_SIZE, "%s", text);
        return;
    }
    out[at++] = '\'';
    for (; *text != '\0' && at + 6 < RIGHTS_QUOTED_SIZE; text++) {
        if (*text == '\'') {
            memcpy(out + at, "'\\'", 3);
            at += 3;
        }
        out[at++] = *text;
    }
    out[at++] = '\'';
    out[at] = '\0';
}

/* '-': a folder that is not there is no reason not to start. %: a specifier. */
void
rights_quote_unit(const char *path, char out[RIGHTS_QUOTED_SIZE])
{
    size_t at = 0;

    out[at++] = '"';
    out[at++] = '-';
    for (; *path != '\0' && at + 4 < RIGHTS_QUOTED_SIZE; path++) {
        if (*path == '%')
            out[at++] = '%';
        else if (*path == '"' || *path == '\\')
            out[at++] = '\\';
        out[at++] = *path;
    }
    out[at++] = '"';
    out[at] = '\0';
    if (strpbrk(out + 2, " \t\\'%") == NULL) {
        out[at - 1] = '\0';
        memmove(out, out + 1, at - 1);
    }
}
