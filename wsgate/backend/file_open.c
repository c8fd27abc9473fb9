/*
 * A request path to an open file below a root.
 * Input: the normal path of a request, the location's root, index and
 * precompressed kinds. Output: a descriptor of a regular file, or why not.
 */
#include "wsgate/backend/file_open.h"

#include "shared/reach.h"
#include "wsgate/backend/file_type.h"
#include "wsgate/http/http_headers.h"
#include "wsgate/http/url_path.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    PATH_BYTES_MAX = 4096, /* PATH_MAX: the kernel takes no longer one */
    OPEN_TRIES =
        4 /* ours: a rename above us makes RESOLVE_BENEATH say EAGAIN */
};

static const struct {
    const char *coding;
    const char *ending;
} codings[] = {{"br", ".br"}, {"gzip", ".gz"}, {"zstd", ".zst"}};

/* ---- the path ------------------------------------------------------------ */

/* Names that begin with a dot are hidden, but for /.well-known/ (RFC 8615),
 * which is there to be found. */
static bool
is_hidden(struct span path)
{
    struct span part;
    bool is_first = true;

    while (span_split(&path, '/', &part)) {
        if (span_starts(part, SPAN_LIT(".")) &&
            !(is_first && span_eq(part, SPAN_LIT(".well-known"))))
            return true;
        is_first = false;
    }
    return false;
}

/* The path below the root, decoded; false: none that could name a file. */
static bool
path_below(const char *prefix, struct span path, struct buf *out)
{
    struct span root = span_str(prefix);

    if (span_starts(path, root))
        path = span_from(path, root.len);
    if (!span_ends(root, SPAN_LIT("/")) && span_starts(path, SPAN_LIT("/")))
        path = span_from(path, 1);
    /* "//host" would become a redirect to another site, too. */
    if (span_starts(path, SPAN_LIT("/")))
        return false;
    return url_path_decode(path, out, NULL) && !is_hidden(buf_span(out));
}

/* ---- opening ------------------------------------------------------------- */

/* A descriptor or a negative errno. O_NONBLOCK: a FIFO must not stop us. */
static int
open_beneath(int root, const char *path)
{
    struct open_how how = {
        .flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long fd = -1;

    for (int i = 0; i < OPEN_TRIES; i++) {
        fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    return fd < 0 ? -errno : (int)fd;
}

static enum file_found
refusal(int error, struct err *err)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
    case EXDEV: /* a link or ".." that leaves the root */
    case ENXIO: /* a socket */
    case EINVAL:
        return FILE_NONE;
    case EACCES:
    case EPERM:
        return FILE_FORBIDDEN;
    }
    errno = error;
    (void)err_sys(err, "open a file");
    return FILE_FAILED;
}

static enum file_found
open_regular(int root, const char *path, struct file_open *out, struct err *err)
{
    int fd = open_beneath(root, path);
    enum file_found found = FILE_FOUND;

    if (fd < 0)
        return refusal(-fd, err);
    if (fstat(fd, &out->st) != 0)
        found = refusal(errno, err);
    else if (S_ISDIR(out->st.st_mode))
        found = FILE_IS_FOLDER;
    else if (!S_ISREG(out->st.st_mode))
        found = FILE_NONE;
    if (found != FILE_FOUND)
        (void)close(fd);
    else
        out->fd = fd;
    return found;
}

/* ---- precompressed ------------------------------------------------------- */

/* "br;q=0" is a refusal; other weights do not matter to us. */
static bool
is_refused(struct span parameters)
{
    struct span part;

    while (span_split(&parameters, ';', &part)) {
        part = span_trim(part);
        if (!span_istarts(part, SPAN_LIT("q=0")))
            continue;
        part = span_from(part, 3);
        while (part.len > 0 && (part.data[0] == '0' || part.data[0] == '.'))
            part = span_from(part, 1);
        return part.len == 0;
    }
    return false;
}

