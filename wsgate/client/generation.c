/*
 * One generation of configuration, ready to serve.
 * Input: a checked gate_config and the bytes of the files it names. Output: a
 * counted struct that clients read; nothing here touches a socket or a file.
 */
#include "wsgate/client/generation.h"

#include "shared/log.h"
#include "wsgate/client/generation_share.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* The backend_pool of one handler: found again by the handler's address, as
 * the configuration does not move while the generation lives. */
struct generation_pool {
    const struct gate_upstream *upstream;
    struct backend_pool *pool;
};

struct generation_builder {
    struct generation *building;
    struct staple_set *staples;
    generation_file *file;
    void *file_ctx;
    size_t site; /* the next certificate to do */
    size_t row;
    struct generation_share *share; /* NULL: nothing to share */
};

static const struct gate_site *
site_at(const struct gate_config *config, size_t i)
{
    return (const struct gate_site *)config->sites.items + i;
}

static const struct gate_certificate *
certificate_at(const struct gate_site *site, size_t i)
{
    return (const struct gate_certificate *)site->certificates.items + i;
}

/* ---- life ---------------------------------------------------------------- */

static void
free_listeners(struct generation *g)
{
    for (size_t i = 0; i < g->listener_count; i++) {
        tls_context_unref(g->listeners[i].tls_context);
        free(g->listeners[i].sites);
    }
    free(g->listeners);
}

static void
generation_free(struct generation *g)
{
    free_listeners(g);
    for (size_t i = 0; i < g->pool_count; i++)
        backend_pool_free(g->pools[i].pool);
    free(g->pools);
    for (size_t i = 0; i < g->cert_count; i++)
        tls_cert_unref(g->certs[i]);
    free(g->certs);
    free(g->contents);
    free(g->trusted);
    route_table_free(g->routes);
    gate_config_free(g->config);
    free(g);
}

struct generation *
generation_ref(struct generation *generation)
{
    generation->refs++;
    return generation;
}

void
generation_unref(struct generation *generation)
{
    if (generation != NULL && --generation->refs == 0)
        generation_free(generation);
}

struct gate_config *
generation_take_config(struct generation *generation)
{
    struct gate_config *config = generation->config;

    generation->config = NULL;
    generation_unref(generation);
    return config;
}

/* ---- pools and trusted proxies ------------------------------------------- */

static bool
add_pool(
    struct generation *g, const struct gate_upstream *upstream, struct err *err)
{
    struct generation_pool *grown;

    grown = realloc(g->pools, (g->pool_count + 1) * sizeof(*grown));
    if (grown == NULL)
        return err_memory(err);
    g->pools = grown;
    grown[g->pool_count] = (struct generation_pool){.upstream = upstream};
    if (!backend_pool_new(gate_upstream_servers(g->config, upstream),
            &grown[g->pool_count].pool, err))
        return false;
    g->pool_count++;
    return true;
}

static bool
add_location_pools(
    struct generation *g, const struct gate_location *l, struct err *err)
{
    return (!l->websocket.is_set || add_pool(g, &l->websocket.up, err)) &&
           (!l->proxy.is_set || add_pool(g, &l->proxy.up, err)) &&
           (!l->fastcgi.is_set || add_pool(g, &l->fastcgi.up, err));
}

static int
compare_pools(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct generation_pool *)a)->upstream;
    uintptr_t y = (uintptr_t)((const struct generation_pool *)b)->upstream;

    return (x > y) - (x < y);
}

static bool
add_pools(struct generation *g, struct err *err)
{
    for (size_t i = 0; i < g->config->sites.count; i++) {
        const struct gate_site *site = site_at(g->config, i);
        const struct gate_location *locations = site->locations.items;

        for (size_t k = 0; k < site->locations.count; k++)
            if (!add_location_pools(g, &locations[k], err))
                return false;
    }
    if (g->pool_count > 0)
        qsort(g->pools, g->pool_count, sizeof(*g->pools), compare_pools);
    return true;
}

static bool
add_trusted(struct generation *g, struct err *err)
{
    const struct config_strings *list = &g->config->trusted_proxies;

    if (list->count == 0)
        return true;
    g->trusted = calloc(list->count, sizeof(*g->trusted));
    if (g->trusted == NULL)
        return err_memory(err);
    for (size_t i = 0; i < list->count; i++)
        if (!cidr_parse(span_str(list->items[i]), &g->trusted[i]))
            return config_fail(&list->marks[i], err,
                "trusted_proxies: '%s' is not an address range",
                list->items[i]);
    g->trusted_count = list->count;
    return true;
}

