/*
 * The form without a file: a site from the words of a command line.
 * Input: --certificate, --listen, --spool and routes. Output: the same struct
 * that the YAML they stand for would give.
 */
#include "wsgate/gate_config.h"

#include "wsgate/gate_config_address.h"

#include <stdio.h>
#include <string.h>

enum { MAKE_TEXT_MAX = 1 << 20 /* as a configuration file */ };

static const struct {
    const char *word;
    const char *handler;
} kinds[] = {
    {"ws:", "websocket"},
    {"http:", "proxy"},
    {"fcgi:", "fastcgi"},
    {"files:", "files"},
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

struct route {
    struct span prefix;
    size_t kind;
    struct span target; /* behind the kind */
};

/* In double quotes; "$" is doubled because variables are filled in. */
static bool
add_quoted(struct buf *out, struct span text)
{
    bool ok = buf_add_byte(out, '"');

    for (size_t i = 0; ok && i < text.len; i++) {
        unsigned char c = text.data[i];

        if (c == '"' || c == '\\')
            ok = buf_add_byte(out, '\\');
        else if (c == '$')
            ok = buf_add_byte(out, '$');
        ok = ok && buf_add_byte(out, c);
    }
    return ok && buf_add_byte(out, '"');
}

static bool
add_pair(struct buf *out, const char *key, struct span value)
{
    return buf_add_fmt(out, "%s: ", key) && add_quoted(out, value);
}

static bool
fail_route(const char *text, struct err *err)
{
    return err_set(err, ERR_CONFIG,
        "route '%.200s': expected /PATH=ws:ADDRESS, /PATH=http:ADDRESS, "
        "/PATH=fcgi:ADDRESS,root=DIR[,script=/FILE] or /PATH=files:DIR",
        text);
}

static bool
parse_route(const char *text, struct route *out, struct err *err)
{
    struct span all = span_str(text);
    size_t at = span_find(all, '=');
    struct span target = span_from(all, at + 1);

    for (size_t i = 0; i < all.len; i++)
        if (all.data[i] < 0x20 || all.data[i] == 0x7f)
            return fail_route("(with a control byte)", err);
    if (all.len == 0 || all.data[0] != '/' || at == all.len)
        return fail_route(text, err);
    for (size_t i = 0; i < KINDS; i++)
        if (span_starts(target, span_str(kinds[i].word))) {
            *out = (struct route){.prefix = span_sub(all, 0, at),
                .kind = i,
                .target = span_from(target, strlen(kinds[i].word))};
            return out->target.len > 0 || fail_route(text, err);
        }
    return fail_route(text, err);
}

static bool
is_option(struct span part, struct span *key, struct span *value)
{
    static const char *const keys[] = {"root", "script", "index"};
    size_t at = span_find(part, '=');

    *key = span_sub(part, 0, at);
    *value = span_from(part, at + 1);
    for (size_t i = 0; at < part.len && i < 3; i++)
        if (span_eq(*key, span_str(keys[i])))
            return true;
    return false;
}

static bool
check_server(struct span server, const char *text, struct err *err)
{
    char word[256];

    if (!span_to_cstr(server, word, sizeof(word)))
        return fail_route(text, err);
    return gate_config_address_server(word, err) ||
           err_context(err, "route '%.200s'", text);
}

/* "A,B,root=DIR": servers first, then what FastCGI needs. */
static bool
add_upstream(struct buf *out, const struct route *route, const char *text,
    struct err *err)
{
    struct span rest = route->target;
    struct span part = SPAN_EMPTY;
    struct buf options;
    const char *between = "";
    bool ok = buf_add_str(out, "servers: [");

    buf_init(&options, MAKE_TEXT_MAX);
    while (ok && span_split(&rest, ',', &part)) {
        struct span key = SPAN_EMPTY;
        struct span value = SPAN_EMPTY;

        if (strcmp(kinds[route->kind].handler, "fastcgi") == 0 &&
            is_option(part, &key, &value)) {
            ok = buf_add_fmt(&options, ", %.*s: ", SPAN_FMT(key)) &&
                 add_quoted(&options, value);
            continue;
        }
        ok = check_server(part, text, err) && buf_add_str(out, between) &&
             add_quoted(out, part);
        between = ", ";
    }
    ok = ok && buf_add_str(out, "]") && buf_add(out, buf_span(&options));
    buf_fini(&options);
    return ok;
}

static bool
add_handler(struct buf *out, const struct route *route, const char *text,
    struct err *err)
{
    if (!buf_add_fmt(out, "        %s: {", kinds[route->kind].handler))
        return false;
    if (strcmp(kinds[route->kind].handler, "files") == 0)
        return add_pair(out, "root", route->target) && buf_add_str(out, "}\n");
    return add_upstream(out, route, text, err) && buf_add_str(out, "}\n");
}

/* Routes with the prefix of route `first`, under one location. */
static bool
add_location(
    struct buf *out, char *const *routes, int count, int first, struct err *err)
{
    struct route route;
    struct route other;

    if (!parse_route(routes[first], &route, err))
        return false;
    for (int i = 0; i < first; i++)
        if (parse_route(routes[i], &other, NULL) &&
            span_eq(other.prefix, route.prefix))
            return true; /* was written with that one */
    if (!buf_add_str(out, "      ") || !add_quoted(out, route.prefix) ||
        !buf_add_str(out, ":\n"))
        return false;
    for (int i = first; i < count; i++) {
        if (!parse_route(routes[i], &other, err))
            return false;
        if (span_eq(other.prefix, route.prefix) &&
            !add_handler(out, &other, routes[i], err))
            return false;
    }
    return true;
}

static bool
add_address(struct buf *out, const char *address, bool tls, struct err *err)
{
    if (!gate_config_address_listen(address, err))
        return err_context(err, "--listen");
    return buf_add_str(out, "      - {address: ") &&
           add_quoted(out, span_str(address)) &&
           buf_add_fmt(out, ", tls: %s}\n", tls ? "true" : "false");
}

/* ":8443" is every address of the machine. */
static bool
add_listen(struct buf *out, const char *text, bool tls, struct err *err)
{
    char v4[32];
    char v6[32];

    if (text[0] != ':')
        return add_address(out, text, tls, err);
    if (strlen(text) > 6)
        return err_set(err, ERR_CONFIG,
            "--listen: '%.100s' is no port; expected :8443", text);
    (void)snprintf(v4, sizeof(v4), "0.0.0.0%s", text);
    (void)snprintf(v6, sizeof(v6), "[::]%s", text);
    return add_address(out, v4, tls, err) && add_address(out, v6, tls, err);
}

static bool
add_site(struct buf *out, const char *const *certificates,
    int certificate_count, const char *const *listens, int listen_count,
    struct err *err)
{
    bool tls = certificate_count > 0;
    bool ok = buf_add_str(out, "sites:\n  - listen:\n");

    for (int i = 0; ok && i < listen_count; i++)
        ok = add_listen(out, listens[i], tls, err);
    ok = ok && (!tls || buf_add_str(out, "    certificates:\n"));
    for (int i = 0; ok && i < certificate_count; i++)
        ok = buf_add_str(out, "      - {") &&
             add_pair(out, "chain", span_str(certificates[i])) &&
             buf_add_str(out, "}\n");
    return ok && buf_add_str(out, "    locations:\n");
}

static bool
check_words(int listen_count, int route_count, struct err *err)
{
    if (listen_count == 0)
        return err_set(
            err, ERR_CONFIG, "no --listen; expected one such as :8443");
    if (route_count == 0)
        return err_set(err, ERR_CONFIG,
            "no route; expected one such as /chat=ws:127.0.0.1:9000");
    return true;
}

bool
gate_config_make(const char *const *certificates, int certificate_count,
    const char *const *listens, int listen_count, const char *spool,
    char *const *routes, int route_count, struct gate_config **out,
    struct err *err)
{
    struct err why = {.kind = ERR_NONE};
    struct buf yaml;
    bool ok;

    buf_init(&yaml, MAKE_TEXT_MAX);
    ok = check_words(listen_count, route_count, &why) &&
         (spool == NULL || (add_pair(&yaml, "spool", span_str(spool)) &&
                               buf_add_byte(&yaml, '\n'))) &&
         add_site(&yaml, certificates, certificate_count, listens, listen_count,
             &why);
    for (int i = 0; ok && i < route_count; i++)
        ok = add_location(&yaml, routes, route_count, i, &why);
    if (!ok && why.kind == ERR_NONE)
        err_memory(&why);
    ok = ok && gate_config_parse(buf_span(&yaml), out, &why);
    buf_fini(&yaml);
    if (!ok && err != NULL)
        *err = why;
    return ok;
}
