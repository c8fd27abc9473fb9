/*
 * What outputs have to do with the files of the spool.
 * Input: what each has and had. Output: may a file go, whose is not ours.
 */
#include "ocspd/notify_private.h"

#include "shared/now.h"

#include <string.h>

enum {
    LET_GO_MS = 2 * 1000 /* ours: a server that reads its configuration at this
                            moment opens the file a moment later */
};

static bool
holds_up(const struct output *output, const char *fp, int64_t now_ms)
{
    const struct notify_trouble *trouble = &output->writing;
    int64_t since_ms =
        trouble->since != 0 ? trouble->since_ms : output->unknown_ms;
    bool is_stuck = (trouble->since != 0 || !output->is_known) &&
                    now_ms - since_ms > NOTIFY_STUCK_MS;

    if (output->kind->pace != NOTIFY_BEFORE_SPOOL || is_stuck)
        return false;
    if (!output->is_known || output->is_busy || strcmp(output->has.fp, fp) == 0)
        return true;
    return (output->left_fp[0] == '\0' || strcmp(output->left_fp, fp) == 0) &&
           output->left_ms != 0 && now_ms - output->left_ms < LET_GO_MS;
}

bool
notify_may_remove(const struct notify *notify, const char *fp)
{
    int64_t now_ms = now_boot_ms();
    const struct output *output;

    if (notify->bind == NOTIFY_NEVER_BOUND)
        return false;
    for (output = notify->outputs; output != NULL; output = output->hh.next)
        if (holds_up(output, fp, now_ms))
            return false;
    return true;
}

bool
notify_take_stranger(struct notify *notify, char fp[CERT_FINGERPRINT_SIZE])
{
    bool is_there = notify->stranger[0] != '\0';

    memcpy(fp, notify->stranger, sizeof(notify->stranger));
    notify->stranger[0] = '\0';
    return is_there;
}
