/*
 * One configuration with all that workers need of it.
 * Input: the operator's configuration and the files it names. Output: a sealed
 * bundle and an open log, tried out before anybody is told.
 */
#include "wsgate/process/release.h"

#include "shared/now.h"
#include "wsgate/process/bundle.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct gate_config *
release_config(const struct release *r)
{
    return r->generation->config;
}

void
release_free(struct release *r)
{
    if (r == NULL)
        return;
    generation_unref(r->generation);
    if (r->bundle >= 0)
        (void)close(r->bundle);
    if (r->log_fd >= 0)
        (void)close(r->log_fd);
    free(r->ready);
    free(r);
}

/* Builds what a worker will build, from the same bytes: a pair that does not
 * fit is found here, before anybody is told. */
static bool
try_to_build(struct release *r, struct gate_config *config, struct err *err)
{
    struct generation_builder *builder;
    struct bundle *bundle = NULL;
    enum generation_step step;

    if (!bundle_open(fcntl(r->bundle, F_DUPFD_CLOEXEC, 0), &bundle, err)) {
        gate_config_free(config);
        return false;
    }
    builder = generation_build(config, r->id, NULL, bundle_get, bundle, err);
    step = builder == NULL ? GENERATION_FAILED : GENERATION_AGAIN;
    while (step == GENERATION_AGAIN)
        step = generation_build_step(builder, now_wall(), &r->generation, err);
    generation_builder_free(builder);
    bundle_free(bundle);
    return step == GENERATION_DONE;
}

bool
release_open_log(struct release *r, struct err *err)
{
    const char *path = release_config(r)->log.access;

    if (path == NULL || strcmp(path, "off") == 0)
        return true;
    r->log_fd =
        strcmp(path, "-") == 0
            ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)
            : open(path, /* a FIFO without a reader is an error, no wait */
                  O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640);
    if (r->log_fd < 0)
        return err_sys(err, "access log %s", path);
    return true;
}

static bool
check_user(const struct gate_config *config, struct err *err)
{
    if (geteuid() != 0 || config->user == NULL ||
        getpwnam(config->user) != NULL)
        return true;
    return err_set(
        err, ERR_CONFIG, "user: '%s' is not known on this host", config->user);
}

bool
release_make(master_load *load, void *ctx, uint64_t id, struct release **out,
    struct err *err)
{
    struct release *r = calloc(1, sizeof(*r));
    struct gate_config *config = NULL;

    if (r == NULL)
        return err_memory(err);
    r->id = id;
    r->bundle = -1;
    r->log_fd = -1;
    if (!load(ctx, &config, err))
        goto fail;
    if (!check_user(config, err) ||
        !bundle_write(config, id, &r->bundle, err)) {
        gate_config_free(config);
        goto fail;
    }
    if (!try_to_build(r, config, err))
        goto fail;
    *out = r;
    return true;
fail:
    release_free(r);
    return false;
}
