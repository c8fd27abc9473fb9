/*
 * One generation of configuration and the bytes of every file it names.
 * Input: a checked gate_config and the files (master). Output: a sealed memfd,
 * and a reader for it (worker).
 */
#include "wsgate/process/bundle.h"

#include "shared/ckd.h"
#include "shared/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BUNDLE_MAGIC = 0x31424757, /* "WGB1" */
    BUNDLE_MAX = 512 * 1024 * 1024, /* ours: 100,000 certificates */
    BUNDLE_CONFIG_MAX = 16 * 1024 * 1024, /* ours */
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

/* What stands in the bundle, in order; nothing is copied before it is written:
 * there are keys among it. */
struct part {
    const char *name; /* borrowed, as data */
    struct span data;
};

struct writer {
    bundle_source *source;
    void *ctx;
    struct part *parts;
    size_t count, room;
    size_t size; /* of all entries as written */
};

static bool
add_part(struct writer *w, const char *name, struct span data, struct err *err)
{
    w->size += sizeof(struct bundle_entry) + strlen(name) + 1 + data.len;
    if (w->size > BUNDLE_MAX)
        return err_set(err, ERR_LIMIT, "configuration larger than %d bytes",
            (int)BUNDLE_MAX);
    if (w->count == w->room) {
        size_t room = w->room == 0 ? 64 : 2 * w->room;
        struct part *grown = realloc(w->parts, room * sizeof(*grown));

        if (grown == NULL)
            return err_memory(err);
        w->parts = grown;
        w->room = room;
    }
    w->parts[w->count++] = (struct part){name, data};
    return true;
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
    struct span bytes;

    if (path == NULL)
        return true;
    if (w->source(w->ctx, path, &bytes, err))
        return add_part(w, path, bytes, err);
    (void)err_context(err, "%s", what);
    if (mark->file != NULL)
        (void)err_context(
            err, "%s:%u:%u", mark->file, mark->line, mark->column);
    if (err != NULL && !is_refused(err))
        err->kind = ERR_CONFIG;
    return false;
}

static bool
add_certificate(
    struct writer *w, const struct gate_certificate *row, struct err *err)
{
    return add_file(w, row->chain, &row->mark, "chain", err) &&
           add_file(w, row->key, &row->mark, "key", err) &&
           add_file(w, row->issuer, &row->mark, "issuer", err) &&
           add_file(w, row->signers, &row->mark, "signers", err);
}

static bool
add_certificates(
    struct writer *w, const struct gate_config *config, struct err *err)
{
    for (size_t i = 0; i < config->sites.count; i++) {
        const struct gate_site *site =
            (const struct gate_site *)config->sites.items + i;
        const struct gate_certificate *rows = site->certificates.items;

        for (size_t k = 0; k < site->certificates.count; k++)
            if (!add_certificate(w, &rows[k], err))
                return false;
    }
    return true;
}

static int
compare_parts(const void *a, const void *b)
{
    return strcmp(
        ((const struct part *)a)->name, ((const struct part *)b)->name);
}

/* Sorted for bundle_get(); a file that two rows name stands there once. */
static void
sort_parts(struct writer *w)
{
    size_t kept = 0;

    qsort(w->parts, w->count, sizeof(*w->parts), compare_parts);
    for (size_t i = 0; i < w->count; i++)
        if (kept == 0 || compare_parts(&w->parts[kept - 1], &w->parts[i]) != 0)
            w->parts[kept++] = w->parts[i];
    w->count = kept;
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
write_parts(int fd, const struct writer *w, uint64_t id)
{
    struct bundle_head head = {
        .magic = BUNDLE_MAGIC, .count = (uint32_t)w->count, .id = id};
    bool ok = write_fd(fd, span_make(&head, sizeof(head)));

    for (size_t i = 0; ok && i < w->count; i++) {
        const struct part *part = &w->parts[i];
        struct bundle_entry entry = {
            .name_len = (uint32_t)strlen(part->name),
            .data_len = (uint32_t)part->data.len,
        };

        ok = write_fd(fd, span_make(&entry, sizeof(entry))) &&
             write_fd(fd, span_make(part->name, entry.name_len + 1)) &&
             write_fd(fd, part->data);
    }
    return ok;
}

static bool
seal(const struct writer *w, uint64_t id, int *out, struct err *err)
{
    int fd = memfd_create("wsgate-bundle", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return err_sys(err, "memfd_create");
    if (!write_parts(fd, w, id) || fcntl(fd, F_ADD_SEALS, BUNDLE_SEALS) != 0) {
        (void)err_sys(err, "write the configuration bundle");
        (void)close(fd);
        return false;
    }
    *out = fd;
    return true;
}

bool
bundle_write(const struct gate_config *config, uint64_t id,
    bundle_source *source, void *ctx, int *fd, struct err *err)
{
    struct writer w = {.source = source, .ctx = ctx};
    struct buf text;
    bool ok;

    buf_init(&text, BUNDLE_CONFIG_MAX);
    ok = gate_config_dump(config, &text)
             ? add_part(&w, BUNDLE_CONFIG, buf_span(&text), err) &&
                   add_certificates(&w, config, err)
             : err_memory(err);
    if (ok) {
        sort_parts(&w);
        ok = seal(&w, id, fd, err);
    }
    buf_fini(&text);
    free(w.parts);
    return ok;
}

/* ---- reading -------------------------------------------------------------- */

struct bundle {
    void *map;
    size_t size;
    uint64_t id;
    uint32_t count;
    struct bundle_part {
        struct span name, data;
    } * parts; /* by name */
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

static int
compare_names(struct span a, struct span b)
{
    int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* Every length fits, and the names are in order, each once. */
static bool
read_parts(struct bundle *b, struct err *err)
{
    struct span rest = entries_of(b);
    size_t at = 0;

    if (b->count > b->size / sizeof(struct bundle_entry))
        return err_set(err, ERR_FORMAT, "configuration bundle is damaged");
    b->parts = calloc((size_t)b->count + 1, sizeof(*b->parts));
    if (b->parts == NULL)
        return err_memory(err);
    while (at < b->count &&
           next_entry(&rest, &b->parts[at].name, &b->parts[at].data) &&
           (at == 0 ||
               compare_names(b->parts[at - 1].name, b->parts[at].name) < 0))
        at++;
    return (at == b->count && rest.len == 0) ||
           err_set(err, ERR_FORMAT, "configuration bundle is damaged");
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
    if (head.magic != BUNDLE_MAGIC)
        return err_set(err, ERR_FORMAT, "configuration bundle is damaged");
    return read_parts(b, err);
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
    free(bundle->parts);
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
    struct span wanted = span_str(name);
    size_t low = 0, high = b->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_names(wanted, b->parts[middle].name);

        if (order == 0)
            return b->parts[middle].data;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return SPAN_EMPTY;
}
