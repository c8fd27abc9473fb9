/*
 * One worker: one event loop, no threads on the data path. It gets listeners
 * and configuration over its channel and opens no file itself.
 */
#ifndef WSGATE_PROCESS_WORKER_H
#define WSGATE_PROCESS_WORKER_H

enum { WORKER_CHANNEL_FD = 3 };
/* argv[1] of a worker; not a verb, not in the help. */
#define WORKER_ARGUMENT "--worker-of-the-gate"

/* Runs until drained or the channel closes; answers the exit code. */
int worker_run(int channel_fd);

#endif
