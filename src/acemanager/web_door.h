/* Where the pages are reached: TLS with the gateway's own key, and one listener for each address of
 * the LAN and of the tunnel. Owner: the core's thread. */
#pragma once

#include "web.h"

/* Makes key and certificate if there are none in the core's folder. NULL with a sentence. */
struct web_door *web_door_new(struct ace_pages *pages, char *error, size_t room);
struct web_door *web_door_free(struct web_door *door);

/* Listens at the addresses that the core names now, at the port of MSCIID 1172, and nowhere else.
 */
void web_door_follow(struct web_door *door);

int web_door_fd(const struct web_door *door);
amm_time web_door_deadline(const struct web_door *door);
void web_door_step(struct web_door *door);

/* PEM of an ECDSA P-256 key and its self-signed certificate, read from page-tls.pem in `folder`, or
 * made and kept there. False with a sentence: no randomness or memory. If they cannot be kept,
 * *warning says so: the next start will have another key. */
bool web_door_key(const char *folder, const char *name, int64_t not_before, char **certificate,
                  char **key, char *warning, size_t room);
