/*
 * State per target, as text and as JSON.
 * Input: targets and the spool's files. Output: a table or one JSON object.
 */
#include "ocspd/status.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ------------------------------------------------------------ */

static void
read_der(struct status_row *row, const struct spool *spool)
{
    char digest[65];
    struct buf der;

    buf_init(&der, OCSP_RESPONSE_MAX);
    row->has_der = spool_load(spool, row->target->fp, &der, NULL);
    if (row->has_der && row->has_meta && row->meta.der_sha256 != NULL) {
        spool_digest(buf_span(&der), digest);
        row->is_match = strcmp(digest, row->meta.der_sha256) == 0;
    }
    buf_fini(&der);
}

static void
fill_state(struct status_row *row)
{
    struct target_state *state = &row->target->state;
    const struct spool_meta *meta = &row->meta;

    state->has_staple = row->has_der;
    state->status = meta->status != NULL && strcmp(meta->status, "revoked") == 0
                        ? OCSP_CERT_REVOKED
                        : OCSP_CERT_GOOD;
    state->this_update = meta->this_update;
    state->next_update = meta->next_update;
    state->life_end = meta->life_end;
    state->fetched_at = meta->fetched_at;
    state->last_attempt = meta->last_attempt;
    state->next_attempt = meta->next_attempt;
    state->failures = meta->failures > 0 ? (unsigned)meta->failures : 0;
    state->revoked_at = meta->revoked_at;
    state->revoked_reason = meta->revoked_reason;
}

bool
status_add(struct status *status, struct target *target,
    const struct spool *spool, struct err *err)
{
    struct status_row *rows =
        realloc(status->rows, (status->count + 1) * sizeof(*rows));
    struct status_row row = {.target = target, .alert = ""};

    if (rows == NULL) {
        target_free(target);
        return err_memory(err);
    }
    status->rows = rows;
    if (spool != NULL) {
        row.has_meta = spool_load_meta(spool, target->fp, &row.meta, NULL);
        read_der(&row, spool);
        if (row.has_meta)
            fill_state(&row);
    }
    rows[status->count++] = row;
    return true;
}

struct adding {
    struct status *status;
    const struct spool *spool;
    struct err *err;
    bool ok;
};

/* The side file says what the certificate is. */
static bool
describe(struct target *target, const struct spool *spool)
{
    struct spool_meta meta = {0};
    bool known = spool_load_meta(spool, target->fp, &meta, NULL);

    target->mode = TARGET_OCSP;
    target->label = strdup(known && meta.label != NULL ? meta.label : "?");
    target->path =
        strdup(known && meta.cert_path != NULL ? meta.cert_path : "?");
    target->must_staple = meta.must_staple;
    target->not_after = meta.not_after;
    spool_meta_fini(&meta);
    return target->label != NULL && target->path != NULL;
}

static bool
on_entry(void *ctx, const char *fp, bool has_der)
{
    struct adding *adding = ctx;
    struct target *target = calloc(1, sizeof(*target));

    (void)has_der;
    adding->ok = target != NULL &&
                 span_to_cstr(span_str(fp), target->fp, sizeof(target->fp)) &&
                 describe(target, adding->spool);
    if (!adding->ok) {
        target_free(target);
        (void)err_memory(adding->err);
        return false;
    }
    list_init(&target->node);
    adding->ok = status_add(adding->status, target, adding->spool, adding->err);
    return adding->ok;
}

bool
status_add_spool(
    struct status *status, const struct spool *spool, struct err *err)
{
    struct adding adding = {status, spool, err, true};

    return spool_each(spool, on_entry, &adding, err) && adding.ok;
}

void
status_fini(struct status *status)
{
    for (size_t i = 0; i < status->count; i++) {
        target_free(status->rows[i].target);
        spool_meta_fini(&status->rows[i].meta);
    }
    free(status->rows);
    *status = (struct status){NULL, 0};
}

const char *
status_word(const struct status_row *row, int64_t now)
{
    const struct target *target = row->target;

    if (target->mode != TARGET_OCSP)
        return target_mode_word(target->mode);
    if (row->has_meta && target->state.this_update != 0 &&
        target->state.status == OCSP_CERT_REVOKED)
        return "revoked";
    if (target->state.life_end != 0 && target->state.life_end <= now)
        return "expired";
    return row->has_der && row->is_match ? "live" : "missing";
}

/* ---- text --------------------------------------------------------------- */

/* "2d03h", "5h12m", "9m", "-" */
static bool
add_span_of_time(struct buf *out, int64_t s)
{
    if (s <= 0)
        return buf_add_fmt(out, "%-8s", "-");
    if (s >= 86400)
        return buf_add_fmt(
            out, "%2" PRId64 "d%02" PRId64 "h  ", s / 86400, s / 3600 % 24);
    if (s >= 3600)
        return buf_add_fmt(
            out, "%2" PRId64 "h%02" PRId64 "m  ", s / 3600, s / 60 % 60);
    return buf_add_fmt(out, "%2" PRId64 "m%02" PRId64 "s  ", s / 60, s % 60);
}

