/*
 * Why this process cannot get at a path.
 * Input: the path of a call that failed, what the file system says of it.
 * Output: what stops us and what to do, in words, for an error text.
 */
#include "shared/reach.h"

#include "shared/buf.h"
#include "shared/span.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#define LINEAGES "/etc/letsencrypt/live/"

enum {
    LINKS_MAX = 16, /* ours: the kernel follows 40 */
    NAME_ROOM = 64,
    OVERFLOW_ID = 65534, /* what an id that is not mapped is shown as */
    OWNER_ROOM = 2 * NAME_ROOM + 16
};

static const int wanted_rights[] = {
    [REACH_FILE] = R_OK,
    [REACH_PAIR] = R_OK,
    [REACH_SOCKET] = W_OK,
    [REACH_ROOT] = X_OK,
    [REACH_SPOOL] = R_OK | X_OK,
};

/* ---- who ------------------------------------------------------------------ */

void
reach_user_name(uid_t uid, char *name, size_t size)
{
    const struct passwd *pw = getpwuid(uid);

    if (pw != NULL)
        (void)snprintf(name, size, "%s", pw->pw_name);
    else
        (void)snprintf(name, size, "%u", (unsigned)uid);
}

static void
group_name(gid_t gid, char *name, size_t size)
{
    const struct group *gr = getgrgid(gid);

    if (gr != NULL)
        (void)snprintf(name, size, "%s", gr->gr_name);
    else
        (void)snprintf(name, size, "%u", (unsigned)gid);
}

/* Reads the start of a small file of /proc as text. */
static bool
read_proc(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);

    if (fd >= 0)
        (void)close(fd);
    out[n > 0 ? n : 0] = 0;
    return n > 0;
}

/* In a user namespace (PrivateUsers=) other ids cannot be seen: stat() shows
 * all of them as one. */
static bool
is_hidden_id(unsigned id)
{
    char map[64];
    unsigned from = 0, to = 0, count = 0;

    if (id != OVERFLOW_ID || !read_proc("/proc/self/gid_map", map, sizeof(map)))
        return false;
    /* Ours: the file is the kernel's. NOLINTNEXTLINE(cert-err34-c) */
    return sscanf(map, "%u %u %u", &from, &to, &count) == 3 &&
           count != UINT_MAX;
}

/* "root:root 0700" */
static void
owner_text(const struct stat *st, char *out, size_t size)
{
    char user[NAME_ROOM], group[NAME_ROOM];

    reach_user_name(st->st_uid, user, sizeof(user));
    group_name(st->st_gid, group, sizeof(group));
    if (is_hidden_id(st->st_gid))
        (void)snprintf(out, size, "mode %04o, PrivateUsers= hides its group",
            (unsigned)st->st_mode & 07777);
    else
        (void)snprintf(out, size, "%s:%s %04o", user, group,
            (unsigned)st->st_mode & 07777);
}

bool
reach_unit(char *name, size_t size)
{
    char text[4096];
    struct span rest, line, part, last = SPAN_EMPTY;

    if (!read_proc("/proc/self/cgroup", text, sizeof(text)) ||
        strstr(text, "/user.slice/") != NULL)
        return false;
    rest = span_str(text);
    while (span_split(&rest, '\n', &line)) {
        while (span_split(&line, '/', &part))
            last = part;
        if (!span_ends(last, SPAN_LIT(".service")))
            continue;
        last.len -= strlen(".service");
        return span_to_cstr(last, name, size);
    }
    return false;
}

/* ---- what stops us -------------------------------------------------------- */

/* systemd(1): ProtectHome=yes puts a folder without any right there, "tmpfs" an
 * empty one. */
