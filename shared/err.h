/*
 * One error: a kind to branch on and one line of text, context added on the way
 * up. Input: whoever fails first. Output: the station that gives up logs it.
 *
 * Convention of the whole house: what can fail returns bool, and fills the last
 * argument `struct err *err` whenever the answer is false. Outputs are written
 * on success only. `err` may be NULL where nobody wants the reason.
 */
#ifndef SHARED_ERR_H
#define SHARED_ERR_H

#include <stdbool.h>

enum err_kind {
    ERR_NONE,
    ERR_SYSTEM, /* the kernel said no; sys_errno tells */
    ERR_TIMEOUT, /* a deadline passed */
    ERR_LIMIT, /* larger or more than allowed */
    ERR_FORMAT, /* bytes that are not what they should be */
    ERR_REJECTED, /* well-formed, but not acceptable */
    ERR_CONFIG, /* the operator's file or command line */
    ERR_MEMORY /* allocation failed */
};

enum { ERR_TEXT_SIZE = 640 /* ours: two paths and a sentence */ };

struct err {
    enum err_kind kind;
    int sys_errno; /* 0 unless kind is ERR_SYSTEM */
    char text[ERR_TEXT_SIZE];
};

/* All of these return false, so that failing is one line. */
bool err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the text that is there. */
bool err_context(struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Kind ERR_SYSTEM, the text ends in errno's own words. */
bool err_sys(struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* As err_set, then OpenSSL's newest queued reason; empties the queue. */
bool err_openssl(struct err *err, enum err_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

bool err_memory(struct err *err);

/* A word for logs and tests: "system", "timeout", "limit" ... */
const char *err_kind_word(enum err_kind kind);

/*
 * The exit code of sysexits.h for a failure at start: 78 configuration, 77 no
 * permission (EACCES, EPERM), 71 system, 75 timeouts, 70 the rest.
 */
int err_exit_code(const struct err *err);

#endif
