/*
 * HAProxy's admin socket: a response for a certificate that it has loaded.
 * Blocking, in worker threads only, never longer than its limit.
 */
#ifndef OCSPD_NOTIFY_HAPROXY_H
#define OCSPD_NOTIFY_HAPROXY_H

#include "shared/err.h"
#include "shared/span.h"

#include <stdbool.h>

/*
 * `ocsp_file`: PEM.ocsp, from which HAProxy's name of the certificate comes.
 * ERR_SYSTEM and ERR_TIMEOUT: nobody answered; ERR_REJECTED: HAProxy's own
 * sentence.
 */
bool notify_haproxy_tell(const char *socket_path, const char *ocsp_file,
    struct span der, struct err *err);

#endif
