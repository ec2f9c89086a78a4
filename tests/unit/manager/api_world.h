/* A manager without sockets: a store in a folder of its own, the fleet thread's core, and requests
 * that are made of structures. For the tests of the API. */
#pragma once

#include "manager/core.h"
#include "manager/directory.h"
#include "manager/job_parts.h"

#include <jansson.h>

struct answer {
    bool is_there;
    int status;
    json_t *body;       /* NULL: no JSON */
    char headers[2048]; /* as sent */
};

struct api_world {
    struct manager m;
    struct manager_config config;
    char folder[64];
    struct answer answer; /* of the last call */
};

/* Who asks, and from where. */
struct caller {
    const char *bearer, *cookie; /* NULL: none */
    bool is_root;                /* on the unix socket */
    uint32_t uid;                /* not 0: somebody else there */
    const char *headers;         /* further ones: "Name: value\r\n..."; a caller with a cookie sends
                                    X-AMM-Request unless there are any */
    uint8_t network;             /* of the remote address: 192.0.<network>.7 */
};
extern const struct caller nobody, root;

struct api_world *api_world_new(void);
void api_world_free(struct api_world *world);

/* Makes a request and runs the fleet thread until it is answered. `body` may be NULL. Returns the
 * status; world->answer has the rest until the next call. */
int call(struct api_world *world, const struct caller *caller, const char *method,
         const char *target, const char *body);

/* The same in two steps: what is asked waits in the queue until core_step. False: no such route. */
bool call_begin(struct api_world *world, const struct caller *caller, const char *method,
                const char *target, const char *body);
int call_end(struct api_world *world);

/* The answer's member as text: strings as they are, others as JSON; "" if it is not there. */
const char *member(const struct api_world *world, const char *name);

/* Makes a user with a password ("a long password") and one role; his id. tenant 0: server. */
int64_t make_user(struct api_world *world, const char *name, int64_t home, enum access_role role,
                  int64_t tenant, int64_t group);

/* Logs in and gives the cookie's value (static storage of four). */
const char *log_in(struct api_world *world, const char *login_name);

int64_t make_tenant(struct api_world *world, const char *slug);
int64_t make_group(struct api_world *world, int64_t tenant, int64_t parent, const char *name);

#define PASSWORD "a long password"