static bool
is_protected_home(const char *path, const struct stat *st)
{
    static const char *const homes[] = {"/home", "/root", "/run/user"};
    char unit[NAME_ROOM];
    struct statfs fs;

    for (size_t i = 0; i < sizeof(homes) / sizeof(homes[0]); i++) {
        if (strcmp(path, homes[i]) != 0)
            continue;
        return (st->st_mode & 07777) == 0 ||
               (st->st_nlink <= 2 && statfs(path, &fs) == 0 &&
                   fs.f_type == TMPFS_MAGIC && reach_unit(unit, sizeof(unit)));
    }
    return false;
}

static bool
stop(struct reach *out, enum reach_kind kind, int error)
{
    out->kind = kind;
    out->error = error;
    return false;
}

/* "link/rest" -> "target/rest" in out->path's place; false: too long. */
static bool
follow(const char *at, const char *rest, char path[PATH_MAX])
{
    char target[PATH_MAX], made[PATH_MAX];
    ssize_t n = readlink(at, target, sizeof(target) - 1);
    const char *slash = strrchr(at, '/');
    int len;

    if (n <= 0)
        return false;
    target[n] = 0;
    if (target[0] == '/')
        len = snprintf(made, sizeof(made), "%s%s", target, rest);
    else
        len = snprintf(made, sizeof(made), "%.*s/%s%s", (int)(slash - at), at,
            target, rest);
    if (len < 0 || (size_t)len >= sizeof(made))
        return false;
    memcpy(path, made, (size_t)len + 1);
    return true;
}

enum walk { WALK_ON, WALK_LINK, WALK_STOPPED };

/* One name on the way: out->path up to there; `is_end`: the last one. */
static enum walk
look_at(struct reach *out, bool is_end)
{
    int rights = is_end ? wanted_rights[out->want] : X_OK;
    struct stat st;

    if (lstat(out->path, &st) != 0) {
        (void)stop(out, errno == ENOENT ? REACH_MISSING : REACH_OTHER, errno);
        return WALK_STOPPED;
    }
    if (S_ISLNK(st.st_mode))
        return WALK_LINK;
    out->st = st;
    if (is_protected_home(out->path, &st))
        (void)stop(out, REACH_HIDDEN, EACCES);
    else if (faccessat(AT_FDCWD, out->path, rights, AT_EACCESS) == 0)
        return WALK_ON;
    else
        (void)stop(out, is_end ? REACH_DENIED : REACH_FOLDER, errno);
    return WALK_STOPPED;
}

/* True: the way is free, or `full` has become the way behind a link. */
static enum walk
walk(char full[PATH_MAX], struct reach *out)
{
    for (size_t i = 1;; i++) {
        enum walk step;
        char rest[PATH_MAX];

        if (full[i] != '/' && full[i] != 0)
            continue;
        memcpy(out->path, full, i);
        out->path[i] = 0;
        step = look_at(out, full[i] == 0);
        if (step == WALK_LINK) {
            memcpy(rest, full + i, strlen(full + i) + 1);
            if (!follow(out->path, rest, full))
                step = WALK_STOPPED;
        }
        if (step != WALK_ON || full[i] == 0)
            return step;
    }
}

void
reach_find(const char *path, enum reach_want want, struct reach *out)
{
    char full[PATH_MAX];
    size_t len = strlen(path);

    *out = (struct reach){.want = want, .kind = REACH_FREE, .asked = path};
    while (len > 1 && path[len - 1] == '/')
        len--;
    if (path[0] != '/' || len >= sizeof(full)) {
        (void)stop(out, REACH_OTHER, EINVAL);
        return;
    }
    memcpy(full, path, len);
    full[len] = 0;
    for (int i = 0; i < LINKS_MAX; i++)
        if (walk(full, out) != WALK_LINK)
            return;
    (void)stop(out, REACH_OTHER, ELOOP);
}

/* ---- in words ------------------------------------------------------------- */

