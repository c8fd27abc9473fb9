/*
 * What a configuration needs beyond its own files, looked at before somebody
 * asks for it: roots of `files:`, sockets of servers, the spool. Warnings: a
 * start does not fail for them, as each may still come.
 */
#ifndef WSGATE_PROCESS_PREFLIGHT_H
#define WSGATE_PROCESS_PREFLIGHT_H

#include "shared/err.h"
#include "wsgate/gate_config.h"

#include <stdbool.h>

/* At start and reload: with the rights that workers will have. */
void preflight(const struct gate_config *config);

/*
 * For -t. Given by root for the installed configuration, who will serve is the
 * unit's user, with its groups and ProtectHome=: a configuration, chain or key
 * that this user may not read is an error (EACCES), the rest warns.
 */
bool preflight_check(const struct gate_config *config, struct err *err);

#endif
