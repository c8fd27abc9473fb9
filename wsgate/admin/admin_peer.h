/*
 * What admin's files share: the peers, and what is answered to them.
 */
#ifndef WSGATE_ADMIN_ADMIN_PEER_H
#define WSGATE_ADMIN_ADMIN_PEER_H

#include "shared/control.h"
#include "shared/list.h"
#include "wsgate/admin/admin.h"

enum {
    ADMIN_PEERS_MAX = 16, /* ours: operators and their scripts */
    ADMIN_IDLE_MS = 60 * 1000
};

enum admin_wait {
    ADMIN_WAIT_NONE,
    ADMIN_WAIT_NEXT, /* for a reload that has not begun yet */
    ADMIN_WAIT_THIS, /* for the end of the one under way */
    ADMIN_WAIT_SWITCH /* that was good: for the last worker to follow */
};

/* A socket that is listened on. */
struct admin_door {
    uv_poll_t poll;
    struct admin *admin;
    struct control_socket socket;
};

struct admin_peer {
    struct list node; /* in admin->peers, the oldest first */
    struct admin *admin;
    uv_poll_t poll;
    struct control control;
    struct err gone; /* scratch: why reading or writing failed */
    uint64_t active_ms; /* when it connected, or had its last answer */
    enum admin_wait wait;
    int64_t uid; /* SO_PEERCRED */
    int64_t pid;
    bool is_turn_over; /* in run(): a reload has been */
    bool is_last; /* no more is read from it */
};

struct admin {
    uv_loop_t *loop;
    const struct admin_ops *ops;
    void *ctx;
    uv_timer_t tick; /* deadlines; runs while there is a peer */
    struct admin_door *door; /* NULL: nobody listens */
    struct admin_door *prepared; /* may be the same as door */
    bool is_prepared;
    struct list peers;
    int peer_count;
    int64_t started_at; /* Unix seconds */
    uint64_t started_ms;
    struct {
        int64_t at; /* 0: there was none */
        bool ok;
        char error[ERR_TEXT_SIZE];
    } last;
};

/* Takes fd. */
void admin_peer_add(struct admin *admin, int fd);
void admin_peer_close(struct admin_peer *peer);
/* Answers those who wait; answer is borrowed. */
void admin_peer_answer_waiting(
    struct admin *admin, enum admin_wait wait, const json_t *answer);
/* Deadlines. */
void admin_peer_check_all(struct admin *admin);

/* ---- answers: new objects, NULL when memory is gone --------------------------- */

json_t *admin_answer_error(const char *text, int exit_code);
json_t *admin_answer_reload(const struct admin *admin);
json_t *admin_answer_status(const struct admin *admin);

#endif
