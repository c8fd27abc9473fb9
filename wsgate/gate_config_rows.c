/*
 * The directives of wsgate.yaml(5), one row each.
 * Input: nodes of the tree where a row reads them itself. Output: the table.
 */
#include "wsgate/gate_config.h"

#include "shared/config_value.h"

#include <stdlib.h>
#include <string.h>

static const char *const log_format_words[] = {"text", "json", NULL};
static const char *const log_level_words[] = {
    "error", "warning", "info", "debug", NULL};
static const char *const staple_words[] = {"prefer", "require", NULL};

enum { GATE_WORKERS_MAX = 256 /* ours: no machine of ours has more CPUs */ };

/* ---- short forms and words of our own ------------------------------------- */

static bool
set_text(char **field, const char *text, struct err *err)
{
    free(*field);
    *field = strdup(text);
    return *field != NULL || err_memory(err);
}

/* `listen: ["0.0.0.0:443"]` for {address: "0.0.0.0:443"}. */
static bool
parse_listen(const struct config_node *node, void *field, struct err *err)
{
    struct gate_listen *listen = field;

    if (node->kind != CONFIG_SCALAR)
        return config_fail(&node->mark, err,
            "a listen item is an address, or a mapping with address:");
    return set_text(&listen->address, node->text, err);
}

static const struct config_row servers_row = {
    .name = "servers", .type = CONF_STRINGS};

/* `websocket: 127.0.0.1:9000` for {servers: ["127.0.0.1:9000"]}. */
static bool
parse_websocket(const struct config_node *node, void *field, struct err *err)
{
    struct gate_websocket *handler = field;

    return config_value_set_strings(
        &servers_row, node, &handler->up.servers, err);
}

static bool
parse_proxy(const struct config_node *node, void *field, struct err *err)
{
    struct gate_proxy *handler = field;

    return config_value_set_strings(
        &servers_row, node, &handler->up.servers, err);
}

/* `chat: ["127.0.0.1:9000"]` for {servers: [...]}. */
static bool
parse_pool(const struct config_node *node, void *field, struct err *err)
{
    struct gate_pool *pool = field;

    return config_value_set_strings(&servers_row, node, &pool->servers, err);
}

/* `files: /srv/www` for {root: /srv/www}. */
static bool
parse_files(const struct config_node *node, void *field, struct err *err)
{
    struct gate_files *files = field;

    if (node->kind != CONFIG_SCALAR || node->text[0] == 0)
        return config_fail(
            &node->mark, err, "files is a folder, or a mapping with root:");
    files->root = config_resolve_path(&node->mark, node->text);
    return files->root != NULL || err_memory(err);
}

static bool
parse_workers(const struct config_node *node, void *field, struct err *err)
{
    uint64_t count = 0;

    if (node->kind == CONFIG_SCALAR && strcmp(node->text, "auto") == 0) {
        *(int64_t *)field = 0;
        return true;
    }
    if (node->kind != CONFIG_SCALAR ||
        !span_to_u64(span_str(node->text), GATE_WORKERS_MAX, &count) ||
        count == 0)
        return config_fail(&node->mark, err,
            "'workers' is '%.100s'; expected auto, or a number from 1 to %d",
            node->kind == CONFIG_SCALAR ? node->text : "no scalar",
            GATE_WORKERS_MAX);
    *(int64_t *)field = (int64_t)count;
    return true;
}

static bool
dump_workers(const void *field, struct buf *out)
{
    int64_t count = *(const int64_t *)field;

    return count == 0 ? buf_add_str(out, "auto")
                      : buf_add_fmt(out, "%lld", (long long)count);
}

static bool
parse_min_tls(const struct config_node *node, void *field, struct err *err)
{
    const char *text = node->kind == CONFIG_SCALAR ? node->text : "no scalar";

    *(bool *)field = strcmp(text, "1.3") == 0;
    if (*(bool *)field || strcmp(text, "1.2") == 0)
        return true;
    return config_fail(&node->mark, err,
        "'min_tls' is '%.100s'; expected \"1.2\" or \"1.3\"", text);
}

static bool
dump_min_tls(const void *field, struct buf *out)
{
    return buf_add_str(out, *(const bool *)field ? "\"1.3\"" : "\"1.2\"");
}

/* ---- rows ----------------------------------------------------------------- */

#define AT(type, field) offsetof(struct type, field)
#define IN(section, field)                                                     \
    (offsetof(struct gate_config, section.field) -                             \
        offsetof(struct gate_config, section))
