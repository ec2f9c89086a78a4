/* The inside of the directory. */
#pragma once

#include "manager/directory.h"

struct list {
    void **at;
    size_t n, room;
};

struct directory {
    struct list users, logins, tokens; /* by id */
    struct manager_timer purge;
};

/* A new, zeroed element at the end; NULL: out of memory. */
void *directory_grow(struct list *list, size_t size);

/* Reads all anew; false: the store fails, and nobody has any right. */
bool directory_read(struct manager *m, struct directory *directory);

/* True if it is neither idle for too long nor too old. */
bool directory_login_lives(const struct manager *m, const struct login *login);

void directory_login_time(const struct manager *m, struct login *login);
void directory_secret_hash(const char *secret, uint8_t out[SECRET_HASH]);
