/*
 * Who may start now: limits on transfers in all and per responder (host:port),
 * first come, first served within a responder. A slow responder holds back its
 * own requests only. Pure; used by fetch alone.
 */
#ifndef OCSPD_FETCH_QUEUE_H
#define OCSPD_FETCH_QUEUE_H

#include "shared/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lives in the job; `responder` is borrowed from it. */
struct fetch_slot {
    struct list node;
    const char *responder;
    bool is_active;
};

struct fetch_queue {
    struct list waiting;
    struct list active;
    int64_t active_count;
    int64_t max_active;
    int64_t max_per_responder;
};

void fetch_queue_init(
    struct fetch_queue *queue, int64_t max_active, int64_t max_per_responder);
void fetch_queue_add(
    struct fetch_queue *queue, struct fetch_slot *slot, const char *responder);
/* The next that may start, now active; NULL: none may. */
struct fetch_slot *fetch_queue_next(struct fetch_queue *queue);
/* It ended, or was cancelled while waiting. */
void fetch_queue_remove(struct fetch_queue *queue, struct fetch_slot *slot);

#endif
