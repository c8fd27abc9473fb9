/*
 * What a process may do beyond its user: given up for good (capabilities(7)),
 * without libcap. Before any thread is started.
 */
#ifndef SHARED_PRIVS_H
#define SHARED_PRIVS_H

#include "shared/err.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Keeps of all capabilities only `keep` (CAP_* of linux/capability.h), for this
 * process and whatever it executes, and forbids new ones: set-user-id programs
 * give none any more. Those it has not are not gained.
 */
bool privs_keep(const int *keep, size_t count, struct err *err);

#endif
