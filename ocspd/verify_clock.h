/*
 * A response was refused for its times: is our own clock to blame? Pure; names
 * the clock, decides nothing.
 */
#ifndef OCSPD_VERIFY_CLOCK_H
#define OCSPD_VERIFY_CLOCK_H

#include "ocspd/verify.h"

/* What is known of who answered and when. */
struct verify_clock {
    int64_t now; /* ours, at which it was refused */
    int64_t theirs; /* by the answer's Date and Age; 0: unknown */
};

/*
 * When the two clocks are more than OCSP_SKEW_S apart and the response would be
 * accepted by theirs, both are added to `err` with the mend. `verdict` is the
 * refusal's. Answers whether it was so.
 */
bool verify_blames_clock(const struct verify_clock *clock, enum verdict verdict,
    struct span body, const struct cert_ids *ids,
    const struct ocsp_trust *trust, const struct verify_policy *policy,
    struct err *err);

#endif
