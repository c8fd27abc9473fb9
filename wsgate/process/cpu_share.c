/*
 * How many workers are of use.
 * Input: sched_getaffinity(2), /proc/self/cgroup and the cgroup file systems.
 * Output: a number.
 */
#include "wsgate/process/cpu_share.h"

#include "shared/atomic_file.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>

enum { CGROUP_FILE_MAX = 64 * 1024 };

int
cpu_share_from_max(struct span cpu_max)
{
    struct span rest = cpu_max, quota_text, period_text;
    uint64_t quota, period;

    while (rest.len > 0 && rest.data[rest.len - 1] == '\n')
        rest.len--;
    if (!span_split(&rest, ' ', &quota_text) ||
        !span_split(&rest, ' ', &period_text) ||
        !span_to_u64(quota_text, INT32_MAX, &quota) ||
        !span_to_u64(period_text, INT32_MAX, &period) || period == 0)
        return 0;
    return (int)((quota + period - 1) / period);
}

static bool
read_file(const char *path, struct buf *out)
{
    return atomic_file_read(AT_FDCWD, path, out, NULL);
}

/* The path behind "0::" or ":cpu,cpuacct:" in /proc/self/cgroup. */
static struct span
cgroup_path(struct span lines, bool v2)
{
    struct span line, number, controllers;

    while (span_split(&lines, '\n', &line)) {
        if (!span_split(&line, ':', &number) ||
            !span_split(&line, ':', &controllers))
            continue;
        if (v2 ? controllers.len == 0
               : span_starts(controllers, SPAN_LIT("cpu,")) ||
                     span_eq(controllers, SPAN_LIT("cpu")))
            return line;
    }
    return SPAN_EMPTY;
}

static int
quota_v2(struct span lines)
{
    struct span path = cgroup_path(lines, true);
    char name[4096];
    struct buf text;
    int share = 0;

    buf_init(&text, CGROUP_FILE_MAX);
    (void)snprintf(
        name, sizeof(name), "/sys/fs/cgroup%.*s/cpu.max", SPAN_FMT(path));
    /* In a container its own group is mounted at the root. */
    if (read_file(name, &text) || read_file("/sys/fs/cgroup/cpu.max", &text))
        share = cpu_share_from_max(buf_span(&text));
    buf_fini(&text);
    return share;
}

static bool
read_v1(const char *folder, struct buf *text)
{
    char name[4096];
    struct buf period;
    bool ok;

    buf_init(&period, CGROUP_FILE_MAX);
    (void)snprintf(name, sizeof(name), "%s/cpu.cfs_quota_us", folder);
    ok = read_file(name, text);
    (void)snprintf(name, sizeof(name), "%s/cpu.cfs_period_us", folder);
    ok = ok && read_file(name, &period);
    if (ok && text->len > 0 && text->data[text->len - 1] == '\n')
        text->data[text->len - 1] = ' ';
    ok = ok && buf_add(text, buf_span(&period));
    buf_fini(&period);
    return ok;
}

static int
quota_v1(struct span lines)
{
    struct span path = cgroup_path(lines, false);
    char folder[4000];
    struct buf text;
    int share = 0;

    buf_init(&text, CGROUP_FILE_MAX);
    (void)snprintf(
        folder, sizeof(folder), "/sys/fs/cgroup/cpu%.*s", SPAN_FMT(path));
    if (read_v1(folder, &text) || read_v1("/sys/fs/cgroup/cpu", &text))
        share = cpu_share_from_max(buf_span(&text));
    buf_fini(&text);
    return share;
}

static int
quota(void)
{
    struct buf lines;
    int share = 0;

    buf_init(&lines, CGROUP_FILE_MAX);
    if (read_file("/proc/self/cgroup", &lines)) {
        share = quota_v2(buf_span(&lines));
        if (share == 0)
            share = quota_v1(buf_span(&lines));
    }
    buf_fini(&lines);
    return share;
}

int
cpu_share(void)
{
    int limit = quota(), usable = 1;
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        usable = CPU_COUNT(&set);
    if (usable < 1)
        usable = 1;
    return limit > 0 && limit < usable ? limit : usable;
}
