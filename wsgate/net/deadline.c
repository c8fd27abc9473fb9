/*
 * A timing wheel: one timer, one list per tick, a deadline costs two pointers.
 * Input: deadline_arm() of all connections. Output: their on_passed().
 */
#include "wsgate/net/deadline.h"

static uint64_t
now_of(const struct deadline_set *set)
{
    return uv_now(set->timer.loop);
}

static void
on_timer(uv_timer_t *timer)
{
    deadline_set_run(timer->data);
}

/* Aims at the next tick, so that late timers do not add up. */
static void
start_timer(struct deadline_set *set)
{
    uint64_t now = now_of(set);
    uint64_t next = (now / DEADLINE_COARSE_MS + 1) * DEADLINE_COARSE_MS;

    if (!uv_is_closing((uv_handle_t *)&set->timer))
        (void)uv_timer_start(&set->timer, on_timer, next - now, 0);
}

int
deadline_set_init(struct deadline_set *set, uv_loop_t *loop)
{
    set->tick = 0;
    set->count = 0;
    for (size_t i = 0; i < DEADLINE_SLOTS; i++)
        list_init(&set->slots[i]);
    (void)uv_timer_init(loop, &set->timer);
    set->timer.data = set;
    return 0;
}

void
deadline_set_close(struct deadline_set *set)
{
    uv_close((uv_handle_t *)&set->timer, NULL);
}

/* Takes the list over, so that what callbacks arm is not walked. */
static void
take_slot(struct list *slot, struct list *out)
{
    list_init(out);
    if (list_is_empty(slot))
        return;
    list_add_after(slot, out);
    list_remove(slot);
}

static void
run_slot(struct deadline_set *set, struct list *slot, uint64_t now)
{
    struct list due;

    take_slot(slot, &due);
    while (!list_is_empty(&due)) {
        struct deadline *d = LIST_ENTRY(due.next, struct deadline, node);

        list_remove(&d->node);
        if (d->at_ms > now) {
            list_add_last(slot, &d->node);
            continue;
        }
        d->at_ms = 0;
        set->count--;
        d->on_passed(d->ctx);
    }
}

void
deadline_set_run(struct deadline_set *set)
{
    uint64_t now = now_of(set);
    uint64_t last = now / DEADLINE_COARSE_MS;
    uint64_t tick = set->tick;

    if (last - tick > DEADLINE_SLOTS)
        tick = last - DEADLINE_SLOTS; /* one whole round sees them all */
    set->tick = last;
    while (tick < last) {
        tick++;
        run_slot(set, &set->slots[tick % DEADLINE_SLOTS], now);
    }
    if (set->count > 0)
        start_timer(set);
}

void
deadline_init(struct deadline *d, void (*on_passed)(void *), void *ctx)
{
    *d = (struct deadline){.on_passed = on_passed, .ctx = ctx};
    list_init(&d->node);
}

/* In the first tick at which the time has surely come. */
static struct list *
slot_of(struct deadline_set *set, uint64_t at_ms)
{
    uint64_t tick = (at_ms + DEADLINE_COARSE_MS - 1) / DEADLINE_COARSE_MS;

    return &set->slots[tick % DEADLINE_SLOTS];
}

void
deadline_arm(struct deadline_set *set, struct deadline *d, int64_t ms)
{
    uint64_t now = now_of(set);

    deadline_clear(set, d);
    if (ms == 0)
        return;
    d->at_ms = now + (ms > 0 ? (uint64_t)ms : 1);
    list_add_last(slot_of(set, d->at_ms), &d->node);
    if (set->count++ == 0) {
        set->tick = now / DEADLINE_COARSE_MS;
        start_timer(set);
    }
}

void
deadline_clear(struct deadline_set *set, struct deadline *d)
{
    if (d->at_ms == 0)
        return;
    d->at_ms = 0;
    list_remove(&d->node);
    if (--set->count == 0)
        (void)uv_timer_stop(&set->timer);
}
