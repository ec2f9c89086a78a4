/* Who the gateway is to the server, on disk: its key, its certificate, the CAs of the server, and
 * the settings of the tunnel. Key and certificate are files that ammer reads, too. */
#pragma once

#include "acemanager/core.h"
#include "files.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ace_identity {
    const struct ace_files *files;
    char folder[ACE_PATH];
    char *key;         /* PEM, malloc'd; NULL: none yet. Secret. */
    char *certificate; /* PEM; NULL: not enrolled */
    char *ca;          /* PEM of all CAs that the server may have; NULL: not known yet */
    char *next_key;    /* that a renewal or an enrolment under way asks for */
    char name[65];
    int64_t not_before, not_after; /* 0 without a certificate */
    bool has_remote_key;
    uint8_t remote_key[AMM_REMOTE_KEY]; /* of the server's amm-proxyd (GP-71) */
};

enum { ACE_CA_MAX = 65536 };

/* Reads what is there. False with a sentence if something is there and cannot be used: that part is
 * then as if it were missing. */
bool ace_identity_open(struct ace_identity *identity, const struct ace_files *files,
                       const char *folder, char *error, size_t room);
void ace_identity_close(struct ace_identity *identity); /* wipes the keys */

/* The body of a request (EST) for a key that is made on the first call and kept on disk until it
 * has its certificate: a lost answer is asked for again with the same key (GP-24). malloc'd. */
bool ace_identity_request(struct ace_identity *identity, const char *serial, char **body,
                          size_t *len, char *error, size_t room);

/* The answer to it: the certificate must be for that key and valid. On disk, then in force; the key
 * takes the place of the former one. */
bool ace_identity_take(struct ace_identity *identity, struct amm_view body, char *error,
                       size_t room);

/* The answer to /cacerts, over a connection that was checked. The first time those CAs are taken
 * whose key is `pin` (32 bytes); later those that have the name of one that is trusted already, but
 * for a number behind it: while two overlap they are "amm server CA" and "amm server CA 2", and the
 * gateways' CA has another name. */
bool ace_identity_take_ca(struct ace_identity *identity, struct amm_view body, const uint8_t *pin,
                          char *error, size_t room);

/* True if one of the CAs has that key. */
bool ace_identity_has_ca(const struct ace_identity *identity, const uint8_t pin[32]);

/* True from the middle of the certificate's life on. */
bool ace_identity_wants_renewal(const struct ace_identity *identity, int64_t wall);

/* The server's remote access key, told over a connection that was checked. On disk, then in force.
 */
bool ace_identity_take_remote_key(struct ace_identity *identity, const uint8_t key[AMM_REMOTE_KEY],
                                  char *error, size_t room);

/* Forgets everything: another server, or a factory reset. */
bool ace_identity_forget(struct ace_identity *identity, char *error, size_t room);

/* Paths for ammer's configuration. */
void ace_identity_paths(const struct ace_identity *identity, char certificate[ACE_PATH + 32],
                        char key[ACE_PATH + 32]);
