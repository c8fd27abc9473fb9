/*
 * url_path: what is accepted never leaves the root, and its normal form is its
 * own normal form.
 * Input: any bytes. Output: abort() when that is not so.
 */
#include "wsgate/http/url_path.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_segments(struct span path)
{
    struct span segment = SPAN_EMPTY;

    while (span_split(&path, '/', &segment))
        if (span_eq(segment, SPAN_LIT(".")) || span_eq(segment, SPAN_LIT("..")))
            abort();
}

static void
check_normal(struct span path)
{
    struct buf again;

    if (span_eq(path, SPAN_LIT("*")))
        return;
    if (!span_starts(path, SPAN_LIT("/")) || span_find(path, '\\') < path.len ||
        span_find(path, 0) < path.len)
        abort();
    check_segments(path);
    buf_init(&again, path.len);
    if (!url_path_normalise(path, &again, NULL) ||
        !span_eq(buf_span(&again), path))
        abort();
    buf_clear(&again);
    (void)url_path_decode(path, &again, NULL);
    buf_fini(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out;

    /* Never longer than what came in. */
    buf_init(&out, size);
    if (url_path_normalise(span_make(data, size), &out, NULL))
        check_normal(buf_span(&out));
    buf_fini(&out);
    return 0;
}
