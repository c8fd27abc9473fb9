/*
 * ocspd wait: until every named certificate has a response that servers can
 * staple. Input: certificates, the configuration, the spool; no daemon is
 * asked. Output: a line per live certificate, what is not live, the exit code.
 */
#include "ocspd/verb.h"

#include "ocspd/discover.h"
#include "ocspd/verb_wait_look.h"
#include "shared/denied.h"
#include "shared/now.h"
#include "shared/watch.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    LOOK_NET_MS = 1000, /* ours: the net under inotify */
    LOOK_PAUSE_MS = 50, /* ours: a batch of writes is one look */
    TELL_AFTER_MS = 5000, /* ours: a gate that opens at once is silent */
    WHY_LINES_MAX = 20, /* ours: at the time limit */
    TIMEOUT_MAX_MS = 24 * 60 * 60 * 1000
};
#define TIMEOUT_DEFAULT "10m"

/* A certificate that is waited for. */
struct awaited {
    struct target *target; /* owned */
    bool is_done;
    bool is_neglected;
    struct err why;
    struct err told; /* the reason that was told last */
};

struct waiting {
    const struct cli_args *args;
    const char *spool; /* path */
    struct awaited *certs;
    size_t count;
    size_t pending;
    bool is_spool_away;
    int code; /* the first failure that waiting does not mend */
};

static void
fail(struct waiting *w, int code)
{
    if (w->code == EX_OK)
        w->code = code;
}

/* ---- what to wait for --------------------------------------------------- */

static bool
add_awaited(struct waiting *w, struct target *target)
{
    struct awaited *certs =
        realloc(w->certs, (w->count + 1) * sizeof(*w->certs));

    if (certs == NULL)
        return false;
    w->certs = certs;
    certs[w->count++] = (struct awaited){.target = target};
    w->pending++;
    return true;
}

/* No staple will ever be there: that is well, unless clients demand one. */
static void
nothing_to_wait_for(
    struct waiting *w, const struct target *target, const char *why)
{
    if (!target->must_staple) {
        verb_complain("nothing to wait for: %s %s", target->label, why);
        return;
    }
    verb_complain("%s (%s) demands a staple (must-staple), but it %s: name a "
                  "responder for it with responder:, or have it issued anew "
                  "without must-staple",
        target->label, target->path, why);
    fail(w, EX_CONFIG);
}

/* True: it is waited for. Else it was said why not. */
static bool
is_to_come(struct waiting *w, const struct target *target)
{
    switch (target->mode) {
    case TARGET_OCSP:
        return true;
    case TARGET_NO_URL:
        nothing_to_wait_for(w, target, "has no OCSP URL");
        break;
    case TARGET_DISABLED:
        nothing_to_wait_for(w, target, "is not asked about (responder: \"\")");
        break;
    case TARGET_EXPIRED:
        verb_complain("%s (%s): the certificate has expired", target->label,
            target->path);
        fail(w, EX_TEMPFAIL);
        break;
    case TARGET_NO_ISSUER:
        verb_complain("%s (%s): its issuer was not found: append it to the "
                      "file or name it with issuer:",
            target->label, target->path);
        fail(w, EX_CONFIG);
        break;
    }
    return false;
}

/* An operand that no certificate came of. */
static void
explain_operand(struct waiting *w, const char *operand)
{
    struct cert_chain chain = {0};
    struct err err = {0};

    if (cert_file_load(operand, &chain, &err)) {
        cert_chain_fini(&chain);
        verb_complain("%s: no certificate that can be stapled", operand);
        fail(w, EX_DATAERR);
        return;
    }
    (void)denied_err(operand, &err);
    verb_complain("%s", err.text);
    if (err.kind != ERR_SYSTEM)
        fail(w, EX_DATAERR);
    else
        fail(w, err.sys_errno == ENOENT ? EX_NOINPUT : err_exit_code(&err));
}

static void
check_operands(struct waiting *w, const struct discover_result *found)
{
    for (int i = 0; i < w->args->count; i++) {
        bool is_named = false;

        LIST_EACH(&found->targets, it)
        is_named = is_named || verb_names(w->args->operands[i],
                                   LIST_ENTRY(it, struct target, node));
        if (!is_named)
            explain_operand(w, w->args->operands[i]);
    }
}

