/*
 * What the operator of wsgate wrote, as plain data: wsgate.yaml(5).
 * Input: a tree, or the command line. Output: a struct, checked as a whole.
 */
#ifndef WSGATE_GATE_CONFIG_H
#define WSGATE_GATE_CONFIG_H

#include "shared/buf.h"
#include "shared/config_table.h"
#include "shared/err.h"

#include <stdbool.h>
#include <stdint.h>

struct gate_listen {
    char *address; /* "0.0.0.0:443" "[::]:443" "unix:/run/x.sock" */
    bool tls; /* default true */
    bool proxy_protocol; /* reserved; true is refused for now */
    char *mode; /* unix: octal, default 0660 */
    struct config_mark mark;
};

enum { GATE_SITE_CERTS_MAX = 16 }; /* as TLS_SITE_CERTS_MAX */

struct gate_certificate {
    char *chain; /* absolute path */
    char *key; /* default: the chain file */
    char *issuer; /* NULL: in the chain */
    char *signers; /* NULL: none */
    int staple; /* 0 prefer, 1 require */
    struct config_mark mark;
};

struct gate_pool {
    char *name;
    struct config_strings servers;
    struct config_mark mark;
};

/* Where a handler sends: `pool` or `servers`, and how long it waits. */
struct gate_upstream {
    char *pool; /* NULL: servers */
    struct config_strings servers;
    int64_t connect_timeout_ms; /* 5 s */
    int64_t read_timeout_ms; /* 60 s */
    int64_t send_timeout_ms; /* 60 s */
    int64_t max_body; /* bytes, 0: the site's */
};

struct gate_websocket {
    bool is_set;
    struct gate_upstream up;
    struct config_strings origins; /* default [same] */
    struct config_mark mark;
};
struct gate_proxy {
    bool is_set;
    struct gate_upstream up;
    struct config_mark mark;
};
struct gate_fastcgi {
    bool is_set;
    struct gate_upstream up;
    char *root; /* as the FastCGI server sees it */
    char *script; /* fixed script below root; NULL: from the path */
    char *index; /* default index.php */
    struct config_mark mark;
};
struct gate_files {
    bool is_set;
    char *root;
    char *index; /* default index.html */
    struct config_strings precompressed; /* br, gzip */
    struct config_mark mark;
};

struct gate_location {
    char *prefix; /* "/chat", "/static/": on path segments */
    struct gate_websocket websocket;
    struct gate_proxy proxy; /* at most one of the three below is set */
    struct gate_fastcgi fastcgi;
    struct gate_files files;
    struct config_mark mark;
};

struct gate_limits {
    int64_t header_size; /* 32K */
    int64_t header_count; /* 100 */
    int64_t handshake_timeout_ms; /* 10 s */
    int64_t header_timeout_ms; /* 10 s, whole head */
    int64_t body_timeout_ms; /* 30 s between two reads of a body */
    int64_t send_timeout_ms; /* 60 s without progress towards the client */
    int64_t idle_timeout_ms; /* 75 s between two requests */
    int64_t linger_ms; /* 30 s: a half-closed tunnel */
    int64_t max_body; /* 16M */
};

struct gate_site {
    struct config_strings hosts;
    struct config_list listen; /* struct gate_listen */
    struct config_strings redirect_from; /* plain HTTP: 308 to https */
    struct config_list certificates; /* struct gate_certificate */
    bool tls13_only; /* min_tls: "1.3" */
    struct gate_limits limits;
    struct config_list locations; /* struct gate_location */
    struct config_mark mark;
};

struct gate_config {
    int64_t workers; /* 0: auto */
    char *spool; /* NULL: no stapling */
    char *user; /* only for a start as root */
    char *admin; /* "unix:/path", "off"; NULL: where systemd made a folder */
    int64_t max_connections; /* per worker; 0: from the descriptor limit */
    struct config_strings trusted_proxies; /* CIDRs */
    struct {
        int format; /* enum log_format */
        int level; /* enum log_level */
        char *access; /* "-" stderr, "off", or a file */
    } log;
    struct {
        int64_t deadline_ms; /* 25 s */
    } drain;
    struct config_list pools; /* struct gate_pool */
    struct config_list sites; /* struct gate_site */
    struct config_tree *tree; /* owned; marks point into it */
    const char *path; /* borrowed from the tree; NULL: not from a file */
};

extern const struct config_row gate_config_rows[];

/* New, checked as a whole (addresses, pools named, handlers, hosts twice on
 * one listener ...); files are not opened here. */
bool
gate_config_load(const char *path, struct gate_config **out, struct err *err);
/* From the text of gate_config_dump(): what a worker gets. */
bool
gate_config_parse(struct span yaml, struct gate_config **out, struct err *err);
/* The no-file form: listen ":8443", routes "/chat=ws:127.0.0.1:9000",
 * "/=http:...", "/=fcgi:...", "/=files:DIR". */
bool gate_config_make(const char *const *certificates, int certificate_count,
    const char *const *listens, int listen_count, const char *spool,
    char *const *routes, int route_count, struct gate_config **out,
    struct err *err);
/* Resolved, complete: parsing it again gives the same. */
bool gate_config_dump(const struct gate_config *config, struct buf *out);
void gate_config_free(struct gate_config *config);

/* The pool of that name; NULL: none. */
const struct gate_pool *
gate_config_pool(const struct gate_config *config, const char *name);
/* The servers a handler sends to: its own or its pool's. */
const struct config_strings *gate_upstream_servers(
    const struct gate_config *config, const struct gate_upstream *up);

#endif
