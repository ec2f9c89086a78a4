/* The manager's API, as the commands use it: one blocking call after another.
 *
 * Who asks: on the server itself root, over the manager's unix socket, without a login; elsewhere
 * the API token that `ammctl login` has saved. What may be done is decided by the manager alone. */
#pragma once

#include "ctl.h"

#include <jansson.h>

enum { CTL_TARGET = 2048 };

struct ctl_api;

/* NULL after saying why not; `*status` says which. */
struct ctl_api *ctl_api_open(const struct ctl *ctl, enum ctl_exit *status);

/* The same for a server that is named: before there is a token. `ca` is NULL or a PEM file. */
struct ctl_api *ctl_api_open_url(const char *url, const char *token, const char *ca,
                                 enum ctl_exit *status);
struct ctl_api *ctl_api_close(struct ctl_api *api); /* accepts NULL; returns NULL */

/* Asks, and gives the answer's JSON (a new reference; json_null() where it has none), or NULL after
 * saying in words what the manager refused. `body` is taken over; NULL: none. */
json_t *ctl_api_call(struct ctl_api *api, const char *method, const char *target, json_t *body,
                     enum ctl_exit *status);

/* The same with a body that is no JSON (a file). */
json_t *ctl_api_upload(struct ctl_api *api, const char *method, const char *target,
                       struct amm_view body, enum ctl_exit *status);

/* The same for what is no JSON (connection files): malloc'd text with a NUL behind it. */
char *ctl_api_text(struct ctl_api *api, const char *method, const char *target, json_t *body,
                   size_t *len, enum ctl_exit *status);

/* All pages of a list: follows `next`, calls `each` for every element of `items` (borrowed). */
enum ctl_exit ctl_api_list(struct ctl_api *api, const char *target,
                           void (*each)(void *context, const json_t *item), void *context);

/* How to reach a host of remote access ("https://label.gw.example.net:8444"): at its name, or,
 * where names below `localhost` are used or there is no wildcard in the DNS, at the manager's own
 * address. `host` holds CTL_HOST bytes and must live as long as the settings are used, as must the
 * API. */
enum { CTL_HOST = 300 };
struct amm_http_client_settings;
bool ctl_api_reach(struct ctl_api *api, const char *url, const char *ca, char host[CTL_HOST],
                   struct amm_http_client_settings *out, enum ctl_exit *status);

/* ---- targets ---- */

/* A path or query in the making; what is too long fails at the call, not here. */
struct ctl_target {
    char text[CTL_TARGET];
    struct amm_writer w;
    bool has_query;
};

/* Begins with a fixed path ("/api/v1/gateways"). */
void ctl_target_init(struct ctl_target *target, const char *path);

/* Adds "/" and the percent-encoded segment. */
void ctl_target_segment(struct ctl_target *target, const char *segment);

/* Adds name=value, encoded; nothing if the value is NULL. */
void ctl_target_query(struct ctl_target *target, const char *name, const char *value);

/* ---- showing ---- */

enum ctl_show { CTL_SHOW_TEXT, CTL_SHOW_TIME, CTL_SHOW_AGE, CTL_SHOW_BYTES, CTL_SHOW_YES };

struct ctl_column {
    const char *head;
    const char *member; /* "tunnel.address": members of members with '.' */
    enum ctl_show show;
};

/* Asks for a list and prints it: a table of these columns (ended by head NULL), or with -o json one
 * array. `none` is said where there is nothing. */
enum ctl_exit ctl_api_print_list(const struct ctl *ctl, struct ctl_api *api, const char *target,
                                 const struct ctl_column *columns, const char *none);

/* One object: "member  value" lines of these columns, or JSON. Takes over `object`. */
void ctl_print_object(const struct ctl *ctl, json_t *object, const struct ctl_column *columns);

/* Prints and releases. */
void ctl_print_json(json_t *value);

/* The member at a path with '.', or NULL. */
const json_t *ctl_member(const json_t *object, const char *path);

/* As a cell: "-" where there is nothing; cleaned, so that what a gateway said cannot steer the
 * terminal. Returns `out`. */
const char *ctl_show(const json_t *value, enum ctl_show show, char out[CTL_CELL]);
