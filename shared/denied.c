/*
 * Who stands between us and a path that is to be read.
 * Input: a path that was refused (EACCES). Output: the obstacle in words.
 */
#include "shared/denied.h"

#include "shared/reach.h"
#include "shared/span.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_ROOM = 64 };

static void
group_name(gid_t gid, char *name, size_t size)
{
    const struct group *group = getgrgid(gid);

    if (group != NULL)
        (void)snprintf(name, size, "%s", group->gr_name);
    else
        (void)snprintf(name, size, "%u", (unsigned)gid);
}

static void
describe(const struct stat *st, struct denied *out)
{
    char us[NAME_ROOM], our_group[NAME_ROOM];
    char owner[NAME_ROOM], group[NAME_ROOM];

    reach_user_name(geteuid(), us, sizeof(us));
    reach_user_name(st->st_uid, owner, sizeof(owner));
    group_name(st->st_gid, group, sizeof(group));
    group_name(getegid(), our_group, sizeof(our_group));
    (void)snprintf(out->text, sizeof(out->text),
        "user %s may not %s this %s (mode %04o, owner %s:%s)", us,
        out->is_folder ? "search" : "read", out->is_folder ? "folder" : "file",
        (unsigned)(st->st_mode & 07777), owner, group);
    (void)snprintf(out->mend, sizeof(out->mend), "chgrp %s %s && chmod %s %s",
        our_group, out->path, out->is_folder ? "g+rx" : "g+r", out->path);
}

/* From the root, which is where a look for obstacles begins. */
static bool
make_absolute(const char *path, char out[PATH_MAX])
{
    char folder[PATH_MAX];
    int len;

    if (path[0] == '/')
        return span_to_cstr(span_str(path), out, PATH_MAX);
    if (path[0] == '\0' || getcwd(folder, sizeof(folder)) == NULL)
        return false;
    len = snprintf(out, PATH_MAX, "%s/%s", folder, path);
    return len > 0 && len < PATH_MAX;
}

bool
denied_find(const char *path, struct denied *out)
{
    char full[PATH_MAX];
    struct reach reach;

    if (!make_absolute(path, full))
        return false;
    reach_find(full, REACH_FILE, &reach);
    if (reach.kind == REACH_FREE && S_ISDIR(reach.st.st_mode))
        reach_find(full, REACH_SPOOL, &reach); /* listed and searched */
    if (reach.kind != REACH_HIDDEN &&
        ((reach.kind != REACH_FOLDER && reach.kind != REACH_DENIED) ||
            reach.error != EACCES))
        return false;
    if (realpath(reach.path, out->path) == NULL) /* without ".." of links */
        memcpy(out->path, reach.path, sizeof(out->path));
    out->is_folder = S_ISDIR(reach.st.st_mode);
    describe(&reach.st, out);
    out->is_hidden = reach.kind == REACH_HIDDEN;
    if (out->is_hidden) {
        reach_describe(&reach, out->text, sizeof(out->text));
        reach_mend(&reach, out->mend, sizeof(out->mend));
    }
    return true;
}

bool
denied_err(const char *path, struct err *err)
{
    struct denied denied;
    struct err plain;
    bool is_itself;

    if (err == NULL || err->kind != ERR_SYSTEM || err->sys_errno != EACCES ||
        !denied_find(path, &denied))
        return false;
    plain = *err;
    is_itself = strcmp(path, denied.path) == 0;
    (void)err_set(err, ERR_SYSTEM, "%s: %s%s%s: %s", plain.text,
        is_itself ? "" : denied.path, is_itself ? "" : ": ", denied.text,
        denied.mend);
    err->sys_errno = EACCES;
    return false;
}
