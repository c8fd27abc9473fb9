/*
 * HAProxy's command line on its admin socket (HAProxy Management Guide, 9.3).
 * Input: a response. Output: commands, and HAProxy's answer as an error.
 */
#include "ocspd/notify_haproxy.h"

#include "shared/buf.h"
#include "shared/now.h"

#include <errno.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    TELL_LIMIT_MS = 5 * 1000, /* ours: it answers in milliseconds */
    BUSY_PAUSE_MS = 50, /* the listener's queue is full */
    REPLY_MAX = 64 * 1024, /* ours: an answer is a line or two */
    COMMAND_MAX = 128 * 1024 /* ours: it takes tune.bufsize, 16 KiB, itself */
};

/* ---- one command -------------------------------------------------------- */

static bool
wait_for(int fd, short events, int64_t deadline_ms, struct err *err)
{
    for (;;) {
        int64_t left = deadline_ms - now_boot_ms();
        struct pollfd poll_fd = {fd, events, 0};
        int n = left <= 0 ? 0 : poll(&poll_fd, 1, (int)left);

        if (n > 0)
            return true;
        if (n == 0)
            return err_set(err, ERR_TIMEOUT, "no answer within %d s",
                TELL_LIMIT_MS / 1000);
        if (errno != EINTR)
            return err_sys(err, "poll");
    }
}

/* A full queue answers EAGAIN at once, and poll() says nothing of it. */
static bool
connect_to(int fd, const char *path, int64_t deadline_ms, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (!span_to_cstr(
            span_str(path), address.sun_path, sizeof(address.sun_path)))
        return err_set(err, ERR_LIMIT, "the path is too long for a socket");
    while (
        connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return err_sys(err, "connect");
        if (now_boot_ms() >= deadline_ms)
            return err_set(err, ERR_TIMEOUT, "takes no connection within %d s",
                TELL_LIMIT_MS / 1000);
        (void)poll(NULL, 0, BUSY_PAUSE_MS);
    }
    return true;
}

static bool
send_all(int fd, struct span bytes, int64_t deadline_ms, struct err *err)
{
    while (bytes.len > 0) {
        ssize_t n = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);

        if (n >= 0)
            bytes = span_from(bytes, (size_t)n);
        else if (errno == EAGAIN) {
            if (!wait_for(fd, POLLOUT, deadline_ms, err))
                return false;
        } else if (errno != EINTR)
            return err_sys(err, "send");
    }
    return true;
}

/* It answers one command and closes. */
static bool
read_reply(int fd, int64_t deadline_ms, struct buf *reply, struct err *err)
{
    char part[4096];

    for (;;) {
        ssize_t n = recv(fd, part, sizeof(part), 0);

        if (n == 0)
            return true;
        if (n > 0) {
            if (!buf_add(reply, span_make((unsigned char *)part, (size_t)n)))
                return err_set(err, ERR_LIMIT, "the answer is too long");
        } else if (errno == EAGAIN) {
            if (!wait_for(fd, POLLIN, deadline_ms, err))
                return false;
        } else if (errno != EINTR)
            return err_sys(err, "receive");
    }
}

static bool
command(const char *path, struct span line, int64_t deadline_ms,
    struct buf *reply, struct err *err)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool ok;

    if (fd < 0)
        return err_sys(err, "socket");
    buf_clear(reply);
    ok = connect_to(fd, path, deadline_ms, err) &&
         send_all(fd, line, deadline_ms, err) &&
         read_reply(fd, deadline_ms, reply, err);
    (void)close(fd);
    return ok;
}

/* ---- the answer --------------------------------------------------------- */

/* Its lines as one, without what ends them. */
static bool
refused(struct buf *reply, const char *what, struct err *err)
{
    for (size_t i = 0; i < reply->len; i++)
        if (reply->data[i] < ' ')
            reply->data[i] = ' ';
    while (reply->len > 0 && reply->data[reply->len - 1] == ' ')
        reply->len--;
    return err_set(err, ERR_REJECTED, "HAProxy's answer to '%s': %.400s", what,
        reply->len > 0 ? buf_cstr(reply)
                       : "nothing (is the socket's level "
                         "admin?)");
}

static bool
says(struct buf *reply, const char *words)
{
    return strstr(buf_cstr(reply), words) != NULL;
}

