/*
 * How many workers are of use: the smaller of CPU affinity and cgroup quota
 * (v2 cpu.max, v1 cpu.cfs_quota_us), rounded up, at least 1.
 */
#ifndef WSGATE_PROCESS_CPU_SHARE_H
#define WSGATE_PROCESS_CPU_SHARE_H

#include "shared/span.h"

int cpu_share(void);

/* Pure parts. "200000 100000" -> 2, "max 100000" -> 0 (no limit). */
int cpu_share_from_max(struct span cpu_max);

#endif
