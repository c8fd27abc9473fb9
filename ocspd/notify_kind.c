/*
 * What each kind of output writes, and whom it tells.
 * Input: a task: a response or its end. Output: files, HAProxy's memory.
 */
#include "ocspd/notify_kind.h"

#include "ocspd/notify_haproxy.h"
#include "shared/atomic_file.h"
#include "shared/buf.h"
#include "shared/ocsp_response.h"
#include "shared/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    NGINX_LEAD_S = 90, /* ours: a touch waits up to 60 s, a reload takes some */
    HAPROXY_LEAST_S = 300, /* HAProxy 2.6: OCSP_MAX_RESPONSE_TIME_SKEW */
    SNIPPET_MAX = 2 * PATH_MAX + 512
};

/* ---- files -------------------------------------------------------------- */

struct place {
    int folder; /* -1: it could not be opened */
    const char *name; /* in its folder */
};

static bool
open_place(const char *path, struct place *place, struct err *err)
{
    char copy[PATH_MAX];
    char *slash;

    (void)snprintf(copy, sizeof(copy), "%s", path);
    slash = strrchr(copy, '/');
    place->name = strrchr(path, '/') + 1; /* the configuration is absolute */
    slash[slash == copy ? 1 : 0] = '\0';
    place->folder = open(copy, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return place->folder >= 0 || err_sys(err, "folder %s", copy);
}

static bool
is_there(const struct place *place)
{
    struct stat st;

    return fstatat(place->folder, place->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool
holds(const struct place *place, struct span bytes, mode_t mode)
{
    struct buf old;
    struct stat st;
    bool same;

    if (fstatat(place->folder, place->name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        (st.st_mode & 07777) != mode)
        return false;
    buf_init(&old, bytes.len);
    same = atomic_file_read(place->folder, place->name, &old, NULL) &&
           span_eq(buf_span(&old), bytes);
    buf_fini(&old);
    return same;
}

static bool
has_no_right(const struct err *err)
{
    return err->kind == ERR_SYSTEM &&
           (err->sys_errno == EACCES || err->sys_errno == EPERM ||
               err->sys_errno == EROFS);
}

static void
failed(struct notify_task *task, const char *path)
{
    task->end = NOTIFY_FAILED;
    if (has_no_right(&task->err))
        (void)err_context(&task->err,
            "%s (`ocspd check --units` prints the rights it needs)", path);
    else
        (void)err_context(&task->err, "%s", path);
}

/* The bytes, or the file's end. A folder that cannot be synced is no failure:
 * each start compares anew. */
static void
put(struct notify_task *task, const struct span *bytes)
{
    struct place place = {-1, NULL};
    bool ok = open_place(task->file, &place, &task->err);

    if (ok && bytes == NULL) {
        task->is_changed = is_there(&place);
        ok = atomic_file_remove(place.folder, place.name, &task->err);
    } else if (ok && !holds(&place, *bytes, task->mode)) {
        ok = atomic_file_write(
            place.folder, place.name, *bytes, task->mode, &task->err);
        task->is_changed = true;
    }
    if (!ok)
        failed(task, task->file);
    else if (task->is_changed)
        (void)atomic_file_sync_dir(place.folder, NULL);
    if (place.folder >= 0)
        (void)close(place.folder);
}

/* ---- the response ------------------------------------------------------- */

/* As the spool has it; other bytes than were meant are newer ones, and come
 * in a moment by themselves. */
static bool
read_spool(struct notify_task *task, struct buf *der)
{
    struct spool spool;
    char digest[65];
    bool ok;

    if (!spool_open(&spool, task->spool, &task->err)) {
        task->end = NOTIFY_FAILED;
        return false;
    }
    ok = spool_load(&spool, task->fp, der, &task->err);
    spool_close(&spool);
    if (ok) {
        spool_digest(buf_span(der), digest);
        ok = strcmp(digest, task->digest) == 0;
        task->end = ok ? NOTIFY_DONE : NOTIFY_STALE;
    } else {
        task->end =
            task->err.sys_errno == ENOENT ? NOTIFY_STALE : NOTIFY_FAILED;
    }
    return ok;
}

static bool
get_bytes(struct notify_task *task, struct buf *der)
{
    if (task->der == NULL)
        return read_spool(task, der);
    if (buf_add(der, span_make(task->der, task->der_len)))
        return true;
    task->end = NOTIFY_FAILED;
    return err_memory(&task->err);
}

/* ---- after a restart ---------------------------------------------------- */

/* An earlier run may have ended between a change and the word of it: then the
 * mark is older than what it is about. A file that is gone is known by its
 * folder. */
static bool
was_told(const struct notify_task *task, const char *path)
{
    struct stat mark, at;
    char copy[PATH_MAX];
    bool is_marked = stat(task->mark, &mark) == 0;

    if (stat(path, &at) != 0) {
        (void)snprintf(copy, sizeof(copy), "%s", path);
        if (!is_marked || stat(dirname(copy), &at) != 0)
            return true; /* nobody was ever told of anything */
    }
    return is_marked && (mark.st_mtim.tv_sec > at.st_mtim.tv_sec ||
                            (mark.st_mtim.tv_sec == at.st_mtim.tv_sec &&
                                mark.st_mtim.tv_nsec >= at.st_mtim.tv_nsec));
}

static void
spool_path(const struct notify_task *task, char out[PATH_MAX])
{
    (void)snprintf(out, PATH_MAX, "%s/%s.der", task->spool, task->fp);
}

static void
catch_up(struct notify_task *task)
{
    char path[PATH_MAX];

    if (!task->is_first || task->mark == NULL || task->is_changed ||
        task->end != NOTIFY_DONE)
        return;
    spool_path(task, path);
    if (task->file != NULL)
        task->is_changed = !was_told(task, task->file);
    if (task->kind->pace != NOTIFY_OWN_BYTES && task->fp[0] != '\0')
        task->is_changed |= !was_told(task, path);
}

/* ---- kinds -------------------------------------------------------------- */

static void
apply_bytes(struct notify_task *task, const struct span *at_end)
{
    struct buf der;
    struct span bytes;

    buf_init(&der, OCSP_RESPONSE_MAX);
    if (task->fp[0] == '\0') {
        put(task, at_end);
    } else if (get_bytes(task, &der)) {
        bytes = buf_span(&der);
        put(task, &bytes);
    }
    buf_fini(&der);
    catch_up(task);
}

static void
apply_file(struct notify_task *task)
{
    apply_bytes(task, NULL);
}

/* An empty file stays: only with one there at its start does HAProxy take a
 * response on its socket later. */
static void
apply_haproxy(struct notify_task *task)
{
    static const struct span empty = {NULL, 0};

    apply_bytes(task, &empty);
}

/* In nginx's quotes; a line break would end the comment or the directive. */
static bool
add_quoted(struct buf *out, const char *text)
{
    bool ok = true;

    for (; ok && *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            ok = buf_add_byte(out, '\\');
        ok = ok && (unsigned char)*text >= ' ' &&
             buf_add_byte(out, (unsigned char)*text);
    }
    return ok;
}

static bool
write_snippet(const struct notify_task *task, struct buf *out)
{
    char path[PATH_MAX];

    spool_path(task, path);
    return buf_add_str(out, "# written by ocspd, and removed before the file "
                            "below goes\n"
                            "ssl_stapling on;\n"
                            "ssl_stapling_file \"") &&
           add_quoted(out, path) && buf_add_str(out, "\";\n");
}

/* One that cannot be replaced (a full disk) must not stay: it may name a file
 * that goes, and then nginx would not start. */
static void
drop_old_snippet(struct notify_task *task, struct span wanted)
{
    struct place place = {-1, NULL};

    if (task->end != NOTIFY_FAILED || !open_place(task->file, &place, NULL))
        return;
    if (is_there(&place) && !holds(&place, wanted, task->mode))
        task->is_changed = atomic_file_remove(place.folder, place.name, NULL);
    (void)close(place.folder);
}

/* nginx reads the response once: each new one needs the reload, also when the
 * snippet stays as it is. */
static void
apply_nginx(struct notify_task *task)
{
    struct buf text, der;
    struct span bytes;

    buf_init(&text, SNIPPET_MAX);
    buf_init(&der, OCSP_RESPONSE_MAX);
    if (task->fp[0] == '\0') {
        put(task, NULL);
    } else if (read_spool(task, &der) && write_snippet(task, &text)) {
        bytes = buf_span(&text);
        put(task, &bytes);
        drop_old_snippet(task, bytes);
        task->is_changed |= !task->is_first && task->end == NOTIFY_DONE;
    } else if (task->end == NOTIFY_DONE) {
        task->end = NOTIFY_FAILED;
        (void)err_set(&task->err, ERR_FORMAT,
            "nginx cannot be given the path of the spool: %s", task->spool);
    }
    buf_fini(&der);
    buf_fini(&text);
    catch_up(task);
}

static void
apply_changed(struct notify_task *task)
{
    task->is_changed = !task->is_first;
    catch_up(task);
}

static void
tell_haproxy(struct notify_task *task)
{
    struct buf der;

    buf_init(&der, OCSP_RESPONSE_MAX);
    if (get_bytes(task, &der) && !notify_haproxy_tell(task->socket, task->file,
                                     buf_span(&der), &task->err))
        failed(task, task->file);
    buf_fini(&der);
}

const struct notify_kind notify_kinds[PUBLISH_KINDS] = {
    [PUBLISH_FILE] = {NOTIFY_OWN_BYTES, 0, 0, apply_file, NULL},
    [PUBLISH_NGINX] = {NOTIFY_BEFORE_SPOOL, NGINX_LEAD_S, 0, apply_nginx, NULL},
    [PUBLISH_HAPROXY] = {NOTIFY_OWN_BYTES, 0, HAPROXY_LEAST_S, apply_haproxy,
        tell_haproxy},
    [PUBLISH_CHANGED] = {NOTIFY_AFTER_SPOOL, 0, 0, apply_changed, NULL},
};

void
notify_task_fini(struct notify_task *task)
{
    free(task->file);
    free(task->socket);
    free(task->spool);
    free(task->mark);
    free(task->label);
    free(task->der);
}
