/*
 * A request as the CGI variables of a FastCGI application (RFC 3875 4.1), and
 * which script it means.
 */
#ifndef WSGATE_BACKEND_FCGI_PARAMS_H
#define WSGATE_BACKEND_FCGI_PARAMS_H

#include "shared/buf.h"
#include "shared/err.h"
#include "wsgate/backend/backend.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    FCGI_PARAMS_MAX = 2 * 1024 * 1024 /* ours: twice the largest header_size */
};

struct fcgi_script {
    struct buf name; /* SCRIPT_NAME: decoded, begins with "/" */
    struct buf info; /* PATH_INFO: decoded, may be empty */
};

void fcgi_script_fini(struct fcgi_script *script);

/*
 * The configured script; or the path up to its first segment that ends like
 * the index does (".php"), the rest being PATH_INFO; or the index of a folder;
 * or the path. ERR_REJECTED: no script can be meant (404). Output that the
 * caller fini()s on success.
 */
bool fcgi_script_find(const struct gate_location *location, struct span path,
    struct fcgi_script *out, struct err *err);
/*
 * Is a part of the name before its last segment a plain file here? PHP would
 * then run that file ("/upload/photo.jpg/x.php", cgi.fix_pathinfo).
 */
bool fcgi_script_is_trap(const char *root, struct fcgi_script *script);

/* Pairs for PARAMS records; false: larger than FCGI_PARAMS_MAX, or memory. */
bool fcgi_params_write(struct buf *out, const struct backend_request *request,
    struct fcgi_script *script, uint64_t content_len);

#endif
