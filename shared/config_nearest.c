/*
 * "Did you mean": the known word nearest to what was typed.
 * Input: a word and the words that would be right.
 * Output: one of those words, or nothing; and paths made absolute.
 */
#include "shared/config_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORD_MAX = 48 /* ours: no name of ours comes near */ };

static size_t
min3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;

    return m < c ? m : c;
}

/* Steps from a to b; one step: put in, leave out, change, swap neighbours
 * (Damerau's distance, each pair swapped once). */
static size_t
distance(struct span a, struct span b)
{
    size_t rows[WORD_MAX + 1][WORD_MAX + 1];

    for (size_t i = 0; i <= a.len; i++)
        rows[i][0] = i;
    for (size_t j = 0; j <= b.len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        for (size_t j = 1; j <= b.len; j++) {
            size_t change = a.data[i - 1] == b.data[j - 1] ? 0 : 1;

            rows[i][j] = min3(rows[i - 1][j] + 1, rows[i][j - 1] + 1,
                rows[i - 1][j - 1] + change);
            if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] &&
                a.data[i - 2] == b.data[j - 1] &&
                rows[i - 2][j - 2] + 1 < rows[i][j])
                rows[i][j] = rows[i - 2][j - 2] + 1;
        }
    }
    return rows[a.len][b.len];
}

const char *
config_nearest(const char *typed, const char *const *words, size_t count)
{
    struct span a = span_str(typed);
    /* Ours: one slip in three letters; two in any word of five or more. */
    size_t best = a.len < 3 ? 2 : a.len < 9 ? 3 : a.len / 3 + 1;
    const char *nearest = NULL;

    if (a.len == 0 || a.len > WORD_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        struct span b = span_str(words[i]);
        size_t d;

        if (b.len > WORD_MAX)
            continue;
        d = distance(a, b);
        if (d < best && d < a.len && d < b.len) {
            best = d;
            nearest = words[i];
        }
    }
    return nearest;
}

/* New; folder "" is the working folder, and so is what starts there. */
static char *
join(const char *folder, int folder_len, const char *path)
{
    char *cwd = folder[0] == '/' ? NULL : getcwd(NULL, 0);
    char *joined = NULL;
    int n;

    if (folder[0] != '/' && cwd == NULL)
        return NULL;
    n = asprintf(&joined, "%s%s%.*s%s", cwd == NULL ? "" : cwd,
        cwd == NULL ? "" : "/", folder_len, folder, path);
    free(cwd);
    return n < 0 ? NULL : joined;
}

char *
config_resolve_path(const struct config_mark *mark, const char *path)
{
    const char *file = mark == NULL || mark->file == NULL ? "" : mark->file;
    const char *slash = strrchr(file, '/');

    if (path[0] == '/')
        return strdup(path);
    while (strncmp(path, "./", 2) == 0)
        path += 2;
    return join(file, slash == NULL ? 0 : (int)(slash - file) + 1, path);
}
