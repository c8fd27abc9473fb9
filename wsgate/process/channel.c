/*
 * Messages master <-> worker on a SEQPACKET socketpair.
 * Input: a type, an id, a payload, descriptors. Output: the same on the other
 * side, whole or not at all.
 */
#include "wsgate/process/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct wire_head {
    uint32_t type;
    uint32_t fd_count;
    uint64_t id;
};

/* Room and alignment for the descriptors' control message. */
union control_space {
    char bytes[CMSG_SPACE(sizeof(int) * CHANNEL_FDS_MAX)];
    struct cmsghdr align;
};

bool
channel_pair(int ends[2], struct err *err)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
            ends) != 0)
        return err_sys(err, "socketpair");
    return true;
}

static void
attach_fds(struct msghdr *msg, union control_space *space, const int *fds,
    int fd_count)
{
    size_t bytes = sizeof(int) * (size_t)fd_count;
    struct cmsghdr *c;

    memset(space, 0, sizeof(*space));
    msg->msg_control = space->bytes;
    msg->msg_controllen = CMSG_SPACE(bytes);
    c = CMSG_FIRSTHDR(msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(bytes);
    memcpy(CMSG_DATA(c), fds, bytes);
}

bool
channel_send(int fd, enum channel_type type, uint64_t id, struct span payload,
    const int *fds, int fd_count, struct err *err)
{
    struct wire_head head = {(uint32_t)type, (uint32_t)fd_count, id};
    struct iovec parts[2] = {
        {&head, sizeof(head)},
        {(void *)(uintptr_t)payload.data, payload.len},
    };
    struct msghdr msg = {.msg_iov = parts, .msg_iovlen = 2};
    union control_space space;
    ssize_t n;

    if (payload.len > CHANNEL_PAYLOAD_MAX || fd_count > CHANNEL_FDS_MAX)
        return err_set(err, ERR_LIMIT, "control message too large");
    if (fd_count > 0)
        attach_fds(&msg, &space, fds, fd_count);
    do
        n = sendmsg(fd, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return err_set(err, ERR_LIMIT, "control channel is full");
    if (n < 0)
        return err_sys(err, "control channel");
    return true;
}

static void
collect_fds(struct msghdr *msg, struct channel_message *out)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL;
         c = CMSG_NXTHDR(msg, c)) {
        size_t bytes = c->cmsg_len - CMSG_LEN(0);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        out->fd_count = (int)(bytes / sizeof(int));
        memcpy(out->fds, CMSG_DATA(c), (size_t)out->fd_count * sizeof(int));
    }
}

enum channel_got
channel_receive(int fd, struct channel_message *out)
{
    struct wire_head head = {0};
    struct iovec parts[2] = {
        {&head, sizeof(head)},
        {out->payload, sizeof(out->payload)},
    };
    union control_space space;
    struct msghdr msg = {
        .msg_iov = parts,
        .msg_iovlen = 2,
        .msg_control = space.bytes,
        .msg_controllen = sizeof(space.bytes),
    };
    ssize_t n;

    out->fd_count = 0;
    do
        n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return CHANNEL_GOT_NONE;
    if (n <= 0)
        return CHANNEL_GOT_END;
    collect_fds(&msg, out);
    if ((size_t)n < sizeof(head) ||
        (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
        head.fd_count != (uint32_t)out->fd_count) {
        channel_close_fds(out);
        return CHANNEL_GOT_END;
    }
    out->type = (enum channel_type)head.type;
    out->id = head.id;
    out->len = (size_t)n - sizeof(head);
    return CHANNEL_GOT_ONE;
}

void
channel_close_fds(struct channel_message *message)
{
    for (int i = 0; i < message->fd_count; i++)
        if (message->fds[i] >= 0)
            (void)close(message->fds[i]);
    message->fd_count = 0;
}
