/*
 * Who stands between us and a path.
 * Input: a path that was refused (EACCES). Output: the first obstacle in words.
 */
#include "shared/denied.h"

#include "shared/span.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void
user_name(uid_t uid, char out[DENIED_NAME_SIZE])
{
    const struct passwd *user = getpwuid(uid);

    if (user == NULL ||
        !span_to_cstr(span_str(user->pw_name), out, DENIED_NAME_SIZE))
        (void)snprintf(out, DENIED_NAME_SIZE, "%u", (unsigned)uid);
}

static void
group_name(gid_t gid, char out[DENIED_NAME_SIZE])
{
    const struct group *group = getgrgid(gid);

    if (group == NULL ||
        !span_to_cstr(span_str(group->gr_name), out, DENIED_NAME_SIZE))
        (void)snprintf(out, DENIED_NAME_SIZE, "%u", (unsigned)gid);
}

static void
describe(const struct stat *st, struct denied *out)
{
    char us[DENIED_NAME_SIZE], owner[DENIED_NAME_SIZE], group[DENIED_NAME_SIZE];

    user_name(geteuid(), us);
    user_name(st->st_uid, owner);
    group_name(st->st_gid, group);
    group_name(getegid(), out->group);
    (void)snprintf(out->text, sizeof(out->text),
        "user %s may not %s this %s (mode %04o, owner %s:%s)", us,
        out->is_folder ? "search" : "read", out->is_folder ? "folder" : "file",
        (unsigned)(st->st_mode & 07777), owner, group);
}

/* As the effective user, which is the one that opens files. */
static bool
is_refused(const char *path, int mode)
{
    return faccessat(AT_FDCWD, path, mode, AT_EACCESS) != 0 && errno == EACCES;
}

/* out->path up to `len` bytes: may it be used? */
static bool
is_obstacle(struct denied *out, size_t len)
{
    char cut = out->path[len];
    struct stat st;
    bool found;

    out->path[len] = '\0';
    found = stat(out->path, &st) == 0;
    out->is_folder = found && S_ISDIR(st.st_mode);
    found = found && is_refused(out->path, out->is_folder ? R_OK | X_OK : R_OK);
    /* a folder on the way need not be listed */
    if (found && cut != '\0' && !is_refused(out->path, X_OK))
        found = false;
    if (found)
        describe(&st, out);
    else
        out->path[len] = cut;
    return found;
}

bool
denied_find(const char *path, struct denied *out)
{
    size_t len;

    if (!span_to_cstr(span_str(path), out->path, sizeof(out->path)))
        return false;
    for (len = 1; len <= strlen(path); len++)
        if ((path[len] == '/' || path[len] == '\0') && is_obstacle(out, len))
            return true;
    return false;
}

bool
denied_err(const char *path, struct err *err)
{
    struct denied denied;
    struct err plain;

    if (err == NULL || err->kind != ERR_SYSTEM || err->sys_errno != EACCES ||
        !denied_find(path, &denied))
        return false;
    plain = *err;
    (void)err_set(err, ERR_SYSTEM, "%s: %s%s%s: chgrp %s %s && chmod %s %s",
        plain.text, strcmp(path, denied.path) == 0 ? "" : denied.path,
        strcmp(path, denied.path) == 0 ? "" : ": ", denied.text, denied.group,
        denied.path, denied.is_folder ? "g+rx" : "g+r", denied.path);
    err->sys_errno = EACCES;
    return false;
}
