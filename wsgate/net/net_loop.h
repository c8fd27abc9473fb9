/*
 * What all connections of a worker share: the libuv loop, one read buffer, one
 * plaintext buffer, one write buffer and the deadlines. An idle connection owns
 * no buffer.
 */
#ifndef WSGATE_NET_NET_LOOP_H
#define WSGATE_NET_NET_LOOP_H

#include "shared/err.h"
#include "shared/list.h"
#include "wsgate/net/deadline.h"

#include <stddef.h>
#include <uv.h>

/* ours: 64 KiB reads, four TLS records. */
enum { NET_BUFFER_SIZE = 64 * 1024 };

struct net_loop {
    uv_loop_t *uv; /* borrowed */
    unsigned char *read_buffer; /* lent by alloc_cb until read_cb returns */
    unsigned char *plain_buffer; /* TLS: what SSL_read gives, till delivered */
    struct deadline_set deadlines;
    struct list dirty; /* net_tasks that wait for the turn's end */
    unsigned char *write_buffer; /* output of the one stream being written */
    size_t write_len;
    void *write_owner;
    uv_prepare_t prepare; /* both run the tasks */
    uv_check_t check;
};

/*
 * Ignores SIGPIPE for the process: libuv writes without MSG_NOSIGNAL, and a
 * peer that went away is an error of one connection.
 */
bool net_loop_init(struct net_loop *net, uv_loop_t *uv, struct err *err);
/* Closes its handles; run the loop once more before freeing the memory. */
void net_loop_close(struct net_loop *net);
void net_loop_fini(struct net_loop *net);
/* Sends what streams have gathered; done by itself once per loop turn. */
void net_loop_flush(struct net_loop *net);

/* Work put off to the end of the loop turn; lives in the object it is for. */
struct net_task {
    struct list node;
    void (*run)(struct net_task *task);
};
void net_task_init(struct net_task *task, void (*run)(struct net_task *task));
/* Asking twice runs it once. */
void net_task_defer(struct net_loop *net, struct net_task *task);
void net_task_cancel(struct net_task *task);

/* A libuv error code as our error: the one place where they become text. */
bool net_err_uv(struct err *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
