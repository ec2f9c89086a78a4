/* ACEmanager: the gateway's own web pages, HTTPS on the port of MSCIID 1172, at the addresses of
 * the LAN and of the tunnel and nowhere else (ace_listens). A part of the core's loop; one thread
 * but for the hashing of passwords. */
#pragma once

#include "acemanager/core.h"

#include <stdbool.h>
#include <stddef.h>

struct ace_pages;

/* Makes key, certificate and first password if there are none (files "page-*" in the core's
 * folder), attaches itself to the core and listens. What cannot be bound is tried again whenever
 * addresses change and every 5 s; a disk that cannot be written costs the key at the next start,
 * not the pages. NULL with a sentence: out of memory or randomness. */
struct ace_pages *ace_pages_new(struct ace_core *core, char *error, size_t room);

/* After the core's loop has ended. NULL is fine; returns NULL. */
struct ace_pages *ace_pages_free(struct ace_pages *pages);

/* The first password of a new gateway is in this file (0600), for its label; after a factory reset
 * it is the password again. */
#define ACE_PAGES_LABEL "page-label"

/* Accounts with hashed passwords; a factory reset takes this file away, and nothing else that
 * begins with "page-". */
#define ACE_PAGES_ACCOUNTS "page-accounts"
