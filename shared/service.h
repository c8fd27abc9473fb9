/*
 * What systemd and a daemon tell each other: readiness, reload, watchdog and
 * inherited sockets (sd_notify(3), sd_listen_fds(3)), without libsystemd. All
 * of it does nothing when the environment does not ask for it.
 */
#ifndef SHARED_SERVICE_H
#define SHARED_SERVICE_H

#include "shared/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Reads and removes NOTIFY_SOCKET, WATCHDOG_*, LISTEN_*; call first in main. */
void service_init(void);

void service_ready(const char *status_fmt, ...)
    __attribute__((format(printf, 1, 2)));
/* RELOADING=1 with MONOTONIC_USEC; service_ready() ends it. */
void service_reloading(void);
void service_stopping(const char *status);
void service_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Asks for more time to stop or start, microseconds. */
void service_extend_timeout(int64_t usec);
/* MAINPID= after a re-execution. */
void service_main_pid(pid_t pid);
/* Milliseconds between pets: half of what systemd allows; 0: no watchdog. */
int64_t service_watchdog_ms(void);
void service_watchdog_pet(void);
bool service_is_managed(void);
/* Puts NOTIFY_SOCKET and WATCHDOG_* back into the environment: right before the
 * process executes its own successor under the same pid. */
void service_keep_for_exec(void);

/* Inherited listeners, in order; close-on-exec is set. */
int service_listen_count(void);
int service_listen_fd(int index);
/* Of LISTEN_FDNAMES; "" when none was given. */
const char *service_listen_name(int index);

#endif
