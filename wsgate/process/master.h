/*
 * The master: configuration, files, listeners, workers, signals. It never
 * parses a byte from a network client.
 */
#ifndef WSGATE_PROCESS_MASTER_H
#define WSGATE_PROCESS_MASTER_H

#include "shared/err.h"
#include "wsgate/gate_config.h"

#include <stdbool.h>

/* Loads the configuration again at a reload; new one in *out. */
typedef bool master_load(void *ctx, struct gate_config **out, struct err *err);

/*
 * Runs until TERM, INT or QUIT; answers the exit code. HUP reloads, USR1 opens
 * the access log again. Everything that can fail at start fails here with an
 * error line and its sysexits code.
 */
int master_run(master_load *load, void *ctx);

/*
 * Everything of a start but sockets and workers: load, read files, build. For
 * -t; the error is the caller's to print.
 */
bool master_check(master_load *load, void *ctx, struct err *err);

#endif
