/*
 * Tables of hosts per listener and of prefixes per site.
 * Input: the configuration, once per generation; then hosts and paths of
 * requests. Output: the rule.
 */
#include "wsgate/route/route.h"

#include <stdlib.h>
#include <string.h>

/* One host of one site on one address of it. */
struct route_host {
    const char *address;
    struct span host; /* "*" and "*.example.org" as they are */
    size_t site;
};

struct route_prefix {
    struct span prefix;
    size_t location;
};

struct route_prefixes {
    struct route_prefix *items; /* longest first */
    size_t count;
};

struct route_table {
    const struct gate_config *config;
    struct route_host *hosts; /* by address, then host */
    size_t host_count;
    struct route_prefixes *sites;
};

static const struct gate_site *
site_at(const struct route_table *table, size_t i)
{
    const struct gate_site *sites = table->config->sites.items;

    return &sites[i];
}

/* ---- building ------------------------------------------------------------ */

static int
compare_spans(struct span a, struct span b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.data, b.data, len);

    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

static int
compare_hosts(const void *a, const void *b)
{
    const struct route_host *x = a;
    const struct route_host *y = b;
    int order = strcmp(x->address, y->address);

    return order != 0 ? order : compare_spans(x->host, y->host);
}

static int
compare_prefixes(const void *a, const void *b)
{
    const struct route_prefix *x = a;
    const struct route_prefix *y = b;

    if (x->prefix.len != y->prefix.len)
        return x->prefix.len > y->prefix.len ? -1 : 1;
    return compare_spans(x->prefix, y->prefix);
}

static size_t
address_count(const struct gate_site *site)
{
    return site->listen.count + site->redirect_from.count;
}

static const char *
address_at(const struct gate_site *site, size_t i)
{
    const struct gate_listen *listens = site->listen.items;

    return i < site->listen.count
               ? listens[i].address
               : site->redirect_from.items[i - site->listen.count];
}

static void
add_hosts(struct route_table *table, size_t i)
{
    const struct gate_site *site = site_at(table, i);

    for (size_t a = 0; a < address_count(site); a++)
        for (size_t h = 0; h < site->hosts.count; h++)
            table->hosts[table->host_count++] = (struct route_host){
                .address = address_at(site, a),
                .host = span_str(site->hosts.items[h]),
                .site = i,
            };
}

static bool
build_hosts(struct route_table *table)
{
    size_t sites = table->config->sites.count;
    size_t count = 0;

    for (size_t i = 0; i < sites; i++)
        count +=
            address_count(site_at(table, i)) * site_at(table, i)->hosts.count;
    table->hosts = calloc(count + 1, sizeof(*table->hosts));
    if (table->hosts == NULL)
        return false;
    for (size_t i = 0; i < sites; i++)
        add_hosts(table, i);
    qsort(
        table->hosts, table->host_count, sizeof(*table->hosts), compare_hosts);
    return true;
}

static bool
build_prefixes(struct route_table *table, size_t i)
{
    const struct gate_site *site = site_at(table, i);
    const struct gate_location *locations = site->locations.items;
    struct route_prefixes *out = &table->sites[i];

    out->items = calloc(site->locations.count + 1, sizeof(*out->items));
    if (out->items == NULL)
        return false;
    for (size_t l = 0; l < site->locations.count; l++)
        out->items[out->count++] = (struct route_prefix){
            .prefix = span_str(locations[l].prefix), .location = l};
    qsort(out->items, out->count, sizeof(*out->items), compare_prefixes);
    return true;
}

static bool
build(struct route_table *table)
{
    size_t sites = table->config->sites.count;

    table->sites = calloc(sites + 1, sizeof(*table->sites));
    if (table->sites == NULL || !build_hosts(table))
        return false;
    for (size_t i = 0; i < sites; i++)
        if (!build_prefixes(table, i))
            return false;
    return true;
}

