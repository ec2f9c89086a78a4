/* A command that is one request to the manager, as a table row: what stands on the command line,
 * and where it goes.
 *
 * People name things by name: a tenant by its slug, a group by its path ("depot/north"), a gateway
 * by name (name@tenant outside of the main one), a user by login name. The API knows ids; they are
 * looked up here. */
#pragma once

#include "api.h"

enum ctl_value {
    CTL_TEXT,
    CTL_NUMBER,
    CTL_SECONDS, /* 90s, 10m, 2h */
    CTL_FLAG,    /* an option without a value: true */
    CTL_ID,      /* as it is */
    CTL_JSON,    /* '{"minutes": 30}' */
    CTL_TENANT,
    CTL_GROUP, /* "/" stands for the top of the tenant */
    CTL_USER,
    CTL_GATEWAY,
};

enum ctl_place { CTL_IN_PATH, CTL_IN_QUERY, CTL_IN_BODY };

struct ctl_parameter {
    const char *name; /* "--role", or "NAME" for what stands without an option, in this order */
    enum ctl_value value;
    enum ctl_place place;
    const char *member; /* of query or body; in the path: the place is "{}", in this order */
    bool required;
};

struct ctl_request {
    const char *method;
    const char *path;                       /* "/api/v1/users/{}/roles" */
    const struct ctl_parameter *parameters; /* ended by name NULL; NULL: none */
    const struct ctl_column *columns;       /* of the answer; NULL: nothing to show */
    const char *list;                       /* the answer is a list; what to say if it is empty */
    const char *done;                       /* said after success, unless -o json */
};

/* Runs `command` (its `request` is set); argv[0] is the command's name. */
int ctl_request_run(const struct ctl *ctl, const struct ctl_command *command, int argc,
                    char **argv);

/* The id of a named thing as text in `out`, or false after saying that there is none. `tenant` is
 * an id, or NULL: any that one sees. */
bool ctl_find_id(struct ctl_api *api, enum ctl_value what, const char *name, const char *tenant,
                 char out[32], enum ctl_exit *status);
