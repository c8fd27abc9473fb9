/*
 * Capabilities given up for good.
 * Input: the list of those to keep. Output: this process's sets, as the kernel
 * has them.
 */
#include "shared/privs.h"

#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WORDS = _LINUX_CAPABILITY_U32S_3, BITS = 32 };

static bool
is_listed(int capability, const int *keep, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (keep[i] == capability)
            return true;
    return false;
}

/* What an executed program could get again. */
static bool
narrow_bounds(const int *keep, size_t count, struct err *err)
{
    /* Answers -1 for the first one the kernel does not know. */
    for (int i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
        if (!is_listed(i, keep, count) &&
            prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0)
            return err_sys(err, "give up capability %d", i);
    return true;
}

bool
privs_keep(const int *keep, size_t count, struct err *err)
{
    struct __user_cap_header_struct head = {
        .version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[WORDS];
    uint32_t mask[WORDS] = {0};

    for (size_t i = 0; i < count; i++)
        mask[keep[i] / BITS] |= UINT32_C(1) << (keep[i] % BITS);
    if (syscall(SYS_capget, &head, sets) != 0)
        return err_sys(err, "capget");
    /* The bounding set can be narrowed with CAP_SETPCAP only: first. */
    if ((sets[CAP_SETPCAP / BITS].effective &
            (UINT32_C(1) << (CAP_SETPCAP % BITS))) &&
        !narrow_bounds(keep, count, err))
        return false;
    for (int i = 0; i < WORDS; i++) {
        sets[i].permitted &= mask[i];
        sets[i].effective &= mask[i];
        sets[i].inheritable &= mask[i];
    }
    if (syscall(SYS_capset, &head, sets) != 0)
        return err_sys(err, "capset");
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_sys(err, "no_new_privs");
    return true;
}