/* ---- certificates -------------------------------------------------------- */

static size_t
count_certificates(const struct gate_config *config)
{
    size_t count = 0;

    for (size_t i = 0; i < config->sites.count; i++)
        count += site_at(config, i)->certificates.count;
    return count;
}

static struct span
file_bytes(const struct generation_builder *b, const char *path)
{
    return path == NULL ? SPAN_EMPTY : b->file(b->file_ctx, path);
}

static void
time_text(int64_t unix_s, char out[32])
{
    time_t t = (time_t)unix_s;
    struct tm tm;

    if (gmtime_r(&t, &tm) == NULL ||
        strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        (void)snprintf(out, 32, "%lld", (long long)unix_s);
}

/* It starts all the same: a clock is mended without us. */
static void
warn_dates(const struct tls_cert *cert, const char *path, int64_t now)
{
    bool is_early = cert->facts.not_before > now;
    char limit[32], clock[32];

    if (!is_early && cert->facts.not_after >= now)
        return;
    time_text(is_early ? cert->facts.not_before : cert->facts.not_after, limit);
    time_text(now, clock);
    log_warn(
        is_early ? "certificate is not valid yet" : "certificate has expired",
        LOG_S("file", path), LOG_S("names", cert_facts_label(&cert->facts)),
        LOG_S(is_early ? "from" : "until", limit), LOG_S("clock", clock),
        LOG_S("mend", is_early
                          ? "is this host's clock right? `timedatectl` shows it"
                          : "renew it; or is this host's clock wrong? "
                            "`timedatectl` shows it"));
}

static bool
make_certificate(const struct generation_builder *b,
    const struct tls_cert_source *source, int64_t now, struct err *err)
{
    struct generation *g = b->building;
    struct generation_content *content = &g->contents[g->cert_count];
    struct tls_cert **cert = &g->certs[g->cert_count];

    *cert = generation_content_make(source, content)
                ? generation_share_find(b->share, content, b->staples)
                : NULL;
    return *cert != NULL || tls_cert_new(source, b->staples, now, cert, err);
}

static bool
build_certificate(struct generation_builder *b,
    const struct gate_certificate *row, int64_t now, struct err *err)
{
    const char *key = row->key != NULL ? row->key : row->chain;
    struct generation *g = b->building;
    struct tls_cert_source source = {
        .chain_name = row->chain,
        .key_name = key,
        .chain_pem = file_bytes(b, row->chain),
        .key_pem = file_bytes(b, key),
        .issuer_pem = file_bytes(b, row->issuer),
        .signers_pem = file_bytes(b, row->signers),
        .staple_mode = (enum tls_staple_mode)row->staple,
    };

    if (!make_certificate(b, &source, now, err))
        return row->mark.file == NULL
                   ? false
                   : err_context(err, "%s:%u:%u", row->mark.file,
                         row->mark.line, row->mark.column);
    warn_dates(g->certs[g->cert_count], row->chain, now);
    g->cert_count++;
    return true;
}

/* ---- listeners ----------------------------------------------------------- */

static struct generation_listener *
listener_for(struct generation *g, const char *address)
{
    struct generation_listener *grown;

    for (size_t i = 0; i < g->listener_count; i++)
        if (strcmp(g->listeners[i].address, address) == 0)
            return &g->listeners[i];
    grown = realloc(g->listeners, (g->listener_count + 1) * sizeof(*grown));
    if (grown == NULL)
        return NULL;
    g->listeners = grown;
    grown[g->listener_count] = (struct generation_listener){.address = address};
    return &grown[g->listener_count++];
}

static bool
listener_add_site(struct generation_listener *l, size_t site, struct err *err)
{
    size_t *grown = realloc(l->sites, (l->site_count + 1) * sizeof(*grown));

    if (grown == NULL)
        return err_memory(err);
    l->sites = grown;
    grown[l->site_count++] = site;
    return true;
}

static bool
add_site_listeners(struct generation *g, size_t i, struct err *err)
{
    const struct gate_site *site = site_at(g->config, i);
    const struct gate_listen *listens = site->listen.items;

    for (size_t k = 0; k < site->listen.count; k++) {
        struct generation_listener *l = listener_for(g, listens[k].address);

        if (l == NULL)
            return err_memory(err);
        l->tls = listens[k].tls;
        if (!listener_add_site(l, i, err))
            return false;
    }
    for (size_t k = 0; k < site->redirect_from.count; k++) {
        struct generation_listener *l =
            listener_for(g, site->redirect_from.items[k]);

        if (l == NULL)
            return err_memory(err);
        l->redirect = true;
        if (!listener_add_site(l, i, err))
            return false;
    }
    return true;
}

/* Where in certs the certificates of a site begin. */
static size_t
first_certificate(const struct generation *g, size_t site)
{
    size_t at = 0;

    for (size_t i = 0; i < site; i++)
        at += site_at(g->config, i)->certificates.count;
    return at;
}

static bool
build_tls(struct generation *g, struct generation_listener *l, struct err *err)
{
    struct tls_site *sites = calloc(l->site_count, sizeof(*sites));
    bool ok;

    if (sites == NULL)
        return err_memory(err);
    for (size_t i = 0; i < l->site_count; i++) {
        const struct gate_site *site = site_at(g->config, l->sites[i]);

        sites[i] = (struct tls_site){
            .hosts = (const char *const *)site->hosts.items,
            .host_count = site->hosts.count,
            .certs = g->certs + first_certificate(g, l->sites[i]),
            .cert_count = site->certificates.count,
            .tls13_only = site->tls13_only,
        };
    }
    ok = tls_context_new(sites, l->site_count, &l->tls_context, err);
    free(sites);
    return ok;
}

static bool
finish(struct generation *g, struct err *err)
{
    for (size_t i = 0; i < g->config->sites.count; i++)
        if (!add_site_listeners(g, i, err))
            return false;
    for (size_t i = 0; i < g->listener_count; i++)
        if (g->listeners[i].tls && !build_tls(g, &g->listeners[i], err))
            return false;
    return route_table_new(g->config, &g->routes, err) && add_pools(g, err) &&
           add_trusted(g, err);
}

/* ---- building ------------------------------------------------------------ */

struct generation_builder *
generation_build(struct gate_config *config, uint64_t id,
    struct staple_set *staples, generation_file *file, void *file_ctx,
    struct err *err)
{
    struct generation_builder *b = calloc(1, sizeof(*b));
    struct generation *g = calloc(1, sizeof(*g));

    if (b == NULL || g == NULL)
        goto fail;
    g->certs = calloc(count_certificates(config) + 1, sizeof(*g->certs));
    g->contents = calloc(count_certificates(config) + 1, sizeof(*g->contents));
    if (g->certs == NULL || g->contents == NULL)
        goto fail;
    g->refs = 1;
    g->id = id;
    g->config = config;
    *b = (struct generation_builder){
        .building = g, .staples = staples, .file = file, .file_ctx = file_ctx};
    return b;
fail:
    gate_config_free(config);
    if (g != NULL) {
        free(g->certs);
        free(g->contents);
    }
    free(g);
    free(b);
    (void)err_memory(err);
    return NULL;
}

void
generation_build_reuse(
    struct generation_builder *b, struct generation *previous)
{
    b->share = generation_share_new(previous);
}

enum generation_step
generation_build_step(struct generation_builder *b, int64_t now,
    struct generation **out, struct err *err)
{
    const struct gate_config *config = b->building->config;

    while (b->site < config->sites.count) {
        const struct gate_site *site = site_at(config, b->site);

        if (b->row < site->certificates.count)
            return build_certificate(
                       b, certificate_at(site, b->row++), now, err)
                       ? GENERATION_AGAIN
                       : GENERATION_FAILED;
        b->site++;
        b->row = 0;
    }
    if (!finish(b->building, err))
        return GENERATION_FAILED;
    *out = b->building;
    b->building = NULL; /* now the caller's */
    return GENERATION_DONE;
}

void
generation_builder_free(struct generation_builder *builder)
{
    if (builder == NULL)
        return;
    generation_unref(builder->building);
    generation_share_free(builder->share);
    free(builder);
}

/* ---- reading ------------------------------------------------------------- */

const struct generation_listener *
generation_find_listener(
    const struct generation *generation, const char *address)
{
    for (size_t i = 0; i < generation->listener_count; i++)
        if (strcmp(generation->listeners[i].address, address) == 0)
            return &generation->listeners[i];
    return NULL;
}

struct backend_pool *
generation_pool(
    const struct generation *generation, const struct gate_upstream *upstream)
{
    struct generation_pool wanted = {.upstream = upstream};
    const struct generation_pool *found = NULL;

    if (generation->pool_count > 0)
        found = bsearch(&wanted, generation->pools, generation->pool_count,
            sizeof(wanted), compare_pools);
    return found == NULL ? NULL : found->pool;
}
