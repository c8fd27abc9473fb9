/*
 * Who will serve, where it is not us.
 * Input: the user database, `systemctl show`. Output: an answer that was found
 * with that user's rights.
 */
#include "wsgate/process/preflight_user.h"

#include "shared/span.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

bool
preflight_user_find(const char *name, struct preflight_user *out)
{
    const struct passwd *pw = getpwnam(name);
    struct preflight_user found = {.group_count = PREFLIGHT_GROUPS_MAX};

    if (pw == NULL)
        return false;
    found.uid = pw->pw_uid;
    found.gid = pw->pw_gid;
    if (getgrouplist(name, pw->pw_gid, found.groups, &found.group_count) < 0)
        found.group_count = PREFLIGHT_GROUPS_MAX; /* as many as there is room */
    *out = found;
    return true;
}

static void
add_group(struct preflight_user *user, struct span name)
{
    char text[64];
    const struct group *group;

    if (!span_to_cstr(name, text, sizeof(text)))
        return;
    group = getgrnam(text);
    if (group != NULL && user->group_count < PREFLIGHT_GROUPS_MAX)
        user->groups[user->group_count++] = group->gr_gid;
}

static void
take_property(struct preflight_user *user, struct span line)
{
    static const char groups[] = "SupplementaryGroups=";
    static const char home[] = "ProtectHome=";
    struct span name;

    if (span_starts(line, span_str(home))) {
        line = span_from(line, strlen(home));
        user->is_home_hidden =
            span_eq(line, SPAN_LIT("yes")) || span_eq(line, SPAN_LIT("tmpfs"));
    } else if (span_starts(line, span_str(groups))) {
        line = span_from(line, strlen(groups));
        while (span_split(&line, ' ', &name))
            add_group(user, name);
    }
}

/* A descriptor to read what `systemctl show` tells; -1: no systemctl. */
static int
ask_systemd(const char *unit, pid_t *pid)
{
    char name[80];
    char *const argv[] = {(char *)(uintptr_t) "systemctl",
        (char *)(uintptr_t) "show", (char *)(uintptr_t) "-pSupplementaryGroups",
        (char *)(uintptr_t) "-pProtectHome", name, NULL};
    posix_spawn_file_actions_t actions;
    int ends[2] = {-1, -1};

    (void)snprintf(name, sizeof(name), "%s.service", unit);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    (void)posix_spawn_file_actions_addopen(
        &actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (posix_spawnp(pid, argv[0], &actions, NULL, argv, environ) != 0) {
        (void)close(ends[0]);
        ends[0] = -1;
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    return ends[0];
}

static void
reap(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

void
preflight_user_add_unit(struct preflight_user *user, const char *unit)
{
    pid_t pid = 0;
    int fd = ask_systemd(unit, &pid);
    FILE *answer = fd < 0 ? NULL : fdopen(fd, "r");
    char line[512];

    if (fd < 0)
        return;
    while (answer != NULL && fgets(line, sizeof(line), answer) != NULL)
        take_property(user, span_sub(span_str(line), 0, strcspn(line, "\n")));
    if (answer != NULL)
        (void)fclose(answer);
    else
        (void)close(fd);
    reap(pid);
}

static bool
become(const struct preflight_user *user)
{
    return setgroups((size_t)user->group_count, user->groups) == 0 &&
           setgid(user->gid) == 0 && setuid(user->uid) == 0;
}

/* The child's whole life. */
static void
child(const struct preflight_user *user,
    bool (*look)(const void *, struct err *), const void *ctx, int answer)
{
    struct err err = {.kind = ERR_NONE};

    if (become(user) && !look(ctx, &err))
        (void)!write(answer, &err, sizeof(err));
    _exit(0);
}

static bool
wait_for(pid_t pid, int answer, struct err *err)
{
    struct err told;
    ssize_t n;

    do
        n = read(answer, &told, sizeof(told));
    while (n < 0 && errno == EINTR);
    reap(pid);
    if (n != (ssize_t)sizeof(told))
        return true; /* nothing to say */
    if (err != NULL)
        *err = told;
    return false;
}

bool
preflight_user_run(const struct preflight_user *user,
    bool (*look)(const void *ctx, struct err *err), const void *ctx,
    struct err *err)
{
    int ends[2];
    bool ok = true;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) !=
        0) /* a look that cannot be had stops nobody */
        return true;
    pid = fork();
    if (pid == 0)
        child(user, look, ctx, ends[1]);
    (void)close(ends[1]);
    if (pid > 0)
        ok = wait_for(pid, ends[0], err);
    (void)close(ends[0]);
    return ok;
}