#define NO_MARKS .mark_offset = CONF_NONE, .set_offset = CONF_NONE

/* clang-format off */
static const struct config_row log_rows[] = {
    {.name = "access", .type = CONF_STRING, .offset = IN(log, access),
     .fallback = "-",
     .help = "Where access lines go: a file, \"-\" (stderr) or off."},
    {.name = "format", .type = CONF_ENUM, .offset = IN(log, format),
     .fallback = "text", .words = log_format_words,
     .help = "Lines of key=value or JSON objects."},
    {.name = "level", .type = CONF_ENUM, .offset = IN(log, level),
     .fallback = "info", .words = log_level_words,
     .help = "The least urgent events that are logged."},
    {0},
};
static const struct config_row drain_rows[] = {
    {.name = "deadline", .type = CONF_DURATION,
     .offset = IN(drain, deadline_ms), .fallback = "25s", .min = "100ms",
     .max = "1d",
     .help = "How long a stopping worker waits for its connections."},
    {0},
};
static const struct config_row pool_rows[] = {
    {.name = "servers", .type = CONF_STRINGS, .offset = AT(gate_pool, servers),
     .required = true, .min = "1",
     .help = "Addresses of the servers, taken in turn."},
    {0},
};
static const struct config_row listen_rows[] = {
    {.name = "address", .type = CONF_STRING,
     .offset = AT(gate_listen, address), .required = true,
     .help = "Numeric address and port, or unix:/path."},
    {.name = "tls", .type = CONF_BOOL, .offset = AT(gate_listen, tls),
     .fallback = "true", .help = "TLS with the site's certificates."},
    {.name = "proxy_protocol", .type = CONF_BOOL,
     .offset = AT(gate_listen, proxy_protocol), .fallback = "false",
     .help = "Not supported yet; must be false."},
    {.name = "mode", .type = CONF_STRING, .offset = AT(gate_listen, mode),
     .help = "Octal mode of a unix socket; default 0660."},
    {0},
};
static const struct config_row certificate_rows[] = {
    {.name = "chain", .type = CONF_PATH,
     .offset = AT(gate_certificate, chain), .required = true,
     .help = "PEM file: the certificate, then its issuers."},
    {.name = "key", .type = CONF_PATH, .offset = AT(gate_certificate, key),
     .help = "PEM file of the private key; default: the chain file."},
    {.name = "issuer", .type = CONF_PATH,
     .offset = AT(gate_certificate, issuer),
     .help = "PEM file of the issuer when the chain lacks it."},
    {.name = "signers", .type = CONF_PATH,
     .offset = AT(gate_certificate, signers),
     .help = "PEM file of certificates that may sign OCSP responses for the"
             " issuer without having been issued by it."},
    {.name = "staple", .type = CONF_ENUM,
     .offset = AT(gate_certificate, staple), .fallback = "prefer",
     .words = staple_words,
     .help = "require: not used without a valid OCSP response."},
    {0},
};
static const struct config_row limits_rows[] = {
    {.name = "header_size", .type = CONF_SIZE,
     .offset = AT(gate_limits, header_size), .fallback = "32K", .min = "1K",
     .max = "1M", .help = "Bytes of a request's head; more is a 431."},
    {.name = "header_count", .type = CONF_INT,
     .offset = AT(gate_limits, header_count), .fallback = "100", .min = "8",
     .max = "10000", .help = "Header fields of a request; more is a 431."},
    {.name = "handshake_timeout", .type = CONF_DURATION,
     .offset = AT(gate_limits, handshake_timeout_ms), .fallback = "10s",
     .min = "100ms", .max = "10m", .help = "For the whole TLS handshake."},
    {.name = "header_timeout", .type = CONF_DURATION,
     .offset = AT(gate_limits, header_timeout_ms), .fallback = "10s",
     .min = "100ms", .max = "10m", .help = "For the whole head of a request."},
    {.name = "body_timeout", .type = CONF_DURATION,
     .offset = AT(gate_limits, body_timeout_ms), .fallback = "30s",
     .min = "100ms", .max = "1h", .help = "Between two reads of a body."},
    {.name = "send_timeout", .type = CONF_DURATION,
     .offset = AT(gate_limits, send_timeout_ms), .fallback = "60s",
     .min = "100ms", .max = "1h",
     .help = "Without progress towards the client, or a side of a tunnel."},
    {.name = "idle_timeout", .type = CONF_DURATION,
     .offset = AT(gate_limits, idle_timeout_ms), .fallback = "75s",
     .min = "100ms", .max = "1d", .help = "Between two requests."},
    {.name = "linger", .type = CONF_DURATION,
     .offset = AT(gate_limits, linger_ms), .fallback = "30s",
     .min = "100ms", .max = "1d", .help = "For a half-closed tunnel."},
    {.name = "max_body", .type = CONF_SIZE,
     .offset = AT(gate_limits, max_body), .fallback = "16M",
     .help = "Bytes of a request's body; more is a 413."},
    {0},
};

