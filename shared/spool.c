/*
 * The spool's folder: <fp>.der and <fp>.json, nothing else.
 * Input: accepted responses (ocspd), a fingerprint to look up (both daemons).
 * Output: files replaced by rename, bytes read back. ocspd-spool(5).
 */
#include "shared/spool.h"

#include "shared/atomic_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum {
    SPOOL_MODE = 0644, /* public data; whatever the umask */
    SWEEP_AGE_S = 60, /* ours: no write takes a minute */
    META_MAX = 64 * 1024, /* ours: the side file */
    COMPARE_MAX = 1024 * 1024 /* ours: a larger file is simply replaced */
};

bool
spool_open(struct spool *spool, const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char *copy;

    if (fd < 0)
        return err_sys(err, "spool %s", path);
    copy = span_dup(span_str(path));
    if (copy == NULL) {
        (void)close(fd);
        return err_memory(err);
    }
    spool->path = copy;
    spool->dirfd = fd;
    return true;
}

bool
spool_lock(const struct spool *spool, struct err *err)
{
    if (flock(spool->dirfd, LOCK_EX | LOCK_NB) == 0)
        return true;
    if (errno == EWOULDBLOCK)
        return err_set(err, ERR_CONFIG,
            "spool %s: another ocspd keeps it; give this one its own",
            spool->path);
    return err_sys(err, "lock spool %s", spool->path);
}

void
spool_close(struct spool *spool)
{
    if (spool->dirfd >= 0)
        (void)close(spool->dirfd);
    free(spool->path);
    *spool = (struct spool){.path = NULL, .dirfd = -1};
}

/* "<fp><suffix>" -> fp. */
static bool
is_name(struct span name, struct span suffix, char fp[CERT_FINGERPRINT_SIZE])
{
    struct span digits =
        span_sub(name, 0, name.len > suffix.len ? name.len - suffix.len : 0);

    return span_ends(name, suffix) && cert_is_fingerprint(digits) &&
           span_to_cstr(digits, fp, CERT_FINGERPRINT_SIZE);
}

bool
spool_is_der_name(struct span name, char fp[CERT_FINGERPRINT_SIZE])
{
    return is_name(name, SPAN_LIT(".der"), fp);
}

/* No other name ever reaches the folder. */
static bool
make_name(const char *fp, const char *suffix, char out[SPOOL_NAME_SIZE],
    struct err *err)
{
    if (!cert_is_fingerprint(span_str(fp)))
        return err_set(err, ERR_FORMAT, "not a fingerprint: %.80s", fp);
    memcpy(out, fp, CERT_FINGERPRINT_SIZE - 1);
    memcpy(out + CERT_FINGERPRINT_SIZE - 1, suffix, strlen(suffix) + 1);
    return true;
}

bool
spool_load(
    const struct spool *spool, const char *fp, struct buf *der, struct err *err)
{
    char name[SPOOL_NAME_SIZE];

    return make_name(fp, ".der", name, err) &&
           atomic_file_read(spool->dirfd, name, der, err);
}

bool
spool_load_meta(const struct spool *spool, const char *fp,
    struct spool_meta *out, struct err *err)
{
    char name[SPOOL_NAME_SIZE];
    struct buf json;
    bool ok;

    if (!make_name(fp, ".json", name, err))
        return false;
    buf_init(&json, META_MAX);
    ok = atomic_file_read(spool->dirfd, name, &json, err);
    if (ok && !spool_meta_parse(buf_span(&json), out, err))
        ok = err_context(err, "%s", name);
    buf_fini(&json);
    return ok;
}

/* Does the file hold exactly these bytes? */
static bool
holds(const struct spool *spool, const char *name, struct span bytes)
{
    struct buf there;
    bool same;

    buf_init(&there, COMPARE_MAX);
    same = atomic_file_read(spool->dirfd, name, &there, NULL) &&
           span_eq(buf_span(&there), bytes);
    buf_fini(&there);
    return same;
}

/* Consumers watch the folder: equal bytes would only wake them for nothing. */
static bool
store(const struct spool *spool, const char *name, struct span bytes,
    bool *changed, struct err *err)
{
    bool is_new = !holds(spool, name, bytes);

    if (is_new &&
        !atomic_file_write(spool->dirfd, name, bytes, SPOOL_MODE, err))
        return err_context(err, "spool %s", spool->path);
    if (changed != NULL)
        *changed = is_new;
    return true;
}

