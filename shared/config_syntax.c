/*
 * What is wrong with a YAML file, in an operator's words.
 * Input: the file's bytes and libyaml's complaint about them.
 * Output: struct err with file, line, column, and what would be right.
 */
#include "shared/config_syntax.h"

#include <string.h>

/* The place of an error, and the text around it. */
struct trouble {
    struct config_mark mark; /* where libyaml stumbled */
    struct config_mark context; /* where the thing it was reading began */
    struct span text;
    size_t at; /* byte offset of mark */
    const char *problem;
    bool in_flow; /* within [ ] or { } */
    struct err *err;
};

/* ---- bytes ---------------------------------------------------------------- */

static bool
is_control(unsigned char c)
{
    return c == 0x7f || (c < 0x20 && c != '\t' && c != '\n' && c != '\r');
}

bool
config_syntax_check(const char *file, struct span text, struct err *err)
{
    struct config_mark mark = {file, 1, 1};
    uint32_t code;
    size_t len;

    for (size_t i = 0; i < text.len; i += len) {
        len = span_utf8(span_from(text, i), &code);
        if (len == 0)
            return config_fail(&mark, err,
                "byte 0x%02x is not UTF-8; save the file as UTF-8",
                text.data[i]);
        if (is_control(text.data[i]))
            return config_fail(&mark, err,
                "control character 0x%02x; remove it, or write it as "
                "\"\\x%02x\"",
                text.data[i], text.data[i]);
        mark.column++;
        if (text.data[i] == '\n')
            mark = (struct config_mark){file, mark.line + 1, 1};
    }
    return true;
}

/* ---- the words around a place --------------------------------------------- */

/* Byte offset of line and column; the end when the place is behind it. */
static size_t
offset_of(struct span text, const struct config_mark *mark)
{
    uint32_t code;
    size_t i = 0;

    for (unsigned line = 1; line < mark->line && i < text.len; line++)
        i += span_find(span_from(text, i), '\n') + 1;
    for (unsigned column = 1; column < mark->column && i < text.len; column++) {
        size_t len = span_utf8(span_from(text, i), &code);

        i += len == 0 ? 1 : len;
    }
    return i < text.len ? i : text.len;
}

static unsigned char
byte_at(struct span text, size_t at)
{
    return at < text.len ? text.data[at] : 0;
}

static bool
is_blank(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == 0;
}

static size_t
line_start(struct span text, size_t at)
{
    while (at > 0 && text.data[at - 1] != '\n')
        at--;
    return at;
}

/* The bytes of the place's line before the place. */
static struct span
before(const struct trouble *t)
{
    size_t start = line_start(t->text, t->at);

    return span_sub(t->text, start, t->at - start);
}

/* Where the value on this line begins: behind "- " and behind the first key. */
static size_t
value_start(struct span text, size_t at)
{
    size_t i = line_start(text, at);
    size_t start;

    while (is_blank(byte_at(text, i)) && i < at)
        i++;
    start = i;
    for (; i < at; i++) {
        unsigned char c = byte_at(text, i);

        if ((c == ':' || (c == '-' && i == start)) &&
            byte_at(text, i + 1) == ' ') {
            while (byte_at(text, i + 1) == ' ')
                i++;
            start = i + 1;
            if (c == ':')
                break;
        }
    }
    return start;
}

/* From `start` to the end of the line, without a comment. */
static struct span
rest_of_line(struct span text, size_t start)
{
    struct span rest = span_from(text, start);
    struct span line = span_sub(rest, 0, span_find(rest, '\n'));

    for (size_t i = 0; i + 1 < line.len; i++)
        if (line.data[i] == ' ' && line.data[i + 1] == '#')
            line.len = i;
    if (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    return span_trim(line);
}

static size_t
count_of(struct span s, unsigned char a, unsigned char b)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] == a || s.data[i] == b)
            n++;
    return n;
}

/* Brackets that belong to the list around a word are no part of it. */
static struct span
without_brackets_around(struct span word)
{
    if (span_starts(word, SPAN_LIT("[[")) || span_starts(word, SPAN_LIT("{[")))
        word = span_from(word, 1);
    while (word.len > 0 &&
           count_of(word, ']', '}') > count_of(word, '[', '{') &&
           (word.data[word.len - 1] == ']' || word.data[word.len - 1] == '}'))
        word.len--;
    if (word.len > 2 && word.data[0] == '[' && word.data[word.len - 1] == ']' &&
        count_of(word, '[', '[') == 1)
        word = span_sub(word, 1, word.len - 2);
    return word;
}

