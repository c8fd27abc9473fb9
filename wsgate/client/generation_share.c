/*
 * Certificates that two generations have in common.
 * Input: an earlier generation, the bytes of a certificate's files. Output: the
 * certificate that was made of the same.
 */
#include "wsgate/client/generation_share.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct generation_share {
    struct generation *previous; /* referenced */
    struct item {
        const struct generation_content *content;
        struct tls_cert *cert;
    } * items; /* by content */
    size_t count;
};

static bool
add_part(EVP_MD_CTX *md, struct span bytes)
{
    uint64_t len = bytes.len;

    return EVP_DigestUpdate(md, &len, sizeof(len)) == 1 &&
           (bytes.len == 0 || EVP_DigestUpdate(md, bytes.data, bytes.len) == 1);
}

bool
generation_content_make(
    const struct tls_cert_source *source, struct generation_content *out)
{
    const int mode = (int)source->staple_mode;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok =
        md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
        add_part(md, source->chain_pem) && add_part(md, source->key_pem) &&
        add_part(md, source->issuer_pem) && add_part(md, source->signers_pem) &&
        add_part(md, span_make(&mode, sizeof(mode))) &&
        EVP_DigestFinal_ex(md, out->digest, NULL) == 1;

    EVP_MD_CTX_free(md);
    if (!ok) {
        ERR_clear_error();
        *out = (struct generation_content){.digest = {0}};
    }
    return ok;
}

static int
compare(const void *a, const void *b)
{
    const struct item *x = a, *y = b;

    return memcmp(
        x->content->digest, y->content->digest, sizeof(x->content->digest));
}

struct generation_share *
generation_share_new(struct generation *previous)
{
    struct generation_share *share;

    if (previous == NULL || previous->cert_count == 0)
        return NULL;
    share = calloc(1, sizeof(*share));
    if (share == NULL)
        return NULL;
    share->items = calloc(previous->cert_count, sizeof(*share->items));
    if (share->items == NULL) {
        free(share);
        return NULL;
    }
    share->previous = generation_ref(previous);
    share->count = previous->cert_count;
    for (size_t i = 0; i < share->count; i++)
        share->items[i] =
            (struct item){&previous->contents[i], previous->certs[i]};
    qsort(share->items, share->count, sizeof(*share->items), compare);
    return share;
}

void
generation_share_free(struct generation_share *share)
{
    if (share == NULL)
        return;
    generation_unref(share->previous);
    free(share->items);
    free(share);
}

struct tls_cert *
generation_share_find(const struct generation_share *share,
    const struct generation_content *content, const struct staple_set *staples)
{
    const struct item wanted = {.content = content};
    const struct item *found;

    if (share == NULL)
        return NULL;
    found =
        bsearch(&wanted, share->items, share->count, sizeof(wanted), compare);
    if (found == NULL || found->cert->staples != staples)
        return NULL;
    return tls_cert_ref(found->cert);
}
