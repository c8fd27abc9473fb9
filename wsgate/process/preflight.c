/*
 * What a configuration needs beyond its own files.
 * Input: a checked configuration; the file system, with the rights of who will
 * serve. Output: warnings with the mend; for -t an error.
 */
#include "wsgate/process/preflight.h"

#include "shared/log.h"
#include "shared/reach.h"
#include "wsgate/process/preflight_user.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    WARNINGS_MAX = 64, /* ours: then the rest is like them */
    TEXT_ROOM = 600,
    HOME_LEN = 6
};

#define UNIT_CONFIG_FOLDER "/etc/wsgate/"
#define UNIT_NAME "wsgate"

/* One look, with somebody's rights. */
struct look {
    const struct gate_config *config;
    bool with_files; /* configuration, chains and keys too: -t */
    bool is_home_hidden; /* from the unit, and we are outside of it */
};

struct said {
    const char *paths[WARNINGS_MAX]; /* borrowed: told already */
    size_t count;
};

/* ---- warnings ------------------------------------------------------------- */

static bool
is_new(struct said *said, const char *path)
{
    for (size_t i = 0; i < said->count; i++)
        if (strcmp(said->paths[i], path) == 0)
            return false;
    if (said->count == WARNINGS_MAX)
        return false;
    said->paths[said->count++] = path;
    return true;
}

static void
place_text(const struct config_mark *mark, char *out, size_t size)
{
    (void)snprintf(out, size, "%s:%u:%u", mark->file == NULL ? "" : mark->file,
        mark->line, mark->column);
}

static void
warn(struct said *said, const char *event, const char *path,
    const struct config_mark *mark, const struct reach *r)
{
    char place[TEXT_ROOM], what[TEXT_ROOM], mend[TEXT_ROOM];
    bool has_mend, has_place = mark != NULL && mark->file != NULL;

    if (!is_new(said, path))
        return;
    reach_describe(r, what, sizeof(what));
    reach_mend(r, mend, sizeof(mend));
    has_mend = mend[0] != 0;
    if (has_place)
        place_text(mark, place, sizeof(place));
    log_warn(event, LOG_S("path", path),
        has_place ? LOG_S("at", place) : (struct log_field){.key = NULL},
        LOG_S("error", what),
        has_mend ? LOG_S("mend", mend) : (struct log_field){.key = NULL});
}

/* ---- what is looked at ---------------------------------------------------- */

static bool
is_below_home(const char *path)
{
    return strncmp(path, "/home/", HOME_LEN) == 0 ||
           strncmp(path, "/root/", HOME_LEN) == 0;
}

static void
look_at_root(
    const struct look *look, struct said *said, const struct gate_files *files)
{
    struct reach r;

    reach_find(files->root, REACH_ROOT, &r);
    if (look->is_home_hidden && is_below_home(files->root)) {
        r.kind = REACH_HIDDEN;
        r.path[HOME_LEN - 1] = 0;
    }
    if (r.kind != REACH_FREE)
        warn(said, "files: root cannot be served", files->root, &files->mark,
            &r);
}

static bool
is_refused(const struct reach *r)
{
    return r->kind == REACH_FOLDER || r->kind == REACH_DENIED ||
           r->kind == REACH_HIDDEN;
}

/* One that is not there may come with its server. */
static void
look_at_servers(const struct look *look, struct said *said,
    const struct gate_upstream *up, const struct config_mark *mark)
{
    const struct config_strings *servers =
        gate_upstream_servers(look->config, up);

    for (size_t i = 0; i < servers->count; i++) {
        struct reach r;

        if (strncmp(servers->items[i], "unix:", 5) != 0)
            continue;
        reach_find(servers->items[i] + 5, REACH_SOCKET, &r);
        if (is_refused(&r))
            warn(said, "socket of a server cannot be used",
                servers->items[i] + 5, mark, &r);
    }
}

static void
look_at_location(
    const struct look *look, struct said *said, const struct gate_location *l)
{
    if (l->files.is_set)
        look_at_root(look, said, &l->files);
    if (l->proxy.is_set)
        look_at_servers(look, said, &l->proxy.up, &l->proxy.mark);
    if (l->websocket.is_set)
        look_at_servers(look, said, &l->websocket.up, &l->websocket.mark);
    if (l->fastcgi.is_set)
        look_at_servers(look, said, &l->fastcgi.up, &l->fastcgi.mark);
}

