/* The first administrator. */
#pragma once

#include "manager/manager.h"

/* If nobody can administer the server, makes the user "admin" with a one-time password that is
 * printed once, on standard output, when it is saved: whoever sees the console owns the server.
 * That is so at the first start, and again only for a database that has lost its users: then, too,
 * the console is needed. Inside a unit. */
bool first_start(struct manager *m, char *error, size_t room);
