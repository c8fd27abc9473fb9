/*
 * Which site a server name belongs to.
 * Input: sites of a generation, names from ClientHellos. Output: an index.
 */
#include "wsgate/tls/tls_site.h"

#include <ctype.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

enum match { MATCH_NONE, MATCH_ANY, MATCH_WILDCARD, MATCH_EXACT };

static enum match
match_host(const char *host, struct span name)
{
    struct span pattern = span_str(host);

    if (span_eq(pattern, SPAN_LIT("*")))
        return MATCH_ANY;
    if (span_eq(pattern, name))
        return MATCH_EXACT;
    if (span_starts(pattern, SPAN_LIT("*.")) && name.len > pattern.len - 1 &&
        span_ends(name, span_from(pattern, 1)))
        return MATCH_WILDCARD;
    return MATCH_NONE;
}

int
tls_site_find(
    const struct tls_site_rules *sites, size_t count, struct span name)
{
    enum match best = MATCH_NONE;
    size_t best_len = 0;
    int found = -1;

    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < sites[i].host_count; k++) {
            const char *host = sites[i].hosts[k];
            enum match match = match_host(host, name);

            if (match == MATCH_NONE || match < best ||
                (match == best && strlen(host) <= best_len))
                continue;
            best = match;
            best_len = strlen(host);
            found = (int)i;
        }
    }
    return found;
}

/* A client that names nobody: health checks, old tools, addresses in URLs. */
int
tls_site_without_name(const struct tls_site_rules *sites, size_t count)
{
    int found = tls_site_find(sites, count, SPAN_EMPTY);

    for (size_t i = 0; found < 0 && i < count; i++)
        if (sites[i].cert_count > 0)
            found = (int)i;
    return found;
}

/*
 * RFC 6066 3: ServerNameList, of which there is one entry of type host_name.
 * Answers false for bytes that are not that.
 */
bool
tls_site_parse_sni(struct span ext, struct span *name)
{
    size_t list_len, name_len;

    if (ext.len < 5)
        return false;
    list_len = (size_t)ext.data[0] << 8 | ext.data[1];
    name_len = (size_t)ext.data[3] << 8 | ext.data[4];
    if (list_len != ext.len - 2 || ext.data[2] != TLSEXT_NAMETYPE_host_name ||
        name_len != ext.len - 5 || name_len == 0 || name_len > TLS_SITE_SNI_MAX)
        return false;
    *name = span_from(ext, 5);
    return span_find(*name, 0) == name->len;
}

/* Lower case, without the root's dot. */
char *
tls_site_copy_name(struct span name)
{
    char *copy;

    if (name.len > 1 && name.data[name.len - 1] == '.')
        name.len--;
    copy = span_dup(name);
    for (char *c = copy; c != NULL && *c != 0; c++)
        *c = (char)tolower((unsigned char)*c);
    return copy;
}

static bool
hash_add(EVP_MD_CTX *md, const char *text)
{
    return EVP_DigestUpdate(md, text, strlen(text) + 1) == 1;
}

/* Stable over reloads and the same in all workers: tickets go on. */
static bool
make_identity(struct tls_site_rules *site)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
              hash_add(md, site->tls13_only ? "wsgate 1.3" : "wsgate 1.2");

    for (size_t i = 0; ok && i < site->host_count; i++)
        ok = hash_add(md, site->hosts[i]);
    ok = ok && EVP_DigestFinal_ex(md, site->identity, &site->identity_len) == 1;
    EVP_MD_CTX_free(md);
    return ok;
}

static bool
copy_hosts(struct tls_site_rules *site, const struct tls_site *from)
{
    site->hosts = calloc(from->host_count + 1, sizeof(*site->hosts));
    for (size_t i = 0; site->hosts != NULL && i < from->host_count; i++) {
        site->hosts[i] = tls_site_copy_name(span_str(from->hosts[i]));
        if (site->hosts[i] == NULL)
            return false;
        site->host_count++;
    }
    return site->hosts != NULL;
}

bool
tls_site_init(struct tls_site_rules *site, const struct tls_site *from)
{
    site->tls13_only = from->tls13_only;
    site->certs = calloc(from->cert_count + 1, sizeof(struct tls_cert *));
    return site->certs != NULL && copy_hosts(site, from) && make_identity(site);
}

void
tls_site_fini(struct tls_site_rules *site)
{
    for (size_t i = 0; i < site->host_count; i++)
        free(site->hosts[i]);
    for (size_t i = 0; i < site->cert_count; i++)
        tls_cert_unref(site->certs[i]);
    free(site->hosts);
    free(site->certs);
}
