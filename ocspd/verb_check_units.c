/*
 * ocspd check --units: which rights the unit must get for `publish:`.
 * Input: the configuration, modes and owners of what it names. Output: text on
 * stdout that is a drop-in; lines "# run: ..." are commands for root.
 */
#include "ocspd/verb_check_units.h"

#include "ocspd/verb.h"
#include "ocspd/verb_check_rights.h"
#include "shared/span.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define UNIT_SPOOL "/var/spool/ocspd"
#define UNIT_RUN "/run/ocspd"
#define COMMANDS "/etc/ocspd/publish.d"

/* What was said once is not said again. */
struct words {
    char **items;
    size_t count;
};

struct units {
    struct rights_user user;
    struct words folders; /* to write in */
    struct words groups;
    struct words names;
    struct words lines; /* comments */
    bool needs_home;
    bool no_memory;
};

static void
add_word(struct units *units, struct words *words, const char *text)
{
    char **items;

    for (size_t i = 0; i < words->count; i++)
        if (strcmp(words->items[i], text) == 0)
            return;
    items = realloc(words->items, (words->count + 1) * sizeof(*items));
    if (items == NULL) {
        units->no_memory = true;
        return;
    }
    words->items = items;
    items[words->count] = strdup(text);
    if (items[words->count] != NULL)
        words->count++;
    else
        units->no_memory = true;
}

static void
words_fini(struct words *words)
{
    for (size_t i = 0; i < words->count; i++)
        free(words->items[i]);
    free(words->items);
}

