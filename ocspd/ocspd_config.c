/*
 * The directives of ocspd.yaml(5) as a table, their defaults and the checks
 * that no single row can make. Input: files, or the words of a command line.
 * Output: struct ocspd_config, const from then on.
 */
#include "ocspd/ocspd_config.h"

#include "shared/cidr.h"
#include "shared/log.h"

#include <stdlib.h>
#include <string.h>

static const char *const on_revoked_words[] = {
    [ON_REVOKED_WITHDRAW] = "withdraw",
    [ON_REVOKED_PUBLISH] = "publish",
    [ON_REVOKED_KEEP] = "keep",
    NULL,
};
static const char *const log_format_words[] = {
    [LOG_FORMAT_TEXT] = "text",
    [LOG_FORMAT_JSON] = "json",
    NULL,
};
static const char *const log_level_words[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARN] = "warning",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
    NULL,
};

/* ---- rows ---------------------------------------------------------------- */

#define IN(section, field)                                                     \
    (offsetof(struct ocspd_config, section.field) -                            \
        offsetof(struct ocspd_config, section))
#define NO_MARKS .mark_offset = CONF_NONE, .set_offset = CONF_NONE

/* The keys of struct ocspd_rule at `at`; the defaults hold only in
 * `defaults:`, a row without the key takes what stands there. */
#define RULE(field) (offsetof(struct ocspd_rule, field))
/* clang-format off */
#define RULE_ROWS(at, d_proxy, d_revoked, d_bool, d_age)                       \
    {.name = "issuer", .type = CONF_PATH, .offset = (at) + RULE(issuer),       \
     .help = "File or folder of CA certificates to find the issuer in, beside" \
             " the certificate's own file."},                                  \
    {.name = "responder", .type = CONF_STRING,                                 \
     .offset = (at) + RULE(responder),                                         \
     .help = "URL to ask instead of the certificate's own; \"\" asks nobody."},\
    {.name = "signers", .type = CONF_PATH, .offset = (at) + RULE(signers),     \
     .help = "File of certificates that may sign OCSP responses for this"      \
             " issuer without having been issued by it."},                     \
    {.name = "proxy", .type = CONF_STRING, .offset = (at) + RULE(proxy),       \
     .fallback = d_proxy, .secret = true,                                      \
     .help = "URL of the proxy to responders (http, https, socks4, socks4a,"   \
             " socks5, socks5h), or none."},                                   \
    {.name = "on_revoked", .type = CONF_ENUM,                                  \
     .offset = (at) + RULE(on_revoked), .fallback = d_revoked,                 \
     .words = on_revoked_words,                                                \
     .help = "What becomes of the staple of a revoked certificate: withdraw"   \
             " it, publish the revoked response, keep the last good one."},    \
    {.name = "allow_weak", .type = CONF_BOOL,                                  \
     .offset = (at) + RULE(allow_weak), .fallback = d_bool,                    \
     .help = "Accept SHA-1 signatures and RSA keys below 2048 bits."},         \
    {.name = "strict", .type = CONF_BOOL, .offset = (at) + RULE(strict),       \
     .fallback = d_bool,                                                       \
     .help = "Refuse a delegated signer without ocsp-nocheck."},               \
    {.name = "max_age", .type = CONF_DURATION,                                 \
     .offset = (at) + RULE(max_age_ms), .fallback = d_age, .min = "off",       \
     .max = "14d",                                                             \
     .help = "How long a response without nextUpdate counts from its"          \
             " thisUpdate; off refuses it."},                                  \
    {.name = "publish", .type = CONF_LIST, .offset = (at) + RULE(publish),     \
     .rows = ocspd_publish_rows, .item_size = sizeof(struct ocspd_publish),    \
     .key_offset = CONF_NONE,                                                  \
     .mark_offset = offsetof(struct ocspd_publish, mark),                      \
     .set_offset = CONF_NONE,                                                  \
     .help = "What is written for other servers, and whom to tell."}

