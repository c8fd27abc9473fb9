/*
 * One generation of configuration and the bytes of every file it names.
 * Input: a checked gate_config and the files (master). Output: a sealed memfd,
 * and a reader for it (worker).
 */
#include "wsgate/process/bundle.h"

#include "shared/atomic_file.h"
#include "shared/ckd.h"
#include "shared/log.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BUNDLE_MAGIC = 0x31424757, /* "WGB1" */
    BUNDLE_MAX = 512 * 1024 * 1024, /* ours: 100,000 certificates */
    BUNDLE_CONFIG_MAX = 16 * 1024 * 1024, /* ours */
    BUNDLE_FILE_MAX = 1024 * 1024, /* as CERT_FILE_MAX */
    BUNDLE_SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE
};

struct bundle_head {
    uint32_t magic;
    uint32_t count;
    uint64_t id;
};

/* Followed by the name, a NUL and the bytes. */
struct bundle_entry {
    uint32_t name_len;
    uint32_t data_len;
};

/* ---- writing -------------------------------------------------------------- */

struct writer {
    struct buf out;
    const char **names; /* borrowed; each file once */
    uint32_t count;
};

static bool
add_entry(struct writer *w, const char *name, struct span data, struct err *err)
{
    struct bundle_entry entry = {
        .name_len = (uint32_t)strlen(name),
        .data_len = (uint32_t)data.len,
    };
    const char **grown = realloc(w->names, (w->count + 1) * sizeof(*grown));

    if (grown == NULL)
        return err_memory(err);
    w->names = grown;
    w->names[w->count++] = name;
    if (!buf_add(&w->out, span_make(&entry, sizeof(entry))) ||
        !buf_add(&w->out, span_make(name, entry.name_len + 1)) ||
        !buf_add(&w->out, data))
        return err_set(err, ERR_LIMIT, "configuration larger than %d bytes",
            (int)BUNDLE_MAX);
    return true;
}

static bool
has_entry(const struct writer *w, const char *name)
{
    for (uint32_t i = 0; i < w->count; i++)
        if (strcmp(w->names[i], name) == 0)
            return true;
    return false;
}

static void
warn_if_readable_by_all(const char *path)
{
    struct stat st;

    if (stat(path, &st) == 0 && (st.st_mode & S_IROTH))
        log_warn("key file is readable by everybody", LOG_S("file", path),
            LOG_S("mend", "chmod o-rwx"));
}

/* A right that is missing is no mistake in the configuration. */
static bool
is_refused(const struct err *err)
{
    return err->kind == ERR_SYSTEM &&
           (err->sys_errno == EACCES || err->sys_errno == EPERM ||
               err->sys_errno == EMFILE || err->sys_errno == ENOMEM);
}

static bool
add_file(struct writer *w, const char *path, const struct config_mark *mark,
    const char *what, struct err *err)
{
    struct buf bytes;
    bool ok;

    if (path == NULL || has_entry(w, path))
        return true;
    buf_init(&bytes, BUNDLE_FILE_MAX);
    ok = atomic_file_read(AT_FDCWD, path, &bytes, err);
    if (!ok) {
        (void)err_context(err, "%s", what);
        if (mark->file != NULL)
            (void)err_context(
                err, "%s:%u:%u", mark->file, mark->line, mark->column);
        if (err != NULL && !is_refused(err))
            err->kind = ERR_CONFIG;
    } else {
        ok = add_entry(w, path, buf_span(&bytes), err);
    }
    if (bytes.data != NULL)
        OPENSSL_cleanse(bytes.data, bytes.room);
    buf_fini(&bytes);
    return ok;
}

static bool
add_certificate(
    struct writer *w, const struct gate_certificate *row, struct err *err)
{
    const char *key = row->key != NULL ? row->key : row->chain;

    if (!add_file(w, row->chain, &row->mark, "chain", err) ||
        !add_file(w, key, &row->mark, "key", err) ||
        !add_file(w, row->issuer, &row->mark, "issuer", err) ||
        !add_file(w, row->signers, &row->mark, "signers", err))
        return false;
    warn_if_readable_by_all(key);
    return true;
}

static bool
add_all(struct writer *w, const struct gate_config *config, struct err *err)
{
    struct buf text;
    bool ok;

    buf_init(&text, BUNDLE_CONFIG_MAX);
    ok = gate_config_dump(config, &text)
             ? add_entry(w, BUNDLE_CONFIG, buf_span(&text), err)
             : err_memory(err);
    buf_fini(&text);
    for (size_t i = 0; ok && i < config->sites.count; i++) {
        const struct gate_site *site =
            (const struct gate_site *)config->sites.items + i;
        const struct gate_certificate *rows = site->certificates.items;

        for (size_t k = 0; ok && k < site->certificates.count; k++)
            ok = add_certificate(w, &rows[k], err);
    }
    return ok;
}

