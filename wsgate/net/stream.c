/*
 * The owner of streams that nobody owns.
 * Input: streams given up before they found an owner. Output: none.
 */
#include "wsgate/net/stream.h"

static size_t
on_data(void *ctx, struct span bytes)
{
    (void)ctx;
    return bytes.len;
}

static void
on_nothing(void *ctx)
{
    (void)ctx;
}

static void
on_error(void *ctx, const struct err *err)
{
    (void)ctx;
    (void)err;
}

const struct stream_events stream_no_owner = {
    .on_data = on_data,
    .on_eof = on_nothing,
    .on_drain = on_nothing,
    .on_error = on_error,
};

void
stream_discard(struct stream *s)
{
    if (s == NULL)
        return;
    stream_set_owner(s, &stream_no_owner, NULL);
    stream_close(s);
}
