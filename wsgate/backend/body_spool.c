/*
 * A request body held back until its length is known.
 * Input: body bytes as they come. Output: the same bytes, from any offset.
 */
#include "wsgate/backend/body_spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void
body_spool_init(struct body_spool *spool, uint64_t max)
{
    *spool = (struct body_spool){.fd = -1, .max = max};
    buf_init(&spool->memory, BODY_SPOOL_MEMORY);
}

void
body_spool_fini(struct body_spool *spool)
{
    buf_fini(&spool->memory);
    if (spool->fd >= 0)
        (void)close(spool->fd);
    spool->fd = -1;
}

/* A file that never had a name. Where no folder can be written (a container
 * with a read-only root) an anonymous one in memory; max_body bounds it. */
static bool
open_file(struct body_spool *spool, struct err *err)
{
    const char *folder = getenv("TMPDIR");

    if (folder == NULL || *folder == 0)
        folder = "/tmp";
    spool->fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (spool->fd < 0)
        spool->fd = memfd_create("request-body", MFD_CLOEXEC);
    if (spool->fd < 0)
        return err_sys(err, "file for a request body in %s", folder);
    return true;
}

static bool
write_file(struct body_spool *spool, struct span bytes, struct err *err)
{
    if (spool->fd < 0 && !open_file(spool, err))
        return false;
    while (bytes.len > 0) {
        ssize_t n = write(spool->fd, bytes.data, bytes.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, "write a request body");
        bytes = span_from(bytes, (size_t)n);
    }
    return true;
}

bool
body_spool_add(struct body_spool *spool, struct span bytes, struct err *err)
{
    struct span first =
        span_sub(bytes, 0, BODY_SPOOL_MEMORY - spool->memory.len);

    if (spool->max > 0 && bytes.len > spool->max - spool->len)
        return err_set(err, ERR_LIMIT, "request body is larger than %llu bytes",
            (unsigned long long)spool->max);
    if (!buf_add(&spool->memory, first))
        return err_memory(err);
    if (first.len < bytes.len &&
        !write_file(spool, span_from(bytes, first.len), err))
        return false;
    spool->len += bytes.len;
    return true;
}

bool
body_spool_read(const struct body_spool *spool, uint64_t offset,
    unsigned char *out, size_t room, size_t *got, struct err *err)
{
    ssize_t n;

    if (offset < spool->memory.len) {
        struct span part =
            span_sub(buf_span(&spool->memory), (size_t)offset, room);

        memcpy(out, part.data, part.len);
        *got = part.len;
        return true;
    }
    if (offset >= spool->len) {
        *got = 0;
        return true;
    }
    do {
        n = pread(spool->fd, out, room, (off_t)(offset - spool->memory.len));
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(err, "read a request body");
    if (n == 0)
        return err_set(err, ERR_SYSTEM, "request body was cut");
    *got = (size_t)n;
    return true;
}