static const struct config_row log_rows[] = {
    {.name = "format", .type = CONF_ENUM, .offset = IN(log, format),
     .fallback = "text", .words = log_format_words,
     .help = "Lines of key=value or JSON objects."},
    {.name = "level", .type = CONF_ENUM, .offset = IN(log, level),
     .fallback = "info", .words = log_level_words,
     .help = "The least urgent events that are logged."},
    {0},
};
static const struct config_row fetch_rows[] = {
    {.name = "connect_timeout", .type = CONF_DURATION,
     .offset = IN(fetch, connect_timeout_ms), .fallback = "5s",
     .min = "100ms", .max = "60s",
     .help = "Until the connection stands, name lookup included."},
    {.name = "timeout", .type = CONF_DURATION,
     .offset = IN(fetch, timeout_ms), .fallback = "15s", .min = "100ms",
     .max = "5m", .help = "For a whole request."},
    {.name = "max_transfers", .type = CONF_INT,
     .offset = IN(fetch, max_transfers), .fallback = "16", .min = "1",
     .max = "256", .help = "Requests at the same time."},
    {.name = "max_per_responder", .type = CONF_INT,
     .offset = IN(fetch, max_per_responder), .fallback = "2", .min = "1",
     .max = "64", .help = "Of them to one responder."},
    {.name = "probe_interval", .type = CONF_DURATION,
     .offset = IN(fetch, probe_interval_ms), .fallback = "12h", .min = "1s",
     .max = "7d",
     .help = "Ask at least this often, for early news of a revocation"
             " (must-staple certificates: at least hourly)."},
    {.name = "min_interval", .type = CONF_DURATION,
     .offset = IN(fetch, min_interval_ms), .fallback = "60s", .min = "1s",
     .max = "1h", .help = "At least this long between two requests for one"
                          " certificate."},
    {.name = "public_only", .type = CONF_BOOL,
     .offset = IN(fetch, public_only), .fallback = "false",
     .help = "Refuse responders at private addresses (RFC 1918, ULA) too."},
    {0},
};
static const struct config_row defaults_rows[] = {
    RULE_ROWS(0, "none", "withdraw", "false", "off"),
    {0},
};
static const struct config_row certificate_rows[] = {
    {.name = "path", .type = CONF_PATH,
     .offset = offsetof(struct ocspd_cert_row, path), .required = true,
     .help = "Certificate file (PEM or DER), folder or pattern."},
    RULE_ROWS(offsetof(struct ocspd_cert_row, rule), NULL, NULL, NULL, NULL),
    {0},
};

/* `certificates: [a.pem]` for `certificates: [{path: a.pem}]`. */
static bool
parse_certificate(const struct config_node *node, void *field, struct err *err)
{
    struct ocspd_cert_row *row = field;

    if (node->kind != CONFIG_SCALAR || node->text == NULL ||
        node->text[0] == '\0')
        return config_fail(&node->mark, err,
            "a certificate is a path, or a mapping with path:");
    row->path = config_resolve_path(&node->mark, node->text);
    row->mark = node->mark;
    return row->path != NULL || err_memory(err);
}

const struct config_row ocspd_config_rows[] = {
    {.name = "spool", .type = CONF_PATH,
     .offset = offsetof(struct ocspd_config, spool),
     .fallback = "/var/spool/ocspd",
     .help = "Folder the responses are kept in."},
    {.name = "changed_dir", .type = CONF_PATH,
     .offset = offsetof(struct ocspd_config, changed_dir),
     .help = "Folder in which changed: NAME is touched."},
    {.name = "changed_interval", .type = CONF_DURATION,
     .offset = offsetof(struct ocspd_config, changed_interval_ms),
     .fallback = "60s", .min = "1s", .max = "1h",
     .help = "At least this long between two touches of one NAME."},
    {.name = "log", .type = CONF_SECTION,
     .offset = offsetof(struct ocspd_config, log), .rows = log_rows, NO_MARKS,
     .help = "What is logged, and how."},
    {.name = "fetch", .type = CONF_SECTION,
     .offset = offsetof(struct ocspd_config, fetch), .rows = fetch_rows,
     NO_MARKS, .help = "Limits of the requests to responders."},
    {.name = "allow_addresses", .type = CONF_STRINGS,
     .offset = offsetof(struct ocspd_config, fetch.allow_addresses),
     .help = "Networks of responders that would be refused otherwise:"
             " loopback, link-local."},
    {.name = "defaults", .type = CONF_SECTION,
     .offset = offsetof(struct ocspd_config, defaults),
     .rows = defaults_rows, NO_MARKS,
     .help = "Keys that hold for every certificate without its own."},
    {.name = "certificates", .type = CONF_LIST,
     .offset = offsetof(struct ocspd_config, certificates),
     .rows = certificate_rows, .item_size = sizeof(struct ocspd_cert_row),
     .key_offset = CONF_NONE,
     .mark_offset = offsetof(struct ocspd_cert_row, mark),
     .set_offset = CONF_NONE, .parse = parse_certificate,
     .help = "The certificates under care: paths, or mappings with path: and"
             " keys of their own."},
    {0},
};
/* clang-format on */