/* The end of the way, which may not be used for what it was wanted for. */
static void
describe_denied(const struct reach *r, const char *user, const char *owner,
    char *out, size_t size)
{
    if (r->want == REACH_SOCKET)
        (void)snprintf(out, size, "user %s may not use the socket %s (%s)",
            user, r->path, owner);
    else if (r->want == REACH_ROOT)
        (void)snprintf(out, size, "user %s may not search the folder %s (%s)",
            user, r->path, owner);
    else
        (void)snprintf(out, size, "user %s may not read the %s %s (%s)", user,
            S_ISDIR(r->st.st_mode) ? "folder" : "file", r->path, owner);
}

void
reach_describe(const struct reach *r, char *out, size_t size)
{
    char owner[OWNER_ROOM], user[NAME_ROOM];

    reach_user_name(geteuid(), user, sizeof(user));
    owner_text(&r->st, owner, sizeof(owner));
    switch (r->kind) {
    case REACH_FREE:
        (void)snprintf(out, size, "nothing is in the way of user %s", user);
        break;
    case REACH_MISSING:
        (void)snprintf(out, size, "%s does not exist", r->path);
        break;
    case REACH_HIDDEN:
        (void)snprintf(out, size, "ProtectHome= of the unit hides %s", r->path);
        break;
    case REACH_FOLDER:
        (void)snprintf(out, size, "user %s may not search the folder %s (%s)",
            user, r->path, owner);
        break;
    case REACH_DENIED:
        describe_denied(r, user, owner, out, size);
        break;
    case REACH_OTHER:
        (void)snprintf(out, size, "%s: %s", r->path, strerror(r->error));
        break;
    }
}

/* Installed as PREFIX/sbin/wsgate, the hooks are in PREFIX/share. */
static void
hook_folder(char *out, size_t size)
{
    char self[PATH_MAX / 2];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *end;

    self[n > 0 ? n : 0] = 0;
    end = strstr(self, "/sbin/");
    if (end != NULL)
        *end = 0;
    (void)snprintf(
        out, size, "%s/share/ocspd/hooks", end == NULL ? "/usr/local" : self);
}

/* "NAME" of /etc/letsencrypt/live/NAME/fullchain.pem. */
static struct span
lineage_name(struct span path)
{
    struct span part;

    if (!span_starts(path, SPAN_LIT(LINEAGES)))
        return SPAN_EMPTY;
    path = span_from(path, strlen(LINEAGES));
    return span_split(&path, '/', &part) ? part : SPAN_EMPTY;
}

static void
mend_pair_folder(const struct reach *r, char *out, size_t size)
{
    struct span name = lineage_name(span_str(r->asked));
    char hooks[PATH_MAX];

    hook_folder(hooks, sizeof(hooks));
    if (name.len > 0)
        (void)snprintf(out, size,
            "`RENEWED_LINEAGE=" LINEAGES "%.*s %s/certbot` copies the pair to "
            "/etc/wsgate/certs/%.*s.pem: name that; `ln -s %s/certbot "
            "/etc/letsencrypt/renewal-hooks/deploy/` does so at each renewal",
            SPAN_FMT(name), hooks, SPAN_FMT(name), hooks);
    else
        (void)snprintf(out, size,
            "`%s/deploy-pair NAME CHAIN KEY` copies the pair to "
            "/etc/wsgate/certs/NAME.pem: name that",
            hooks);
}

/* Whose the socket or file is nobody tells inside the unit; PHP's of Debian and
 * its kin is this group's. */
static bool
is_likely_php(const char *path)
{
    return strstr(path, "/php") != NULL && getgrnam("www-data") != NULL;
}