/* 1: taken, 0: refused, -1: not named. */
static int
named_in(struct span list, const char *coding)
{
    struct span element;

    while (span_split(&list, ',', &element)) {
        size_t end = span_find(element, ';');
        struct span name = span_trim(span_sub(element, 0, end));

        if (span_ieq(name, span_str(coding)))
            return is_refused(span_from(element, end + 1)) ? 0 : 1;
    }
    return -1;
}

bool
file_open_accepts(const struct http_fields *fields, const char *coding)
{
    struct span list = http_field_value(fields, "Accept-Encoding");
    int answer = named_in(list, coding);

    return answer == 1 || (answer < 0 && named_in(list, "*") == 1);
}

static const char *
ending_of(const char *coding)
{
    for (size_t i = 0; i < sizeof(codings) / sizeof(codings[0]); i++)
        if (strcmp(codings[i].coding, coding) == 0)
            return codings[i].ending;
    return NULL;
}

/* A compressed neighbour instead, in the order of the configuration. The plain
 * file must be there too: it is what the path names. */
static void
try_precompressed(int root, const struct gate_files *files,
    const struct http_fields *fields, struct buf *path, struct file_open *out)
{
    size_t len = path->len;

    for (size_t i = 0; i < files->precompressed.count; i++) {
        const char *coding = files->precompressed.items[i];
        const char *ending = ending_of(coding);
        struct file_open packed = {.fd = -1};

        if (ending == NULL || !file_open_accepts(fields, coding) ||
            !buf_add_str(path, ending))
            continue;
        if (open_regular(root, buf_cstr(path), &packed, NULL) == FILE_FOUND) {
            (void)close(out->fd);
            out->fd = packed.fd;
            out->st = packed.st;
            out->encoding = coding;
            path->len = len;
            return;
        }
        path->len = len;
    }
}

/* ---- all of it ----------------------------------------------------------- */

/* A root that nobody may search is no single file's trouble: the operator is
 * told as for one that is not there. */
static enum file_found
explain_refusal(const char *root, const char *below, struct err *err)
{
    char path[PATH_BYTES_MAX];

    errno = EACCES;
    if (faccessat(AT_FDCWD, root, X_OK, AT_EACCESS) != 0) {
        (void)err_sys(err, "files root %s", root);
        (void)reach_explain(root, REACH_ROOT, err);
        return FILE_FAILED;
    }
    errno = EACCES;
    (void)err_sys(err, "file");
    (void)snprintf(path, sizeof(path), "%s/%s", root, below);
    (void)reach_explain(path, REACH_FILE, err);
    return FILE_FORBIDDEN;
}

static enum file_found
find(int root, const struct gate_files *files, const struct http_request *head,
    struct buf *path, struct file_open *out, struct err *err)
{
    enum file_found found;
    bool is_folder = span_ends(head->path, SPAN_LIT("/"));

    if (is_folder &&
        !buf_add_str(path, files->index == NULL ? "index.html" : files->index))
        return FILE_NONE;
    found = open_regular(root, path->len == 0 ? "." : buf_cstr(path), out, err);
    if (found == FILE_IS_FOLDER && is_folder)
        return FILE_NONE; /* an index that is a folder */
    if (found != FILE_FOUND)
        return found;
    out->type = file_type(buf_span(path));
    try_precompressed(root, files, &head->fields, path, out);
    return FILE_FOUND;
}

enum file_found
file_open(const struct gate_location *location, const struct http_request *head,
    struct file_open *out, struct err *err)
{
    const struct gate_files *files = &location->files;
    enum file_found found = FILE_NONE;
    struct buf path;
    int root;

    *out = (struct file_open){.fd = -1};
    buf_init(&path, PATH_BYTES_MAX);
    if (!path_below(location->prefix, head->path, &path))
        goto out;
    root = open(files->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        (void)err_sys(err, "files root %s", files->root);
        (void)reach_explain(files->root, REACH_ROOT, err);
        found = FILE_FAILED;
        goto out;
    }
    found = find(root, files, head, &path, out, err);
    (void)close(root);
    if (found == FILE_FORBIDDEN)
        found = explain_refusal(files->root, buf_cstr(&path), err);
out:
    buf_fini(&path);
    return found;
}