static bool
write_fd(int fd, struct span bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.data, bytes.len);

        if (n <= 0)
            return false;
        bytes = span_from(bytes, (size_t)n);
    }
    return true;
}

static bool
seal(struct span bytes, int *out, struct err *err)
{
    int fd = memfd_create("wsgate-bundle", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return err_sys(err, "memfd_create");
    if (!write_fd(fd, bytes) || fcntl(fd, F_ADD_SEALS, BUNDLE_SEALS) != 0) {
        (void)err_sys(err, "write the configuration bundle");
        (void)close(fd);
        return false;
    }
    *out = fd;
    return true;
}

bool
bundle_write(
    const struct gate_config *config, uint64_t id, int *fd, struct err *err)
{
    struct bundle_head head = {.magic = BUNDLE_MAGIC, .id = id};
    struct writer w = {.names = NULL};
    bool ok;

    buf_init(&w.out, BUNDLE_MAX);
    ok = buf_add(&w.out, span_make(&head, sizeof(head)))
             ? add_all(&w, config, err)
             : err_memory(err);
    if (ok) {
        head.count = w.count;
        memcpy(w.out.data, &head, sizeof(head));
        ok = seal(buf_span(&w.out), fd, err);
    }
    if (w.out.data != NULL)
        OPENSSL_cleanse(w.out.data, w.out.room);
    buf_fini(&w.out);
    free(w.names);
    return ok;
}

/* ---- reading -------------------------------------------------------------- */

struct bundle {
    void *map;
    size_t size;
    uint64_t id;
    uint32_t count;
};

/* Cuts the next entry off *rest. */
static bool
next_entry(struct span *rest, struct span *name, struct span *data)
{
    struct bundle_entry entry;
    size_t need;

    if (rest->len < sizeof(entry))
        return false;
    memcpy(&entry, rest->data, sizeof(entry));
    if (ckd_add(&need, (size_t)entry.name_len + 1, (size_t)entry.data_len) ||
        need > rest->len - sizeof(entry))
        return false;
    *name = span_sub(*rest, sizeof(entry), entry.name_len);
    *data = span_sub(*rest, sizeof(entry) + entry.name_len + 1, entry.data_len);
    *rest = span_from(*rest, sizeof(entry) + need);
    return true;
}

static struct span
entries_of(const struct bundle *b)
{
    return span_from(span_make(b->map, b->size), sizeof(struct bundle_head));
}

static bool
is_whole(const struct bundle *b)
{
    struct span rest = entries_of(b), name, data;

    for (uint32_t i = 0; i < b->count; i++)
        if (!next_entry(&rest, &name, &data))
            return false;
    return rest.len == 0;
}

static bool
map_fd(int fd, struct bundle *b, struct err *err)
{
    struct bundle_head head;
    struct stat st;

    if (fcntl(fd, F_GET_SEALS) != BUNDLE_SEALS || fstat(fd, &st) != 0 ||
        st.st_size < (off_t)sizeof(head) || st.st_size > BUNDLE_MAX)
        return err_set(err, ERR_FORMAT, "configuration bundle is not sealed");
    b->size = (size_t)st.st_size;
    b->map = mmap(NULL, b->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (b->map == MAP_FAILED) {
        b->map = NULL;
        return err_sys(err, "map the configuration bundle");
    }
    memcpy(&head, b->map, sizeof(head));
    b->id = head.id;
    b->count = head.count;
    if (head.magic != BUNDLE_MAGIC || !is_whole(b))
        return err_set(err, ERR_FORMAT, "configuration bundle is damaged");
    return true;
}

bool
bundle_open(int fd, struct bundle **out, struct err *err)
{
    struct bundle *b = calloc(1, sizeof(*b));
    bool ok = b == NULL ? err_memory(err) : map_fd(fd, b, err);

    (void)close(fd);
    if (!ok) {
        bundle_free(b);
        return false;
    }
    *out = b;
    return true;
}

void
bundle_free(struct bundle *bundle)
{
    if (bundle == NULL)
        return;
    if (bundle->map != NULL)
        (void)munmap(bundle->map, bundle->size);
    free(bundle);
}

uint64_t
bundle_id(const struct bundle *bundle)
{
    return bundle->id;
}

struct span
bundle_get(void *bundle, const char *name)
{
    const struct bundle *b = bundle;
    struct span rest = entries_of(b), wanted = span_str(name), found, data;

    for (uint32_t i = 0; i < b->count; i++)
        if (next_entry(&rest, &found, &data) && span_eq(found, wanted))
            return data;
    return SPAN_EMPTY;
}