/* ---- rows over defaults -------------------------------------------------- */

struct ocspd_rule
ocspd_rule_over(const struct ocspd_rule *row, const struct ocspd_rule *defaults)
{
    struct ocspd_rule rule = *row;

    if (rule.issuer == NULL)
        rule.issuer = defaults->issuer;
    if (rule.responder == NULL)
        rule.responder = defaults->responder;
    if (rule.signers == NULL)
        rule.signers = defaults->signers;
    if (rule.proxy == NULL)
        rule.proxy = defaults->proxy;
    return rule;
}

static bool
is_given(const struct config_node *node, const char *key)
{
    const struct config_node *child = config_node_get(node, key);

    return child != NULL && !child->is_null; /* `key:` alone is no value */
}

/* A false, a 0 and the first word of an enum look like "not given" in a row:
 * the tree knows whether the key was there. `node`: the row's, or NULL. False:
 * memory. */
static bool
inherit(const struct config_node *node, const struct ocspd_rule *defaults,
    struct ocspd_rule *rule, struct err *err)
{
    if (!is_given(node, "on_revoked"))
        rule->on_revoked = defaults->on_revoked;
    if (!is_given(node, "allow_weak"))
        rule->allow_weak = defaults->allow_weak;
    if (!is_given(node, "strict"))
        rule->strict = defaults->strict;
    if (!is_given(node, "max_age"))
        rule->max_age_ms = defaults->max_age_ms;
    return is_given(node, "publish") ||
           ocspd_publish_copy(&defaults->publish, &rule->publish, err);
}

/* The node that row i was filled from: a mapping counts as a list of one. */
static const struct config_node *
certificate_node(const struct ocspd_config *config, size_t i)
{
    const struct config_node *list =
        config_node_get(config->tree->root, "certificates");

    if (list == NULL || list->kind != CONFIG_SEQUENCE)
        return list;
    return i < list->count ? list->items[i] : NULL;
}

/* ---- checks as a whole --------------------------------------------------- */

/* Scheme of the list, then a host; nothing that would not stand in a request
 * line. The rest is for libcurl to say. */
static bool
is_url(const char *text, const char *const *schemes)
{
    struct span url = span_str(text);

    for (size_t i = 0; i < url.len; i++)
        if (url.data[i] <= ' ' || url.data[i] >= 0x7f)
            return false;
    for (; *schemes != NULL; schemes++) {
        struct span scheme = span_str(*schemes);
        struct span host = span_from(url, scheme.len);

        if (span_istarts(url, scheme))
            return host.len > 0 && strchr("/?#:@", host.data[0]) == NULL;
    }
    return false;
}

static bool
check_responder(
    const char *url, const struct config_node *node, struct err *err)
{
    static const char *const schemes[] = {"http://", "https://", NULL};

    if (url == NULL || url[0] == '\0' ||
        (is_url(url, schemes) && strchr(url, '#') == NULL))
        return true;
    return config_fail(node != NULL ? &node->mark : NULL, err,
        "responder: '%s' is no http:// or https:// URL; \"\" asks nobody", url);
}

/* The value is not repeated in the error: it may hold a password. */
static bool
check_proxy(const char *url, const struct config_node *node, struct err *err)
{
    static const char *const schemes[] = {"http://", "https://", "socks4://",
        "socks4a://", "socks5://", "socks5h://", NULL};

    if (url == NULL || strcmp(url, "none") == 0 || is_url(url, schemes))
        return true;
    return config_fail(node != NULL ? &node->mark : NULL, err,
        "proxy: write none or a URL such as http://proxy.example.org:3128 "
        "(also https, socks4, socks4a, socks5, socks5h)");
}