/* Rights that a group has, for somebody who is not in it. */
static void
mend_group(const struct reach *r, char *out, size_t size)
{
    char unit[NAME_ROOM], user[NAME_ROOM], group[NAME_ROOM];

    group_name(r->st.st_gid, group, sizeof(group));
    reach_user_name(geteuid(), user, sizeof(user));
    if (!reach_unit(unit, sizeof(unit)))
        (void)snprintf(
            out, size, "`usermod -aG %s %s`, then start it again", group, user);
    else if (is_hidden_id(r->st.st_gid))
        (void)snprintf(out, size,
            is_likely_php(r->path)
                ? "`systemctl edit %s`: [Service] SupplementaryGroups=www-data "
                  "if `stat -c %%G %s` prints that; `systemctl restart %s`"
                : "`systemctl edit %s`: [Service] SupplementaryGroups= and "
                  "what `stat -c %%G %s` prints; `systemctl restart %s`",
            unit, r->path, unit);
    else
        (void)snprintf(out, size,
            "`systemctl edit %s`: [Service] SupplementaryGroups=%s; "
            "`systemctl restart %s`",
            unit, group, unit);
}

static void
mend_home(const struct reach *r, char *out, size_t size)
{
    char unit[NAME_ROOM] = "wsgate";

    (void)r;
    (void)reach_unit(unit, sizeof(unit));
    (void)snprintf(out, size,
        "`systemctl edit %s`: [Service] ProtectHome=read-only; `systemctl "
        "restart %s`",
        unit, unit);
}

static bool
group_may(const struct reach *r, mode_t rights)
{
    return r->st.st_gid != 0 && (r->st.st_mode & rights) == rights;
}

static void
mend_denied(const struct reach *r, char *out, size_t size)
{
    char group[NAME_ROOM];

    group_name(getegid(), group, sizeof(group));
    switch (r->want) {
    case REACH_FILE:
        (void)snprintf(out, size, "`chmod o+r %s`", r->path);
        break;
    case REACH_PAIR:
        (void)snprintf(out, size, "`chgrp %s %s` and `chmod 640 %s`", group,
            r->path, r->path);
        break;
    case REACH_SOCKET:
        if (group_may(r, S_IRGRP | S_IWGRP))
            mend_group(r, out, size);
        else
            (void)snprintf(
                out, size, "let its server give it a group and mode 0660");
        break;
    case REACH_ROOT:
        if (group_may(r, S_IRGRP | S_IXGRP))
            mend_group(r, out, size);
        else
            (void)snprintf(out, size, "`chmod o+rx %s`", r->path);
        break;
    case REACH_SPOOL:
        (void)snprintf(out, size, "`chmod 755 %s`", r->path);
        break;
    }
}

static void
mend_folder(const struct reach *r, char *out, size_t size)
{
    if (r->want == REACH_PAIR)
        mend_pair_folder(r, out, size);
    else if (group_may(r, S_IXGRP))
        mend_group(r, out, size);
    else
        (void)snprintf(out, size, "`chmod o+x %s`", r->path);
}

void
reach_mend(const struct reach *r, char *out, size_t size)
{
    out[0] = 0;
    switch (r->kind) {
    case REACH_HIDDEN:
        mend_home(r, out, size);
        break;
    case REACH_FOLDER:
        mend_folder(r, out, size);
        break;
    case REACH_DENIED:
        mend_denied(r, out, size);
        break;
    case REACH_FREE:
    case REACH_MISSING:
    case REACH_OTHER:
        break;
    }
}

bool
reach_explain(const char *path, enum reach_want want, struct err *err)
{
    char what[ERR_TEXT_SIZE], mend[ERR_TEXT_SIZE];
    struct err before;
    struct reach r;

    if (err == NULL || err->kind != ERR_SYSTEM)
        return false;
    reach_find(path, want, &r);
    if (r.kind != REACH_HIDDEN && err->sys_errno != EACCES &&
        err->sys_errno != EPERM)
        return false;
    if (r.kind == REACH_FREE || r.kind == REACH_OTHER)
        return false;
    reach_describe(&r, what, sizeof(what));
    reach_mend(&r, mend, sizeof(mend));
    before = *err;
    (void)err_set(err, ERR_SYSTEM, "%s: %s%s%s", before.text, what,
        mend[0] == 0 ? "" : ": ", mend);
    err->sys_errno = before.sys_errno;
    return false;
}
