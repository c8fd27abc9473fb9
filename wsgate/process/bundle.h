/*
 * One generation of configuration and the bytes of every file it names, in a
 * sealed memfd: what the master sends each worker at start and at reload.
 * Workers have no path to the files. Keys: the mapping is wiped when closed.
 */
#ifndef WSGATE_PROCESS_BUNDLE_H
#define WSGATE_PROCESS_BUNDLE_H

#include "shared/err.h"
#include "shared/span.h"
#include "wsgate/gate_config.h"

#include <stdbool.h>
#include <stdint.h>

#define BUNDLE_CONFIG "config" /* gate_config_dump()'s text */

/*
 * The bytes of a file that the configuration names, borrowed until
 * bundle_write() returns. It may be asked twice for the same.
 */
typedef bool
bundle_source(void *ctx, const char *path, struct span *bytes, struct err *err);

/*
 * Writes the resolved configuration and every file that it names (certificates,
 * keys, issuers, signers). *fd is the caller's, sealed against writing and
 * resizing. ERR_CONFIG names file:line:column and path.
 */
bool bundle_write(const struct gate_config *config, uint64_t id,
    bundle_source *source, void *ctx, int *fd, struct err *err);

struct bundle; /* reader */

/* `fd` is taken (closed at once). Contents are untrusted in form: every length
 * is checked, seals are required. */
bool bundle_open(int fd, struct bundle **out, struct err *err);
/* Unmaps; private pages with keys are gone. */
void bundle_free(struct bundle *bundle);
uint64_t bundle_id(const struct bundle *bundle);
/* data NULL: no such name. As generation_file's signature. */
struct span bundle_get(void *bundle, const char *name);

#endif
