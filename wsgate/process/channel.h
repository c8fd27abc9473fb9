/*
 * Messages master <-> worker on a SEQPACKET socketpair: a fixed head, a payload
 * and descriptors. No loop inside; both ends poll the descriptor.
 */
#ifndef WSGATE_PROCESS_CHANNEL_H
#define WSGATE_PROCESS_CHANNEL_H

#include "shared/err.h"
#include "shared/span.h"

#include <stdbool.h>
#include <stdint.h>

enum { CHANNEL_PAYLOAD_MAX = 4096, CHANNEL_FDS_MAX = 16 };

enum channel_type {
    /* worker to master */
    CHANNEL_HELLO = 1, /* payload: VERSION; first message of a worker */
    CHANNEL_READY, /* id: this generation can be committed */
    CHANNEL_FAILED, /* id, payload: the error text */
    CHANNEL_PONG, /* id: of the ping */
    CHANNEL_DRAINED, /* nothing left; the worker exits */
    /* master to worker */
    CHANNEL_LISTENERS, /* fds + payload: their addresses, each NUL-ended */
    CHANNEL_UNLISTEN, /* payload: address; accept what is queued, then close */
    CHANNEL_BUNDLE, /* id, one fd: build this generation */
    CHANNEL_COMMIT, /* id: it is the current one from now on */
    CHANNEL_ABORT, /* id: throw it away */
    CHANNEL_PING, /* id */
    CHANNEL_DRAIN, /* payload: deadline in ms, decimal */
    CHANNEL_REOPEN /* one fd: the access log's */
};

struct channel_message {
    enum channel_type type;
    uint64_t id;
    size_t len;
    unsigned char payload[CHANNEL_PAYLOAD_MAX];
    int fds[CHANNEL_FDS_MAX]; /* the receiver's to close */
    int fd_count;
};

/* Two ends, close-on-exec, non-blocking. */
bool channel_pair(int ends[2], struct err *err);
/* ERR_LIMIT: the other side reads too slowly (it will be replaced). */
bool channel_send(int fd, enum channel_type type, uint64_t id,
    struct span payload, const int *fds, int fd_count, struct err *err);
enum channel_got { CHANNEL_GOT_ONE, CHANNEL_GOT_NONE, CHANNEL_GOT_END };
/* END: the other side is gone, or sent something malformed. */
enum channel_got channel_receive(int fd, struct channel_message *out);
void channel_close_fds(struct channel_message *message);

#endif
