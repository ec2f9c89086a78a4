/* Unix sockets between our processes: SOCK_SEQPACKET, and SOCK_STREAM where HTTP is spoken;
 * non-blocking, close-on-exec. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { AMM_UNIX_FDS = 128 }; /* descriptors in one message at most */

/* Listens at `path` with `mode` and group `gid` ((gid_t)-1: leave). A socket file that nobody
 * serves any more is replaced; one that is served is an error. -1 with a sentence. */
int amm_unix_listen(const char *path, mode_t mode, gid_t gid, char *error, size_t room);
int amm_unix_listen_stream(const char *path, mode_t mode, gid_t gid, char *error, size_t room);
int amm_unix_accept(int fd); /* -1: none */
int amm_unix_connect(const char *path, char *error, size_t room);
int amm_unix_connect_stream(const char *path, char *error, size_t room);

/* Two connected ends. */
bool amm_unix_pair(int ends[2]);

struct amm_unix_peer {
    pid_t pid;
    uid_t uid;
    gid_t gid;
};
bool amm_unix_peer(int fd, struct amm_unix_peer *out);

enum amm_unix_result { AMM_UNIX_OK, AMM_UNIX_AGAIN, AMM_UNIX_CLOSED };

/* Sends one packet with n descriptors (borrowed). */
enum amm_unix_result amm_unix_send(int fd, struct amm_view packet, const int *fds, size_t n);

/* Receives one packet into `buffer`; *len is its length. Up to *n descriptors go to fds and belong
 * to the caller, *n becomes how many; with fds NULL any that came are closed. A packet that was cut
 * off is CLOSED. */
enum amm_unix_result amm_unix_receive(int fd, struct amm_span buffer, size_t *len, int *fds,
                                      size_t *n);

/* Makes a descriptor blocking or not. */
bool amm_set_blocking(int fd, bool blocking);
