/*
 * What no single row can know: names that must exist, things said twice, forms
 * of addresses. Also fills what follows from other keys. Used by gate_config.
 */
#ifndef WSGATE_GATE_CONFIG_CHECK_H
#define WSGATE_GATE_CONFIG_CHECK_H

#include "wsgate/gate_config.h"

/* ERR_CONFIG "file:line:column: ..." names the word and what would be right. */
bool gate_config_check(struct gate_config *config, struct err *err);

/* Parts of it: one location's handlers; every listener's sites together. */
bool gate_config_check_location(const struct gate_config *config,
    const struct gate_location *location, struct err *err);
bool
gate_config_check_listeners(const struct gate_config *config, struct err *err);

#endif
