/*
 * One generation of configuration, ready to serve: routes, TLS contexts and
 * backend pools. Immutable and counted: a reload swaps a pointer, exchanges and
 * tunnels keep theirs. Built in steps so that a loop turn stays short.
 */
#ifndef WSGATE_CLIENT_GENERATION_H
#define WSGATE_CLIENT_GENERATION_H

#include "shared/cidr.h"
#include "shared/err.h"
#include "shared/span.h"
#include "wsgate/backend/backend_pick.h"
#include "wsgate/gate_config.h"
#include "wsgate/http/http_parse.h"
#include "wsgate/route/route.h"
#include "wsgate/tls/staple.h"
#include "wsgate/tls/tls_context.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One address that is listened on, and what serves there. */
struct generation_listener {
    const char *address; /* as configured; borrowed from the config */
    bool tls;
    bool redirect; /* plain HTTP that answers 308 */
    struct tls_context *tls_context; /* NULL unless tls */
    size_t *sites; /* context's site index -> config's site index */
    size_t site_count;
};

struct generation {
    unsigned refs;
    uint64_t id;
    struct gate_config *config;
    struct route_table *routes;
    struct generation_listener *listeners;
    size_t listener_count;
    struct cidr *trusted;
    size_t trusted_count;
    struct tls_cert **certs; /* all sites', in order */
    struct generation_content *contents; /* of what each was made */
    size_t cert_count;
    struct generation_pool *pools; /* private to generation.c */
    size_t pool_count;
};

/* Bytes of a file the configuration names; data NULL: not there. */
typedef struct span generation_file(void *ctx, const char *path);

struct generation_builder;

/*
 * `config` is taken. `staples` may be NULL (config check). `file` is used until
 * the last step.
 */
struct generation_builder *generation_build(struct gate_config *config,
    uint64_t id, struct staple_set *staples, generation_file *file,
    void *file_ctx, struct err *err);
/* Before the first step: certificates of `previous` (NULL: none) that are made
 * of the same bytes are shared, not parsed anew. */
void generation_build_reuse(
    struct generation_builder *builder, struct generation *previous);
enum generation_step {
    GENERATION_AGAIN, /* call again */
    GENERATION_DONE, /* *out is the caller's, one reference */
    GENERATION_FAILED /* *err, ERR_CONFIG */
};
/* About one certificate's worth of work. */
enum generation_step generation_build_step(struct generation_builder *builder,
    int64_t now, struct generation **out, struct err *err);
/* Also after DONE and FAILED. */
void generation_builder_free(struct generation_builder *builder);

struct generation *generation_ref(struct generation *generation);
void generation_unref(struct generation *generation);
/* The configuration becomes the caller's, all else is freed, keys above all:
 * for who only wants to know that it can be built. `generation` is taken and
 * has no other reference. */
struct gate_config *generation_take_config(struct generation *generation);

/* NULL: nothing is served there (any more). */
const struct generation_listener *generation_find_listener(
    const struct generation *generation, const char *address);
/* The servers of a handler; NULL for files. */
struct backend_pool *generation_pool(
    const struct generation *generation, const struct gate_upstream *upstream);

#endif
