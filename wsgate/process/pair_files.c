/*
 * The files of certificates as they are on disk, beside the bytes in force.
 * Input: paths, the bundle in force, the disk. Output: bytes to judge and to
 * put into the next bundle.
 */
#include "wsgate/process/pair_files.h"

#include "shared/atomic_file.h"
#include "shared/log.h"
#include "shared/reach.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <uthash.h>

enum {
    PAIR_FILE_MAX = 1024 * 1024 /* as CERT_FILE_MAX */
};

struct entry {
    struct pair_file file;
    unsigned char *bytes; /* owned: file.disk */
    UT_hash_handle hh;
    char path[];
};

struct pair_files {
    struct bundle *old; /* borrowed; NULL: none */
    pair_files_suspect *suspect;
    void *ctx;
    struct entry *entries;
    struct buf scratch; /* all of its room is there from the start: growing
                           would leave pieces of keys behind */
};

static bool
read_disk(struct pair_files *files, struct entry *e)
{
    struct span bytes;
    bool ok;

    ok = atomic_file_read(AT_FDCWD, e->path, &files->scratch, &e->file.err);
    if (!ok)
        (void)reach_explain(e->path, REACH_PAIR, &e->file.err);
    bytes = buf_span(&files->scratch);
    if (ok) {
        e->bytes = malloc(bytes.len + 1);
        ok = e->bytes != NULL || err_memory(&e->file.err);
    }
    if (ok) {
        memcpy(e->bytes, bytes.data, bytes.len);
        e->file.disk = span_make(e->bytes, bytes.len);
    }
    OPENSSL_cleanse(files->scratch.data, files->scratch.len);
    buf_clear(&files->scratch);
    return ok;
}

static void
look_at(struct pair_files *files, struct entry *e)
{
    struct pair_file *f = &e->file;

    if (files->old != NULL)
        f->old = bundle_get(files->old, e->path);
    if (f->old.data != NULL && files->suspect != NULL &&
        !files->suspect(files->ctx, e->path)) {
        f->is_read = true;
        f->disk = f->old;
        return;
    }
    f->is_read = read_disk(files, e);
    f->is_changed =
        !f->is_read || f->old.data == NULL || !span_eq(f->disk, f->old);
}

struct pair_file *
pair_files_get(struct pair_files *files, const char *path)
{
    size_t len = strlen(path);
    struct entry *e = NULL;

    HASH_FIND(hh, files->entries, path, len, e);
    if (e != NULL)
        return &e->file;
    e = calloc(1, sizeof(*e) + len + 1);
    if (e == NULL)
        return NULL;
    memcpy(e->path, path, len);
    e->file.number = pair_files_count(files);
    HASH_ADD_KEYPTR(hh, files->entries, e->path, len, e);
    look_at(files, e);
    return &e->file;
}

int
pair_files_count(const struct pair_files *files)
{
    return (int)HASH_COUNT(files->entries);
}

bool
pair_files_source(
    void *ctx, const char *path, struct span *bytes, struct err *err)
{
    const struct pair_file *f = pair_files_get(ctx, path);

    if (f == NULL)
        return err_memory(err);
    if (f->old.data != NULL && (f->is_changed && !f->is_taken)) {
        *bytes = f->old;
        return true;
    }
    if (!f->is_read) {
        *err = f->err;
        return false;
    }
    *bytes = f->disk;
    return true;
}

void
pair_files_warn_open(const char *key_path)
{
    struct stat st;

    if (stat(key_path, &st) == 0 && (st.st_mode & S_IROTH))
        log_warn("key file is readable by everybody", LOG_S("file", key_path),
            LOG_S("mend", "chmod o-rwx"));
}

/* ---- life ----------------------------------------------------------------- */

struct pair_files *
pair_files_new(
    struct bundle *old, pair_files_suspect *suspect, void *ctx, struct err *err)
{
    struct pair_files *files = calloc(1, sizeof(*files));

    if (files == NULL) {
        (void)err_memory(err);
        return NULL;
    }
    *files = (struct pair_files){.old = old, .suspect = suspect, .ctx = ctx};
    buf_init(&files->scratch, PAIR_FILE_MAX);
    if (!buf_reserve(&files->scratch, PAIR_FILE_MAX)) {
        pair_files_free(files);
        (void)err_memory(err);
        return NULL;
    }
    return files;
}

void
pair_files_free(struct pair_files *files)
{
    struct entry *e, *next;

    if (files == NULL)
        return;
    HASH_ITER(hh, files->entries, e, next)
    {
        HASH_DEL(files->entries, e);
        if (e->bytes != NULL)
            OPENSSL_cleanse(e->bytes, e->file.disk.len);
        free(e->bytes);
        free(e);
    }
    buf_fini(&files->scratch);
    free(files);
}
