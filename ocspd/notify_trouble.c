/*
 * A lasting failure of something we feed.
 * Input: how each try ended. Output: what to log, when to try again.
 */
#include "ocspd/notify_trouble.h"

#include "shared/now.h"

#include <string.h>

enum {
    RETRY_MS = 5 * 1000, /* ours: a server restarts in less */
    RETRY_DOUBLINGS = 6, /* ours: at most five minutes apart */
    LOG_AGAIN_S = 3600
};

bool
notify_trouble_failed(struct notify_trouble *trouble)
{
    int64_t now = now_wall(), now_ms = now_boot_ms();
    unsigned doublings = trouble->failures < RETRY_DOUBLINGS ? trouble->failures
                                                             : RETRY_DOUBLINGS;
    bool is_new = trouble->since == 0;

    if (is_new) {
        trouble->since = now;
        trouble->since_ms = now_ms;
    }
    trouble->failures++;
    trouble->retry_ms = now_ms + ((int64_t)RETRY_MS << doublings);
    if (!is_new && now - trouble->logged_at < LOG_AGAIN_S)
        return false;
    trouble->logged_at = now;
    return true;
}

int64_t
notify_trouble_over(struct notify_trouble *trouble)
{
    int64_t lasted = trouble->since == 0 ? -1 : now_wall() - trouble->since;

    memset(trouble, 0, sizeof(*trouble));
    return lasted;
}
