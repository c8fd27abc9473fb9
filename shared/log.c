/*
 * Log lines to stderr: text or JSON, with the journal's priority prefix.
 * Input: every station that gives up. Output: one write(2) per line.
 */
#include "shared/log.h"

#include "shared/buf.h"
#include "shared/now.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LOG_LINE_MAX = 8192 /* ours: longer lines are cut at a field */ };

/* Not constants: one process has one log. */
static struct {
    const char *name;
    enum log_format format;
    enum log_level level;
    bool to_journal;
} sink = {"", LOG_FORMAT_TEXT, LOG_LEVEL_INFO, false};

static const struct {
    const char *word;
    const char *priority; /* sd-daemon(3) */
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", "<3>"},
    [LOG_LEVEL_WARN] = {"warning", "<4>"},
    [LOG_LEVEL_INFO] = {"info", "<6>"},
    [LOG_LEVEL_DEBUG] = {"debug", "<7>"},
};

/* Is stderr the stream that JOURNAL_STREAM names (systemd.exec(5))? */
static bool
stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long dev, ino;
    struct stat st;

    if (stream == NULL || sscanf(stream, "%llu:%llu", &dev, &ino) != 2)
        return false;
    return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev &&
           st.st_ino == ino;
}

void
log_init(const char *name, enum log_format format, enum log_level level)
{
    sink.name = name;
    sink.format = format;
    sink.level = level;
    sink.to_journal = stderr_is_journal();
}

bool
log_is_debug(void)
{
    return sink.level >= LOG_LEVEL_DEBUG;
}

const char *
log_level_word(enum log_level level)
{
    return levels[level].word;
}

bool
log_level_parse(struct span word, enum log_level *level)
{
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (span_eq(word, span_str(levels[i].word))) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* As JSON writes it: above 16 bits as two surrogates (RFC 8259 section 7). */
static bool
add_code_point(struct buf *line, uint32_t code)
{
    if (code < 0x10000)
        return buf_add_fmt(line, "\\u%04x", (unsigned)code);
    code -= 0x10000;
    return buf_add_fmt(line, "\\u%04x\\u%04x", 0xd800 + (unsigned)(code >> 10),
        0xdc00 + (unsigned)(code & 0x3ff));
}

/* The line is ASCII. A byte that is not UTF-8 stands as \u00xx. */
static bool
add_escaped(struct buf *line, struct span text)
{
    bool ok = true;

    while (ok && text.len > 0) {
        uint32_t code = text.data[0];
        size_t len = span_utf8(text, &code);

        if (code == '"' || code == '\\')
            ok = buf_add_fmt(line, "\\%c", (char)code);
        else if (code < 0x20 || code >= 0x7f)
            ok = add_code_point(line, code);
        else
            ok = buf_add_byte(line, (unsigned char)code);
        text = span_from(text, len == 0 ? 1 : len);
    }
    return ok;
}

static bool
add_quoted(struct buf *line, struct span text)
{
    return buf_add_byte(line, '"') && add_escaped(line, text) &&
           buf_add_byte(line, '"');
}

static bool
is_plain(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = text.data[i];

        if (c <= 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '=')
            return false;
    }
    return text.len > 0;
}

static bool
add_text_field(struct buf *line, const struct log_field *f)
{
    if (!buf_add_fmt(line, " %s=", f->key))
        return false;
    if (f->type == LOG_FIELD_INT)
        return buf_add_fmt(line, "%lld", (long long)f->number);
    return is_plain(f->text) ? buf_add(line, f->text)
                             : add_quoted(line, f->text);
}

static bool
add_json_field(struct buf *line, const struct log_field *f)
{
    if (!buf_add_fmt(line, ",\"%s\":", f->key))
        return false;
    if (f->type == LOG_FIELD_INT)
        return buf_add_fmt(line, "%lld", (long long)f->number);
    return add_quoted(line, f->text);
}

/* A field that does not fit is left out whole. */
static void
add_fields(struct buf *line, const struct log_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t before = line->len;

        if (fields[i].key == NULL)
            continue;
        if (!(sink.format == LOG_FORMAT_JSON ? add_json_field : add_text_field)(
                line, &fields[i]))
            line->len = before;
    }
}

static void
add_head(struct buf *line, enum log_level level, const char *event)
{
    if (sink.format == LOG_FORMAT_JSON) {
        int64_t ms = now_wall_ms();
        time_t s = (time_t)(ms / 1000);
        char at[32] = "";
        struct tm tm;

        if (gmtime_r(&s, &tm) != NULL)
            (void)strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%S", &tm);
        (void)buf_add_fmt(line,
            "{\"time\":\"%s.%03dZ\",\"level\":\"%s\",\"daemon\":\"%s\","
            "\"event\":\"%s\"",
            at, (int)(ms % 1000), levels[level].word, sink.name, event);
        return;
    }
    if (sink.to_journal)
        (void)buf_add_str(line, levels[level].priority);
    (void)buf_add_fmt(line, "%s: %s", levels[level].word, event);
}

static void
write_all(struct span line)
{
    while (line.len > 0) {
        ssize_t n = write(STDERR_FILENO, line.data, line.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nowhere to complain */
        line = span_from(line, (size_t)n);
    }
}

void
log_event(enum log_level level, const char *event,
    const struct log_field *fields, size_t count)
{
    int saved = errno;
    struct buf line;

    if (level > sink.level)
        return;
    buf_init(&line, LOG_LINE_MAX);
    add_head(&line, level, event);
    line.max = LOG_LINE_MAX - 2; /* the closing brace and newline always fit */
    add_fields(&line, fields, count);
    line.max = LOG_LINE_MAX;
    (void)buf_add_str(&line, sink.format == LOG_FORMAT_JSON ? "}\n" : "\n");
    write_all(buf_span(&line));
    buf_fini(&line);
    errno = saved;
}
