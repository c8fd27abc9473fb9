/*
 * Who may start now: limits on transfers in all and per responder.
 * Input: jobs that wait, jobs that ended. Output: the next job.
 */
#include "ocspd/fetch_queue.h"

#include <string.h>

void
fetch_queue_init(
    struct fetch_queue *queue, int64_t max_active, int64_t max_per_responder)
{
    list_init(&queue->waiting);
    list_init(&queue->active);
    queue->active_count = 0;
    queue->max_active = max_active > 0 ? max_active : 1;
    queue->max_per_responder = max_per_responder > 0 ? max_per_responder : 1;
}

void
fetch_queue_add(
    struct fetch_queue *queue, struct fetch_slot *slot, const char *responder)
{
    slot->responder = responder;
    slot->is_active = false;
    list_init(&slot->node);
    list_add_last(&queue->waiting, &slot->node);
}

/* The one place that says whether a responder may get one more request now: a
 * rate limit or a circuit breaker per responder has its place here. */
static bool
responder_may_start(const struct fetch_queue *queue, const char *responder)
{
    int64_t busy = 0;

    LIST_EACH(&queue->active, it)
    if (strcmp(LIST_ENTRY(it, struct fetch_slot, node)->responder, responder) ==
        0)
        busy++;
    return busy < queue->max_per_responder;
}

struct fetch_slot *
fetch_queue_next(struct fetch_queue *queue)
{
    if (queue->active_count >= queue->max_active)
        return NULL;
    LIST_EACH(&queue->waiting, it)
    {
        struct fetch_slot *slot = LIST_ENTRY(it, struct fetch_slot, node);

        if (!responder_may_start(queue, slot->responder))
            continue;
        list_remove(&slot->node);
        list_add_last(&queue->active, &slot->node);
        slot->is_active = true;
        queue->active_count++;
        return slot;
    }
    return NULL;
}

void
fetch_queue_remove(struct fetch_queue *queue, struct fetch_slot *slot)
{
    if (slot->is_active)
        queue->active_count--;
    slot->is_active = false;
    list_remove(&slot->node);
}
