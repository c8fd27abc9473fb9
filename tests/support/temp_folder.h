/*
 * A folder for one test, removed with all that is in it.
 */
#ifndef TESTS_SUPPORT_TEMP_FOLDER_H
#define TESTS_SUPPORT_TEMP_FOLDER_H

#include <limits.h>

struct temp_folder {
    char path[PATH_MAX];
    int dirfd;
};

/* Aborts when the machine gives no folder. */
void temp_folder_init(struct temp_folder *folder);
void temp_folder_fini(struct temp_folder *folder);
/* Writes "<folder>/<name>" into out and answers it. */
const char *temp_folder_path(
    const struct temp_folder *folder, const char *name, char out[PATH_MAX]);
/* Creates or overwrites a file in place. */
void temp_folder_put(
    const struct temp_folder *folder, const char *name, const char *text);

#endif