/* An empty path would be resolved to the folder of the file. */
static bool
check_path(const struct config_node *row, struct err *err)
{
    const struct config_node *path = config_node_get(row, "path");

    if (path == NULL || path->text == NULL || path->text[0] != '\0')
        return true;
    return config_fail(&path->mark, err, "path: is empty");
}

static bool
check_rule(const struct ocspd_rule *rule, const struct config_node *node,
    struct err *err)
{
    return check_responder(
               rule->responder, config_node_get(node, "responder"), err) &&
           check_proxy(rule->proxy, config_node_get(node, "proxy"), err) &&
           ocspd_publish_check(&rule->publish, err);
}

static bool
check_addresses(const struct config_strings *ranges, struct err *err)
{
    struct cidr range;

    for (size_t i = 0; i < ranges->count; i++)
        if (!cidr_parse(span_str(ranges->items[i]), &range))
            return config_fail(&ranges->marks[i], err,
                "allow_addresses: '%s' is no address range such as "
                "127.0.0.0/8 or fd00::/8 (host bits must be zero)",
                ranges->items[i]);
    return true;
}

static int
compare_paths(const void *a, const void *b)
{
    const struct ocspd_cert_row *const *left = a;
    const struct ocspd_cert_row *const *right = b;
    int order = strcmp((*left)->path, (*right)->path);

    if (order != 0)
        return order;
    return (*left > *right) - (*left < *right); /* file order */
}

/* Sorted, so that ten thousand rows stay cheap. */
static bool
check_duplicates(const struct config_list *certificates, struct err *err)
{
    struct ocspd_cert_row *rows = certificates->items;
    size_t count = certificates->count;
    struct ocspd_cert_row **sorted = NULL;
    bool ok = true;

    if (count < 2)
        return true;
    sorted = calloc(count, sizeof(struct ocspd_cert_row *));
    if (sorted == NULL)
        return err_memory(err);
    for (size_t i = 0; i < count; i++)
        sorted[i] = &rows[i];
    qsort(sorted, count, sizeof(struct ocspd_cert_row *), compare_paths);
    for (size_t i = 1; ok && i < count; i++)
        if (strcmp(sorted[i - 1]->path, sorted[i]->path) == 0)
            ok = config_fail(&sorted[i]->mark, err,
                "%s is there already, at %s:%u:%u", sorted[i]->path,
                sorted[i - 1]->mark.file, sorted[i - 1]->mark.line,
                sorted[i - 1]->mark.column);
    free(sorted);
    return ok;
}

struct named_file {
    const struct ocspd_publish *item;
    const struct ocspd_cert_row *row;
};

static int
compare_files(const void *a, const void *b)
{
    const struct named_file *left = a, *right = b;
    int order = strcmp(left->item->file, right->item->file);

    if (order != 0)
        return order;
    return (left->row > right->row) - (left->row < right->row);
}

static bool
refuse_file(const struct named_file *first, const struct named_file *second,
    struct err *err)
{
    if (first->row == second->row)
        return config_fail(
            &second->item->mark, err, "publish: %s twice", second->item->file);
    return config_fail(&second->row->mark, err,
        "publish: %s would be written for %s, and for %s too (%s:%u:%u): %%n "
        "in "
        "its name stands for the certificate's file name",
        second->item->file, second->row->path, first->row->path,
        first->row->mark.file, first->row->mark.line, first->row->mark.column);
}

/* In the order of the rows. NULL: memory. */
static struct named_file *
list_files(const struct ocspd_config *config, size_t *count)
{
    const struct ocspd_cert_row *rows = config->certificates.items;
    struct named_file *files;
    size_t n = 0;

    for (size_t i = 0; i < config->certificates.count; i++)
        n += rows[i].rule.publish.count;
    files = calloc(n + 1, sizeof(*files));
    *count = 0;
    for (size_t i = 0; files != NULL && i < config->certificates.count; i++) {
        const struct ocspd_publish *items = rows[i].rule.publish.items;

        for (size_t k = 0; k < rows[i].rule.publish.count; k++)
            if (items[k].file != NULL)
                files[(*count)++] = (struct named_file){&items[k], &rows[i]};
    }
    return files;
}

/* One file for two certificates: they would overwrite each other. What a
 * pattern finds is seen when it is looked for. */
