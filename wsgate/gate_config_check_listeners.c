/*
 * Listeners that several sites share: the same host twice, TLS and not TLS.
 * Input: a filled struct. Output: right, or what is wrong where.
 */
#include "wsgate/gate_config_check.h"

#include <stdlib.h>
#include <string.h>

enum use { USE_TLS, USE_PLAIN, USE_REDIRECT };

/* One host of one site on one address. */
struct claim {
    const char *address;
    const char *host;
    enum use use;
    const struct config_mark *address_mark;
    const struct config_mark *host_mark;
    size_t order; /* as written */
};

static int
compare(const void *a, const void *b)
{
    const struct claim *x = a;
    const struct claim *y = b;
    int order = strcmp(x->address, y->address);

    if (order == 0)
        order = strcmp(x->host, y->host);
    if (order == 0)
        order = x->order < y->order ? -1 : 1;
    return order;
}

static size_t
count_claims(const struct gate_config *config)
{
    const struct gate_site *sites = config->sites.items;
    size_t count = 0;

    for (size_t i = 0; i < config->sites.count; i++)
        count += sites[i].hosts.count *
                 (sites[i].listen.count + sites[i].redirect_from.count);
    return count;
}

static size_t
add_claims(const struct gate_site *site, struct claim *out)
{
    const struct gate_listen *listens = site->listen.items;
    size_t n = 0;

    for (size_t h = 0; h < site->hosts.count; h++) {
        struct claim claim = {
            .host = site->hosts.items[h], .host_mark = &site->hosts.marks[h]};

        for (size_t i = 0; i < site->listen.count; i++) {
            claim.address = listens[i].address;
            claim.address_mark = &listens[i].mark;
            claim.use = listens[i].tls ? USE_TLS : USE_PLAIN;
            out[n++] = claim;
        }
        for (size_t i = 0; i < site->redirect_from.count; i++) {
            claim.address = site->redirect_from.items[i];
            claim.address_mark = &site->redirect_from.marks[i];
            claim.use = USE_REDIRECT;
            out[n++] = claim;
        }
    }
    return n;
}

static bool
check_pair(const struct claim *a, const struct claim *b, struct err *err)
{
    static const char *const words[] = {"TLS", "plain HTTP", "'redirect_from'"};

    if (strcmp(a->address, b->address) != 0)
        return true;
    if (a->use != b->use)
        return config_fail(b->address_mark, err,
            "%s is %s here and %s at line %u; one address has one use",
            b->address, words[b->use], words[a->use], a->address_mark->line);
    if (strcmp(a->host, b->host) == 0)
        return config_fail(
            b->host_mark->file != NULL ? b->host_mark : b->address_mark, err,
            "host '%s' is on %s twice (the other is at line %u)", b->host,
            b->address,
            a->host_mark->file != NULL ? a->host_mark->line
                                       : a->address_mark->line);
    return true;
}

bool
gate_config_check_listeners(const struct gate_config *config, struct err *err)
{
    const struct gate_site *sites = config->sites.items;
    size_t count = count_claims(config);
    struct claim *claims = calloc(count + 1, sizeof(*claims));
    size_t n = 0;
    bool ok = true;

    if (claims == NULL)
        return err_memory(err);
    for (size_t i = 0; i < config->sites.count; i++)
        n += add_claims(&sites[i], claims + n);
    for (size_t i = 0; i < n; i++)
        claims[i].order = i;
    qsort(claims, n, sizeof(*claims), compare);
    for (size_t i = 1; ok && i < n; i++)
        ok = check_pair(&claims[i - 1], &claims[i], err);
    free(claims);
    return ok;
}