static void say(struct units *units, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
say(struct units *units, const char *fmt, ...)
{
    char line[4 * PATH_MAX];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    add_word(units, &units->lines, line);
}

static bool
is_below(const char *path, const char *top)
{
    size_t len = strlen(top);

    return strncmp(path, top, len) == 0 &&
           (path[len] == '/' || path[len] == '\0');
}

/* ---- a way to a folder -------------------------------------------------- */

/* What the unit hides, whatever the modes say. */
static void
look_at_unit(struct units *units, const char *folder)
{
    if (is_below(folder, "/home") || is_below(folder, "/root") ||
        is_below(folder, "/run/user"))
        units->needs_home = true;
    if (is_below(folder, "/tmp") || is_below(folder, "/var/tmp"))
        say(units,
            "# %s: the unit has a /tmp of its own (PrivateTmp=yes), no other "
            "server sees it: choose another folder",
            folder);
}

static void
take_group(struct units *units, gid_t gid)
{
    char name[RIGHTS_NAME_SIZE];

    rights_group_name(gid, name);
    add_word(units, &units->groups, name);
}

/* Every folder above must let us through. False: one is not there. */
static bool
look_at_way(struct units *units, const char *path)
{
    char part[PATH_MAX], shown[RIGHTS_TEXT_SIZE];
    struct stat st;
    gid_t group;

    for (const char *at = strchr(path + 1, '/'); at != NULL;
         at = strchr(at + 1, '/')) {
        (void)snprintf(part, sizeof(part), "%.*s", (int)(at - path), path);
        if (stat(part, &st) != 0)
            return false;
        switch (rights_find(&units->user, &st, RIGHTS_SEARCH, &group)) {
        case RIGHTS_HAVE:
            break;
        case RIGHTS_BY_GROUP:
            take_group(units, group);
            break;
        case RIGHTS_NONE:
            rights_describe(&st, shown);
            say(units,
                "# %s (%s) cannot be searched by user ocspd: choose another "
                "folder, or chmod o+x it",
                part, shown);
        }
    }
    return true;
}

/* ---- folders to write in ------------------------------------------------ */

/* With the sticky bit only its own files can be replaced: others there may be
 * keys. */
static void
open_folder(struct units *units, const char *folder, const struct stat *st)
{
    char shown[RIGHTS_TEXT_SIZE], quoted[RIGHTS_QUOTED_SIZE];

    rights_describe(st, shown);
    rights_quote(folder, quoted);
    say(units, "# %s (%s) cannot be written by user ocspd:", folder, shown);
    if (st->st_gid == 0)
        say(units, "# run: chgrp ocspd %s", quoted);
    else
        take_group(units, st->st_gid);
    say(units, "# run: chmod g+rwx,+t %s", quoted);
}

static bool
look_at_folder(struct units *units, const char *folder)
{
    char quoted[RIGHTS_QUOTED_SIZE];
    struct stat st;
    gid_t group;

    if (is_below(folder, UNIT_SPOOL) || is_below(folder, UNIT_RUN))
        return true; /* the unit as it is lets it */
    look_at_unit(units, folder);
    add_word(units, &units->folders, folder);
    rights_quote(folder, quoted);
    if (!look_at_way(units, folder) || stat(folder, &st) != 0) {
        say(units, "# run: install -d -m 0755 -o ocspd -g ocspd %s", quoted);
        return true;
    }
    switch (rights_find(&units->user, &st, RIGHTS_WRITE, &group)) {
    case RIGHTS_HAVE:
        return (st.st_mode & S_ISVTX) == 0;
    case RIGHTS_BY_GROUP:
        take_group(units, group);
        return (st.st_mode & S_ISVTX) == 0;
    case RIGHTS_NONE:
        break;
    }
    open_folder(units, folder, &st);
    return false;
}

/* Where only a file's owner may replace it, ocspd must own it. */
static void
look_at_file(struct units *units, const char *file)
{
    char folder[PATH_MAX], quoted[RIGHTS_QUOTED_SIZE];
    char *slash;
    struct stat st;

    (void)snprintf(folder, sizeof(folder), "%s", file);
    slash = strrchr(folder, '/');
    slash[slash == folder ? 1 : 0] = '\0';
    if (look_at_folder(units, folder) || strchr(file, '%') != NULL ||
        lstat(file, &st) != 0 || st.st_uid == units->user.uid)
        return;
    rights_quote(file, quoted);
    say(units, "# run: chown ocspd %s", quoted);
}

/* ---- sockets ------------------------------------------------------------ */

static void
look_at_missing_socket(struct units *units, const char *path)
{
    char folder[PATH_MAX];
    struct stat st;

    say(units, "# %s is not there: is HAProxy running?", path);
    (void)snprintf(folder, sizeof(folder), "%s", path);
    *strrchr(folder, '/') = '\0';
    if (stat(folder, &st) == 0 && st.st_gid != 0)
        take_group(units, st.st_gid); /* Debian's passes it on (setgid) */
}

static void
look_at_socket(struct units *units, const char *path)
{
    char shown[RIGHTS_TEXT_SIZE];
    struct stat st;
    gid_t group;

    if (path == NULL)
        return;
    look_at_unit(units, path);
    if (!look_at_way(units, path) || stat(path, &st) != 0) {
        look_at_missing_socket(units, path);
        return;
    }
    switch (rights_find(&units->user, &st, RIGHTS_CONNECT, &group)) {
    case RIGHTS_HAVE:
        return;
    case RIGHTS_BY_GROUP:
        take_group(units, group);
        return;
    case RIGHTS_NONE:
        rights_describe(&st, shown);
        say(units,
            "# %s (%s) is closed to user ocspd; in haproxy.cfg: stats socket "
            "%s mode 660 group ocspd level admin",
            path, shown, path);
    }
}

/* ---- commands ----------------------------------------------------------- */

/* Installed as PREFIX/sbin/ocspd, examples are in PREFIX/share. */
static bool
say_example(struct units *units, const char *name)
{
    char self[PATH_MAX / 2], path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *end;

    self[n > 0 ? n : 0] = '\0';
    end = strstr(self, "/sbin/");
    if (end == NULL)
        return false;
    (void)snprintf(path, sizeof(path), "%.*s/share/ocspd/publish.d/%s",
        (int)(end - self), self, name);
    if (access(path, X_OK) != 0)
        return false;
    say(units, "# run: install -m 0755 -o root -g root %s " COMMANDS "/%s",
        path, name);
    return true;
}

static void
look_at_name(struct units *units, const char *name)
{
    char path[PATH_MAX];
    struct stat st;
    bool is_there;

    (void)snprintf(path, sizeof(path), COMMANDS "/%s", name);
    is_there = stat(path, &st) == 0;
    if (!is_there && !say_example(units, name))
        say(units,
            "# %s is missing: a program that makes the server read its "
            "responses again (root:root 0755)",
            path);
    if (is_there &&
        (st.st_uid != 0 || (st.st_mode & 022) != 0 || (st.st_mode & 0100) == 0))
        say(units, "# run: chown root:root %s && chmod 0755 %s", path, path);
    say(units, "# run: systemctl enable --now ocspd-publish@%s.path", name);
}

static void
look_at_changed_dir(struct units *units, const struct ocspd_config *config)
{
    if (config->changed_dir == NULL || units->names.count == 0 ||
        strcmp(config->changed_dir, UNIT_RUN "/changed") == 0)
        return;
    say(units,
        "# ocspd-publish@.path watches " UNIT_RUN "/changed, and changed_dir "
        "is %s: leave it out",
        config->changed_dir);
    (void)look_at_folder(units, config->changed_dir);
}

/* ---- all of it ---------------------------------------------------------- */

static void
look_at_list(struct units *units, const struct config_list *list)
{
    const struct ocspd_publish *rows = list->items;

    for (size_t i = 0; i < list->count; i++) {
        if (rows[i].file != NULL)
            look_at_file(units, rows[i].file);
        look_at_socket(units, rows[i].socket);
        if (rows[i].changed != NULL)
            add_word(units, &units->names, rows[i].changed);
    }
}

static void
look_at_all(struct units *units, const struct ocspd_config *config)
{
    const struct ocspd_cert_row *rows = config->certificates.items;

    if (strcmp(config->spool, UNIT_SPOOL) != 0)
        (void)look_at_folder(units, config->spool);
    for (size_t i = 0; i < config->certificates.count; i++)
        look_at_list(units, &rows[i].rule.publish);
    look_at_changed_dir(units, config);
    for (size_t i = 0; i < units->names.count; i++)
        look_at_name(units, units->names.items[i]);
}

static void
print_folders(const struct words *folders)
{
    for (size_t i = 0; i < folders->count; i++) {
        char quoted[RIGHTS_QUOTED_SIZE];

        rights_quote_unit(folders->items[i], quoted);
        (void)printf("ReadWritePaths=%s\n", quoted);
    }
}

static void
print_units(const struct units *units)
{
    (void)puts("# Rights for what ocspd publishes. All of this is a drop-in:\n"
               "#   mkdir -p /etc/systemd/system/ocspd.service.d\n"
               "#   ocspd check --units "
               ">/etc/systemd/system/ocspd.service.d/publish.conf\n"
               "# Then, as root, the commands behind \"run:\", and\n"
               "#   systemctl daemon-reload && systemctl restart ocspd");
    if (!units->user.is_there)
        (void)puts("# There is no user ocspd yet (systemd-sysusers makes it): "
                   "run this again then.");
    (void)puts("[Service]");
    print_folders(&units->folders);
    for (size_t i = 0; i < units->groups.count; i++)
        (void)printf("SupplementaryGroups=%s\n", units->groups.items[i]);
    if (units->needs_home)
        (void)puts("ProtectHome=no");
    for (size_t i = 0; i < units->lines.count; i++)
        (void)puts(units->lines.items[i]);
}

int
check_units(const struct ocspd_config *config)
{
    struct units units = {0};
    int code = EX_OK;

    rights_user_init(&units.user, "ocspd");
    look_at_all(&units, config);
    if (units.no_memory) {
        verb_complain("out of memory");
        code = EX_OSERR;
    } else if (units.folders.count + units.groups.count + units.lines.count ==
               0) {
        (void)puts("# nothing is needed: the unit as it is has all rights");
    } else {
        print_units(&units);
    }
    rights_user_fini(&units.user);
    words_fini(&units.folders);
    words_fini(&units.groups);
    words_fini(&units.names);
    words_fini(&units.lines);
    return code;
}
