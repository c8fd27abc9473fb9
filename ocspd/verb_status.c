/*
 * ocspd status: what the spool holds for each certificate.
 * Input: the configuration and the spool, no daemon. Output: text or JSON.
 */
#include "ocspd/verb.h"

#include "ocspd/discover.h"
#include "ocspd/schedule.h"
#include "ocspd/status.h"
#include "shared/denied.h"
#include "shared/now.h"

#include <errno.h>
#include <stdio.h>
#include <sysexits.h>

enum { STATUS_MAX = 256 * 1024 * 1024 /* ours: far above any real spool */ };

static bool
collect_configured(const struct ocspd_config *config, const struct spool *spool,
    int64_t now, struct status *status, struct err *err)
{
    struct discover_result found;
    bool ok = true;

    if (!discover_run(config, 0, now, &found, err))
        return false;
    for (size_t i = 0; i < found.note_count; i++)
        if (found.notes[i].is_error)
            verb_complain("%s", found.notes[i].text);
    LIST_EACH(&found.targets, it)
    {
        list_remove(it);
        if (ok)
            ok = status_add(
                status, LIST_ENTRY(it, struct target, node), spool, err);
        else
            target_free(LIST_ENTRY(it, struct target, node));
    }
    discover_result_fini(&found);
    return ok;
}

static void
judge(struct status *status, int64_t now)
{
    for (size_t i = 0; i < status->count; i++)
        status->rows[i].alert =
            schedule_alert_word(schedule_alert(status->rows[i].target, now));
}

static int
print_status(const struct cli_args *args, const struct status *status,
    const char *spool, int64_t now)
{
    struct buf out;
    bool ok;

    buf_init(&out, STATUS_MAX);
    ok = cli_has(args, "json") ? status_write_json(status, spool, now, &out)
                               : status_write_text(status, now, &out);
    if (ok)
        (void)fwrite(out.data, 1, out.len, stdout);
    else
        verb_complain("out of memory");
    buf_fini(&out);
    return ok ? EX_OK : EX_OSERR;
}

/* A spool that is not there holds nothing: that is an answer, too. */
static bool
open_spool(
    struct spool *spool, const char *path, bool *is_open, struct err *err)
{
    *is_open = spool_open(spool, path, err);
    if (*is_open)
        return true;
    if (err->kind != ERR_SYSTEM || err->sys_errno != ENOENT)
        return denied_err(path, err);
    verb_complain_no_spool(path);
    return true;
}

int
verb_status(const struct cli_args *args)
{
    struct status status = {NULL, 0};
    struct verb_config loaded;
    struct spool spool = {NULL, -1};
    struct err err = {0};
    bool is_open = false, ok;
    int64_t now;
    int code = verb_load_config(args, false, &loaded);

    if (code != EX_OK)
        return code;
    (void)now_init();
    now = now_wall();
    ok = open_spool(&spool, loaded.config->spool, &is_open, &err);
    if (ok && loaded.path == NULL)
        ok = !is_open || status_add_spool(&status, &spool, &err);
    else if (ok)
        ok = collect_configured(
            loaded.config, is_open ? &spool : NULL, now, &status, &err);
    if (ok) {
        judge(&status, now);
        code = print_status(args, &status, loaded.config->spool, now);
    } else {
        verb_complain("%s", err.text);
        code = err_exit_code(&err);
    }
    status_fini(&status);
    if (is_open)
        spool_close(&spool);
    ocspd_config_free(loaded.config);
    return code;
}
