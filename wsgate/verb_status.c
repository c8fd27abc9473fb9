/*
 * wsgate status: what a running wsgate says of itself.
 * Input: its answer on the admin socket. Output: text, or the answer as JSON.
 */
#include "wsgate/verb.h"

#include "shared/now.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

static long long
number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static void
print_word(const json_t *object, const char *name, const char *fallback)
{
    const char *text = json_string_value(json_object_get(object, name));

    verb_print_text(text == NULL ? fallback : text);
}

/* "3d 4h", "4h 12m", "12m 5s", "5s". */
static void
print_span(long long s)
{
    if (s >= 86400)
        (void)printf("%lldd %lldh", s / 86400, s % 86400 / 3600);
    else if (s >= 3600)
        (void)printf("%lldh %lldm", s / 3600, s % 3600 / 60);
    else if (s >= 60)
        (void)printf("%lldm %llds", s / 60, s % 60);
    else
        (void)printf("%llds", s < 0 ? 0 : s);
}

static void
print_last_reload(const json_t *last)
{
    (void)fputs("last reload    ", stdout);
    if (!json_is_object(last)) {
        (void)puts("none since the start");
        return;
    }
    verb_print_time(number(last, "at"));
    if (json_is_true(json_object_get(last, "ok"))) {
        (void)puts(", good");
        return;
    }
    (void)fputs(", failed: ", stdout);
    print_word(last, "error", "no reason was given");
    (void)putchar('\n');
}

static void
print_workers(const json_t *workers)
{
    size_t i;
    json_t *w;

    (void)printf("\n%8s  %-10s  %s\n", "WORKER", "STATE", "SINCE");
    json_array_foreach(workers, i, w)
    {
        const char *state = json_string_value(json_object_get(w, "state"));

        if (number(w, "pid") > 0)
            (void)printf("%8lld", number(w, "pid"));
        else
            (void)printf("%8s", "-");
        (void)printf("  %-10s  ", state == NULL ? "?" : state);
        verb_print_time(number(w, "since"));
        (void)putchar('\n');
    }
}

static void
print_status(const json_t *answer)
{
    (void)fputs("wsgate         ", stdout);
    print_word(answer, "version", "?");
    (void)fputs(", ", stdout);
    print_word(answer, "state", "?");
    (void)printf(", pid %lld, up ", number(answer, "pid"));
    print_span(number(answer, "uptime_s"));
    (void)fputs("\nconfiguration  ", stdout);
    print_word(answer, "config", "from the command line");
    (void)printf("\ngeneration     %lld, %lld sites\n",
        number(answer, "generation"), number(answer, "sites"));
    print_last_reload(json_object_get(answer, "last_reload"));
    print_workers(json_object_get(answer, "workers"));
}

static int
print_json(const json_t *answer)
{
    if (json_dumpf(answer, stdout, JSON_INDENT(2)) != 0)
        return EX_IOERR;
    (void)putchar('\n');
    return EX_OK;
}

int
verb_status(const struct cli_args *args)
{
    json_t *answer = NULL;
    int code = verb_ask(args, "status", "10s", "status", &answer);

    if (code != EX_OK)
        return code;
    if (cli_has(args, "json"))
        code = print_json(answer);
    else
        print_status(answer);
    json_decref(answer);
    return fflush(stdout) == 0 ? code : EX_IOERR;
}
