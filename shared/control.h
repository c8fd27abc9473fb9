/*
 * JSON objects over a unix socket, one a line: framing for both ends, with no
 * loop inside. A line is bounded, may come in any pieces, and what a peer does
 * not read is kept and counted, never waited for.
 */
#ifndef SHARED_CONTROL_H
#define SHARED_CONTROL_H

#include "shared/buf.h"
#include "shared/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    CONTROL_LINE_MAX = 64 * 1024, /* ours: a status of 256 workers is 25 KiB */
    CONTROL_UNSENT_MAX = 256 * 1024 /* ours: then the peer must read first */
};

struct control {
    int fd; /* owned; -1: closed */
    struct buf in; /* at most one line, and what came with it */
    struct buf out; /* what the peer has not taken yet */
    bool is_ended; /* the peer sends no more; it may still read */
};

/* Takes fd. */
void control_init(struct control *c, int fd);
void control_fini(struct control *c);

enum control_got {
    CONTROL_OBJECT,
    CONTROL_NOTHING, /* no whole line yet: control_receive() when readable */
    CONTROL_GARBAGE, /* a line that is no JSON object; the next may be one */
    CONTROL_TOO_LONG, /* no line of ours: where it ends cannot be told */
    CONTROL_END /* no whole line, and there will be none */
};

/*
 * The next object of what has come; *out is new on CONTROL_OBJECT. On GARBAGE
 * and TOO_LONG *err says what was wrong. Reads nothing from the socket.
 */
enum control_got control_next(struct control *c, json_t **out, struct err *err);
/* One read; true also when nothing was there. False: the connection is gone. */
bool control_receive(struct control *c, struct err *err);

/* Queues one line. False when memory is gone or too much is unsent. */
bool control_put(struct control *c, const json_t *object, struct err *err);
/* Sends what the peer takes now; what it did not stays in `out`. */
bool control_flush(struct control *c, struct err *err);

/* ---- sockets --------------------------------------------------------------- */

struct control_socket {
    int fd; /* listening, non-blocking, close-on-exec */
    char *path; /* owned */
    uint64_t device; /* the file that we made: its number is given to no */
    uint64_t inode; /* other while fd is open */
};

/*
 * Listens at an absolute path, mode 0660. A socket file that nobody listens on
 * is replaced; one that is alive is not (ERR_SYSTEM with EADDRINUSE), nor is
 * anything else that stands there.
 */
bool
control_listen(const char *path, struct control_socket *out, struct err *err);
/* Is the file at its path still the one that control_listen() made? */
bool control_is_there(const struct control_socket *s);
/* Closes; removes the file if it is still ours. */
void control_unlisten(struct control_socket *s);

/*
 * For a command: connects, sends one object, waits for one. ERR_SYSTEM with the
 * errno of connect(2), ERR_TIMEOUT, or ERR_FORMAT when there was no answer.
 */
bool control_call(const char *path, const json_t *request, int64_t timeout_ms,
    json_t **answer, struct err *err);

#endif
