/*
 * One location: its prefix, its handlers, where they send.
 * Input: a filled struct. Output: right, or what is wrong where.
 */
#include "wsgate/gate_config_check.h"

#include "wsgate/gate_config_address.h"

#include <stdlib.h>
#include <string.h>

struct handler {
    const char *name;
    const struct config_mark *mark;
    const struct gate_upstream *up; /* NULL: none */
};

/* The node of a section, found by its place. */
static const struct config_node *
node_at(const struct config_node *node, const struct config_mark *mark)
{
    const struct config_node *found = NULL;

    if (node->kind != CONFIG_SCALAR && node->mark.file == mark->file &&
        node->mark.line == mark->line && node->mark.column == mark->column)
        return node;
    for (size_t i = 0; found == NULL && i < node->count; i++)
        found = node_at(node->items[i], mark);
    return found;
}

/* Where a key of a section stands; the section itself when it is absent. */
static const struct config_mark *
key_mark(const struct gate_config *config, const struct config_mark *section,
    const char *key)
{
    const struct config_node *child =
        config_node_get(node_at(config->tree->root, section), key);

    return child == NULL ? section : &child->mark;
}

static bool
fail_pool(const struct gate_config *config, const struct handler *handler,
    struct err *err)
{
    const struct gate_pool *pools = config->pools.items;
    const struct config_mark *mark = key_mark(config, handler->mark, "pool");
    const char **names = calloc(config->pools.count + 1, sizeof(*names));
    const char *near;

    if (names == NULL)
        return err_memory(err);
    for (size_t i = 0; i < config->pools.count; i++)
        names[i] = pools[i].name;
    near = config_nearest(handler->up->pool, names, config->pools.count);
    free(names);
    if (near != NULL)
        return config_fail(mark, err,
            "no pool is named '%.100s', did you mean '%s'?", handler->up->pool,
            near);
    return config_fail(mark, err,
        "no pool is named '%.100s'; name it under 'pools', or write 'servers' "
        "here",
        handler->up->pool);
}

static bool
check_servers(const struct gate_upstream *up, struct err *err)
{
    struct err why = {.kind = ERR_NONE};

    for (size_t i = 0; i < up->servers.count; i++)
        if (!gate_config_address_server(up->servers.items[i], &why))
            return config_fail(&up->servers.marks[i], err, "%s", why.text);
    return true;
}

static bool
check_upstream(const struct gate_config *config, const struct handler *handler,
    struct err *err)
{
    const struct gate_upstream *up = handler->up;

    if (up == NULL)
        return true;
    if (up->pool == NULL && up->servers.count == 0)
        return config_fail(handler->mark, err,
            "'%s' goes nowhere; give it 'pool' or 'servers'", handler->name);
    if (up->pool != NULL && up->servers.count > 0)
        return config_fail(key_mark(config, handler->mark, "servers"), err,
            "'%s' has both 'pool' and 'servers'; keep one", handler->name);
    if (up->pool != NULL && gate_config_pool(config, up->pool) == NULL)
        return fail_pool(config, handler, err);
    return check_servers(up, err);
}

/* Handlers of plain requests that are set, into `out`; their number. */
static size_t
plain_handlers(const struct gate_location *location, struct handler out[3])
{
    size_t n = 0;

    if (location->proxy.is_set)
        out[n++] = (struct handler){
            "proxy", &location->proxy.mark, &location->proxy.up};
    if (location->fastcgi.is_set)
        out[n++] = (struct handler){
            "fastcgi", &location->fastcgi.mark, &location->fastcgi.up};
    if (location->files.is_set)
        out[n++] = (struct handler){"files", &location->files.mark, NULL};
    return n;
}

/* The path that prefixes are compared with is in normal form, so a prefix that
 * is not would never match. */
