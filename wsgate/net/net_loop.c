/*
 * What all connections of a worker share, and the end of each loop turn.
 * Input: tasks that streams put off. Output: their run(), before and after poll.
 */
#include "wsgate/net/net_loop.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
on_prepare(uv_prepare_t *handle)
{
    net_loop_flush(handle->data);
}

static void
on_check(uv_check_t *handle)
{
    net_loop_flush(handle->data);
}

/* Neither keeps the loop alive by itself: connections, listeners and tasks do. */
static void
start_handles(struct net_loop *net)
{
    (void)uv_prepare_init(net->uv, &net->prepare);
    (void)uv_check_init(net->uv, &net->check);
    net->prepare.data = net;
    net->check.data = net;
    (void)uv_prepare_start(&net->prepare, on_prepare);
    (void)uv_check_start(&net->check, on_check);
    uv_unref((uv_handle_t *)&net->prepare);
    uv_unref((uv_handle_t *)&net->check);
}

bool
net_loop_init(struct net_loop *net, uv_loop_t *uv, struct err *err)
{
    *net = (struct net_loop){.uv = uv};
    list_init(&net->dirty);
    net->read_buffer = malloc(NET_BUFFER_SIZE);
    net->plain_buffer = malloc(NET_BUFFER_SIZE);
    net->write_buffer = malloc(NET_BUFFER_SIZE);
    if (net->read_buffer == NULL || net->plain_buffer == NULL ||
        net->write_buffer == NULL) {
        net_loop_fini(net);
        return err_memory(err);
    }
    (void)signal(SIGPIPE, SIG_IGN);
    (void)deadline_set_init(&net->deadlines, uv);
    start_handles(net);
    return true;
}

void
net_loop_close(struct net_loop *net)
{
    net_loop_flush(net);
    uv_close((uv_handle_t *)&net->prepare, NULL);
    uv_close((uv_handle_t *)&net->check, NULL);
    deadline_set_close(&net->deadlines);
}

void
net_loop_fini(struct net_loop *net)
{
    free(net->read_buffer);
    free(net->plain_buffer);
    free(net->write_buffer);
    net->read_buffer = NULL;
    net->plain_buffer = NULL;
    net->write_buffer = NULL;
}

/* Until nothing is left: a task added here would else wait for a whole poll. */
void
net_loop_flush(struct net_loop *net)
{
    while (!list_is_empty(&net->dirty)) {
        struct net_task *task =
            LIST_ENTRY(net->dirty.next, struct net_task, node);

        list_remove(&task->node);
        task->run(task);
    }
    uv_unref((uv_handle_t *)&net->prepare);
}

void
net_task_init(struct net_task *task, void (*run)(struct net_task *task))
{
    list_init(&task->node);
    task->run = run;
}

void
net_task_defer(struct net_loop *net, struct net_task *task)
{
    if (!list_is_linked(&task->node))
        list_add_last(&net->dirty, &task->node);
    uv_ref((uv_handle_t *)&net->prepare);
}

void
net_task_cancel(struct net_task *task)
{
    list_remove(&task->node);
}

static enum err_kind
kind_of(int code)
{
    if (code == UV_ENOMEM || code == UV_EAI_MEMORY)
        return ERR_MEMORY;
    return code == UV_ETIMEDOUT ? ERR_TIMEOUT : ERR_SYSTEM;
}

/* On Unix a libuv code is the negative errno, unless it is one of its own. */
static int
errno_of(int code)
{
    return code > UV__EAI_ADDRFAMILY ? -code : 0;
}

bool
net_err_uv(struct err *err, int code, const char *fmt, ...)
{
    char what[ERR_TEXT_SIZE / 2];
    enum err_kind kind = kind_of(code);
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    (void)err_set(err, kind, "%s: %s", what, uv_strerror(code));
    if (err != NULL && kind == ERR_SYSTEM)
        err->sys_errno = errno_of(code);
    return false;
}