static bool
check_outputs(const struct ocspd_config *config, struct err *err)
{
    size_t count;
    struct named_file *files = list_files(config, &count);
    bool ok = true;

    if (files == NULL)
        return err_memory(err);
    qsort(files, count, sizeof(*files), compare_files);
    for (size_t i = 1; ok && i < count; i++)
        if (strcmp(files[i - 1].item->file, files[i].item->file) == 0 &&
            (files[i - 1].row == files[i].row ||
                strstr(files[i].item->file, "%n") == NULL))
            ok = refuse_file(&files[i - 1], &files[i], err);
    for (size_t i = 0; ok && i < count; i++)
        ok = ocspd_publish_outside(files[i].item, config->spool, err) &&
             ocspd_publish_spares(files[i].item, files[i].row->path, err);
    free(files);
    return ok;
}

/* Fills what rows inherit, then checks. */
static bool
finish(struct ocspd_config *config, struct err *err)
{
    struct ocspd_cert_row *rows = config->certificates.items;

    if (!check_rule(&config->defaults,
            config_node_get(config->tree->root, "defaults"), err) ||
        !check_addresses(&config->fetch.allow_addresses, err))
        return false;
    for (size_t i = 0; i < config->certificates.count; i++) {
        const struct config_node *node = certificate_node(config, i);

        if (!inherit(node, &config->defaults, &rows[i].rule, err) ||
            !check_path(node, err) || !check_rule(&rows[i].rule, node, err))
            return false;
    }
    return check_duplicates(&config->certificates, err) &&
           check_outputs(config, err);
}

/* ---- life ---------------------------------------------------------------- */

void
ocspd_config_free(struct ocspd_config *config)
{
    if (config == NULL)
        return;
    config_table_fini(ocspd_config_rows, config);
    config_tree_free(config->tree);
    free(config);
}

static const char *
env_get(const char *name)
{
    return getenv(name);
}

bool
ocspd_config_load(const char *path, struct ocspd_config **out, struct err *err)
{
    struct ocspd_config *config = NULL;
    struct config_tree *tree = NULL;

    if (!config_tree_load(path, env_get, &tree, err))
        return false;
    config = calloc(1, sizeof(*config));
    if (config == NULL) {
        config_tree_free(tree);
        return err_memory(err);
    }
    if (!config_table_fill(ocspd_config_rows, tree->root, config, err)) {
        config_tree_free(tree);
        free(config);
        return false;
    }
    config->tree = tree;
    if (!finish(config, err)) {
        ocspd_config_free(config);
        return false;
    }
    *out = config;
    return true;
}

/* Paths of a command line start at the working folder: a mark without a folder
 * in its file name says so to config_resolve_path(). */
static const struct config_mark command_line = {"command line", 1, 1};

static bool
make_rows(char *const *certs, int cert_count, struct ocspd_config *config,
    struct err *err)
{
    size_t count = cert_count > 0 ? (size_t)cert_count : 0;
    struct ocspd_cert_row *rows = NULL;

    if (count == 0)
        return true;
    rows = calloc(count, sizeof(*rows));
    if (rows == NULL)
        return err_memory(err);
    config->certificates = (struct config_list){rows, count};
    for (size_t i = 0; i < count; i++) {
        rows[i].path = config_resolve_path(&command_line, certs[i]);
        rows[i].mark = command_line;
        if (rows[i].path == NULL ||
            !inherit(NULL, &config->defaults, &rows[i].rule, err))
            return err_memory(err);
    }
    return true;
}

static bool
make_spool(const char *spool, struct ocspd_config *config, struct err *err)
{
    char *path = NULL;

    if (spool == NULL)
        return true;
    path = config_resolve_path(&command_line, spool);
    if (path == NULL)
        return err_memory(err);
    free(config->spool);
    config->spool = path;
    return true;
}

bool
ocspd_config_make(const char *spool, char *const *certs, int cert_count,
    struct ocspd_config **out, struct err *err)
{
    struct ocspd_config *config = calloc(1, sizeof(*config));

    if (config == NULL)
        return err_memory(err);
    if (!config_table_fill(ocspd_config_rows, NULL, config, err) ||
        !make_spool(spool, config, err) ||
        !make_rows(certs, cert_count, config, err)) {
        ocspd_config_free(config);
        return false;
    }
    *out = config;
    return true;
}
