/*
 * A filled config struct back into YAML that reads as the same.
 * Input: the table and the struct.
 * Output: lines in the caller's buffer, secrets masked.
 */
#include "shared/config_value.h"

#include <string.h>

static bool dump_rows(const struct config_row *rows, const void *base,
    unsigned depth, bool *is_item, struct buf *out);

/* Texts that need no quotes in any place of a YAML file. */
static bool
is_plain(const char *text)
{
    static const char *const words[] = {
        "null", "Null", "NULL", "~", "true", "false", "yes", "no", "on", "off"};
    const char *safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                       "0123456789_./-";

    if (text[0] == 0 || text[0] == '-' || text[0] == '.' ||
        text[strspn(text, safe)] != 0)
        return false;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(text, words[i]) == 0)
            return false;
    return true;
}

/* In double quotes, '$' doubled: reading it again gives the same. */
static bool
dump_text(const char *text, struct buf *out)
{
    bool ok;

    if (is_plain(text))
        return buf_add_str(out, text);
    ok = buf_add_byte(out, '"');
    for (; ok && *text != 0; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            ok = buf_add_fmt(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            ok = buf_add_fmt(out, "\\x%02x", c);
        else
            ok = buf_add_str(out, c == '$' ? "$" : "") && buf_add_byte(out, c);
    }
    return ok && buf_add_byte(out, '"');
}

/* Indentation of a line; the first line of a list's item begins with "- ". */
static bool
begin_line(unsigned depth, bool *is_item, struct buf *out)
{
    unsigned blanks = depth * 2;
    bool dash = *is_item;

    *is_item = false;
    return buf_add_fmt(
        out, "%*s%s", (int)(dash ? blanks - 2 : blanks), "", dash ? "- " : "");
}

static bool
dump_strings(const struct config_row *row, const struct config_strings *s,
    struct buf *out)
{
    bool ok = buf_add_byte(out, '[');

    for (size_t i = 0; ok && i < s->count; i++)
        ok = buf_add_str(out, i == 0 ? "" : ", ") &&
             dump_text(row->secret ? "***" : s->items[i], out);
    return ok && buf_add_byte(out, ']');
}

/* The value of a row that takes one line. */
static bool
dump_value(const struct config_row *row, const void *field, struct buf *out)
{
    if (row->secret && row->type != CONF_STRINGS)
        return buf_add_str(out, "\"***\"");
    if (row->type == CONF_STRING || row->type == CONF_PATH)
        return dump_text(*(char *const *)field, out);
    if (row->type == CONF_STRINGS)
        return dump_strings(row, field, out);
    if (row->type == CONF_CUSTOM)
        return row->dump(field, out);
    return config_value_print(row, field, out);
}

static const void *
at(const void *base, size_t offset)
{
    return (const char *)base + offset;
}

/* The inner lines of a section, or {} on the line of its name. */
static bool
dump_inner(const struct config_row *row, const void *item, unsigned depth,
    struct buf *out)
{
    bool no_dash = false;
    size_t before;

    if (row->dump != NULL)
        return buf_add_byte(out, ' ') && row->dump(item, out) &&
               buf_add_byte(out, '\n');
    if (!buf_add_byte(out, '\n'))
        return false;
    before = out->len;
    if (!dump_rows(row->rows, item, depth, &no_dash, out))
        return false;
    if (out->len > before)
        return true;
    out->len--;
    return buf_add_str(out, " {}\n");
}

static bool
dump_list_item(const struct config_row *row, const void *item, unsigned depth,
    struct buf *out)
{
    bool is_item = true;

    if (row->dump != NULL)
        return begin_line(depth, &is_item, out) && row->dump(item, out) &&
               buf_add_byte(out, '\n');
    if (!dump_rows(row->rows, item, depth, &is_item, out))
        return false;
    return !is_item ||
           (begin_line(depth, &is_item, out) && buf_add_str(out, "{}\n"));
}

static bool
dump_map_item(const struct config_row *row, const void *item, unsigned depth,
    struct buf *out)
{
    const char *key = row->key_offset == CONF_NONE
                          ? "?"
                          : *(char *const *)at(item, row->key_offset);
    bool no_dash = false;

    return begin_line(depth, &no_dash, out) && dump_text(key, out) &&
           buf_add_byte(out, ':') && dump_inner(row, item, depth + 1, out);
}

static bool
dump_list(const struct config_row *row, const struct config_list *list,
    unsigned depth, struct buf *out)
{
    bool ok = buf_add_str(out, list->count > 0         ? "\n"
                               : row->type == CONF_MAP ? " {}\n"
                                                       : " []\n");

    for (size_t i = 0; ok && i < list->count; i++) {
        const void *item = at(list->items, i * row->item_size);

        ok = row->type == CONF_MAP ? dump_map_item(row, item, depth, out)
                                   : dump_list_item(row, item, depth + 1, out);
    }
    return ok;
}

/* Is there nothing to say: no value, a section not given, no printer? */
static bool
is_silent(const struct config_row *row, const void *field)
{
    if (row->type == CONF_STRING || row->type == CONF_PATH)
        return *(char *const *)field == NULL;
    if (row->type == CONF_CUSTOM)
        return row->dump == NULL && !row->secret;
    return row->type == CONF_SECTION && row->set_offset != CONF_NONE &&
           !*(const bool *)at(field, row->set_offset);
}

static bool
dump_row(const struct config_row *row, const void *field, unsigned depth,
    struct buf *out)
{
    if (row->type == CONF_SECTION)
        return dump_inner(row, field, depth + 1, out);
    if (row->type == CONF_LIST || row->type == CONF_MAP)
        return dump_list(row, field, depth + 1, out);
    return buf_add_byte(out, ' ') && dump_value(row, field, out) &&
           buf_add_byte(out, '\n');
}

static bool
dump_rows(const struct config_row *rows, const void *base, unsigned depth,
    bool *is_item, struct buf *out)
{
    for (size_t i = 0; rows != NULL && rows[i].name != NULL; i++) {
        const void *field = at(base, rows[i].offset);

        if (is_silent(&rows[i], field))
            continue;
        if (!begin_line(depth, is_item, out) ||
            !buf_add_fmt(out, "%s:", rows[i].name) ||
            !dump_row(&rows[i], field, depth, out))
            return false;
    }
    return true;
}

bool
config_table_dump(
    const struct config_row *rows, const void *config, struct buf *out)
{
    bool no_dash = false;

    return dump_rows(rows, config, 0, &no_dash, out);
}
