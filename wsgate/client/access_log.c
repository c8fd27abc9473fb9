/*
 * One line per finished exchange, an open and a close record per tunnel.
 * Input: client and exchange, when something ended. Output: one write(2) per
 * loop turn to a descriptor that the master opened.
 */
#include "wsgate/client/access_log.h"

#include "shared/buf.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    LOG_GATHER_MAX = 256 * 1024, /* ours: lines of one turn */
    LOG_TEXT_MAX = 2048 /* ours: of one field from outside */
};

enum log_sink { SINK_FILE, SINK_PIPE, SINK_SOCKET };

struct access_log {
    int fd;
    enum log_sink sink;
    enum log_format format;
    struct buf lines;
    uint64_t lost_lines;
    bool is_failing;
    bool is_torn; /* a line was cut off: the next one begins anew */
};

static const char *const kind_words[] = {
    [ACCESS_EXCHANGE] = "request",
    [ACCESS_TUNNEL_OPEN] = "tunnel_open",
    [ACCESS_TUNNEL_CLOSE] = "tunnel_close",
};

struct access_log *
access_log_new(void)
{
    struct access_log *log = calloc(1, sizeof(*log));

    if (log == NULL)
        return NULL;
    log->fd = -1;
    buf_init(&log->lines, LOG_GATHER_MAX);
    return log;
}

static enum log_sink
sink_of(int fd)
{
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0)
        return SINK_FILE;
    if (S_ISSOCK(st.st_mode))
        return SINK_SOCKET;
    return S_ISFIFO(st.st_mode) ? SINK_PIPE : SINK_FILE;
}

void
access_log_set(struct access_log *log, int fd, enum log_format format)
{
    access_log_flush(log);
    log->fd = fd;
    log->sink = sink_of(fd);
    log->format = format;
}

void
access_log_free(struct access_log *log)
{
    if (log == NULL)
        return;
    access_log_flush(log);
    buf_fini(&log->lines);
    free(log);
}

static bool
add_escaped(struct buf *out, struct span text)
{
    text = span_sub(text, 0, LOG_TEXT_MAX);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = text.data[i];
        bool ok;

        if (c == '"' || c == '\\')
            ok = buf_add_fmt(out, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            ok = buf_add_fmt(out, "\\u%04x", c);
        else
            ok = buf_add_byte(out, c);
        if (!ok)
            return false;
    }
    return true;
}

static bool
add_time(struct buf *out, int64_t wall_ms)
{
    time_t s = (time_t)(wall_ms / 1000);
    char at[32] = "";
    struct tm tm;

    if (gmtime_r(&s, &tm) != NULL)
        (void)strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%S", &tm);
    return buf_add_fmt(out, "%s.%03dZ", at, (int)(wall_ms % 1000));
}

/* "key":"text" or key="text"; empty ones are left out. */
static bool
add_text(struct access_log *log, const char *key, struct span text)
{
    bool json = log->format == LOG_FORMAT_JSON;

    if (text.len == 0)
        return true;
    return buf_add_fmt(&log->lines, json ? ",\"%s\":\"" : " %s=\"", key) &&
           add_escaped(&log->lines, text) && buf_add_byte(&log->lines, '"');
}

static bool
add_number(struct access_log *log, const char *key, uint64_t number)
{
    bool json = log->format == LOG_FORMAT_JSON;

    return buf_add_fmt(&log->lines, json ? ",\"%s\":%llu" : " %s=%llu", key,
        (unsigned long long)number);
}

static bool
add_head(struct access_log *log, const struct access_record *r)
{
    if (log->format == LOG_FORMAT_JSON)
        return buf_add_str(&log->lines, "{\"time\":\"") &&
               add_time(&log->lines, r->wall_ms) &&
               buf_add_fmt(
                   &log->lines, "\",\"event\":\"%s\"", kind_words[r->kind]);
    return add_time(&log->lines, r->wall_ms) &&
           buf_add_fmt(&log->lines, " %s", kind_words[r->kind]);
}

static bool
add_record(struct access_log *log, const struct access_record *r)
{
    bool ended = r->kind != ACCESS_TUNNEL_OPEN;

    return add_head(log, r) && add_text(log, "client", span_str(r->client)) &&
           add_text(log, "peer", span_str(r->peer)) &&
           add_text(log, "host", r->host) &&
           add_text(log, "method", r->method) &&
           add_text(log, "target", r->target) &&
           add_number(log, "status", r->status) &&
           (!ended || (add_number(log, "bytes_in", r->bytes_in) &&
                          add_number(log, "bytes_out", r->bytes_out) &&
                          add_number(log, "ms", (uint64_t)r->duration_ms))) &&
           add_text(log, "handler", span_str(r->handler)) &&
           add_text(log, "server", span_str(r->server)) &&
           add_text(log, "id", span_str(r->request_id)) &&
           add_text(log, "tls", span_str(r->tls_version)) &&
           add_text(log, "staple", span_str(r->staple)) &&
           add_text(log, "end", span_str(r->end)) &&
           add_text(log, "agent", r->user_agent) &&
           buf_add_str(
               &log->lines, log->format == LOG_FORMAT_JSON ? "}\n" : "\n");
}

void
access_log_write(struct access_log *log, const struct access_record *record)
{
    size_t before = log->lines.len;

    if (log->fd < 0)
        return;
    if (!add_record(log, record)) {
        log->lines.len = before; /* whole lines only */
        log->lost_lines++;
    }
    if (log->lines.len > LOG_GATHER_MAX / 2)
        access_log_flush(log);
}

/*
 * stderr is blocking and shared with others, so O_NONBLOCK is not ours to set:
 * a pipe that polls writable takes PIPE_BUF bytes (pipe(7)), a socket has
 * MSG_DONTWAIT, a file does not block.
 */
static ssize_t
write_without_waiting(const struct access_log *log, struct span bytes)
{
    struct pollfd ready = {.fd = log->fd, .events = POLLOUT};

    if (log->sink == SINK_SOCKET)
        return send(
            log->fd, bytes.data, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (log->sink == SINK_PIPE) {
        if (poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0)
            return -1;
        bytes = span_sub(bytes, 0, PIPE_BUF);
    }
    return write(log->fd, bytes.data, bytes.len);
}

static bool
write_all(const struct access_log *log, struct span *left)
{
    while (left->len > 0) {
        ssize_t n = write_without_waiting(log, *left);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        *left = span_from(*left, (size_t)n);
    }
    return true;
}

/* Said when it starts and when it ends, in the daemon's own log. */
static void
note_outcome(struct access_log *log, bool is_written)
{
    if (is_written == !log->is_failing)
        return;
    log->is_failing = !is_written;
    if (log->is_failing)
        log_error("access log cannot be written, lines are lost",
            LOG_S("error", strerror(errno)));
    else
        log_warn("access log is written again",
            LOG_I("lost_lines", log->lost_lines));
    if (is_written)
        log->lost_lines = 0;
}

static uint64_t
count_lines(struct span text)
{
    uint64_t count = 0;

    for (size_t i = 0; i < text.len; i++)
        count += text.data[i] == '\n';
    return count;
}

void
access_log_flush(struct access_log *log)
{
    struct span left = buf_span(&log->lines), newline = SPAN_LIT("\n");
    size_t all = left.len;
    bool ok;

    if (all == 0)
        return;
    ok = (!log->is_torn || write_all(log, &newline)) && write_all(log, &left);
    log->is_torn = left.len > 0 && (log->is_torn || left.len < all);
    log->lost_lines += count_lines(left);
    note_outcome(log, ok);
    buf_clear(&log->lines);
}