bool
spool_store(const struct spool *spool, const char *fp, struct span der,
    bool *changed, struct err *err)
{
    char name[SPOOL_NAME_SIZE];

    if (!make_name(fp, ".der", name, err))
        return false;
    if (der.len == 0) /* consumers never see an empty file */
        return err_set(err, ERR_FORMAT, "empty response for %s", name);
    return store(spool, name, der, changed, err);
}

bool
spool_store_meta(const struct spool *spool, const char *fp,
    const struct spool_meta *meta, struct err *err)
{
    char name[SPOOL_NAME_SIZE];
    struct buf json;
    bool ok;

    if (!make_name(fp, ".json", name, err))
        return false;
    buf_init(&json, META_MAX);
    ok = spool_meta_write(meta, &json, err) &&
         store(spool, name, buf_span(&json), NULL, err);
    buf_fini(&json);
    return ok;
}

bool
spool_remove_der(const struct spool *spool, const char *fp, struct err *err)
{
    char name[SPOOL_NAME_SIZE];

    return make_name(fp, ".der", name, err) &&
           atomic_file_remove(spool->dirfd, name, err);
}

bool
spool_remove(const struct spool *spool, const char *fp, struct err *err)
{
    char name[SPOOL_NAME_SIZE];

    return spool_remove_der(spool, fp, err) &&
           make_name(fp, ".json", name, err) &&
           atomic_file_remove(spool->dirfd, name, err);
}

bool
spool_sync(const struct spool *spool, struct err *err)
{
    if (!atomic_file_sync_dir(spool->dirfd, err))
        return err_context(err, "spool %s", spool->path);
    return true;
}

bool
spool_sweep(const struct spool *spool, struct err *err)
{
    if (!atomic_file_sweep(spool->dirfd, SWEEP_AGE_S, NULL, err))
        return err_context(err, "spool %s", spool->path);
    return true;
}

/* ---- listing ---------------------------------------------------------------- */

struct entry {
    char fp[CERT_FINGERPRINT_SIZE];
    bool has_der;
};

struct entries {
    struct entry *items; /* owned */
    size_t count;
    size_t room;
};

static bool
add_entry(struct entries *all, struct span name)
{
    struct entry entry = {.has_der = true}, *more;

    if (!spool_is_der_name(name, entry.fp)) {
        entry.has_der = false;
        if (!is_name(name, SPAN_LIT(".json"), entry.fp))
            return true;
    }
    if (all->count == all->room) {
        size_t room = all->room == 0 ? 64 : all->room * 2;

        more = realloc(all->items, room * sizeof(*more));
        if (more == NULL)
            return false;
        all->items = more;
        all->room = room;
    }
    all->items[all->count++] = entry;
    return true;
}

/* By fingerprint; the one with a .der first. */
static int
compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = strcmp(x->fp, y->fp);

    return order != 0 ? order : (int)y->has_der - (int)x->has_der;
}

static bool
list(const struct spool *spool, struct entries *all, struct err *err)
{
    int fd = openat(spool->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    bool ok = true;

    if (dir == NULL) {
        (void)err_sys(err, "list spool %s", spool->path);
        if (fd >= 0)
            (void)close(fd);
        return false;
    }
    while (ok && (entry = readdir(dir)) != NULL)
        ok = add_entry(all, span_str(entry->d_name));
    (void)closedir(dir);
    if (!ok)
        return err_memory(err);
    if (all->count > 0)
        qsort(all->items, all->count, sizeof(*all->items), compare_entries);
    return true;
}

bool
spool_each(const struct spool *spool,
    bool (*on_entry)(void *ctx, const char *fp, bool has_der), void *ctx,
    struct err *err)
{
    struct entries all = {NULL, 0, 0};
    bool ok = list(spool, &all, err);

    /* A list first: the callback may add and remove files. */
    for (size_t i = 0; ok && i < all.count; i++) {
        const struct entry *e = &all.items[i];

        if (i > 0 && strcmp(e[-1].fp, e->fp) == 0)
            continue;
        if (!on_entry(ctx, e->fp, e->has_der))
            break;
    }
    free(all.items);
    return ok;
}

void
spool_digest(struct span der, char out[65])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char md[EVP_MAX_MD_SIZE] = {0};

    /* SHA-256 of OpenSSL's default provider fails only without memory: the
     * zeros then match no file. */
    if (EVP_Digest(der.data, der.len, md, NULL, EVP_sha256(), NULL) != 1)
        memset(md, 0, sizeof(md));
    for (size_t i = 0; i < 32; i++) {
        out[2 * i] = digits[md[i] >> 4];
        out[2 * i + 1] = digits[md[i] & 15];
    }
    out[64] = 0;
}
