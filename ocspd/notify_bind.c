/*
 * The rows of `publish:` and the certificates found -> outputs.
 * Input: the configuration, targets. Output: the station's outputs, those whose
 * row or certificate is gone marked.
 */
#include "ocspd/notify_private.h"

#include "shared/log.h"
#include "shared/now.h"

#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- outputs and their sources ------------------------------------------ */

struct source *
notify_find_source(const struct notify *notify, const char *path)
{
    struct source *source = NULL;

    HASH_FIND_STR(notify->sources, path, source);
    return source;
}

static struct source *
need_source(struct notify *notify, const char *path)
{
    struct source *source = notify_find_source(notify, path);

    if (source != NULL)
        return source;
    source = calloc(1, sizeof(*source));
    if (source == NULL || (source->path = strdup(path)) == NULL) {
        free(source);
        return NULL;
    }
    list_init(&source->outputs);
    HASH_ADD_KEYPTR(
        hh, notify->sources, source->path, strlen(source->path), source);
    return source;
}

static void
set_source(struct output *output, struct source *source)
{
    list_remove(&output->in_source);
    list_add_last(&source->outputs, &output->in_source);
    output->source = source;
}

static void
output_free(struct output *output)
{
    list_remove(&output->in_source);
    free(output->key);
    free(output->file);
    free(output->socket);
    free(output->changed);
    free(output);
}

void
notify_drop(struct notify *notify, struct output *output)
{
    HASH_DEL(notify->outputs, output);
    output_free(output);
}

/* What an earlier run, or an earlier row, left there is not known. */
static void
forget(struct output *output)
{
    output->form++;
    output->is_known = false;
    output->unknown_ms = now_boot_ms();
    memset(&output->has, 0, sizeof(output->has));
    output->told[0] = '\0';
}

/* What is written is known by its file, whichever certificate it is for: some
 * clients number theirs. New. */
static char *
make_key(
    const struct ocspd_publish *row, const char *file, const char *cert_path)
{
    char *key = NULL;

    if (file != NULL)
        return strdup(file);
    if (asprintf(&key, "%s %s %s", publish_kind_words[row->kind], row->changed,
            cert_path) < 0)
        return NULL;
    return key;
}

static struct output *
need_output(struct notify *notify, const struct ocspd_publish *row, char *key)
{
    struct output *output = NULL;

    HASH_FIND_STR(notify->outputs, key, output);
    if (output != NULL)
        return output;
    output = calloc(1, sizeof(*output));
    if (output == NULL || (output->key = strdup(key)) == NULL) {
        free(output);
        return NULL;
    }
    list_init(&output->in_source);
    output->word = row->kind;
    output->kind = &notify_kinds[row->kind];
    forget(output);
    HASH_ADD_KEYPTR(
        hh, notify->outputs, output->key, strlen(output->key), output);
    return output;
}

static bool
replace_text(char **to, const char *text)
{
    char *copy = text == NULL ? NULL : strdup(text);

    if (text != NULL && copy == NULL)
        return false;
    free(*to);
    *to = copy;
    return true;
}

static bool
is_same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* What its row says now. */
static bool
follow_row(
    struct output *output, const struct ocspd_publish *row, const char *file)
{
    if (output->word != row->kind || output->mode != ocspd_publish_mode(row) ||
        !is_same_text(output->socket, row->socket))
        forget(output);
    output->word = row->kind;
    output->kind = &notify_kinds[row->kind];
    output->mode = ocspd_publish_mode(row);
    return replace_text(&output->file, file) &&
           replace_text(&output->socket, row->socket) &&
           replace_text(&output->changed, row->changed);
}

/* ---- the configuration's rows ------------------------------------------- */

static const char *
default_dir(char out[PATH_MAX])
{
    const char *given = getenv("RUNTIME_DIRECTORY"); /* systemd's; a list */
    struct span rest = span_str(given == NULL ? "" : given), first;

    if (!span_split(&rest, ':', &first) || first.len == 0 ||
        first.len > PATH_MAX - sizeof("/changed"))
        return "/run/ocspd/changed";
    (void)snprintf(out, PATH_MAX, "%.*s/changed", (int)first.len,
        (const char *)first.data);
    return out;
}

bool
notify_bind_begin(struct notify *notify, const struct ocspd_config *config)
{
    char dir[PATH_MAX];
    struct output *output, *next;

    notify->bind++;
    if (!is_same_text(notify->spool, config->spool))
        HASH_ITER(hh, notify->outputs, output, next)
    forget(output); /* snippets name the folder */
    return replace_text(&notify->spool, config->spool) &&
           notify_marks_configure(notify->marks,
               config->changed_dir != NULL ? config->changed_dir
                                           : default_dir(dir),
               config->changed_interval_ms);
}