#define UPSTREAM_ROWS(owner)                                                   \
    {.name = "pool", .type = CONF_STRING, .offset = AT(owner, up.pool),        \
     .help = "Name of a pool; or `servers`."},                                 \
    {.name = "servers", .type = CONF_STRINGS,                                  \
     .offset = AT(owner, up.servers),                                          \
     .help = "Addresses: 127.0.0.1:9000, name:9000, unix:/path."},             \
    {.name = "connect_timeout", .type = CONF_DURATION,                         \
     .offset = AT(owner, up.connect_timeout_ms), .fallback = "5s",             \
     .min = "100ms", .max = "10m",                                             \
     .help = "Until a connection to a server stands."},                        \
    {.name = "read_timeout", .type = CONF_DURATION,                            \
     .offset = AT(owner, up.read_timeout_ms), .fallback = "60s",               \
     .min = "100ms", .max = "1d",                                              \
     .help = "Between two reads from the server."},                            \
    {.name = "send_timeout", .type = CONF_DURATION,                            \
     .offset = AT(owner, up.send_timeout_ms), .fallback = "60s",               \
     .min = "100ms", .max = "1d",                                              \
     .help = "Without progress towards the server."},                          \
    {.name = "max_body", .type = CONF_SIZE, .offset = AT(owner, up.max_body),  \
     .fallback = "0",                                                          \
     .help = "Bytes of a request's body; 0: the site's limit."}

static const struct config_row websocket_rows[] = {
    UPSTREAM_ROWS(gate_websocket),
    {.name = "origins", .type = CONF_STRINGS,
     .offset = AT(gate_websocket, origins), .fallback = "same", .min = "1",
     .help = "Pages that may open a socket: same, any, or"
             " https://other.example."},
    {0},
};
static const struct config_row proxy_rows[] = {
    UPSTREAM_ROWS(gate_proxy),
    {0},
};
static const struct config_row fastcgi_rows[] = {
    UPSTREAM_ROWS(gate_fastcgi),
    {.name = "root", .type = CONF_STRING, .offset = AT(gate_fastcgi, root),
     .required = true,
     .help = "Document root as the FastCGI server sees it."},
    {.name = "script", .type = CONF_STRING,
     .offset = AT(gate_fastcgi, script),
     .help = "The script for every request, below root; default: from the"
             " path."},
    {.name = "index", .type = CONF_STRING, .offset = AT(gate_fastcgi, index),
     .fallback = "index.php", .help = "Script of a path that ends in /."},
    {0},
};
static const struct config_row files_rows[] = {
    {.name = "root", .type = CONF_PATH, .offset = AT(gate_files, root),
     .required = true,
     .help = "Folder; the path behind the location's prefix is below it."},
    {.name = "index", .type = CONF_STRING, .offset = AT(gate_files, index),
     .fallback = "index.html", .help = "File of a path that ends in /."},
    {.name = "precompressed", .type = CONF_STRINGS,
     .offset = AT(gate_files, precompressed),
     .help = "Take FILE.br or FILE.gz when it is there and the client can:"
             " br, gzip."},
    {0},
};

