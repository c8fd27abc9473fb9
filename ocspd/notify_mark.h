/*
 * The files that are touched when something changed: DIR/NAME. At most one
 * touch per name and interval: the first at once, later ones together at its
 * end, none lost. A path unit of systemd watches them.
 */
#ifndef OCSPD_NOTIFY_MARK_H
#define OCSPD_NOTIFY_MARK_H

#include "shared/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct notify_marks;
typedef void notify_news(void *ctx);

/* news: a touch ended, tend again. */
struct notify_marks *
notify_marks_new(uv_loop_t *loop, notify_news *news, void *ctx);
/* Touches what still waits. */
void notify_marks_free(struct notify_marks *marks);

/* `dir` is copied; it is made when something is touched in it. False: no
 * memory. */
bool notify_marks_configure(
    struct notify_marks *marks, const char *dir, int64_t interval_ms);
const char *notify_marks_dir(const struct notify_marks *marks);
int64_t notify_marks_interval_ms(const struct notify_marks *marks);
/* Urgent: an interval of more than a minute counts as a minute. */
bool
notify_marks_want(struct notify_marks *marks, const char *name, bool is_urgent);
/* Starts what is due; answers when (boot ms) to call again, 0: not needed. */
int64_t notify_marks_tend(struct notify_marks *marks);

#endif
