/*
 * What the verbs share: options and operands -> a configuration.
 * Input: the command line, maybe a file. Output: struct ocspd_config.
 */
#include "ocspd/verb.h"

#include "shared/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { COMPLAINT_MAX = 4096 /* ours: two paths and some sentences */ };

/* Relative paths of the command line start at the working folder. */
static const struct config_mark command_line = {"command line", 1, 1};

/* A terminal obeys what names of certificates may hold. */
static void
make_plain(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

void
verb_complain(const char *fmt, ...)
{
    char text[COMPLAINT_MAX];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    make_plain(text);
    (void)fprintf(stderr, "ocspd: %s\n", text);
}

void
verb_complain_no_spool(const char *path)
{
    verb_complain("the spool %s does not exist: is ocspd running? (systemctl "
                  "status ocspd) `systemd-tmpfiles --create ocspd.conf` makes "
                  "the folder; -c or --spool name another",
        path);
}

/* ---- the options that replace a rule ------------------------------------ */

static bool
replace_string(char **to, const char *value)
{
    char *copy = strdup(value);

    if (copy == NULL)
        return false;
    free(*to);
    *to = copy;
    return true;
}

static bool
replace_path(char **to, const char *value)
{
    char *path = config_resolve_path(&command_line, value);

    if (path == NULL)
        return false;
    free(*to);
    *to = path;
    return true;
}

/* False: memory. */
static bool
replace_rule(const struct cli_args *args, struct ocspd_rule *rule)
{
    const char *issuer = cli_value(args, "issuer", NULL);
    const char *responder = cli_value(args, "responder", NULL);
    const char *signers = cli_value(args, "signers", NULL);
    const char *proxy = cli_value(args, "proxy", NULL);

    return (issuer == NULL || replace_path(&rule->issuer, issuer)) &&
           (responder == NULL || replace_string(&rule->responder, responder)) &&
           (signers == NULL || replace_path(&rule->signers, signers)) &&
           (proxy == NULL || replace_string(&rule->proxy, proxy));
}

static bool
allow_address(struct config_strings *ranges, const char *text)
{
    char **items = realloc(ranges->items, (ranges->count + 1) * sizeof(*items));
    struct config_mark *marks;

    if (items == NULL)
        return false;
    ranges->items = items;
    marks = realloc(ranges->marks, (ranges->count + 1) * sizeof(*marks));
    if (marks == NULL)
        return false;
    ranges->marks = marks;
    items[ranges->count] = strdup(text);
    if (items[ranges->count] == NULL)
        return false;
    marks[ranges->count++] = command_line;
    return true;
}

static bool
apply_rule_options(const struct cli_args *args, struct ocspd_config *config)
{
    struct ocspd_cert_row *rows = config->certificates.items;
    int count = 0;
    const char *const *ranges = cli_values(args, "allow-address", &count);

    if (!replace_rule(args, &config->defaults))
        return false;
    for (size_t i = 0; i < config->certificates.count; i++)
        if (!replace_rule(args, &rows[i].rule))
            return false;
    for (int i = 0; i < count; i++)
        if (!allow_address(&config->fetch.allow_addresses, ranges[i]))
            return false;
    return true;
}

/* ---- operands ----------------------------------------------------------- */

static bool
is_configured(const struct ocspd_config *config, const char *path)
{
    const struct ocspd_cert_row *rows = config->certificates.items;

    for (size_t i = 0; i < config->certificates.count; i++)
        if (strcmp(rows[i].path, path) == 0)
            return true;
    return false;
}

/* At the end: what the file's own rows say of a certificate comes first. */
static bool
add_row(struct ocspd_config *config, const char *operand)
{
    struct config_list *list = &config->certificates;
    char *path = config_resolve_path(&command_line, operand);
    struct ocspd_cert_row *rows;

    if (path == NULL)
        return false;
    if (is_configured(config, path)) {
        free(path);
        return true;
    }
    rows = realloc(list->items, (list->count + 1) * sizeof(*rows));
    if (rows == NULL) {
        free(path);
        return false;
    }
    list->items = rows;
    memset(&rows[list->count], 0, sizeof(*rows));
    rows[list->count].path = path;
    rows[list->count].mark = command_line;
    rows[list->count].rule.on_revoked = config->defaults.on_revoked;
    rows[list->count].rule.allow_weak = config->defaults.allow_weak;
    rows[list->count].rule.strict = config->defaults.strict;
    rows[list->count].rule.max_age_ms = config->defaults.max_age_ms;
    list->count++;
    return true;
}

static bool
load(const struct cli_args *args, struct verb_config *out, struct err *err)
{
    const char *spool = cli_value(args, "spool", NULL);

    out->path = cli_value(args, "config", NULL);
    if (out->path == NULL && spool == NULL &&
        (args->count == 0 || access(VERB_CONFIG_PATH, R_OK) == 0))
        out->path = VERB_CONFIG_PATH;
    if (out->path == NULL)
        return ocspd_config_make(
            spool, args->operands, args->count, &out->config, err);
    if (!ocspd_config_load(out->path, &out->config, err))
        return false;
    for (int i = 0; i < args->count; i++)
        if (!add_row(out->config, args->operands[i]))
            return err_memory(err);
    return true;
}

int
verb_load_config(
    const struct cli_args *args, bool has_rule_options, struct verb_config *out)
{
    struct err err = {0};

    *out = (struct verb_config){NULL, NULL};
    if (cli_has(args, "config") && cli_has(args, "spool")) {
        verb_complain("either --config or --spool: the file names the spool");
        return EX_USAGE;
    }
    if (load(args, out, &err) &&
        (!has_rule_options || apply_rule_options(args, out->config) ||
            err_memory(&err)))
        return EX_OK;
    verb_complain("%s", err.text);
    ocspd_config_free(out->config);
    out->config = NULL;
    if (err.kind == ERR_SYSTEM && err.sys_errno == EACCES)
        return EX_NOPERM;
    /* a file that is not there is a mistake of configuration, too */
    return err.kind == ERR_SYSTEM ? EX_CONFIG : err_exit_code(&err);
}

static bool
is_at_or_below(const char *path, const char *top)
{
    size_t len = strlen(top);

    return strncmp(path, top, len) == 0 &&
           (path[len] == '\0' || path[len] == '/');
}

static bool
is_same_certificate(const char *path, const char *fp)
{
    char found[CERT_FINGERPRINT_SIZE];
    struct cert_chain chain = {0};
    bool same;

    if (!cert_file_load(path, &chain, NULL))
        return false;
    same = cert_fingerprint(chain.leaf, found, NULL) && strcmp(found, fp) == 0;
    cert_chain_fini(&chain);
    return same;
}

bool
verb_names(const char *operand, const struct target *target)
{
    char *path = config_resolve_path(&command_line, operand);
    bool named = path != NULL && (is_at_or_below(target->path, path) ||
                                     is_same_certificate(path, target->fp));

    free(path);
    return named;
}

bool
verb_is_named(const struct cli_args *args, const struct target *target)
{
    for (int i = 0; i < args->count; i++)
        if (verb_names(args->operands[i], target))
            return true;
    return false;
}

/* ---- printing ----------------------------------------------------------- */

void
verb_print_text(const char *text)
{
    for (; text != NULL && *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        (void)putchar(c < 0x20 || c == 0x7f ? '?' : c);
    }
}

void
verb_print_time(int64_t unix_s)
{
    time_t t = (time_t)unix_s;
    char text[32] = "-";
    struct tm tm;

    if (unix_s != 0 && gmtime_r(&t, &tm) != NULL)
        (void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm);
    (void)fputs(text, stdout);
}
