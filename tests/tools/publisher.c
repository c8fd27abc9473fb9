/*
 * A publisher to be killed: stores two responses in turn, as ocspd would.
 * Input: publisher SPOOL FINGERPRINT FILE-A FILE-B COUNT (0: for ever).
 * Output: the spool's files; on stdout one line when the first stands.
 */
#include "shared/atomic_file.h"
#include "shared/spool.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

static bool
load(const char *path, struct buf *out, struct err *err)
{
    buf_init(out, 64 * 1024);
    return atomic_file_read(AT_FDCWD, path, out, err);
}

static bool
publish(
    const struct spool *spool, const char *fp, struct span der, struct err *err)
{
    char status[] = "good", digest[65];
    struct spool_meta meta = {.status = status, .der_sha256 = digest};
    bool changed;

    spool_digest(der, digest);
    return spool_store(spool, fp, der, &changed, err) &&
           spool_store_meta(spool, fp, &meta, err) && spool_sync(spool, err);
}

static bool
run(char **argv, struct spool *spool, struct buf files[2], struct err *err)
{
    long count = strtol(argv[5], NULL, 10);

    if (!spool_open(spool, argv[1], err) || !load(argv[3], &files[0], err) ||
        !load(argv[4], &files[1], err) || !spool_sweep(spool, err))
        return false;
    for (long i = 0; count == 0 || i < count; i++) {
        if (!publish(spool, argv[2], buf_span(&files[i % 2]), err))
            return false;
        if (i == 0 && (puts("published") < 0 || fflush(stdout) != 0))
            return err_sys(err, "stdout");
    }
    return true;
}

int
main(int argc, char **argv)
{
    struct spool spool = {.path = NULL, .dirfd = -1};
    struct buf files[2] = {{0}};
    struct err err = {0};
    bool ok;

    if (argc != 6) {
        (void)fputs("publisher SPOOL FINGERPRINT FILE FILE COUNT\n", stderr);
        return 64;
    }
    ok = run(argv, &spool, files, &err);
    if (!ok)
        (void)fprintf(stderr, "publisher: %s\n", err.text);
    buf_fini(&files[0]);
    buf_fini(&files[1]);
    spool_close(&spool);
    return ok ? 0 : 1;
}
