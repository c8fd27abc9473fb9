/*
 * Configured files, globs and folders -> targets added, changed, gone. The
 * issuer comes from the same file in any order, a file or a folder, proven by
 * name and signature. Blocking; run at start and when a watched folder changed.
 */
#ifndef OCSPD_DISCOVER_H
#define OCSPD_DISCOVER_H

#include "ocspd/ocspd_config.h"
#include "ocspd/target.h"
#include "shared/err.h"
#include "shared/list.h"

#include <stdbool.h>
#include <stdint.h>

/* What one round found wrong, in the operator's words. */
struct discover_note {
    bool is_error; /* false: a warning */
    bool is_away; /* the folder is not there: what was in it may come back */
    char *path; /* what it is about: nothing at or below it is retired */
    char *text; /* "certificates[2] /etc/x.pem: ..." */
};

struct discover_result {
    struct list targets; /* struct target.node; owned */
    struct discover_note *notes;
    size_t note_count;
    char **folders; /* to watch */
    size_t folder_count;
};

/*
 * Always answers with what could be found; a file that cannot be read is a
 * note. False only for lack of memory. `now` marks first_seen and EXPIRED.
 */
bool discover_run(const struct ocspd_config *config, uint64_t host_seed,
    int64_t now, struct discover_result *out, struct err *err);
void discover_result_fini(struct discover_result *result);
/* Is `path` at or below something this round had an error with? Then that its
 * certificate was not found proves nothing. NULL: any error counts. */
bool
discover_is_doubtful(const struct discover_result *result, const char *path);

/* Host and certificate -> [0,1), stable: two daemons are not in phase. */
double discover_jitter(uint64_t host_seed, const char *fp);
uint64_t discover_host_seed(void); /* from /etc/machine-id or the host name */

#endif
