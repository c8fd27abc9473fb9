/*
 * wsgate reload: a running wsgate reads its configuration again.
 * Input: its answer on the admin socket. Output: what became of it, on stdout,
 * or on stderr with an exit code.
 */
#include "wsgate/verb.h"

#include <stdio.h>
#include <sysexits.h>

int
verb_reload(const struct cli_args *args)
{
    json_t *answer = NULL;
    int code = verb_ask(args, "reload", "60s",
        "reload failed, the old configuration stays", &answer);

    if (code != EX_OK)
        return code;
    (void)printf("reloaded: generation %lld\n",
        (long long)json_integer_value(json_object_get(answer, "generation")));
    json_decref(answer);
    return EX_OK;
}
