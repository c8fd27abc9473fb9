/*
 * Which certificates with new bytes on disk are taken and which wait.
 * Input: facts of each row. Output: a verdict for each; nothing else is seen
 * or touched.
 */
#include "wsgate/process/pair_judge.h"

#include <stdlib.h>

bool
pair_is_waiting(enum pair_verdict verdict)
{
    return verdict >= PAIR_WAITS_TO_FIT;
}

/* A pair that is over is worth no waiting for the new one's staple. */
static enum pair_verdict
judge_alone(const struct pair_facts *f, enum pair_asker asker)
{
    switch (f->fit) {
    case PAIR_SAME:
        return PAIR_STAYS;
    case PAIR_UNFIT:
        return asker == PAIR_ASKED_BY_CHANGE ? PAIR_WAITS_TO_FIT : PAIR_TAKEN;
    case PAIR_NOT_YET:
        return asker == PAIR_ASKED_BY_CHANGE ? PAIR_WAITS_FOR_DATE : PAIR_TAKEN;
    case PAIR_FITS:
        break;
    }
    return f->lacks_staple && f->has_old && !f->old_is_over
               ? PAIR_WAITS_FOR_STAPLE
               : PAIR_TAKEN;
}

/* Can the release keep the old bytes of this row? One that an operator asks for
 * and that does not fit is to be refused, not hidden. */
static bool
may_be_held(const struct pair_facts *f, enum pair_asker asker)
{
    return asker == PAIR_ASKED_BY_CHANGE ||
           (f->has_old && f->fit != PAIR_UNFIT);
}

/* ---- rows that share a changed file ----------------------------------------- */

struct groups {
    size_t *parent; /* per row; a root is its own */
    size_t *user; /* per file: a row that changed it, or `count` */
    bool *is_waiting; /* per root */
    bool *is_fixed; /* per root: one that cannot be held is in it */
};

static size_t
root_of(const struct groups *g, size_t row)
{
    while (g->parent[row] != row) {
        g->parent[row] = g->parent[g->parent[row]];
        row = g->parent[row];
    }
    return row;
}

static void
join_rows(struct groups *g, const struct pair_facts *facts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < PAIR_ROW_FILES; k++) {
            int file = facts[i].changed[k];

            if (file < 0)
                continue;
            if (g->user[file] < count)
                g->parent[root_of(g, i)] = root_of(g, g->user[file]);
            g->user[file] = i;
        }
}

static void
judge_groups(struct groups *g, const struct pair_facts *facts, size_t count,
    enum pair_asker asker, enum pair_verdict *verdicts)
{
    for (size_t i = 0; i < count; i++) {
        size_t root = root_of(g, i);

        g->is_waiting[root] |= pair_is_waiting(verdicts[i]);
        g->is_fixed[root] |= !may_be_held(&facts[i], asker);
    }
    for (size_t i = 0; i < count; i++) {
        size_t root = root_of(g, i);

        if (g->is_fixed[root] && pair_is_waiting(verdicts[i]))
            verdicts[i] = PAIR_TAKEN;
        else if (!g->is_fixed[root] && g->is_waiting[root] &&
                 verdicts[i] == PAIR_TAKEN)
            verdicts[i] = PAIR_WAITS_FOR_OTHER;
    }
}

bool
pair_judge(const struct pair_facts *facts, size_t count, int file_count,
    enum pair_asker asker, enum pair_verdict *verdicts, struct err *err)
{
    struct groups g = {
        .parent = calloc(count + 1, sizeof(*g.parent)),
        .user = calloc((size_t)file_count + 1, sizeof(*g.user)),
        .is_waiting = calloc(count + 1, sizeof(*g.is_waiting)),
        .is_fixed = calloc(count + 1, sizeof(*g.is_fixed)),
    };
    bool ok = g.parent != NULL && g.user != NULL && g.is_waiting != NULL &&
              g.is_fixed != NULL;

    if (ok) {
        for (size_t i = 0; i < count; i++) {
            g.parent[i] = i;
            verdicts[i] = judge_alone(&facts[i], asker);
        }
        for (int i = 0; i < file_count; i++)
            g.user[i] = count;
        join_rows(&g, facts, count);
        judge_groups(&g, facts, count, asker, verdicts);
    }
    free(g.parent);
    free(g.user);
    free(g.is_waiting);
    free(g.is_fixed);
    return ok || err_memory(err);
}