/* Names come from certificates: nothing that a terminal would obey. */
static bool
add_text(struct buf *out, const char *text)
{
    for (; text != NULL && *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (!buf_add_byte(out, c < 0x20 || c == 0x7f ? '?' : c))
            return false;
    }
    return true;
}

static bool
add_row_text(const struct status_row *row, int64_t now, struct buf *out)
{
    const struct target *target = row->target;
    const struct target_state *state = &target->state;

    return buf_add_fmt(out, "%-9s %-5s ", status_word(row, now), row->alert) &&
           add_span_of_time(out, row->has_der ? state->life_end - now : 0) &&
           add_span_of_time(out, state->next_attempt - now) &&
           buf_add_fmt(out, "%5u ", state->failures) &&
           add_text(out, target->label) && buf_add_str(out, "  ") &&
           add_text(out, target->path) &&
           buf_add_str(out, target->must_staple ? "  must-staple" : "") &&
           (row->meta.last_error_kind == NULL ||
               (buf_add_str(out, "  ") &&
                   add_text(out, row->meta.last_error_kind) &&
                   buf_add_str(out, ": ") &&
                   add_text(out, row->meta.last_error))) &&
           buf_add_byte(out, '\n');
}

bool
status_write_text(const struct status *status, int64_t now, struct buf *out)
{
    if (!buf_add_fmt(out, "%-9s %-5s %-8s%-8s%5s %s\n", "STATE", "ALERT",
            "LEFT", "NEXT", "FAILS", "CERTIFICATE"))
        return false;
    for (size_t i = 0; i < status->count; i++)
        if (!add_row_text(&status->rows[i], now, out))
            return false;
    return true;
}

/* ---- JSON --------------------------------------------------------------- */

/* Text that is no UTF-8 is left out: jansson refuses it. */
static void
put_text(json_t *object, const char *key, const char *text)
{
    json_t *value = text == NULL ? NULL : json_string(text);

    (void)json_object_set_new(object, key, value != NULL ? value : json_null());
}

static void
put_time(json_t *object, const char *key, int64_t unix_s)
{
    (void)json_object_set_new(
        object, key, unix_s == 0 ? json_null() : json_integer(unix_s));
}

static void
put_times(json_t *object, const struct target *target)
{
    const struct target_state *state = &target->state;

    put_time(object, "this_update", state->this_update);
    put_time(object, "next_update", state->next_update);
    put_time(object, "life_end", state->life_end);
    put_time(object, "fetched_at", state->fetched_at);
    put_time(object, "last_attempt", state->last_attempt);
    put_time(object, "next_attempt", state->next_attempt);
    put_time(object, "not_after", target->not_after);
    put_time(object, "revoked_at", state->revoked_at);
    if (state->revoked_at != 0)
        put_text(
            object, "revoked_reason", ocsp_reason_word(state->revoked_reason));
}

static json_t *
row_json(const struct status_row *row, int64_t now)
{
    const struct target *target = row->target;
    json_t *object = json_object();

    if (object == NULL)
        return NULL;
    put_text(object, "fingerprint", target->fp);
    put_text(object, "name", target->label);
    put_text(object, "path", target->path);
    put_text(object, "mode", target_mode_word(target->mode));
    put_text(object, "state", status_word(row, now));
    put_text(object, "status", row->has_meta ? row->meta.status : "none");
    put_text(object, "alert", row->alert);
    (void)json_object_set_new(
        object, "must_staple", json_boolean(target->must_staple));
    (void)json_object_set_new(
        object, "stapled", json_boolean(row->has_der && row->is_match));
    put_times(object, target);
    (void)json_object_set_new(
        object, "failures", json_integer(target->state.failures));
    put_text(object, "source", row->meta.source);
    put_text(object, "last_verdict", row->meta.last_error_kind);
    put_text(object, "last_error", row->meta.last_error);
    return object;
}

bool
status_write_json(const struct status *status, const char *spool, int64_t now,
    struct buf *out)
{
    json_t *root = json_object();
    json_t *rows = json_array();
    char *text = NULL;
    bool ok;

    (void)json_object_set_new(root, "version", json_integer(1));
    (void)json_object_set_new(root, "time", json_integer(now));
    put_text(root, "spool", spool);
    for (size_t i = 0; i < status->count; i++)
        (void)json_array_append_new(rows, row_json(&status->rows[i], now));
    (void)json_object_set_new(root, "certificates", rows);
    text = json_dumps(root, JSON_INDENT(2));
    ok = text != NULL && buf_add_str(out, text) && buf_add_byte(out, '\n');
    free(text);
    json_decref(root);
    return ok;
}