/* A certificate that cannot be read cannot be known to be live. */
static void
check_notes(struct waiting *w, const struct discover_result *found)
{
    for (size_t i = 0; i < found->note_count; i++) {
        if (!found->notes[i].is_error)
            continue;
        verb_complain("%s", found->notes[i].text);
        fail(w, EX_CONFIG);
    }
    if (list_is_empty(&found->targets))
        verb_complain("nothing to wait for: the configuration finds no "
                      "certificate");
}

static bool
collect(struct waiting *w, const struct ocspd_config *config, struct err *err)
{
    bool all = cli_has(w->args, "all");
    struct discover_result found;
    bool ok = true;

    if (!discover_run(config, 0, now_wall(), &found, err))
        return false;
    if (all)
        check_notes(w, &found);
    else
        check_operands(w, &found);
    LIST_EACH(&found.targets, it)
    {
        struct target *target = LIST_ENTRY(it, struct target, node);

        if (!ok || (!all && !verb_is_named(w->args, target)) ||
            !is_to_come(w, target))
            continue;
        list_remove(it);
        ok = add_awaited(w, target);
        if (!ok)
            target_free(target);
    }
    discover_result_fini(&found);
    return ok || err_memory(err);
}

/* ---- looking ------------------------------------------------------------ */

static void
print_live(const struct target *target, int64_t until)
{
    (void)fputs("live  ", stdout);
    verb_print_text(target->label);
    (void)fputs("  ", stdout);
    verb_print_text(target->path);
    (void)fputs("  until ", stdout);
    verb_print_time(until);
    (void)putchar('\n');
}

static void
look_at(struct waiting *w, struct awaited *cert, const struct spool *spool)
{
    struct wait_look look;

    verb_wait_look(spool, cert->target, now_wall(), &look);
    cert->why = look.why;
    cert->is_neglected = look.is_neglected;
    if (look.word == WAIT_NOT_YET)
        return;
    cert->is_done = true;
    w->pending--;
    if (look.word == WAIT_LIVE) {
        print_live(cert->target, look.until);
        return;
    }
    verb_complain(
        "%s (%s): %s", cert->target->label, cert->target->path, look.why.text);
    fail(w, EX_TEMPFAIL);
}

/* A spool that is not there may come. */
static void
look(struct waiting *w)
{
    struct spool spool;
    struct err err = {0};

    if (!spool_open(&spool, w->spool, &err)) {
        w->is_spool_away = err.sys_errno == ENOENT;
        if (w->is_spool_away)
            return;
        (void)denied_err(w->spool, &err);
        verb_complain("%s", err.text);
        fail(w, err_exit_code(&err));
        return;
    }
    w->is_spool_away = false;
    for (size_t i = 0; i < w->count; i++)
        if (!w->certs[i].is_done)
            look_at(w, &w->certs[i], &spool);
    spool_close(&spool);
    (void)fflush(stdout);
}

/* ---- waiting ------------------------------------------------------------ */

static struct awaited *
first_pending(const struct waiting *w)
{
    size_t i = 0;

    while (w->certs[i].is_done)
        i++;
    return &w->certs[i];
}

static void
tell(const struct waiting *w, const char *timeout)
{
    if (w->pending == 1)
        verb_complain("waiting up to %s for a response for %s", timeout,
            first_pending(w)->target->label);
    else
        verb_complain("waiting up to %s for responses for %zu certificates",
            timeout, w->pending);
}

/* Minutes may pass between two attempts: who waits learns of each new reason.
 * Of many certificates the time limit tells. */
static void
tell_reason(const struct waiting *w)
{
    struct awaited *cert;

    if (w->pending != 1 || w->is_spool_away)
        return;
    cert = first_pending(w);
    if (strcmp(cert->why.text, cert->told.text) == 0)
        return;
    cert->told = cert->why;
    verb_complain("so far: %s", cert->why.text);
}

static void
pause_for_news(struct watch *watch, int64_t left_ms)
{
    struct pollfd fd = {
        .fd = watch == NULL ? -1 : watch_fd(watch), .events = POLLIN};
    struct watch_event event;

    if (poll(&fd, 1, left_ms < LOOK_NET_MS ? (int)left_ms : LOOK_NET_MS) > 0)
        (void)poll(NULL, 0, LOOK_PAUSE_MS);
    if (watch == NULL)
        return;
    watch_verify(watch);
    while (watch_next(watch, &event))
        continue; /* whatever it is: everything pending is looked at */
}