/* The word that the place is in, bounded by blanks, commas and the line. */
static struct span
word_around(struct span text, size_t at)
{
    size_t start = at;
    size_t end = at;

    while (start > 0 && !is_blank(text.data[start - 1]) &&
           text.data[start - 1] != ',')
        start--;
    while (!is_blank(byte_at(text, end)) && byte_at(text, end) != ',')
        end++;
    return without_brackets_around(span_sub(text, start, end - start));
}

/* The word from the place on; within brackets it ends where they close. */
static struct span
word_from(const struct trouble *t, size_t at)
{
    struct span line = rest_of_line(t->text, at);
    size_t end = 0;

    if (!t->in_flow)
        return line;
    while (end < line.len && line.data[end] != ',' && line.data[end] != ' ')
        end++;
    return without_brackets_around(span_sub(line, 0, end));
}

/* Is the place within [ ] or { } that opened on its line? */
static bool
in_brackets(struct span text, size_t at)
{
    size_t start = value_start(text, at);
    struct span s = span_sub(text, start, at - start);

    return count_of(s, '[', '{') > count_of(s, ']', '}');
}

/* ---- one answer per complaint of libyaml ---------------------------------- */

static bool
say_quotes(const struct trouble *t, const struct config_mark *mark,
    const char *why, struct span word)
{
    if (word.len == 0 || word.data[0] == '\'' ||
        span_find(word, '"') < word.len || span_find(word, '\\') < word.len)
        return config_fail(mark, t->err, "%s; put it in quotes", why);
    return config_fail(
        mark, t->err, "%s; put it in quotes: \"%.*s\"", why, SPAN_FMT(word));
}

/* Values cannot begin with one of the signs that YAML keeps for itself. */
static bool
say_first_sign(const struct trouble *t)
{
    bool at_context =
        t->context.line == t->mark.line &&
        t->context.column <= t->mark.column &&
        strcmp(t->problem, "did not find expected node content") != 0;
    const struct config_mark *mark = at_context ? &t->context : &t->mark;
    size_t at = offset_of(t->text, mark);
    char why[48] = "a value can't begin with 'x'";

    why[strlen(why) - 2] = (char)byte_at(t->text, at);
    return say_quotes(t, mark, why, word_from(t, at));
}

static bool
say_tab(const struct trouble *t)
{
    return config_fail(
        &t->mark, t->err, "a tab in the indentation; use spaces");
}

static bool
say_no_token(const struct trouble *t)
{
    return byte_at(t->text, t->at) == '\t' ? say_tab(t) : say_first_sign(t);
}

static bool
say_quote_open(const struct trouble *t)
{
    char quote = (char)byte_at(t->text, offset_of(t->text, &t->context));

    return config_fail(&t->context, t->err,
        "a text in quotes begins here and never ends; close it with %c", quote);
}

static bool
say_node(const struct trouble *t)
{
    struct config_mark mark = t->mark;
    struct span word = word_around(t->text, t->at);

    if (byte_at(t->text, t->at) == 0)
        return config_fail(&mark, t->err,
            "the file ends where a value should stand; is it cut off?");
    if (byte_at(t->text, t->at) == ':' && t->in_flow) {
        mark.column -= (unsigned)(t->text.data + t->at - word.data);
        return say_quotes(
            t, &mark, "YAML takes '[' and ':' as its own signs", word);
    }
    if (byte_at(t->text, t->at) == ',' && t->in_flow)
        return config_fail(&mark, t->err,
            "a ',' where a value should stand; remove one of the commas");
    return say_first_sign(t);
}

static bool
is_rest_blank(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_blank(s.data[i]))
            return false;
    return true;
}

static bool
say_flow_end(const struct trouble *t)
{
    char closer = strchr(t->problem, ']') != NULL ? ']' : '}';
    struct config_mark mark = t->mark;
    size_t end;

    if (t->at > 0 && byte_at(t->text, t->at) == '{' &&
        t->text.data[t->at - 1] == '$') {
        struct span rest = span_from(t->text, t->at - 1);

        end = span_find(span_sub(rest, 0, span_find(rest, '\n')), '}');
        mark.column--;
        return say_quotes(t, &mark,
            "'${' within [ ] or { } is taken for YAML's own sign",
            span_sub(rest, 0, end + 1));
    }
    if (t->mark.line > t->context.line ||
        is_rest_blank(span_from(t->text, t->at)))
        return config_fail(&t->context, t->err,
            "'%c' is never closed; close it with '%c'",
            closer == ']' ? '[' : '{', closer);
    return config_fail(&mark, t->err,
        "expected ',' or '%c' here; is a value before it that wants quotes?",
        closer);
}

