/*
 * Log lines: one event, then key=value fields, to stderr (with the journal's
 * priority prefix when stderr is the journal) as text or JSON.
 *
 *     log_warn("fetch failed", LOG_S("target", label), LOG_I("try", 3));
 *
 * gives `warning: fetch failed target=www.example.org try=3`. Text from outside
 * is escaped here. One failure, one line: the station that gives up logs it.
 */
#ifndef SHARED_LOG_H
#define SHARED_LOG_H

#include "shared/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level {
    LOG_LEVEL_ERROR, /* somebody must act */
    LOG_LEVEL_WARN, /* we went on */
    LOG_LEVEL_INFO, /* the service's state changed */
    LOG_LEVEL_DEBUG /* every step */
};

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

struct log_field {
    const char *key; /* NULL: skipped */
    enum { LOG_FIELD_TEXT, LOG_FIELD_INT } type;
    struct span text;
    int64_t number;
};

#define LOG_S(k, v) ((struct log_field){(k), LOG_FIELD_TEXT, span_str(v), 0})
#define LOG_SPAN(k, v) ((struct log_field){(k), LOG_FIELD_TEXT, (v), 0})
#define LOG_I(k, v)                                                            \
    ((struct log_field){(k), LOG_FIELD_INT, {NULL, 0}, (int64_t)(v)})
/* The usual last field: error="...". */
#define LOG_ERR(e) LOG_S("error", (e)->text)

#define LOG_FIELDS(...)                                                        \
    ((const struct log_field[]){                                               \
        {NULL, LOG_FIELD_INT, {NULL, 0}, 0}, __VA_ARGS__})
#define LOG_AT(level, event, ...)                                              \
    log_event((level), (event), LOG_FIELDS(__VA_ARGS__),                       \
        sizeof(LOG_FIELDS(__VA_ARGS__)) / sizeof(struct log_field))

#define log_error(event, ...) LOG_AT(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...) LOG_AT(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define log_info(event, ...) LOG_AT(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(event, ...)                                                  \
    do {                                                                       \
        if (log_is_debug())                                                    \
            LOG_AT(LOG_LEVEL_DEBUG, event, __VA_ARGS__);                       \
    } while (0)

/*
 * `name` ("ocspd") is borrowed for ever and stands in JSON lines. Default
 * before this call: text, level info.
 */
void log_init(const char *name, enum log_format format, enum log_level level);
bool log_is_debug(void);

void log_event(enum log_level level, const char *event,
    const struct log_field *fields, size_t count);

/* "error", "warning", "info", "debug" and back; for configuration. */
const char *log_level_word(enum log_level level);
bool log_level_parse(struct span word, enum log_level *level);

#endif
