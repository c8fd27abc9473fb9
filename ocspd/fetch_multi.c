/*
 * One curl multi handle driven by the libuv loop.
 * Input: what curl wants to wait for. Output: finished transfers.
 */
#include "ocspd/fetch_multi.h"

#include "shared/list.h"

#include <stdlib.h>

struct fetch_multi {
    CURLM *curl;
    uv_loop_t *loop;
    uv_timer_t timer;
    struct list polls; /* struct fetch_poll */
    fetch_multi_done *done;
    unsigned closing; /* handles of ours that libuv still has */
};

struct fetch_poll {
    uv_poll_t handle;
    struct fetch_multi *multi;
    curl_socket_t fd;
    struct list node;
};

static void
read_finished(struct fetch_multi *multi)
{
    int left;
    CURLMsg *msg;

    while ((msg = curl_multi_info_read(multi->curl, &left)) != NULL) {
        void *ctx = NULL;
        CURLcode code = msg->data.result;

        if (msg->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &ctx);
        if (ctx != NULL)
            multi->done(ctx, code);
    }
}

static void
drive(struct fetch_multi *multi, curl_socket_t fd, int flags)
{
    int running;

    (void)curl_multi_socket_action(multi->curl, fd, flags, &running);
    read_finished(multi);
}

static void
on_poll(uv_poll_t *handle, int status, int events)
{
    struct fetch_poll *poll = handle->data;
    int flags = 0;

    if (status < 0)
        flags |= CURL_CSELECT_ERR;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    drive(poll->multi, poll->fd, flags);
}

static void
on_curl_timer(uv_timer_t *timer)
{
    drive(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int
on_curl_wants_timer(CURLM *curl, long timeout_ms, void *ctx)
{
    struct fetch_multi *multi = ctx;

    (void)curl;
    if (timeout_ms < 0)
        (void)uv_timer_stop(&multi->timer);
    else
        (void)uv_timer_start(
            &multi->timer, on_curl_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

static void
on_handle_closed(struct fetch_multi *multi)
{
    if (--multi->closing == 0)
        free(multi);
}

static void
on_poll_closed(uv_handle_t *handle)
{
    struct fetch_poll *poll = handle->data;
    struct fetch_multi *multi = poll->multi;

    free(poll);
    on_handle_closed(multi);
}

static void
poll_close(struct fetch_poll *poll)
{
    list_remove(&poll->node);
    (void)uv_poll_stop(&poll->handle);
    uv_close((uv_handle_t *)&poll->handle, on_poll_closed);
}

static struct fetch_poll *
poll_new(struct fetch_multi *multi, curl_socket_t fd)
{
    struct fetch_poll *poll = calloc(1, sizeof(*poll));

    if (poll == NULL)
        return NULL;
    if (uv_poll_init_socket(multi->loop, &poll->handle, fd) != 0) {
        free(poll);
        return NULL;
    }
    poll->handle.data = poll;
    poll->multi = multi;
    poll->fd = fd;
    list_init(&poll->node);
    list_add_last(&multi->polls, &poll->node);
    multi->closing++;
    (void)curl_multi_assign(multi->curl, fd, poll);
    return poll;
}

static int
on_curl_wants_socket(
    CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    struct fetch_poll *poll = socket_ctx;
    struct fetch_multi *multi = ctx;
    int events = 0;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (poll != NULL) {
            (void)curl_multi_assign(multi->curl, fd, NULL);
            poll_close(poll);
        }
        return 0;
    }
    if (poll == NULL)
        poll = poll_new(multi, fd);
    if (poll == NULL)
        return -1;
    if (what & CURL_POLL_IN)
        events |= UV_READABLE;
    if (what & CURL_POLL_OUT)
        events |= UV_WRITABLE;
    (void)uv_poll_start(&poll->handle, events, on_poll);
    return 0;
}

struct fetch_multi *
fetch_multi_new(uv_loop_t *loop, fetch_multi_done *done, struct err *err)
{
    struct fetch_multi *multi = calloc(1, sizeof(*multi));

    if (multi == NULL)
        return err_memory(err), NULL;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
        (multi->curl = curl_multi_init()) == NULL) {
        free(multi);
        return err_memory(err), NULL;
    }
    multi->loop = loop;
    multi->done = done;
    list_init(&multi->polls);
    (void)uv_timer_init(loop, &multi->timer);
    multi->timer.data = multi;
    multi->closing = 1;
    (void)curl_multi_setopt(
        multi->curl, CURLMOPT_SOCKETFUNCTION, on_curl_wants_socket);
    (void)curl_multi_setopt(multi->curl, CURLMOPT_SOCKETDATA, multi);
    (void)curl_multi_setopt(
        multi->curl, CURLMOPT_TIMERFUNCTION, on_curl_wants_timer);
    (void)curl_multi_setopt(multi->curl, CURLMOPT_TIMERDATA, multi);
    return multi;
}

static void
on_timer_closed(uv_handle_t *handle)
{
    on_handle_closed(handle->data);
}

void
fetch_multi_free(struct fetch_multi *multi)
{
    if (multi == NULL)
        return;
    (void)curl_multi_setopt(multi->curl, CURLMOPT_SOCKETFUNCTION, NULL);
    (void)curl_multi_setopt(multi->curl, CURLMOPT_TIMERFUNCTION, NULL);
    /* libuv must let go of a descriptor before curl closes it */
    LIST_EACH(&multi->polls, it)
    poll_close(LIST_ENTRY(it, struct fetch_poll, node));
    (void)curl_multi_cleanup(multi->curl);
    curl_global_cleanup();
    uv_close((uv_handle_t *)&multi->timer, on_timer_closed);
}

void
fetch_multi_add(struct fetch_multi *multi, CURL *easy)
{
    (void)curl_multi_add_handle(multi->curl, easy);
}

void
fetch_multi_remove(struct fetch_multi *multi, CURL *easy)
{
    (void)curl_multi_remove_handle(multi->curl, easy);
}
