/*
 * One configuration with all that workers need of it.
 * Input: the operator's configuration and the files it names. Output: a sealed
 * bundle and an open log, tried out before anybody is told.
 */
#include "wsgate/process/release.h"

#include "shared/now.h"
#include "wsgate/client/generation.h"
#include "wsgate/process/pair_look.h"
#include "wsgate/process/preflight.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct release_config {
    unsigned refs;
    struct gate_config *config;
};

const struct gate_config *
release_config(const struct release *r)
{
    return r->config->config;
}

static struct release_config *
new_config(struct gate_config *config)
{
    struct release_config *counted = calloc(1, sizeof(*counted));

    if (counted == NULL) {
        gate_config_free(config);
        return NULL;
    }
    *counted = (struct release_config){.refs = 1, .config = config};
    return counted;
}

static void
unref_config(struct release_config *counted)
{
    if (counted == NULL || --counted->refs > 0)
        return;
    gate_config_free(counted->config);
    free(counted);
}

void
release_free(struct release *r)
{
    if (r == NULL)
        return;
    unref_config(r->config);
    if (r->bundle >= 0)
        (void)close(r->bundle);
    if (r->log_fd >= 0)
        (void)close(r->log_fd);
    free(r->ready);
    free(r);
}

bool
release_open_bundle(
    const struct release *r, struct bundle **out, struct err *err)
{
    int fd = fcntl(r->bundle, F_DUPFD_CLOEXEC, 0);

    return fd >= 0 ? bundle_open(fd, out, err)
                   : err_sys(err, "the configuration in force");
}

/* Builds what a worker will build, from the same bytes: a pair that does not
 * fit is found here, before anybody is told. Only `config` (taken) stays. */
static bool
try_to_build(struct release *r, struct gate_config *config, struct err *err)
{
    struct generation_builder *builder;
    struct generation *built = NULL;
    struct bundle *bundle = NULL;
    enum generation_step step;

    if (!release_open_bundle(r, &bundle, err)) {
        gate_config_free(config);
        return false;
    }
    builder = generation_build(config, r->id, NULL, bundle_get, bundle, err);
    step = builder == NULL ? GENERATION_FAILED : GENERATION_AGAIN;
    while (step == GENERATION_AGAIN)
        step = generation_build_step(builder, now_wall(), &built, err);
    generation_builder_free(builder);
    bundle_free(bundle);
    if (step != GENERATION_DONE)
        return false;
    r->config = new_config(generation_take_config(built));
    return r->config != NULL || err_memory(err);
}

bool
release_open_log(struct release *r, struct err *err)
{
    const char *path = release_config(r)->log.access;

    if (r->log_fd >= 0 || path == NULL || strcmp(path, "off") == 0)
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

static struct release *
new_release(uint64_t id, struct err *err)
{
    struct release *r = calloc(1, sizeof(*r));

    if (r == NULL) {
        (void)err_memory(err);
        return NULL;
    }
    r->id = id;
    r->bundle = -1;
    r->log_fd = -1;
    return r;
}

static bool
warn_open_key(
    void *ctx, const struct gate_site *site, const struct gate_certificate *row)
{
    (void)ctx;
    (void)site;
    pair_files_warn_open(row->key != NULL ? row->key : row->chain);
    return true;
}

/* Reads the disk; what must wait keeps the bytes in force. */
static bool
bundle_from_disk(struct release *r, const struct gate_config *config,
    const struct release *old, struct err *err)
{
    struct pair_look *look = NULL;
    struct bundle *bundle = NULL;
    bool ok;

    if (old != NULL && !release_open_bundle(old, &bundle, err))
        return false;
    ok = pair_look_new(config, bundle, NULL, NULL, PAIR_ASKED_BY_OPERATOR,
             now_wall(), &look, err) &&
         bundle_write(
             config, r->id, pair_files_source, look->files, &r->bundle, err);
    if (ok)
        (void)pair_each_row(config, warn_open_key, NULL);
    pair_look_free(look);
    bundle_free(bundle);
    return ok;
}

bool
release_make(master_load *load, void *ctx, uint64_t id,
    const struct release *old, struct release **out, struct err *err)
{
    struct release *r = new_release(id, err);
    struct gate_config *config = NULL;

    if (r == NULL)
        return false;
    if (!load(ctx, &config, err))
        goto fail;
    if (!check_user(config, err) || !bundle_from_disk(r, config, old, err)) {
        gate_config_free(config);
        goto fail;
    }
    if (!try_to_build(r, config, err))
        goto fail;
    if (id != 0)
        preflight(release_config(r));
    else if (!preflight_check(release_config(r), err)) /* -t */
        goto fail;
    *out = r;
    return true;
fail:
    release_free(r);
    return false;
}

/* The log is the one that is open: to open it by name would fail, or begin
 * another file, with no operator near. */
bool
release_make_again(const struct release *old, uint64_t id,
    bundle_source *source, void *ctx, struct release **out, struct err *err)
{
    struct release *r = new_release(id, err);

    if (r == NULL)
        return false;
    r->config = old->config;
    r->config->refs++;
    if (old->log_fd >= 0)
        r->log_fd = fcntl(old->log_fd, F_DUPFD_CLOEXEC, 0);
    if (old->log_fd >= 0 && r->log_fd < 0)
        (void)err_sys(err, "access log");
    else if (bundle_write(
                 release_config(r), id, source, ctx, &r->bundle, err)) {
        *out = r;
        return true;
    }
    release_free(r);
    return false;
}
