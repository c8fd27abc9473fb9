/*
 * Who has the address that we wanted: for the error text after EADDRINUSE.
 * /proc tells as much as it shows to our user; what cannot be seen is said.
 */
#ifndef WSGATE_PROCESS_PORT_OWNER_H
#define WSGATE_PROCESS_PORT_OWNER_H

#include <stddef.h>
#include <sys/socket.h>

/*
 * "nginx (pid 71, user root) has 0.0.0.0:443": every listener that stands in
 * the way, a wildcard of the other family too. Where /proc hides the process:
 * its user. "" when nothing was found.
 */
void port_owner(const struct sockaddr *wanted, char *out, size_t size);

#endif