static void
look_at_spool(struct said *said, const char *spool)
{
    struct reach r;

    if (spool == NULL)
        return;
    reach_find(spool, REACH_SPOOL, &r);
    if (r.kind == REACH_MISSING && is_new(said, spool))
        log_warn("no spool: is ocspd running? serving without staples",
            LOG_S("spool", spool));
    else if (r.kind != REACH_FREE)
        warn(said, "spool cannot be read: serving without staples", spool, NULL,
            &r);
}

static void
look_around(const struct look *look)
{
    const struct gate_site *sites = look->config->sites.items;
    struct said said = {.count = 0};

    look_at_spool(&said, look->config->spool);
    for (size_t i = 0; i < look->config->sites.count; i++) {
        const struct gate_location *locations = sites[i].locations.items;

        for (size_t k = 0; k < sites[i].locations.count; k++)
            look_at_location(look, &said, &locations[k]);
    }
}

/* ---- what must be readable ------------------------------------------------ */

static bool
need(const char *what, const char *path, enum reach_want want,
    const struct config_mark *mark, struct err *err)
{
    char text[TEXT_ROOM], mend[TEXT_ROOM];
    struct reach r;

    if (path == NULL)
        return true;
    reach_find(path, want, &r);
    if (!is_refused(&r))
        return true; /* what is not there was an error before */
    reach_describe(&r, text, sizeof(text));
    reach_mend(&r, mend, sizeof(mend));
    (void)err_set(err, ERR_SYSTEM,
        "%s:%u:%u: %s: the service could not read "
        "it: %s: %s",
        mark->file, mark->line, mark->column, what, text, mend);
    err->sys_errno = EACCES;
    return false;
}

static bool
need_site(const struct gate_site *site, struct err *err)
{
    const struct gate_certificate *rows = site->certificates.items;

    if (!need("configuration", site->mark.file, REACH_FILE, &site->mark, err))
        return false;
    for (size_t i = 0; i < site->certificates.count; i++)
        if (!need("chain", rows[i].chain, REACH_PAIR, &rows[i].mark, err) ||
            !need("key", rows[i].key, REACH_PAIR, &rows[i].mark, err) ||
            !need("issuer", rows[i].issuer, REACH_PAIR, &rows[i].mark, err) ||
            !need("signers", rows[i].signers, REACH_PAIR, &rows[i].mark, err))
            return false;
    return true;
}

static bool
on_look(const void *ctx, struct err *err)
{
    const struct look *look = ctx;
    const struct gate_site *sites = look->config->sites.items;

    for (size_t i = 0; look->with_files && i < look->config->sites.count; i++)
        if (!need_site(&sites[i], err))
            return false;
    look_around(look);
    return true;
}

/* ---- who looks ------------------------------------------------------------ */

void
preflight(const struct gate_config *config)
{
    const struct look look = {.config = config};
    struct preflight_user user;

    if (geteuid() == 0 && config->user != NULL &&
        preflight_user_find(config->user, &user))
        (void)preflight_user_run(&user, on_look, &look, NULL);
    else
        look_around(&look);
}

/* The one that the unit reads? Then its user will serve. */
static bool
is_the_units(const struct gate_config *config)
{
    const struct gate_site *sites = config->sites.items;
    const char *file = config->sites.count == 0 ? NULL : sites[0].mark.file;

    return geteuid() == 0 && config->user == NULL && file != NULL &&
           strncmp(file, UNIT_CONFIG_FOLDER, strlen(UNIT_CONFIG_FOLDER)) == 0;
}

bool
preflight_check(const struct gate_config *config, struct err *err)
{
    struct look look = {.config = config, .with_files = true};
    struct preflight_user user;

    if (!is_the_units(config) || !preflight_user_find(UNIT_NAME, &user)) {
        preflight(config);
        return true;
    }
    preflight_user_add_unit(&user, UNIT_NAME);
    look.is_home_hidden = user.is_home_hidden;
    return preflight_user_run(&user, on_look, &look, err);
}
