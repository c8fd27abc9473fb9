/*
 * Is an address of the configuration written as it must be? Pure; used by
 * gate_config alone.
 */
#ifndef WSGATE_GATE_CONFIG_ADDRESS_H
#define WSGATE_GATE_CONFIG_ADDRESS_H

#include "shared/err.h"

#include <stdbool.h>

/* "0.0.0.0:443" "[::]:443" "unix:/run/x.sock"; port 0: the kernel chooses. */
bool gate_config_address_listen(const char *text, struct err *err);
/* "unix:/run/wsgate/admin.sock", "off". */
bool gate_config_address_admin(const char *text, struct err *err);
/* As for listening, and "name:9000"; port 1 to 65535. */
bool gate_config_address_server(const char *text, struct err *err);
/* "*", "*.example.org", "www.example.org", an address; lower case. */
bool gate_config_address_host(const char *text, struct err *err);

#endif
