/*
 * What an operator reads of one certificate: lasting states are logged when
 * they begin, hourly, and when they end. Used by care alone.
 */
#ifndef OCSPD_CARE_LOG_H
#define OCSPD_CARE_LOG_H

#include "ocspd/care.h"

#include <stddef.h>
#include <stdint.h>

enum { CARE_TIME_SIZE = 24 };
/* "2026-11-23T14:00:00Z"; "-" for 0. */
void care_time_text(int64_t unix_s, char out[CARE_TIME_SIZE]);

void care_log_revoked(struct care *care, int64_t now);
/* One answer of two says revoked: as loud as if both did. */
void care_log_conflict(
    struct care *care, const struct round_result *result, int64_t now);
void care_log_failure(
    struct care *care, const struct round_result *result, int64_t now);
/* Says that fetching works again, when it did not. */
void care_log_recovery(struct care *care, int64_t now);
void care_log_success(const struct care *care,
    const struct verify_result *checked, enum care_write write, int64_t now);

#endif
