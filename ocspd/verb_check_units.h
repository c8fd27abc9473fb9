/*
 * ocspd check --units: the rights that `publish:` needs, as a drop-in for
 * ocspd.service with the commands beside them as comments.
 */
#ifndef OCSPD_VERB_CHECK_UNITS_H
#define OCSPD_VERB_CHECK_UNITS_H

#include "ocspd/ocspd_config.h"

/* On stdout. Looks at the folders and sockets that are there; answers the exit
 * code. */
int check_units(const struct ocspd_config *config);

#endif
