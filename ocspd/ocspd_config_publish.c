/*
 * The rows of `publish:`, what each kind wants and refuses, and its file names.
 * Input: what config_table filled. Output: complaints with their places, paths.
 */
#include "ocspd/ocspd_config_publish.h"

#include "shared/buf.h"
#include "shared/span.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

const char *const publish_kind_words[] = {
    [PUBLISH_FILE] = "file",
    [PUBLISH_NGINX] = "nginx",
    [PUBLISH_HAPROXY] = "haproxy",
    [PUBLISH_CHANGED] = "changed",
    [PUBLISH_KINDS] = NULL,
};

#define AT(field) offsetof(struct ocspd_publish, field)
/* clang-format off */
const struct config_row ocspd_publish_rows[] = {
    {.name = "type", .type = CONF_ENUM, .offset = AT(kind),
     .words = publish_kind_words, .required = true,
     .help = "What is written: the response as a file, a snippet for nginx,"
             " HAProxy's file and socket, or nothing but changed:."},
    {.name = "file", .type = CONF_PATH, .offset = AT(file),
     .help = "Where it is written; %n in the name is the certificate's file"
             " name without .pem."},
    {.name = "socket", .type = CONF_PATH, .offset = AT(socket),
     .help = "HAProxy's admin socket (level admin)."},
    {.name = "changed", .type = CONF_STRING, .offset = AT(changed),
     .help = "NAME in the folder of changes that is touched afterwards."},
    {.name = "mode", .type = CONF_STRING, .offset = AT(mode),
     .fallback = "0644", .help = "Octal mode of the file."},
    {0},
};
/* clang-format on */

/* What a kind makes of its keys. */
static const struct {
    bool has_file;
    bool has_socket;
    bool needs_changed;
    const char *ending; /* of the file's name; NULL: any */
    const char *why;
} kinds[PUBLISH_KINDS] = {
    [PUBLISH_FILE] = {.has_file = true},
    [PUBLISH_NGINX] = {.has_file = true},
    [PUBLISH_HAPROXY] = {.has_file = true,
        .has_socket = true,
        .ending = ".ocsp",
        .why = "HAProxy reads PEM.ocsp beside its PEM file"},
    [PUBLISH_CHANGED] = {.needs_changed = true},
};

/* ---- file names --------------------------------------------------------- */

static const char *
name_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

/* "%n" and "%%" are all there is, and only in the name: the folder is what
 * rights are given to. */
static bool
has_good_escapes(const char *path)
{
    const char *name = name_of(path);

    for (const char *at = strchr(path, '%'); at != NULL;
         at = strchr(at + 2, '%'))
        if (at < name || (at[1] != 'n' && at[1] != '%'))
            return false;
    return true;
}

static struct span
stem_of(const char *cert_path)
{
    static const char *const endings[] = {".pem", ".crt", ".cer", ".der"};
    struct span name = span_str(name_of(cert_path));

    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        struct span ending = span_str(endings[i]);

        if (name.len > ending.len && span_ends(name, ending))
            return span_make(name.data, name.len - ending.len);
    }
    return name;
}

char *
ocspd_publish_file(const struct ocspd_publish *row, const char *cert_path)
{
    struct buf out;
    char *copy = NULL;
    bool ok = row->file != NULL;

    buf_init(&out, PATH_MAX);
    for (const char *at = row->file; ok && *at != '\0'; at++) {
        if (*at == '%' && at[1] == 'n')
            ok = buf_add(&out, stem_of(cert_path));
        else
            ok = buf_add_byte(&out, (unsigned char)*at);
        if (*at == '%')
            at++;
    }
    if (ok)
        copy = strdup(buf_cstr(&out));
    buf_fini(&out);
    return copy;
}

mode_t
ocspd_publish_mode(const struct ocspd_publish *row)
{
    return (mode_t)strtoul(row->mode, NULL, 8) & 0777;
}

/* ---- checks ------------------------------------------------------------- */

static bool
check_keys(const struct ocspd_publish *row, struct err *err)
{
    const char *word = publish_kind_words[row->kind];
    const bool has_file = kinds[row->kind].has_file;

    if (has_file && row->file == NULL)
        return config_fail(
            &row->mark, err, "publish: type %s needs file:", word);
    if (!has_file && row->file != NULL)
        return config_fail(
            &row->mark, err, "publish: type %s takes no file:", word);
    if (!kinds[row->kind].has_socket && row->socket != NULL)
        return config_fail(
            &row->mark, err, "publish: type %s takes no socket:", word);
    if (kinds[row->kind].needs_changed && row->changed == NULL)
        return config_fail(
            &row->mark, err, "publish: type %s needs changed: NAME", word);
    return true;
}

