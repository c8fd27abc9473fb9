/*
 * JSON Schema (draft 2020-12) of a table, for editors.
 * Input: the rows.
 * Output: JSON in the caller's buffer.
 */
#include "shared/config_value.h"

#include <string.h>

static bool object(const struct config_row *rows, struct buf *out);

static bool
add_json_text(struct buf *out, const char *text)
{
    bool ok = buf_add_byte(out, '"');

    for (; ok && *text != 0; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            ok = buf_add_fmt(out, "\\%c", c);
        else if (c < 0x20)
            ok = buf_add_fmt(out, "\\u%04x", c);
        else
            ok = buf_add_byte(out, c);
    }
    return ok && buf_add_byte(out, '"');
}

/* A text that some variable fills in; its type is known only then. */
#define VARIABLE "{\"type\":\"string\",\"pattern\":\"\\\\$\\\\{\"}"

static bool
integer(const struct config_row *row, struct buf *out)
{
    bool off = config_value_has_off(row);
    const char *min = off ? NULL : row->min;

    return buf_add_str(out, "\"anyOf\":[{\"type\":\"integer\"") &&
           (min == NULL || buf_add_fmt(out, ",\"minimum\":%s", min)) &&
           (row->max == NULL ||
               buf_add_fmt(out, ",\"maximum\":%s", row->max)) &&
           buf_add_str(out,
               off ? "},{\"const\":\"off\"}," VARIABLE "]" : "}," VARIABLE "]");
}

static bool
pattern(const struct config_row *row, const char *shape, struct buf *out)
{
    return buf_add_fmt(out,
        "\"anyOf\":[{\"type\":[\"string\",\"integer\"],\"pattern\":\"^(%s%s)$\""
        "}," VARIABLE "]",
        shape, config_value_has_off(row) ? "|off" : "");
}

static bool
words(const struct config_row *row, struct buf *out)
{
    bool ok = buf_add_str(out, "\"anyOf\":[{\"enum\":[");

    for (size_t i = 0; ok && row->words[i] != NULL; i++)
        ok = buf_add_str(out, i == 0 ? "" : ",") &&
             add_json_text(out, row->words[i]);
    return ok && buf_add_str(out, "]}," VARIABLE "]");
}

#define ONE_TEXT "{\"type\":[\"string\",\"number\",\"boolean\"]}"

/* An item of a list or map, or a section: its short form is a text. */
static bool
item(const struct config_row *row, struct buf *out)
{
    if (row->rows == NULL)
        return buf_add_str(out, "{}");
    if (row->parse == NULL)
        return buf_add_byte(out, '{') && object(row->rows, out) &&
               buf_add_byte(out, '}');
    return buf_add_str(
               out, "{\"anyOf\":[" ONE_TEXT ",{\"type\":\"array\"},{") &&
           object(row->rows, out) && buf_add_str(out, "}]}");
}

/* A list of items; one item without a list is right as well. */
static bool
list(const struct config_row *row, struct buf *out)
{
    return buf_add_str(out, "\"anyOf\":[{\"type\":\"array\",\"items\":") &&
           item(row, out) && buf_add_str(out, "},") && item(row, out) &&
           buf_add_byte(out, ']');
}

static bool
shape(const struct config_row *row, struct buf *out)
{
    switch (row->type) {
    case CONF_STRING:
    case CONF_PATH:
        return buf_add_str(out, "\"type\":[\"string\",\"number\",\"boolean\"]");
    case CONF_BOOL:
        return buf_add_str(out,
            "\"anyOf\":[{\"enum\":[true,false,\"true\",\"false\",\"yes\","
            "\"no\",\"on\",\"off\"]}," VARIABLE "]");
    case CONF_INT:
        return integer(row, out);
    case CONF_DURATION:
        return pattern(row, "[0-9]+(ms|s|m|h|d)", out);
    case CONF_SIZE:
        return pattern(row, "[0-9]+[KMG]?", out);
    case CONF_RATE:
        return pattern(row, "[0-9]+/(s|m|h|d)", out);
    case CONF_ENUM:
        return words(row, out);
    case CONF_STRINGS:
        return buf_add_str(out,
            "\"anyOf\":[" ONE_TEXT ",{\"type\":\"array\",\"items\":" ONE_TEXT
            "}]");
    case CONF_SECTION:
        return buf_add_str(out, "\"allOf\":[") && item(row, out) &&
               buf_add_byte(out, ']');
    case CONF_LIST:
        return list(row, out);
    case CONF_MAP:
        return buf_add_str(
                   out, "\"type\":\"object\",\"additionalProperties\":") &&
               item(row, out);
    case CONF_CUSTOM:
        return buf_add_str(out, "\"$comment\":\"see the man page\"");
    }
    return false;
}

static bool
property(const struct config_row *row, struct buf *out)
{
    return add_json_text(out, row->name) && buf_add_str(out, ":{") &&
           (row->help == NULL ||
               (buf_add_str(out, "\"description\":") &&
                   add_json_text(out, row->help) && buf_add_byte(out, ','))) &&
           (row->fallback == NULL || (buf_add_str(out, "\"default\":") &&
                                         add_json_text(out, row->fallback) &&
                                         buf_add_byte(out, ','))) &&
           shape(row, out) && buf_add_byte(out, '}');
}

/* "required" is left to the daemons: a file may get the rest from conf.d. */
static bool
object(const struct config_row *rows, struct buf *out)
{
    bool ok = buf_add_str(out, "\"type\":[\"object\",\"null\"],"
                               "\"additionalProperties\":false,"
                               "\"properties\":{");

    for (size_t i = 0; ok && rows[i].name != NULL; i++)
        ok = buf_add_str(out, i == 0 ? "\n" : ",\n") && property(&rows[i], out);
    return ok && buf_add_byte(out, '}');
}

bool
config_table_schema(
    const struct config_row *rows, const char *title, struct buf *out)
{
    return buf_add_str(out,
               "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
               "\"title\":") &&
           add_json_text(out, title) && buf_add_byte(out, ',') &&
           object(rows, out) && buf_add_str(out, "}\n");
}
