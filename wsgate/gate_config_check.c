/*
 * The configuration as a whole: sites, certificates, addresses, networks.
 * Input: a filled struct. Output: the struct completed, or what is wrong where.
 */
#include "wsgate/gate_config_check.h"

#include "shared/cidr.h"
#include "wsgate/gate_config_address.h"

#include <stdlib.h>
#include <string.h>

/* An error without place gets one. */
static bool
fail_at(const struct config_mark *mark, const struct err *why, struct err *err)
{
    return config_fail(mark, err, "%s", why->text);
}

static bool
check_strings(const struct config_strings *list,
    bool (*check)(const char *text, struct err *err), struct err *err)
{
    struct err why = {.kind = ERR_NONE};

    for (size_t i = 0; i < list->count; i++)
        if (!check(list->items[i], &why))
            return fail_at(&list->marks[i], &why, err);
    return true;
}

static bool
is_network(const char *text, struct err *err)
{
    struct cidr range;

    if (cidr_parse(span_str(text), &range))
        return true;
    return err_set(err, ERR_CONFIG,
        "'%.100s' is no network; expected 10.0.0.0/8, \"fd00::/8\" or one "
        "address, without host bits",
        text);
}

/* Host names are compared in lower case (RFC 9110 4.2.3). */
static void
lower(char *text)
{
    for (; *text != 0; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text | 0x20);
}

static bool
check_mode(const struct gate_listen *listen, struct err *err)
{
    uint64_t ignored = 0;

    if (listen->mode == NULL)
        return true;
    if (strncmp(listen->address, "unix:", 5) != 0)
        return config_fail(&listen->mark, err,
            "'mode' is for unix sockets; %s has none", listen->address);
    if (strspn(listen->mode, "01234567") == strlen(listen->mode) &&
        span_to_u64(span_str(listen->mode), 777, &ignored))
        return true;
    return config_fail(&listen->mark, err,
        "'mode' is '%.100s'; expected an octal mode such as 0660",
        listen->mode);
}

static bool
check_listen(const struct gate_listen *listen, struct err *err)
{
    struct err why = {.kind = ERR_NONE};

    if (!gate_config_address_listen(listen->address, &why))
        return fail_at(&listen->mark, &why, err);
    if (listen->proxy_protocol)
        return config_fail(&listen->mark, err,
            "'proxy_protocol' is not supported yet; leave it out, and name "
            "the load balancer in trusted_proxies");
    return check_mode(listen, err);
}

static bool
has_tls(const struct gate_site *site)
{
    const struct gate_listen *listens = site->listen.items;

    for (size_t i = 0; i < site->listen.count; i++)
        if (listens[i].tls)
            return true;
    return false;
}

static bool
check_tls(const struct gate_site *site, struct err *err)
{
    if (has_tls(site) && site->certificates.count == 0)
        return config_fail(&site->mark, err,
            "a site with TLS needs 'certificates'; for plain HTTP write "
            "listen: [{address: ..., tls: false}]");
    if (!has_tls(site) && site->redirect_from.count > 0)
        return config_fail(&site->redirect_from.marks[0], err,
            "'redirect_from' sends clients to https, but no 'listen' of this "
            "site has TLS");
    if (site->certificates.count > GATE_SITE_CERTS_MAX) {
        const struct gate_certificate *c = site->certificates.items;

        return config_fail(&c[GATE_SITE_CERTS_MAX].mark, err,
            "a site has at most %d certificates, one for each kind of key; "
            "other names are other sites",
            GATE_SITE_CERTS_MAX);
    }
    return true;
}

static bool
fill_keys(const struct gate_site *site, struct err *err)
{
    struct gate_certificate *certificates = site->certificates.items;

    for (size_t i = 0; i < site->certificates.count; i++) {
        struct gate_certificate *c = &certificates[i];

        if (c->key == NULL)
            c->key = strdup(c->chain);
        if (c->key == NULL)
            return err_memory(err);
    }
    return true;
}

static bool
check_site(const struct gate_config *config, const struct gate_site *site,
    struct err *err)
{
    const struct gate_listen *listens = site->listen.items;
    const struct gate_location *locations = site->locations.items;

    for (size_t i = 0; i < site->hosts.count; i++)
        lower(site->hosts.items[i]);
    if (!check_strings(&site->hosts, gate_config_address_host, err) ||
        !check_strings(&site->redirect_from, gate_config_address_listen, err))
        return false;
    for (size_t i = 0; i < site->listen.count; i++)
        if (!check_listen(&listens[i], err))
            return false;
    for (size_t i = 0; i < site->locations.count; i++)
        if (!gate_config_check_location(config, &locations[i], err))
            return false;
    return check_tls(site, err) && fill_keys(site, err);
}

static bool
check_pools(const struct gate_config *config, struct err *err)
{
    const struct gate_pool *pools = config->pools.items;

    for (size_t i = 0; i < config->pools.count; i++) {
        if (pools[i].servers.count == 0)
            return config_fail(
                &pools[i].mark, err, "pool '%s' has no servers", pools[i].name);
        if (!check_strings(&pools[i].servers, gate_config_address_server, err))
            return false;
    }
    return true;
}

/* A file beside the one that names it, like every path. */
static bool
resolve_access(struct gate_config *config, struct err *err)
{
    const struct config_node *log = config_node_get(config->tree->root, "log");
    const struct config_node *node = config_node_get(log, "access");
    char *path;

    if (strcmp(config->log.access, "-") == 0 ||
        strcmp(config->log.access, "off") == 0)
        return true;
    if (config->log.access[0] == 0)
        return config_fail(node == NULL ? NULL : &node->mark, err,
            "'access' is empty; expected a file, \"-\" or off");
    path = config_resolve_path(
        node == NULL ? NULL : &node->mark, config->log.access);
    if (path == NULL)
        return err_memory(err);
    free(config->log.access);
    config->log.access = path;
    return true;
}

static bool
check_admin(const struct gate_config *config, struct err *err)
{
    const struct config_node *node =
        config_node_get(config->tree->root, "admin");
    struct err why = {.kind = ERR_NONE};

    if (config->admin == NULL || gate_config_address_admin(config->admin, &why))
        return true;
    return fail_at(node == NULL ? NULL : &node->mark, &why, err);
}

bool
gate_config_check(struct gate_config *config, struct err *err)
{
    const struct gate_site *sites = config->sites.items;

    if (!check_pools(config, err) || !resolve_access(config, err) ||
        !check_admin(config, err) ||
        !check_strings(&config->trusted_proxies, is_network, err))
        return false;
    for (size_t i = 0; i < config->sites.count; i++)
        if (!check_site(config, &sites[i], err))
            return false;
    return gate_config_check_listeners(config, err);
}
