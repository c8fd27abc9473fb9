/*
 * ${NAME}, ${NAME:-default} and $$ in one scalar of the configuration.
 * Input: the scalar as written, and the environment.
 * Output: a new string, or an error at the scalar's place.
 */
#include "shared/config_expand.h"

#include "shared/buf.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_LEN = 128 /* ours: no variable of ours comes near */ };

struct expand {
    const struct config_mark *mark;
    config_env *env;
    struct buf out;
    struct err *err;
};

static bool
is_name(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = s.data[i];
        bool letter =
            (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';

        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return s.len > 0 && s.len < NAME_MAX_LEN;
}

static bool
add(struct expand *x, struct span bytes)
{
    if (buf_add(&x->out, bytes))
        return true;
    return config_fail(x->mark, x->err,
        "the value is longer than 1 MiB once its variables are filled in");
}

/* Where the name ends: at ":-", or at the closing brace. */
static size_t
name_end(struct span body)
{
    size_t i = 0;

    while (i < body.len && !span_starts(span_from(body, i), SPAN_LIT(":-")))
        i++;
    return i;
}

/* body: what stands between "${" and "}". */
static bool
add_variable(struct expand *x, struct span body)
{
    size_t end = name_end(body);
    struct span name = span_sub(body, 0, end);
    const char *value = NULL;
    char text[NAME_MAX_LEN];

    if (!is_name(name) || !span_to_cstr(name, text, sizeof(text)))
        return config_fail(x->mark, x->err,
            "'${%.*s}' names no variable; write ${NAME} or "
            "${NAME:-default}, or $${ for a plain '${'",
            SPAN_FMT(body));
    if (x->env != NULL)
        value = x->env(text);
    if (value != NULL && *value != 0)
        return add(x, span_str(value));
    if (end < body.len)
        return add(x, span_from(body, end + 2));
    return config_fail(x->mark, x->err,
        "the variable %s is %s; set it, or write ${%s:-default}", text,
        value == NULL ? "not set" : "empty", text);
}

/* rest begins with "${"; takes the variable off its front. */
static bool
take_variable(struct expand *x, struct span *rest)
{
    struct span inner = span_from(*rest, 2);
    size_t end = span_find(inner, '}');
    struct span body = span_sub(inner, 0, end);

    if (end == inner.len)
        return config_fail(x->mark, x->err,
            "'${' without '}'; write ${NAME}, or $${ for a plain '${'");
    for (size_t i = 0; i + 1 < body.len; i++)
        if (body.data[i] == '$' && body.data[i + 1] == '{')
            return config_fail(x->mark, x->err,
                "'${%.*s}' holds another '${'; a default is plain text",
                SPAN_FMT(body));
    *rest = span_from(inner, end + 1);
    return add_variable(x, body);
}

static bool
expand_all(struct expand *x, struct span rest)
{
    while (rest.len > 0) {
        size_t at = span_find(rest, '$');

        if (!add(x, span_sub(rest, 0, at)))
            return false;
        rest = span_from(rest, at);
        if (span_starts(rest, SPAN_LIT("${"))) {
            if (!take_variable(x, &rest))
                return false;
        } else if (rest.len > 0) {
            if (!add(x, span_sub(rest, 0, 1)))
                return false;
            rest = span_from(rest, span_starts(rest, SPAN_LIT("$$")) ? 2 : 1);
        }
    }
    return true;
}

char *
config_expand(const struct config_mark *mark, const char *text, config_env *env,
    struct err *err)
{
    struct expand x = {.mark = mark, .env = env, .err = err};
    char *copy = NULL;

    buf_init(&x.out, CONFIG_TEXT_MAX);
    if (expand_all(&x, span_str(text))) {
        copy = span_dup(buf_span(&x.out));
        if (copy == NULL)
            (void)err_memory(err);
    }
    buf_fini(&x.out);
    return copy;
}
