/*
 * ocspd [run]: the daemon; -t checks the configuration, --dump prints it.
 * Input: a file or the command line. Output: cycle_run(), or text on stdout.
 */
#include "ocspd/verb.h"

#include "ocspd/cycle.h"
#include "ocspd/discover.h"
#include "shared/now.h"

#include <stdio.h>
#include <sysexits.h>

enum { DUMP_MAX = 64 * 1024 * 1024 /* ours: ten thousand rows fit well */ };

static int
dump(const struct ocspd_config *config)
{
    struct buf text;
    int code = EX_OSERR;

    buf_init(&text, DUMP_MAX);
    if (config_table_dump(ocspd_config_rows, config, &text)) {
        (void)fwrite(text.data, 1, text.len, stdout);
        code = EX_OK;
    } else {
        verb_complain("out of memory");
    }
    buf_fini(&text);
    return code;
}

/* The configuration is right when it is read; what is wrong with files is said,
 * but the daemon would start all the same. */
static int
test(const struct ocspd_config *config)
{
    struct discover_result found;
    struct err err;
    unsigned targets = 0, asked = 0;

    (void)now_init();
    if (!discover_run(config, discover_host_seed(), now_wall(), &found, &err)) {
        verb_complain("%s", err.text);
        return err_exit_code(&err);
    }
    for (size_t i = 0; i < found.note_count; i++)
        (void)printf("%s: %s\n", found.notes[i].is_error ? "error" : "warning",
            found.notes[i].text);
    LIST_EACH(&found.targets, it)
    {
        targets++;
        asked += LIST_ENTRY(it, struct target, node)->mode == TARGET_OCSP;
    }
    (void)printf(
        "configuration is ok: %u certificates, %u with OCSP\n", targets, asked);
    discover_result_fini(&found);
    return EX_OK;
}

int
verb_run(const struct cli_args *args)
{
    struct cycle_options options = {.once = false};
    struct verb_config loaded;
    int code;

    if (args->count > 0 && !cli_has(args, "config") &&
        !cli_has(args, "spool")) {
        verb_complain("'%s': no verb; certificates need --spool DIR or a "
                      "configuration with -c",
            args->operands[0]);
        return EX_USAGE;
    }
    code = verb_load_config(args, true, &loaded);
    if (code != EX_OK)
        return code;
    if (cli_has(args, "test") || cli_has(args, "dump")) {
        code =
            cli_has(args, "dump") ? dump(loaded.config) : test(loaded.config);
        ocspd_config_free(loaded.config);
        return code;
    }
    if (loaded.path == NULL && args->count == 0) {
        verb_complain("no certificates are named");
        ocspd_config_free(loaded.config);
        return EX_USAGE;
    }
    options.config = loaded.config;
    options.config_path = loaded.path;
    return cycle_run(&options);
}
