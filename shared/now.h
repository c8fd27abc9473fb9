/*
 * Wall and monotonic time, read at the edges only: pure modules get the time as
 * an argument.
 *
 * Test hook: the environment variable TEST_CLOCK_FILE names a file that holds
 * seconds (may be negative) to be added to the wall clock; it is read again at
 * each call, so that a test moves the clock of a running daemon. now_init()
 * says so in the log.
 */
#ifndef SHARED_NOW_H
#define SHARED_NOW_H

#include <stdbool.h>
#include <stdint.h>

/* Reads the environment; answers true when the test hook is active. */
bool now_init(void);

/* Unix seconds. */
int64_t now_wall(void);
/* Unix milliseconds. */
int64_t now_wall_ms(void);
/* Milliseconds since boot, suspend included (CLOCK_BOOTTIME). */
int64_t now_boot_ms(void);

/* For unit tests: now_wall() answers this until called with a negative. */
void now_set_wall(int64_t unix_s);

#endif
