/*
 * What the verbs share: the way to a running wsgate.
 * Input: options, the configuration's `admin:`. Output: an answer, or a line on
 * stderr and an exit code.
 */
#include "wsgate/verb.h"

#include "shared/config_table.h"
#include "shared/control.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#define ELSEWHERE_HINT                                                         \
    "is it running? (--socket PATH, or -c FILE with admin:, for another "      \
    "place)"

struct place {
    char path[PATH_MAX]; /* "": the default is meant */
};

static void
put_text(FILE *to, const char *text)
{
    for (; *text != 0; text++)
        (void)fputc(
            (unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, to);
}

void
verb_print_text(const char *text)
{
    put_text(stdout, text);
}

void
verb_print_time(int64_t unix_s)
{
    char text[40] = "?";
    time_t at = (time_t)unix_s;
    struct tm parts;

    if (gmtime_r(&at, &parts) != NULL)
        (void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &parts);
    (void)fputs(text, stdout);
}

static int
complain(const char *text, int code)
{
    (void)fputs("wsgate: ", stderr);
    put_text(stderr, text);
    (void)fputc('\n', stderr);
    return code;
}

static int
fail(const struct err *err)
{
    return complain(err->text, err_exit_code(err));
}

/* ---- where it is ---------------------------------------------------------------- */

static bool
copy_path(struct span text, struct place *out, struct err *err)
{
    if (span_starts(text, SPAN_LIT("unix:")))
        text = span_from(text, 5);
    return span_to_cstr(text, out->path, sizeof(out->path)) ||
           err_set(err, ERR_CONFIG, "the socket's path is too long");
}

static const char *
environment(const char *name)
{
    return getenv(name);
}

/* Of the file only `admin:` counts: the rest may be wrong, and it is the
 * running one that must say so. */
static bool
read_config(const char *path, struct place *out, struct err *err)
{
    struct config_tree *tree = NULL;
    const struct config_node *node;
    bool ok = true;

    if (!config_tree_load(path, environment, &tree, err))
        return false;
    node = config_node_get(tree->root, "admin");
    if (node != NULL && node->kind == CONFIG_SCALAR) {
        ok = strcmp(node->text, "off") != 0
                 ? copy_path(span_str(node->text), out, err)
                 : config_fail(&node->mark, err,
                       "admin is off: there is no socket to ask at");
    }
    config_tree_free(tree);
    return ok;
}

/* systemd tells ExecReload= what it told the service. */
static void
set_default(struct place *out)
{
    struct span all = span_str(getenv("RUNTIME_DIRECTORY"));
    struct span first = span_sub(all, 0, span_find(all, ':'));
    int len = snprintf(
        out->path, sizeof(out->path), "%.*s/admin.sock", SPAN_FMT(first));

    if (first.len == 0 || len < 0 || (size_t)len >= sizeof(out->path))
        (void)snprintf(out->path, sizeof(out->path), VERB_ADMIN_PATH);
}

static bool
find(const struct cli_args *args, struct place *out, struct err *err)
{
    const char *socket = cli_value(args, "socket", NULL);
    const char *config = cli_value(args, "config", NULL);

    out->path[0] = 0;
    if (socket != NULL)
        return copy_path(span_str(socket), out, err);
    if (config != NULL && !read_config(config, out, err))
        return false;
    /* The file where it always is may be absent, or wrong just now. */
    if (config == NULL && !read_config(VERB_CONFIG_PATH, out, NULL))
        out->path[0] = 0;
    if (out->path[0] == 0)
        set_default(out);
    return true;
}

/* ---- asking ------------------------------------------------------------------------ */

static bool
is_nobody(const struct err *err)
{
    return err->kind == ERR_SYSTEM &&
           (err->sys_errno == ENOENT || err->sys_errno == ECONNREFUSED ||
               err->sys_errno == ENOTDIR);
}

static int
explain(const char *path, const char *word, const char *timeout,
    const struct err *err)
{
    struct err told = {0};

    if (is_nobody(err))
        (void)err_set(&told, ERR_TIMEOUT,
            "no wsgate listens at %s: " ELSEWHERE_HINT, path);
    else if (err_exit_code(err) == EX_NOPERM)
        (void)err_set(&told, ERR_SYSTEM,
            "%s: no permission: you need to be in group wsgate or root", path);
    else if (err->kind == ERR_TIMEOUT)
        (void)err_set(&told, ERR_TIMEOUT,
            "%s: no answer within %s; the %s may still be under way there",
            path, timeout, word);
    else
        (void)err_set(&told, ERR_TIMEOUT, "%s: %s", path, err->text);
    return complain(
        told.text, err_exit_code(err) == EX_NOPERM ? EX_NOPERM : EX_TEMPFAIL);
}

/* An answer that is no success: its own text and code. */
static int
judge(const json_t *answer, const char *failed)
{
    const char *text = json_string_value(json_object_get(answer, "error"));
    json_int_t code = json_integer_value(json_object_get(answer, "exit"));
    struct err told = {0};

    if (json_is_true(json_object_get(answer, "ok")))
        return EX_OK;
    (void)err_set(&told, ERR_REJECTED, "%s: %s", failed,
        text == NULL ? "no reason was given" : text);
    return complain(told.text,
        code >= EX__BASE && code <= EX__MAX ? (int)code : EX_SOFTWARE);
}

int
verb_ask(const struct cli_args *args, const char *word, const char *timeout,
    const char *failed, json_t **answer)
{
    struct err err = {0};
    struct place place;
    int64_t timeout_ms = 0;
    json_t *request;
    bool ok;
    int code;

    timeout = cli_value(args, "timeout", timeout);
    if (!config_parse_duration(span_str(timeout), &timeout_ms) ||
        timeout_ms <= 0)
        return complain(
            "--timeout is no time; expected 500ms, 60s or 2m", EX_USAGE);
    if (!find(args, &place, &err))
        return fail(&err);
    request = json_pack("{s:s}", "do", word);
    ok = request != NULL
             ? control_call(place.path, request, timeout_ms, answer, &err)
             : err_memory(&err);
    json_decref(request);
    if (!ok)
        return explain(place.path, word, timeout, &err);
    code = judge(*answer, failed);
    if (code != EX_OK)
        json_decref(*answer);
    return code;
}