bool
route_table_new(
    const struct gate_config *config, struct route_table **out, struct err *err)
{
    struct route_table *table = calloc(1, sizeof(*table));

    if (table == NULL)
        return err_memory(err);
    table->config = config;
    if (!build(table)) {
        route_table_free(table);
        return err_memory(err);
    }
    *out = table;
    return true;
}

void
route_table_free(struct route_table *table)
{
    if (table == NULL)
        return;
    if (table->sites != NULL)
        for (size_t i = 0; i < table->config->sites.count; i++)
            free(table->sites[i].items);
    free(table->sites);
    free(table->hosts);
    free(table);
}

/* ---- looking up ---------------------------------------------------------- */

static bool
lookup(const struct route_table *table, const char *address, struct span host,
    size_t *site)
{
    struct route_host key = {.address = address, .host = host};
    const struct route_host *found = bsearch(&key, table->hosts,
        table->host_count, sizeof(*table->hosts), compare_hosts);

    if (found == NULL)
        return false;
    *site = found->site;
    return true;
}

enum { ROUTE_HOST_MAX = 255 /* RFC 1035 2.3.4: no name is longer */ };

/* "a.b.example.org" tries *.b.example.org, *.example.org, *.org: the longest
 * wildcard wins. */
static bool
lookup_wildcard(const struct route_table *table, const char *address,
    struct span host, size_t *site)
{
    unsigned char text[ROUTE_HOST_MAX + 1];
    size_t dot = span_find(host, '.');

    if (host.len > ROUTE_HOST_MAX)
        return false;
    while (dot < host.len) {
        host = span_from(host, dot);
        text[0] = '*';
        memcpy(text + 1, host.data, host.len);
        if (lookup(table, address, span_make(text, host.len + 1), site))
            return true;
        dot = 1 + span_find(span_from(host, 1), '.');
    }
    return false;
}

size_t
route_site(const struct route_table *table, struct span host,
    const char *listen_address)
{
    size_t site = 0;

    if (!span_eq(host, SPAN_LIT("*")) &&
        lookup(table, listen_address, host, &site))
        return site;
    if (lookup_wildcard(table, listen_address, host, &site) ||
        lookup(table, listen_address, SPAN_LIT("*"), &site))
        return site;
    return (size_t)-1;
}

/* On segments: "/chat" takes "/chat" and "/chat/x", "/static/" what is below
 * it. */
static bool
matches(struct span prefix, struct span path)
{
    if (!span_starts(path, prefix))
        return false;
    return path.len == prefix.len || prefix.data[prefix.len - 1] == '/' ||
           path.data[prefix.len] == '/';
}

static enum route_kind
kind_of(const struct gate_location *location, bool is_upgrade)
{
    bool has_plain = location->proxy.is_set || location->fastcgi.is_set ||
                     location->files.is_set;

    if (is_upgrade && location->websocket.is_set)
        return ROUTE_WEBSOCKET;
    if (!has_plain)
        return location->websocket.is_set ? ROUTE_UPGRADE_REQUIRED
                                          : ROUTE_NO_HANDLER;
    if (is_upgrade)
        return ROUTE_UPGRADE_REFUSED;
    if (location->proxy.is_set)
        return ROUTE_PROXY;
    return location->fastcgi.is_set ? ROUTE_FASTCGI : ROUTE_FILES;
}

struct route_match
route_find(const struct route_table *table, size_t site, struct span path,
    bool is_upgrade)
{
    struct route_match match = {.kind = ROUTE_NO_SITE, .site = site};
    const struct route_prefixes *prefixes;
    const struct gate_location *locations;

    if (site >= table->config->sites.count)
        return match;
    match.kind = ROUTE_NO_HANDLER;
    match.site_config = site_at(table, site);
    prefixes = &table->sites[site];
    locations = match.site_config->locations.items;
    for (size_t i = 0; i < prefixes->count; i++) {
        if (!matches(prefixes->items[i].prefix, path))
            continue;
        match.location = prefixes->items[i].location;
        match.location_config = &locations[match.location];
        match.kind = kind_of(match.location_config, is_upgrade);
        break;
    }
    return match;
}
