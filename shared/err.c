/*
 * One error: a kind to branch on and one line of text.
 * Input: the module that fails first. Output: the caller's struct err.
 */
#include "shared/err.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static void
append(struct err *err, const char *text)
{
    size_t used = strlen(err->text);

    (void)snprintf(err->text + used, sizeof(err->text) - used, ": %s", text);
}

/* By way of a copy: an argument may be the text that err holds already. */
static void __attribute__((format(printf, 2, 0)))
put_text(struct err *err, const char *fmt, va_list ap)
{
    char text[ERR_TEXT_SIZE];

    (void)vsnprintf(text, sizeof(text), fmt, ap);
    memcpy(err->text, text, strlen(text) + 1);
}

static void __attribute__((format(printf, 3, 0)))
fill(struct err *err, enum err_kind kind, const char *fmt, va_list ap)
{
    put_text(err, fmt, ap);
    err->kind = kind;
    err->sys_errno = 0;
}

bool
err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
{
    va_list ap;

    if (err == NULL)
        return false;
    va_start(ap, fmt);
    fill(err, kind, fmt, ap);
    va_end(ap);
    return false;
}

bool
err_context(struct err *err, const char *fmt, ...)
{
    char inner[ERR_TEXT_SIZE];
    va_list ap;

    if (err == NULL)
        return false;
    memcpy(inner, err->text, sizeof(inner));
    va_start(ap, fmt);
    put_text(err, fmt, ap);
    va_end(ap);
    append(err, inner);
    return false;
}

bool
err_sys(struct err *err, const char *fmt, ...)
{
    int saved = errno;
    va_list ap;

    if (err == NULL)
        return false;
    va_start(ap, fmt);
    fill(err, ERR_SYSTEM, fmt, ap);
    va_end(ap);
    err->sys_errno = saved;
    append(err, strerror(saved));
    errno = saved;
    return false;
}

bool
err_openssl(struct err *err, enum err_kind kind, const char *fmt, ...)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    va_list ap;

    ERR_clear_error();
    if (err == NULL)
        return false;
    va_start(ap, fmt);
    fill(err, kind, fmt, ap);
    va_end(ap);
    if (reason != NULL)
        append(err, reason);
    return false;
}

bool
err_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, "out of memory");
}

const char *
err_kind_word(enum err_kind kind)
{
    switch (kind) {
    case ERR_NONE:
        return "none";
    case ERR_SYSTEM:
        return "system";
    case ERR_TIMEOUT:
        return "timeout";
    case ERR_LIMIT:
        return "limit";
    case ERR_FORMAT:
        return "format";
    case ERR_REJECTED:
        return "rejected";
    case ERR_CONFIG:
        return "config";
    case ERR_MEMORY:
        return "memory";
    }
    return "unknown";
}

int
err_exit_code(const struct err *err)
{
    switch (err->kind) {
    case ERR_CONFIG:
        return EX_CONFIG;
    case ERR_TIMEOUT:
        return EX_TEMPFAIL;
    case ERR_SYSTEM:
        if (err->sys_errno == EACCES || err->sys_errno == EPERM)
            return EX_NOPERM;
        return EX_OSERR;
    case ERR_NONE:
    case ERR_LIMIT:
    case ERR_FORMAT:
    case ERR_REJECTED:
    case ERR_MEMORY:
        break;
    }
    return EX_SOFTWARE;
}