static bool
check_file(const struct ocspd_publish *row, struct err *err)
{
    const char *name = row->file == NULL ? NULL : name_of(row->file);
    const char *ending = kinds[row->kind].ending;

    if (name == NULL)
        return true;
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return config_fail(
            &row->mark, err, "publish: file: '%s' names no file", row->file);
    if (!has_good_escapes(row->file))
        return config_fail(&row->mark, err,
            "publish: file: '%s': %%n (the certificate's file name) and %%%% "
            "may stand in the last part, and nothing else behind a %%",
            row->file);
    if (ending != NULL && (strlen(name) <= strlen(ending) ||
                              !span_ends(span_str(name), span_str(ending))))
        return config_fail(&row->mark, err,
            "publish: file: '%s' must end in %s: %s", row->file, ending,
            kinds[row->kind].why);
    return true;
}

static bool
check_socket(const struct ocspd_publish *row, struct err *err)
{
    struct sockaddr_un address;

    if (row->socket == NULL || strlen(row->socket) < sizeof(address.sun_path))
        return true;
    return config_fail(&row->mark, err,
        "publish: socket: '%s' is longer than the %zu bytes of a socket's path",
        row->socket, sizeof(address.sun_path) - 1);
}

static bool
check_changed(const struct ocspd_publish *row, struct err *err)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    const char *name = row->changed;

    if (name == NULL || (name[0] != '\0' && name[0] != '.' &&
                            strlen(name) <= PUBLISH_NAME_MAX &&
                            name[strspn(name, safe)] == '\0'))
        return true;
    return config_fail(&row->mark, err,
        "publish: changed: '%.100s' is no name: letters, digits, _ . and -, no "
        "dot in front, at most %d",
        name, PUBLISH_NAME_MAX);
}

static bool
check_mode(const struct ocspd_publish *row, struct err *err)
{
    uint64_t ignored;

    if (strspn(row->mode, "01234567") == strlen(row->mode) &&
        span_to_u64(span_str(row->mode), 777, &ignored))
        return true;
    return config_fail(&row->mark, err,
        "publish: mode: '%.100s'; expected an octal mode such as 0644",
        row->mode);
}

bool
ocspd_publish_check(const struct config_list *list, struct err *err)
{
    const struct ocspd_publish *rows = list->items;

    for (size_t i = 0; i < list->count; i++)
        if (!check_keys(&rows[i], err) || !check_file(&rows[i], err) ||
            !check_socket(&rows[i], err) || !check_changed(&rows[i], err) ||
            !check_mode(&rows[i], err))
            return false;
    return true;
}

bool
ocspd_publish_outside(
    const struct ocspd_publish *row, const char *spool, struct err *err)
{
    size_t len = strlen(spool);

    while (len > 0 && spool[len - 1] == '/')
        len--;
    if (strncmp(row->file, spool, len) != 0 || row->file[len] != '/' ||
        strchr(row->file + len + 1, '/') != NULL)
        return true;
    return config_fail(&row->mark, err,
        "publish: file: '%s' is in the spool, where nothing else may be: name "
        "another folder",
        row->file);
}

bool
ocspd_publish_spares(
    const struct ocspd_publish *row, const char *cert_path, struct err *err)
{
    char *file = ocspd_publish_file(row, cert_path);
    bool ok;

    if (file == NULL)
        return err_memory(err);
    ok =
        strcmp(file, cert_path) != 0 ||
        config_fail(&row->mark, err,
            "publish: file: '%s' would overwrite the certificate itself", file);
    free(file);
    return ok;
}

/* ---- copies ------------------------------------------------------------- */

static bool
copy_text(char **to, const char *from)
{
    *to = from == NULL ? NULL : strdup(from);
    return from == NULL || *to != NULL;
}

bool
ocspd_publish_copy(
    const struct config_list *from, struct config_list *to, struct err *err)
{
    const struct ocspd_publish *rows = from->items;
    struct ocspd_publish *copies;

    if (from->count == 0)
        return true;
    copies = calloc(from->count, sizeof(*copies));
    if (copies == NULL)
        return err_memory(err);
    *to = (struct config_list){copies, from->count};
    for (size_t i = 0; i < from->count; i++) {
        copies[i].kind = rows[i].kind;
        copies[i].mark = rows[i].mark;
        if (!copy_text(&copies[i].file, rows[i].file) ||
            !copy_text(&copies[i].socket, rows[i].socket) ||
            !copy_text(&copies[i].changed, rows[i].changed) ||
            !copy_text(&copies[i].mode, rows[i].mode))
            return err_memory(err); /* the table frees what there is */
    }
    return true;
}
