/*
 * A lasting failure: logged when it starts, hourly, and when it ends; tried
 * again with growing pauses. Plain data, zeroed by its owner.
 */
#ifndef OCSPD_NOTIFY_TROUBLE_H
#define OCSPD_NOTIFY_TROUBLE_H

#include <stdbool.h>
#include <stdint.h>

struct notify_trouble {
    int64_t since; /* Unix seconds; 0: none */
    int64_t logged_at;
    int64_t since_ms; /* boot time of its start */
    int64_t retry_ms; /* boot time: not again before */
    unsigned failures; /* in a row */
};

/* True: this one is to be logged. */
bool notify_trouble_failed(struct notify_trouble *trouble);
/* Seconds it lasted; -1: there was none. */
int64_t notify_trouble_over(struct notify_trouble *trouble);

#endif
