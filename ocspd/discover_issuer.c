/*
 * Files and folders of CA certificates, each read once per round.
 * Input: paths of the configuration. Output: certificates, shared issuers.
 */
#include "ocspd/discover_issuer.h"

#include "shared/buf.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct store {
    char *path;
    STACK_OF(X509) * certs; /* NULL: could not be read */
    struct err err;
    struct list node;
};

struct shared_issuer {
    struct issuer *issuer;
    const STACK_OF(X509) * signers; /* a store's; tells two uses apart */
    struct list node;
};

void
discover_issuers_init(struct discover_issuers *issuers)
{
    list_init(&issuers->stores);
    list_init(&issuers->shared);
}

static void
store_free(struct store *store)
{
    list_remove(&store->node);
    cert_stack_free(store->certs);
    free(store->path);
    free(store);
}

void
discover_issuers_fini(struct discover_issuers *issuers)
{
    LIST_EACH(&issuers->stores, it)
    store_free(LIST_ENTRY(it, struct store, node));
    LIST_EACH(&issuers->shared, it)
    {
        struct shared_issuer *shared =
            LIST_ENTRY(it, struct shared_issuer, node);

        list_remove(it);
        issuer_unref(shared->issuer);
        free(shared);
    }
}

bool
discover_is_cert_name(const char *name)
{
    static const char *const ends[] = {".pem", ".crt", ".cer", ".cert"};
    struct span text = span_str(name);

    if (text.len == 0 || text.data[0] == '.')
        return false;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (span_ends(text, span_str(ends[i])))
            return true;
    return false;
}

static bool
append_all(STACK_OF(X509) * into, const STACK_OF(X509) * from)
{
    for (int i = 0; i < sk_X509_num(from); i++) {
        X509 *cert = sk_X509_value(from, i);

        if (!X509_up_ref(cert))
            return false;
        if (sk_X509_push(into, cert) <= 0) {
            X509_free(cert);
            return false;
        }
    }
    return true;
}

/* A file of the folder that is no certificate takes nothing away from the
 * others. */
static bool
append_file(STACK_OF(X509) * into, const char *folder, const char *name)
{
    STACK_OF(X509) *certs = NULL;
    struct buf path;
    bool ok = true;

    buf_init(&path, 4096);
    if (buf_add_fmt(&path, "%s/%s", folder, name) &&
        cert_file_load_all(buf_cstr(&path), &certs, NULL))
        ok = append_all(into, certs);
    cert_stack_free(certs);
    buf_fini(&path);
    return ok;
}

static bool
load_folder(const char *path, STACK_OF(X509) * *out, struct err *err)
{
    STACK_OF(X509) *certs = sk_X509_new_null();
    DIR *dir = opendir(path);
    struct dirent *entry;
    bool ok = certs != NULL;

    if (dir == NULL) {
        cert_stack_free(certs);
        return err_sys(err, "%s", path);
    }
    while (ok && (entry = readdir(dir)) != NULL)
        if (discover_is_cert_name(entry->d_name))
            ok = append_file(certs, path, entry->d_name);
    (void)closedir(dir);
    if (ok) {
        *out = certs;
        return true;
    }
    cert_stack_free(certs);
    return err_memory(err);
}

static struct store *
store_find(const struct discover_issuers *issuers, const char *path)
{
    LIST_EACH(&issuers->stores, it)
    {
        struct store *store = LIST_ENTRY(it, struct store, node);

        if (strcmp(store->path, path) == 0)
            return store;
    }
    return NULL;
}

static struct store *
store_new(struct discover_issuers *issuers, const char *path)
{
    struct store *store = calloc(1, sizeof(*store));
    struct stat st;

    if (store == NULL || (store->path = strdup(path)) == NULL) {
        free(store);
        return NULL;
    }
    list_init(&store->node);
    list_add_last(&issuers->stores, &store->node);
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        (void)load_folder(path, &store->certs, &store->err);
    else
        (void)cert_file_load_all(path, &store->certs, &store->err);
    return store;
}

const STACK_OF(X509) * discover_issuers_store(struct discover_issuers *issuers,
                           const char *path, bool *is_new, struct err *err)
{
    struct store *store = store_find(issuers, path);

    *is_new = store == NULL;
    if (store == NULL)
        store = store_new(issuers, path);
    if (store == NULL)
        return err_memory(err), NULL;
    if (store->certs == NULL && err != NULL)
        *err = store->err;
    return store->certs;
}

static struct issuer *
issuer_new(X509 *cert, const STACK_OF(X509) * signers)
{
    struct issuer *issuer = calloc(1, sizeof(*issuer));

    if (issuer == NULL)
        return NULL;
    issuer->refs = 1;
    if (!X509_up_ref(cert)) {
        free(issuer);
        return NULL;
    }
    issuer->cert = cert;
    if (signers != NULL) {
        issuer->signers = sk_X509_new_null();
        if (issuer->signers == NULL || !append_all(issuer->signers, signers)) {
            issuer_unref(issuer);
            return NULL;
        }
    }
    return issuer;
}

struct issuer *
discover_issuers_share(struct discover_issuers *issuers, X509 *cert,
    const STACK_OF(X509) * signers)
{
    struct shared_issuer *shared;

    LIST_EACH(&issuers->shared, it)
    {
        shared = LIST_ENTRY(it, struct shared_issuer, node);
        if (shared->signers == signers &&
            X509_cmp(shared->issuer->cert, cert) == 0)
            return issuer_ref(shared->issuer);
    }
    shared = calloc(1, sizeof(*shared));
    if (shared == NULL)
        return NULL;
    shared->issuer = issuer_new(cert, signers);
    if (shared->issuer == NULL) {
        free(shared);
        return NULL;
    }
    shared->signers = signers;
    list_init(&shared->node);
    list_add_last(&issuers->shared, &shared->node);
    return issuer_ref(shared->issuer);
}