static bool
say_second_colon(const struct trouble *t)
{
    size_t start = value_start(t->text, t->at);

    if (start >= t->at || is_rest_blank(before(t)) ||
        start == line_start(t->text, t->at))
        return config_fail(&t->mark, t->err,
            "a 'name: value' below a line that has its value already; "
            "align it with the line it belongs to");
    if (span_find(before(t), ':') == before(t).len)
        return config_fail(&t->mark, t->err,
            "a 'name: value' below a line that has its value already; "
            "align it with the line it belongs to");
    return say_quotes(t, &t->mark, "a second ': ' in one value",
        rest_of_line(t->text, start));
}

static bool
say_no_colon(const struct trouble *t)
{
    struct span line = rest_of_line(t->text, offset_of(t->text, &t->context));

    return config_fail(&t->context, t->err,
        "expected 'name: value', found '%.*s'", SPAN_FMT(line));
}

static bool
say_key(const struct trouble *t)
{
    unsigned char c = byte_at(t->text, t->at);

    if (c == ']' || c == '}')
        return config_fail(
            &t->mark, t->err, "a '%c' that closes nothing; remove it", c);
    if (!is_rest_blank(before(t)))
        return say_quotes(t, &t->mark, "text behind the end of the value",
            rest_of_line(t->text, value_start(t->text, t->at)));
    if (c == ':')
        return config_fail(
            &t->mark, t->err, "a value without a name; write 'name: value'");
    if (c == '-')
        return config_fail(&t->mark, t->err,
            "a list item among 'name: value' lines; indent it below its "
            "own name");
    return config_fail(&t->mark, t->err,
        "the indentation fits no line above; align it with the lines of its "
        "section");
}

static bool
say_dash(const struct trouble *t)
{
    return config_fail(&t->mark, t->err,
        "expected '- ' as before the other items of this list");
}

static bool
say_inline_dash(const struct trouble *t)
{
    return config_fail(&t->mark, t->err,
        "a list can't begin behind its name; begin it on the next line or "
        "write [a, b]");
}

static bool
say_escape(const struct trouble *t)
{
    return config_fail(&t->mark, t->err,
        "unknown escape in a text in quotes; write \\\\ for a backslash, or "
        "use single quotes");
}

static bool
say_second_document(const struct trouble *t)
{
    return config_fail(&t->mark, t->err,
        "a second document begins here; a file holds one, put the other into "
        "conf.d/*.yaml");
}

static const struct {
    const char *problem; /* libyaml's words */
    bool (*say)(const struct trouble *t);
} answers[] = {
    {"found character that cannot start any token", say_no_token},
    {"found a tab character that violates indentation", say_tab},
    {"found a tab character where an indentation space is expected", say_tab},
    {"did not find expected alphabetic or numeric character", say_first_sign},
    {"did not find expected comment or line break", say_first_sign},
    {"found an indentation indicator equal to 0", say_first_sign},
    {"found undefined tag handle", say_first_sign},
    {"did not find the expected '>'", say_first_sign},
    {"did not find expected whitespace or line break", say_first_sign},
    {"did not find expected tag URI", say_first_sign},
    {"did not find expected node content", say_node},
    {"found unexpected end of stream", say_quote_open},
    {"found unexpected document indicator", say_quote_open},
    {"did not find expected ',' or ']'", say_flow_end},
    {"did not find expected ',' or '}'", say_flow_end},
    {"mapping values are not allowed in this context", say_second_colon},
    {"could not find expected ':'", say_no_colon},
    {"did not find expected key", say_key},
    {"did not find expected '-' indicator", say_dash},
    {"block sequence entries are not allowed in this context", say_inline_dash},
    {"found unknown escape character", say_escape},
    {"did not find expected hexdecimal number", say_escape},
    {"found invalid Unicode character escape code", say_escape},
    {"did not find expected <document start>", say_second_document},
};

static struct config_mark
mark_of(const char *file, const yaml_mark_t *m)
{
    return (struct config_mark){
        file, (unsigned)m->line + 1, (unsigned)m->column + 1};
}

bool
config_syntax_fail(const yaml_parser_t *parser, const char *file,
    struct span text, struct err *err)
{
    struct trouble t = {.mark = mark_of(file, &parser->problem_mark),
        .context = mark_of(file, &parser->context_mark),
        .text = text,
        .problem = parser->problem,
        .err = err};

    if (parser->error == YAML_MEMORY_ERROR)
        return err_memory(err);
    if (t.problem == NULL)
        t.problem = "unknown trouble";
    if (parser->context == NULL)
        t.context = t.mark;
    t.at = offset_of(text, &t.mark);
    t.in_flow = in_brackets(text, t.at);
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
        if (strcmp(answers[i].problem, t.problem) == 0)
            return answers[i].say(&t);
    return config_fail(&t.mark, err, "not valid YAML: %s", t.problem);
}
