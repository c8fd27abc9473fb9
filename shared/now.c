/*
 * Wall and monotonic time.
 * Input: the kernel's clocks, and a file in tests. Output: plain numbers.
 */
#include "shared/now.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Not constants: one process has one clock, and only tests ever move it. */
static int64_t fixed_wall = -1;
static const char *clock_file;

bool
now_init(void)
{
    clock_file = getenv("TEST_CLOCK_FILE");
    return clock_file != NULL;
}

static int64_t
test_offset(void)
{
    long long offset = 0;
    FILE *f;

    if (clock_file == NULL)
        return 0;
    f = fopen(clock_file, "re");
    if (f == NULL)
        return 0;
    if (fscanf(f, "%lld", &offset) != 1)
        offset = 0;
    (void)fclose(f);
    return offset;
}

static int64_t
read_ms(clockid_t id)
{
    struct timespec ts = {0};

    (void)clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t
now_wall_ms(void)
{
    if (fixed_wall >= 0)
        return fixed_wall * 1000;
    return read_ms(CLOCK_REALTIME) + test_offset() * 1000;
}

int64_t
now_wall(void)
{
    return now_wall_ms() / 1000;
}

int64_t
now_boot_ms(void)
{
    return read_ms(CLOCK_BOOTTIME);
}

void
now_set_wall(int64_t unix_s)
{
    fixed_wall = unix_s;
}
