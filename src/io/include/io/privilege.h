/* Becoming less: users, capabilities, what a process may still do. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct amm_user {
    uid_t uid;
    gid_t gid;
};

/* A user by name or by number (a number without an account has the group of the same number). */
bool amm_user_find(const char *text, struct amm_user *out, char *error, size_t room);

/* Becomes `user` for good: no supplementary groups, no capabilities (also none to gain:
 * no_new_privs, empty bounding set), not dumpable. Call before threads start. */
bool amm_privileges_drop(const struct amm_user *user, char *error, size_t room);

/* The same, but the capabilities in `keep` stay (bit CAP_NET_ADMIN: 1 << 12); they cannot be passed
 * on. */
bool amm_privileges_drop_to(const struct amm_user *user, uint64_t keep, char *error, size_t room);

/* Standard streams that the caller had closed lead to /dev/null, before a socket or a key file gets
 * their number and what is printed. The first thing that a program does. */
void amm_process_fill_streams(void);

/* No core dumps, no ptrace by others: for processes that hold keys. */
void amm_process_seal(void);