#define HANDLER(word, form, text)                                              \
    {.name = #word, .type = CONF_SECTION, .offset = AT(gate_location, word),   \
     .rows = word##_rows, .mark_offset = AT(gate_##word, mark),                \
     .set_offset = AT(gate_##word, is_set), .parse = form, .help = text}

static const struct config_row location_rows[] = {
    HANDLER(websocket, parse_websocket, "Where upgrades to WebSocket go."),
    HANDLER(proxy, parse_proxy, "Where other requests go, over HTTP/1.1."),
    HANDLER(fastcgi, NULL, "Where other requests go, over FastCGI."),
    HANDLER(files, parse_files, "A folder that answers other requests."),
    {0},
};
static const struct config_row site_rows[] = {
    {.name = "hosts", .type = CONF_STRINGS, .offset = AT(gate_site, hosts),
     .fallback = "*", .min = "1",
     .help = "Names; \"*.example.org\" for what is below, \"*\" for the"
             " rest."},
    {.name = "listen", .type = CONF_LIST, .offset = AT(gate_site, listen),
     .rows = listen_rows, .item_size = sizeof(struct gate_listen),
     .key_offset = CONF_NONE, .mark_offset = AT(gate_listen, mark),
     .set_offset = CONF_NONE, .parse = parse_listen, .required = true,
     .min = "1", .help = "Addresses; a plain one has TLS."},
    {.name = "redirect_from", .type = CONF_STRINGS,
     .offset = AT(gate_site, redirect_from),
     .help = "Addresses of plain HTTP that answer with a redirect to https."},
    {.name = "certificates", .type = CONF_LIST,
     .offset = AT(gate_site, certificates), .rows = certificate_rows,
     .item_size = sizeof(struct gate_certificate), .key_offset = CONF_NONE,
     .mark_offset = AT(gate_certificate, mark), .set_offset = CONF_NONE,
     .help = "Certificates; several for several kinds of key."},
    {.name = "min_tls", .type = CONF_CUSTOM,
     .offset = AT(gate_site, tls13_only), .fallback = "1.2",
     .parse = parse_min_tls, .dump = dump_min_tls,
     .help = "Oldest version of TLS: \"1.2\" or \"1.3\"."},
    {.name = "limits", .type = CONF_SECTION, .offset = AT(gate_site, limits),
     .rows = limits_rows, NO_MARKS, .help = "What one client may take."},
    {.name = "locations", .type = CONF_MAP,
     .offset = AT(gate_site, locations), .rows = location_rows,
     .item_size = sizeof(struct gate_location),
     .key_offset = AT(gate_location, prefix),
     .mark_offset = AT(gate_location, mark), .set_offset = CONF_NONE,
     .required = true, .min = "1",
     .help = "Handlers by prefix of the path; the longest prefix wins."},
    {0},
};

const struct config_row gate_config_rows[] = {
    {.name = "workers", .type = CONF_CUSTOM,
     .offset = AT(gate_config, workers), .fallback = "auto",
     .parse = parse_workers, .dump = dump_workers,
     .help = "Processes; auto: as many as CPUs that we may use."},
    {.name = "spool", .type = CONF_PATH, .offset = AT(gate_config, spool),
     .help = "Folder of OCSP responses; without it nothing is stapled."},
    {.name = "user", .type = CONF_STRING, .offset = AT(gate_config, user),
     .help = "Who workers run as after a start as root."},
    {.name = "admin", .type = CONF_STRING, .offset = AT(gate_config, admin),
     .help = "Socket of `wsgate reload` and `status`: unix:/path, or off."},
    {.name = "max_connections", .type = CONF_INT,
     .offset = AT(gate_config, max_connections), .fallback = "0", .min = "0",
     .max = "10000000",
     .help = "Per worker; 0: from the limit of descriptors."},
    {.name = "trusted_proxies", .type = CONF_STRINGS,
     .offset = AT(gate_config, trusted_proxies),
     .help = "Networks whose X-Forwarded-For is believed."},
    {.name = "log", .type = CONF_SECTION, .offset = AT(gate_config, log),
     .rows = log_rows, NO_MARKS, .help = "What is logged, and how."},
    {.name = "drain", .type = CONF_SECTION, .offset = AT(gate_config, drain),
     .rows = drain_rows, NO_MARKS, .help = "How a worker stops."},
    {.name = "pools", .type = CONF_MAP, .offset = AT(gate_config, pools),
     .rows = pool_rows, .item_size = sizeof(struct gate_pool),
     .key_offset = AT(gate_pool, name), .mark_offset = AT(gate_pool, mark),
     .set_offset = CONF_NONE, .parse = parse_pool,
     .help = "Groups of servers by name."},
    {.name = "sites", .type = CONF_LIST, .offset = AT(gate_config, sites),
     .rows = site_rows, .item_size = sizeof(struct gate_site),
     .key_offset = CONF_NONE, .mark_offset = AT(gate_site, mark),
     .set_offset = CONF_NONE, .required = true, .min = "1",
     .help = "What is served, by host and path."},
    {0},
};
/* clang-format on */
