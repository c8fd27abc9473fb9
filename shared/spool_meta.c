/*
 * The spool's side file: struct spool_meta <-> JSON, by one table of members.
 * Input: what ocspd knows of a certificate, or the bytes of a .json file.
 * Output: the other of the two.
 */
#include "shared/spool.h"

#include <jansson.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>

enum member_type { MEMBER_TEXT, MEMBER_INT64, MEMBER_INT, MEMBER_BOOL };

struct member {
    const char *name;
    enum member_type type;
    size_t offset;
};

#define MEMBER(field, type)                                                    \
    {                                                                          \
#field, type, offsetof(struct spool_meta, field)                       \
    }

static const struct member members[] = {
    MEMBER(label, MEMBER_TEXT),
    MEMBER(cert_path, MEMBER_TEXT),
    MEMBER(source, MEMBER_TEXT),
    MEMBER(status, MEMBER_TEXT),
    MEMBER(der_sha256, MEMBER_TEXT),
    MEMBER(last_error, MEMBER_TEXT),
    MEMBER(last_error_kind, MEMBER_TEXT),
    MEMBER(this_update, MEMBER_INT64),
    MEMBER(next_update, MEMBER_INT64),
    MEMBER(life_end, MEMBER_INT64),
    MEMBER(fetched_at, MEMBER_INT64),
    MEMBER(last_attempt, MEMBER_INT64),
    MEMBER(next_attempt, MEMBER_INT64),
    MEMBER(failures, MEMBER_INT64),
    MEMBER(not_after, MEMBER_INT64),
    MEMBER(replaced_at, MEMBER_INT64),
    MEMBER(revoked_at, MEMBER_INT64),
    MEMBER(revoked_reason, MEMBER_INT),
    MEMBER(must_staple, MEMBER_BOOL),
};
enum { MEMBER_COUNT = sizeof(members) / sizeof(members[0]) };

static void *
field(struct spool_meta *meta, const struct member *m)
{
    return (char *)meta + m->offset;
}

static const void *
const_field(const struct spool_meta *meta, const struct member *m)
{
    return (const char *)meta + m->offset;
}

void
spool_meta_fini(struct spool_meta *meta)
{
    for (size_t i = 0; i < MEMBER_COUNT; i++)
        if (members[i].type == MEMBER_TEXT)
            free(*(char **)field(meta, &members[i]));
    *meta = (struct spool_meta){0};
}

/* JSON is UTF-8; a path or an error from outside need not be. */
static json_t *
text_json(const char *text)
{
    json_t *json = json_string(text);
    char *plain;

    if (json != NULL)
        return json;
    plain = span_dup(span_str(text));
    for (char *c = plain; c != NULL && *c != 0; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    json = plain == NULL ? NULL : json_string(plain);
    free(plain);
    return json;
}

static json_t *
member_json(const struct spool_meta *meta, const struct member *m)
{
    const void *at = const_field(meta, m);
    const char *text;

    switch (m->type) {
    case MEMBER_TEXT:
        text = *(char *const *)at;
        return text == NULL ? json_null() : text_json(text);
    case MEMBER_INT64:
        return json_integer(*(const int64_t *)at);
    case MEMBER_INT:
        return json_integer(*(const int *)at);
    case MEMBER_BOOL:
        return json_boolean(*(const bool *)at);
    }
    return NULL;
}

static int
on_dump(const char *bytes, size_t len, void *ctx)
{
    return buf_add(ctx, span_make(bytes, len)) ? 0 : -1;
}

bool
spool_meta_write(
    const struct spool_meta *meta, struct buf *out, struct err *err)
{
    json_t *root = json_pack("{s:i}", "version", SPOOL_VERSION);
    bool ok = root != NULL;

    for (size_t i = 0; ok && i < MEMBER_COUNT; i++)
        ok = json_object_set_new(
                 root, members[i].name, member_json(meta, &members[i])) == 0;
    if (!ok) {
        json_decref(root);
        return err_memory(err);
    }
    ok = json_dump_callback(root, on_dump, out, JSON_INDENT(2)) == 0 &&
         buf_add_byte(out, '\n');
    json_decref(root);
    if (!ok)
        return err_set(
            err, ERR_LIMIT, "side file larger than %zu bytes", out->max);
    return true;
}

/* An absent member leaves zero; one of another type is malformed. */
static bool
read_member(const json_t *value, const struct member *m,
    struct spool_meta *meta, struct err *err)
{
    void *at = field(meta, m);
    json_int_t number = json_integer_value(value);
    bool ok = false;

    if (value == NULL || json_is_null(value))
        return true;
    switch (m->type) {
    case MEMBER_TEXT:
        ok = json_is_string(value);
        if (!ok)
            break;
        *(char **)at = span_dup(span_str(json_string_value(value)));
        if (*(char **)at == NULL)
            return err_memory(err);
        break;
    case MEMBER_INT64:
        ok = json_is_integer(value);
        *(int64_t *)at = (int64_t)number;
        break;
    case MEMBER_INT:
        ok = json_is_integer(value) && number >= INT_MIN && number <= INT_MAX;
        *(int *)at = ok ? (int)number : 0;
        break;
    case MEMBER_BOOL:
        ok = json_is_boolean(value);
        *(bool *)at = json_is_true(value);
        break;
    }
    return ok || err_set(err, ERR_FORMAT, "\"%s\" is of another type", m->name);
}

static bool
read_members(const json_t *root, struct spool_meta *meta, struct err *err)
{
    const json_t *version = json_object_get(root, "version");

    if (!json_is_object(root) || !json_is_integer(version))
        return err_set(err, ERR_FORMAT, "no spool side file");
    if (json_integer_value(version) != SPOOL_VERSION)
        return err_set(err, ERR_FORMAT, "version %lld, we know %d",
            (long long)json_integer_value(version), SPOOL_VERSION);
    for (size_t i = 0; i < MEMBER_COUNT; i++)
        if (!read_member(
                json_object_get(root, members[i].name), &members[i], meta, err))
            return false;
    return true;
}

bool
spool_meta_parse(struct span json, struct spool_meta *out, struct err *err)
{
    struct spool_meta meta = {0};
    json_error_t why;
    json_t *root;
    bool ok;

    root = json.len == 0 ? NULL
                         : json_loadb((const char *)json.data, json.len,
                               JSON_REJECT_DUPLICATES, &why);
    if (root == NULL)
        return err_set(err, ERR_FORMAT, "not JSON: %s",
            json.len == 0 ? "empty" : why.text);
    ok = read_members(root, &meta, err);
    json_decref(root);
    if (!ok) {
        spool_meta_fini(&meta);
        return false;
    }
    *out = meta;
    return true;
}
