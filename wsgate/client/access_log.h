/*
 * One line per finished exchange, an open and a close record per tunnel; text
 * or JSON. Lines of a loop turn leave in one write.
 */
#ifndef WSGATE_CLIENT_ACCESS_LOG_H
#define WSGATE_CLIENT_ACCESS_LOG_H

#include "shared/err.h"
#include "shared/log.h"
#include "shared/span.h"

#include <stdbool.h>
#include <stdint.h>

enum access_kind { ACCESS_EXCHANGE, ACCESS_TUNNEL_OPEN, ACCESS_TUNNEL_CLOSE };

/* Borrowed; empty spans and 0 where there is nothing to say. */
struct access_record {
    enum access_kind kind;
    int64_t wall_ms; /* when it ended (opened) */
    const char *peer; /* direct peer's address and port */
    const char *client; /* real client */
    struct span host;
    struct span method;
    struct span target;
    unsigned status; /* 0: none was sent */
    uint64_t bytes_in; /* body, or from the tunnel's client */
    uint64_t bytes_out;
    int64_t duration_ms;
    const char *handler; /* "websocket" "proxy" "fastcgi" "files" "" */
    const char *server;
    const char *request_id;
    const char *tls_version; /* NULL: plain */
    const char *staple; /* "sent" "none" "not_asked"; NULL: plain */
    const char *end; /* closed word why it ended, "" = as it should */
    struct span user_agent;
};

struct access_log;

/* Writes nowhere until access_log_set(). */
struct access_log *access_log_new(void);
/* fd -1: nothing is logged. The fd stays the caller's; what was gathered goes
 * to the old one first. */
void access_log_set(struct access_log *log, int fd, enum log_format format);
void access_log_free(struct access_log *log); /* flushes */
void
access_log_write(struct access_log *log, const struct access_record *record);
/* Once per loop turn. A log that cannot be written to is dropped and counted,
 * never waited for. */
void access_log_flush(struct access_log *log);

#endif
