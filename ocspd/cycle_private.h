/*
 * What the cycle's files share: cycle.c (loop, clocks, signals, reload),
 * cycle_scan.c (certificates come and go), cycle_gone.c (how long the staples
 * of those that went stay), cycle_work.c (rounds and writes), cycle_notify.c
 * (outputs for other servers).
 */
#ifndef OCSPD_CYCLE_PRIVATE_H
#define OCSPD_CYCLE_PRIVATE_H

#include "ocspd/care.h"
#include "ocspd/cycle.h"
#include "ocspd/discover.h"
#include "ocspd/fetch.h"
#include "ocspd/notify.h"
#include "ocspd/publish.h"
#include "shared/list.h"

#include <uv.h>

struct cycle {
    const struct cycle_options *options;
    struct ocspd_config *config; /* owned */
    const struct ocspd_config *scanned; /* in force at the last scan */
    uv_loop_t loop;
    struct fetch *fetch;
    struct publish *publish;
    struct notify *notify; /* NULL: once */
    struct care *cares; /* uthash by fp */
    struct schedule_limits limits;
    uint64_t host_seed;

    uv_signal_t signals[3];
    int delay_fd; /* timerfd, CLOCK_BOOTTIME: the next thing to do */
    int clock_fd; /* timerfd, CLOCK_REALTIME: cancelled when it is set */
    uv_poll_t delay;
    uv_poll_t clock;
    int64_t armed_ms; /* boot time of the next wake */
    int64_t clock_offset_ms; /* wall minus boot */
    bool is_test_clock;
    bool want_tick;
    bool want_reload;
    bool want_stop;

    struct list watches; /* struct cycle_watch */
    struct discover_result found; /* the last scan's notes and folders */
    unsigned scan; /* number of the last one */
    int64_t scan_at_ms; /* boot time */
    int64_t verify_at_ms; /* watches are looked after */

    bool has_waiting_strangers; /* files of the spool that outputs name */

    unsigned writing;
    int64_t disk_failing_since;
    int64_t disk_logged_at;
};

/* cycle.c: wake up not later than this. */
void cycle_wake_ms(struct cycle *c, int64_t boot_ms);
void cycle_wake_wall(struct cycle *c, int64_t unix_s);

/* cycle_scan.c. False only for lack of memory. */
bool cycle_scan(struct cycle *c, struct err *err);
void cycle_scan_soon(struct cycle *c);
/* The spool is another folder now: what lies there counts. */
void cycle_reload_spool(struct cycle *c);
/* Somebody else wrote there: what lies there counts. */
void cycle_read_again(struct cycle *c, const char *fp, int64_t now);
void cycle_verify_watches(struct cycle *c);
void cycle_close_watches(struct cycle *c);

/* cycle_gone.c. For a care that is gone; may free it. */
void cycle_tend_gone(struct cycle *c, struct care *care, int64_t now);
/*
 * Files in the spool of no certificate under care: when a successor of theirs
 * is, they get a care that is gone. False: they are not kept.
 */
bool cycle_adopt_stranger(struct cycle *c, const char *fp,
    const struct spool_meta *meta, int64_t now);

enum { CYCLE_LEAVE_MS = 30 * 1000 /* ours: outputs let go in seconds */ };

/* cycle_notify.c. Outputs of `publish:`: after a scan, and each turn. */
bool cycle_open_outputs(struct cycle *c, struct err *err);
void cycle_bind_outputs(struct cycle *c);
void cycle_tend_outputs(struct cycle *c, int64_t now);
/* May its staple leave the spool? After limit_ms of asking it may. */
bool cycle_may_remove(struct cycle *c, struct care *care, int64_t limit_ms);
/* The same for files without a care; cert_path: theirs, or NULL. */
bool cycle_may_retire(struct cycle *c, const char *fp, const char *cert_path);

/* cycle_work.c. Writes what a care's state says; `der` for STORE. */
void cycle_write(
    struct cycle *c, struct care *care, enum care_write kind, struct span der);
void cycle_retire(struct cycle *c, const char *fp);
/* Everything that is due at `now`; plans the next wake. */
void cycle_work(struct cycle *c, int64_t now);
void cycle_cancel_rounds(struct cycle *c);
void cycle_replan(struct cycle *c, int64_t now);

#endif
