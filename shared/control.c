/*
 * JSON objects over a unix socket, one a line: the framing.
 * Input: bytes of a connected socket, objects to send. Output: objects, bytes.
 */
#include "shared/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 16 * 1024 };

void
control_init(struct control *c, int fd)
{
    *c = (struct control){.fd = fd};
    buf_init(&c->in, CONTROL_LINE_MAX + 1); /* and its newline */
    buf_init(&c->out, CONTROL_UNSENT_MAX);
}

void
control_fini(struct control *c)
{
    if (c->fd >= 0)
        (void)close(c->fd);
    c->fd = -1;
    buf_fini(&c->in);
    buf_fini(&c->out);
}

/* ---- in ---------------------------------------------------------------------- */

/* Empty lines, and the CR that some tools put before a newline. */
static void
skip_space(struct buf *b)
{
    size_t n = 0;

    while (
        n < b->len && strchr(" \t\r\n", b->data[n]) != NULL && b->data[n] != 0)
        n++;
    if (n > 0)
        buf_consume(b, n);
}

static enum control_got
read_line(struct span line, json_t **out, struct err *err)
{
    json_error_t why;
    json_t *root = json_loadb(
        (const char *)line.data, line.len, JSON_REJECT_DUPLICATES, &why);

    if (json_is_object(root)) {
        *out = root;
        return CONTROL_OBJECT;
    }
    if (root == NULL)
        (void)err_set(err, ERR_FORMAT, "not JSON: %s", why.text);
    else
        (void)err_set(err, ERR_FORMAT, "not a JSON object");
    json_decref(root);
    return CONTROL_GARBAGE;
}

enum control_got
control_next(struct control *c, json_t **out, struct err *err)
{
    enum control_got got;
    struct span line;

    skip_space(&c->in);
    line = buf_span(&c->in);
    line.len = span_find(line, '\n');
    if (line.len > CONTROL_LINE_MAX) {
        (void)err_set(
            err, ERR_LIMIT, "a line has at most %d bytes", CONTROL_LINE_MAX);
        return CONTROL_TOO_LONG;
    }
    if (line.len == c->in.len)
        return c->is_ended ? CONTROL_END : CONTROL_NOTHING;
    got = read_line(line, out, err);
    buf_consume(&c->in, line.len + 1);
    return got;
}

bool
control_receive(struct control *c, struct err *err)
{
    size_t room = c->in.max - c->in.len;
    ssize_t got;

    if (room > READ_SIZE)
        room = READ_SIZE;
    if (room == 0 || c->is_ended)
        return true; /* control_next() tells why */
    if (!buf_reserve(&c->in, room))
        return err_memory(err);
    got = recv(c->fd, c->in.data + c->in.len, room, MSG_DONTWAIT);
    if (got > 0)
        buf_grew(&c->in, (size_t)got);
    else if (got == 0)
        c->is_ended = true;
    else if (errno != EAGAIN && errno != EINTR)
        return err_sys(err, "read");
    return true;
}

/* ---- out --------------------------------------------------------------------- */

bool
control_put(struct control *c, const json_t *object, struct err *err)
{
    char *text = json_dumps(object, JSON_COMPACT);
    bool ok;

    if (text == NULL)
        return err_memory(err);
    ok = buf_add_fmt(&c->out, "%s\n", text);
    free(text);
    return ok || err_set(err, ERR_LIMIT, "more than %d bytes are unread",
                     CONTROL_UNSENT_MAX);
}

bool
control_flush(struct control *c, struct err *err)
{
    while (c->out.len > 0) {
        ssize_t sent =
            send(c->fd, c->out.data, c->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent >= 0)
            buf_consume(&c->out, (size_t)sent);
        else if (errno == EAGAIN)
            return true;
        else if (errno != EINTR)
            return err_sys(err, "write");
    }
    return true;
}