/* ---- a response --------------------------------------------------------- */

struct telling {
    const char *socket;
    int64_t deadline_ms;
    struct span name; /* PEM.ocsp */
    char *base64;
    struct buf line;
    struct buf reply;
};

static bool
run(struct telling *t, struct err *err)
{
    return command(
        t->socket, buf_span(&t->line), t->deadline_ms, &t->reply, err);
}

/* For what it loaded with a .ocsp beside it, an empty one counts. */
static bool
set_response(struct telling *t, struct err *err)
{
    buf_clear(&t->line);
    if (!buf_add_str(&t->line, "set ssl ocsp-response <<\n") ||
        !buf_add_str(&t->line, t->base64) || !buf_add_str(&t->line, "\n\n"))
        return err_set(err, ERR_LIMIT, "the response is too long");
    if (!run(t, err))
        return false;
    return says(&t->reply, "OCSP Response updated!") ||
           refused(&t->reply, "set ssl ocsp-response", err);
}

static bool
set_cert(struct telling *t, struct err *err)
{
    buf_clear(&t->line);
    if (!buf_add_str(&t->line, "set ssl cert ") ||
        !buf_add(&t->line, t->name) || !buf_add_str(&t->line, " <<\n") ||
        !buf_add_str(&t->line, t->base64) || !buf_add_str(&t->line, "\n\n"))
        return err_set(err, ERR_LIMIT, "the response is too long");
    if (!run(t, err))
        return false;
    return says(&t->reply, "Transaction created") ||
           says(&t->reply, "Transaction updated") ||
           refused(&t->reply, "set ssl cert", err);
}

static bool
end_cert(struct telling *t, const char *verb, struct err *err)
{
    struct span pem = span_make(t->name.data, t->name.len - strlen(".ocsp"));

    buf_clear(&t->line);
    if (!buf_add_str(&t->line, verb) || !buf_add_str(&t->line, " ssl cert ") ||
        !buf_add(&t->line, pem) || !buf_add_byte(&t->line, '\n'))
        return err_memory(err);
    return run(t, err);
}

/* The name may be made of a file's that somebody else chose: a line break or a
 * semicolon would begin a command of theirs. */
static bool
is_word(struct span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] <= ' ' || name.data[i] == 0x7f ||
            strchr(";\\<", name.data[i]) != NULL)
            return false;
    return true;
}

/* For what it loaded without one. "Success!" is not yet a staple: a response
 * for another certificate passes here too, so it is set once more. */
static bool
replace_cert(struct telling *t, struct err *err)
{
    if (!is_word(t->name))
        return err_set(err, ERR_REJECTED,
            "HAProxy's commands cannot name this file (a blank, ; \\ or < is "
            "in its name): rename it, or restart HAProxy, which then reads it");
    if (!set_cert(t, err) || !end_cert(t, "commit", err))
        return false;
    if (!says(&t->reply, "Success!")) {
        (void)refused(&t->reply, "commit ssl cert", err);
        (void)end_cert(t, "abort", NULL);
        return false;
    }
    return set_response(t, err);
}

static bool
set_either_way(struct telling *t, struct err *err)
{
    struct err first = {0};

    if (set_response(t, &first))
        return true;
    *err = first;
    if (first.kind != ERR_REJECTED || !says(&t->reply, "does not match"))
        return false;
    return replace_cert(t, err);
}

static char *
to_base64(struct span der)
{
    char *text = malloc((der.len + 2) / 3 * 4 + 1);

    if (text != NULL)
        (void)EVP_EncodeBlock((unsigned char *)text, der.data, (int)der.len);
    return text;
}

bool
notify_haproxy_tell(const char *socket_path, const char *ocsp_file,
    struct span der, struct err *err)
{
    struct telling t = {.socket = socket_path,
        .deadline_ms = now_boot_ms() + TELL_LIMIT_MS,
        .name = span_str(ocsp_file),
        .base64 = to_base64(der)};
    bool ok = false;

    buf_init(&t.line, COMMAND_MAX);
    buf_init(&t.reply, REPLY_MAX);
    if (t.base64 == NULL)
        (void)err_memory(err);
    else
        ok = set_either_way(&t, err) || err_context(err, "%s", socket_path);
    buf_fini(&t.line);
    buf_fini(&t.reply);
    free(t.base64);
    return ok;
}