static void
clash(struct notify *notify, struct output *output, const char *cert_path)
{
    bool is_said = output->clash + 1 >= notify->bind;

    output->clash = notify->bind;
    if (is_said)
        return;
    log_error("two certificates would be published in one file, the first one "
              "is: %n in its name stands for the certificate's file name",
        LOG_S("file", output->file), LOG_S("first", output->source->path),
        LOG_S("second", cert_path));
}

/* Beside its chain may be its key. */
static bool
is_certificate(const char *file, const char *cert_path)
{
    if (file == NULL || strcmp(file, cert_path) != 0)
        return false;
    log_error("not published: it would overwrite the certificate itself",
        LOG_S("file", file));
    return true;
}

static bool
bind_file(struct notify *notify, const struct ocspd_publish *row,
    const char *file, const char *cert_path, bool is_orphan)
{
    char *key = make_key(row, file, cert_path);
    struct source *source = need_source(notify, cert_path);
    struct output *output = NULL;
    bool ok = key != NULL && source != NULL &&
              (file != NULL || row->file == NULL) &&
              (output = need_output(notify, row, key)) != NULL;

    if (ok && output->bind == notify->bind) {
        if (!is_orphan)
            clash(notify, output, cert_path);
    } else if (ok) {
        output->bind = notify->bind;
        output->is_dropped = false;
        output->is_orphan = is_orphan;
        set_source(output, source);
        ok = follow_row(output, row, file);
    }
    free(key);
    return ok;
}

static bool
bind_row(struct notify *notify, const struct ocspd_publish *row,
    const char *cert_path, bool is_orphan)
{
    char *file = ocspd_publish_file(row, cert_path);
    bool ok = is_certificate(file, cert_path) ||
              bind_file(notify, row, file, cert_path, is_orphan);

    free(file);
    return ok;
}

/* contrib/hooks/deploy-pair: NAME.new.pem becomes NAME.pem once it is stapled.
 * Its outputs would be found beside those of the pair in use. */
static bool
is_to_be_put_in_use(const char *cert_path)
{
    return span_ends(span_str(cert_path), SPAN_LIT(".new.pem"));
}

bool
notify_bind(struct notify *notify, const struct target *target)
{
    const struct ocspd_publish *rows = target->rule.publish.items;

    if (is_to_be_put_in_use(target->path))
        return true;
    for (size_t i = 0; i < target->rule.publish.count; i++)
        if (!bind_row(notify, &rows[i], target->path, false))
            return false;
    return true;
}

void
notify_bind_keep(struct notify *notify, const char *cert_path)
{
    struct source *source = notify_find_source(notify, cert_path);

    if (source == NULL)
        return;
    LIST_EACH(&source->outputs, it)
    LIST_ENTRY(it, struct output, in_source)->bind = notify->bind;
}

/* Does the row care for certificates at this path? */
static bool
is_row_of(const struct ocspd_cert_row *row, const char *path)
{
    size_t len = strlen(row->path);

    return strcmp(row->path, path) == 0 ||
           (strncmp(row->path, path, len) == 0 && path[len] == '/') ||
           fnmatch(row->path, path, FNM_PATHNAME) == 0;
}

static bool
makes(const struct ocspd_cert_row *row, const struct output *output)
{
    const struct ocspd_publish *items = row->rule.publish.items;
    bool found = false;

    for (size_t i = 0; !found && i < row->rule.publish.count; i++) {
        char *file = ocspd_publish_file(&items[i], output->source->path);
        char *key = make_key(&items[i], file, output->source->path);

        found = key != NULL && strcmp(key, output->key) == 0;
        free(key);
        free(file);
    }
    return found;
}

static bool
has_row(const struct ocspd_config *config, const struct output *output)
{
    const struct ocspd_cert_row *rows = config->certificates.items;

    for (size_t i = 0; i < config->certificates.count; i++)
        if (is_row_of(&rows[i], output->source->path) &&
            makes(&rows[i], output))
            return true;
    return false;
}

void
notify_bind_end(struct notify *notify, const struct ocspd_config *config)
{
    struct output *output, *next;

    HASH_ITER(hh, notify->outputs, output, next)
    {
        if (output->bind == notify->bind)
            continue;
        output->is_orphan = has_row(config, output);
        output->is_dropped = !output->is_orphan;
    }
}

void
notify_bind_lost(struct notify *notify, const struct ocspd_config *config,
    const char *cert_path)
{
    const struct ocspd_cert_row *rows = config->certificates.items;

    for (size_t i = 0; i < config->certificates.count; i++) {
        const struct ocspd_publish *items = rows[i].rule.publish.items;

        for (size_t k = 0;
             is_row_of(&rows[i], cert_path) && k < rows[i].rule.publish.count;
             k++)
            (void)bind_row(notify, &items[k], cert_path, true);
    }
}