static void
wait_for_all(struct waiting *w, const char *timeout, int64_t timeout_ms)
{
    int64_t start = now_boot_ms(), now = start;
    int64_t tell_at = start + (isatty(STDERR_FILENO) ? 0 : TELL_AFTER_MS);
    struct watch *watch = timeout_ms == 0 ? NULL : watch_new(w->spool, NULL);
    bool is_told = false;

    look(w);
    while (w->pending > 0 && w->code == EX_OK && now - start < timeout_ms) {
        if (!is_told && now >= tell_at) {
            tell(w, timeout);
            is_told = true;
        }
        if (is_told)
            tell_reason(w);
        pause_for_news(watch, timeout_ms - (now - start));
        look(w);
        now = now_boot_ms();
    }
    watch_free(watch);
}

static void
report_pending(const struct waiting *w)
{
    bool is_neglected = w->is_spool_away;
    size_t said = 0;

    if (w->is_spool_away)
        verb_complain_no_spool(w->spool);
    for (size_t i = 0; i < w->count; i++) {
        const struct awaited *cert = &w->certs[i];
        bool is_gone = access(cert->target->path, F_OK) != 0 && errno == ENOENT;

        if (cert->is_done)
            continue;
        is_neglected = is_neglected || cert->is_neglected;
        if (said++ < WHY_LINES_MAX)
            verb_complain("%s (%s) is not live: %s%s", cert->target->label,
                cert->target->path, is_gone ? "its file is gone; " : "",
                w->is_spool_away ? "there is no spool" : cert->why.text);
    }
    if (said > WHY_LINES_MAX)
        verb_complain("and %zu more are not live", said - WHY_LINES_MAX);
    if (is_neglected && !w->is_spool_away)
        verb_complain("is ocspd running? (systemctl status ocspd) Does its "
                      "configuration name these files, and is its spool %s?",
            w->spool);
}

/* ---- the verb ----------------------------------------------------------- */

static bool
read_timeout(const char *text, int64_t *ms)
{
    *ms = 0;
    if (strcmp(text, "0") == 0 ||
        (config_parse_duration(span_str(text), ms) && *ms <= TIMEOUT_MAX_MS))
        return true;
    verb_complain(
        "--timeout %s: a duration of at most 24h is wanted, such as 30s or "
        "10m; 0 looks once",
        text);
    return false;
}

static bool
is_usage_right(const struct cli_args *args)
{
    bool all = cli_has(args, "all");

    if (all == (args->count > 0))
        verb_complain("wait: name certificates, or say --all");
    else if (all && cli_has(args, "spool"))
        verb_complain("wait --all: it is the configuration that names "
                      "certificates: -c FILE instead of --spool");
    else
        return true;
    return false;
}

int
verb_wait(const struct cli_args *args)
{
    const char *timeout = cli_value(args, "timeout", TIMEOUT_DEFAULT);
    struct waiting w = {.args = args, .code = EX_OK};
    struct verb_config loaded;
    struct err err = {0};
    int64_t timeout_ms;
    int code;

    if (!is_usage_right(args) || !read_timeout(timeout, &timeout_ms))
        return EX_USAGE;
    code = verb_load_config(args, true, &loaded);
    if (code != EX_OK)
        return code;
    (void)now_init();
    w.spool = loaded.config->spool;
    if (!collect(&w, loaded.config, &err)) {
        verb_complain("%s", err.text);
        fail(&w, err_exit_code(&err));
    }
    /* what is wrong already is not mended by waiting */
    if (w.pending > 0)
        wait_for_all(&w, timeout, w.code == EX_OK ? timeout_ms : 0);
    if (w.pending > 0 && w.code == EX_OK) {
        report_pending(&w);
        fail(&w, EX_TEMPFAIL);
    }
    for (size_t i = 0; i < w.count; i++)
        target_free(w.certs[i].target);
    free(w.certs);
    ocspd_config_free(loaded.config);
    return w.code;
}
