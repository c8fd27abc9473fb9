/*
 * Thousands of coarse deadlines on one timer: the deadline lives in its object,
 * a set costs nothing while it is empty. Never early, at most
 * DEADLINE_COARSE_MS late.
 */
#ifndef WSGATE_NET_DEADLINE_H
#define WSGATE_NET_DEADLINE_H

#include "shared/list.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

enum { DEADLINE_COARSE_MS = 250, DEADLINE_SLOTS = 256 };

struct deadline {
    struct list node;
    uint64_t at_ms; /* of uv_now(); 0: not set */
    void (*on_passed)(void *ctx);
    void *ctx;
};

struct deadline_set {
    uv_timer_t timer;
    struct list slots[DEADLINE_SLOTS]; /* a wheel; far ones go round again */
    uint64_t tick; /* the last one whose slot was looked at */
    size_t count;
};

int deadline_set_init(struct deadline_set *set, uv_loop_t *loop);
void deadline_set_close(struct deadline_set *set); /* uv_close of the timer */
/* What the timer does: calls all that have passed at uv_now(). */
void deadline_set_run(struct deadline_set *set);

void deadline_init(struct deadline *d, void (*on_passed)(void *), void *ctx);
/* Sets or moves; ms = 0 clears. on_passed may arm, clear and free at will. */
void deadline_arm(struct deadline_set *set, struct deadline *d, int64_t ms);
void deadline_clear(struct deadline_set *set, struct deadline *d);

#endif
