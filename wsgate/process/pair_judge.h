/*
 * Which certificates with new bytes on disk are taken and which wait. Pure:
 * facts in, verdicts out.
 */
#ifndef WSGATE_PROCESS_PAIR_JUDGE_H
#define WSGATE_PROCESS_PAIR_JUDGE_H

#include "shared/err.h"

#include <stdbool.h>
#include <stddef.h>

enum { PAIR_ROW_FILES = 4 /* chain, key, issuer, signers */ };

enum pair_fit {
    PAIR_SAME, /* nothing new on disk */
    PAIR_UNFIT, /* unreadable, no certificate, another's key ... */
    PAIR_NOT_YET, /* complete, but expired or not valid yet */
    PAIR_FITS
};

enum pair_asker {
    PAIR_ASKED_BY_CHANGE, /* files changed by themselves: what is no use waits */
    PAIR_ASKED_BY_OPERATOR /* a reload: what is no use is an error of his */
};

/* One row of `certificates`. */
struct pair_facts {
    enum pair_fit fit;
    bool lacks_staple; /* required, and the spool has none */
    bool has_old; /* a good pair for the same files is in force */
    bool old_is_over; /* ... but it has expired or was revoked */
    int changed[PAIR_ROW_FILES]; /* numbers of its changed files; -1: none */
};

enum pair_verdict {
    PAIR_STAYS, /* nothing to do */
    PAIR_TAKEN,
    PAIR_WAITS_TO_FIT,
    PAIR_WAITS_FOR_DATE,
    PAIR_WAITS_FOR_STAPLE,
    PAIR_WAITS_FOR_OTHER /* shares a changed file with one that waits */
};

bool pair_is_waiting(enum pair_verdict verdict);

/*
 * One verdict per row. Rows that share a changed file go together: one of them
 * that waits holds the others. `file_count` is one more than the highest number
 * in `changed`. False: no memory.
 */
bool pair_judge(const struct pair_facts *facts, size_t count, int file_count,
    enum pair_asker asker, enum pair_verdict *verdicts, struct err *err);

#endif