static bool
check_prefix(const struct gate_location *location, struct err *err)
{
    struct span rest = span_str(location->prefix);
    struct span segment = SPAN_EMPTY;

    if (rest.len == 0 || rest.data[0] != '/')
        return config_fail(&location->mark, err,
            "location '%.100s' does not begin with '/'", location->prefix);
    for (size_t i = 0; i < rest.len; i++)
        if (rest.data[i] <= 0x20 || rest.data[i] >= 0x7f ||
            strchr("?#\\", rest.data[i]) != NULL)
            return config_fail(&location->mark, err,
                "location '%.100s' has bytes that no path has: spaces, '?', "
                "'#', '\\' and letters beyond ASCII (those as %%XX)",
                location->prefix);
    while (span_split(&rest, '/', &segment))
        if (span_eq(segment, SPAN_LIT(".")) || span_eq(segment, SPAN_LIT("..")))
            return config_fail(&location->mark, err,
                "location '%.100s' has a dot segment, and no path keeps one",
                location->prefix);
    return true;
}

static bool
is_origin(const char *text)
{
    size_t scheme = strncmp(text, "https://", 8) == 0  ? 8
                    : strncmp(text, "http://", 7) == 0 ? 7
                                                       : 0;
    const char *rest = text + scheme;

    return strcmp(text, "same") == 0 || strcmp(text, "any") == 0 ||
           strcmp(text, "null") == 0 ||
           (scheme > 0 && *rest != 0 && strpbrk(rest, "/?#@ *") == NULL);
}

static bool
check_origins(const struct config_strings *origins, struct err *err)
{
    for (size_t i = 0; i < origins->count; i++)
        if (!is_origin(origins->items[i]))
            return config_fail(&origins->marks[i], err,
                "'%.100s' is no origin; expected same, any, or "
                "https://host[:port] without a path",
                origins->items[i]);
    return true;
}

static bool
check_fastcgi(const struct gate_config *config,
    const struct gate_fastcgi *fastcgi, struct err *err)
{
    if (!fastcgi->is_set)
        return true;
    if (fastcgi->root[0] != '/')
        return config_fail(key_mark(config, &fastcgi->mark, "root"), err,
            "'root' is '%.100s'; expected an absolute path, as the FastCGI "
            "server sees it",
            fastcgi->root);
    if (fastcgi->script != NULL && fastcgi->script[0] != '/')
        return config_fail(key_mark(config, &fastcgi->mark, "script"), err,
            "'script' is '%.100s'; expected a path below root such as "
            "/index.php",
            fastcgi->script);
    return true;
}

static bool
check_files(const struct gate_files *files, struct err *err)
{
    for (size_t i = 0; i < files->precompressed.count; i++)
        if (strcmp(files->precompressed.items[i], "br") != 0 &&
            strcmp(files->precompressed.items[i], "gzip") != 0)
            return config_fail(&files->precompressed.marks[i], err,
                "'precompressed' has '%.100s'; expected br, gzip",
                files->precompressed.items[i]);
    return true;
}

bool
gate_config_check_location(const struct gate_config *config,
    const struct gate_location *location, struct err *err)
{
    struct handler plain[3];
    size_t count = plain_handlers(location, plain);
    struct handler websocket = {
        "websocket", &location->websocket.mark, &location->websocket.up};

    if (!check_prefix(location, err))
        return false;
    if (count > 1)
        return config_fail(plain[1].mark, err,
            "location '%s' has both '%s' and '%s'; beside 'websocket' there "
            "is one handler",
            location->prefix, plain[0].name, plain[1].name);
    if (count == 0 && !location->websocket.is_set)
        return config_fail(&location->mark, err,
            "location '%s' has no handler; give it 'websocket', 'proxy', "
            "'fastcgi' or 'files'",
            location->prefix);
    if (location->websocket.is_set &&
        (!check_upstream(config, &websocket, err) ||
            !check_origins(&location->websocket.origins, err)))
        return false;
    return (count == 0 || check_upstream(config, &plain[0], err)) &&
           check_fastcgi(config, &location->fastcgi, err) &&
           check_files(&location->files, err);
}
