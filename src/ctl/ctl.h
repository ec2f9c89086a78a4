/* ammctl: what its commands share. Exit codes are part of the interface. */
#pragma once

#include "base/bytes.h"
#include "ipc/tunnel.h"
#include "tunneld/config.h"

#include <stdbool.h>
#include <stdio.h>

enum ctl_exit {
    CTL_OK = 0,
    CTL_FAILED = 1, /* the thing was tried and did not work; the reason stands on standard error */
    CTL_USAGE = 2,  /* the command line or the configuration is wrong */
    CTL_NOT_FOUND = 3, /* no such gateway, or its tunnel is down */
    CTL_NO_SERVER = 4, /* the server does not answer */
};

/* What the global options and the server's configuration say. */
struct ctl {
    const struct amm_tunneld_config *config; /* NULL: no configuration file was found */
    const char *manager_socket; /* the file configures a manager, too; NULL: it does not */
    const struct manager_config *manager; /* the same, whole */
    const char *config_file;              /* that was read; NULL: none was */
    bool json;
};

/* One command of a group; argv[0] is its own name. With a manager (that of the configuration, or
 * the one that `ammctl login` knows where there is none) `request` or `managed` is done, without
 * one `run`; a command that has only one of them does it in any case. */
struct ctl_request;
struct ctl_command {
    const char *name;
    const char *usage; /* arguments, then two spaces, then one line of help */
    int (*run)(const struct ctl *ctl, int argc, char **argv);
    bool needs_config;                 /* `run`: ctl->config is not NULL */
    const struct ctl_request *request; /* one request to the manager (request.h) */
    int (*managed)(const struct ctl *ctl, int argc, char **argv);
};

extern const struct ctl_command ctl_tunnel_commands[];
extern const struct ctl_command ctl_gateway_commands[];
extern const struct ctl_command ctl_pki_commands[];
extern const struct ctl_command ctl_tenant_commands[];
extern const struct ctl_command ctl_group_commands[];
extern const struct ctl_command ctl_user_commands[];
extern const struct ctl_command ctl_token_commands[];
extern const struct ctl_command ctl_audit_commands[];
extern const struct ctl_command ctl_threshold_commands[];
extern const struct ctl_command ctl_tree_commands[];
extern const struct ctl_command ctl_operation_commands[];
extern const struct ctl_command ctl_software_commands[];
extern const struct ctl_command ctl_backup_commands[]; /* without a group */
extern const struct ctl_command ctl_import_commands[]; /* likewise: `import FILE` */
extern const struct ctl_command ctl_doctor_commands[];

/* Prints "ammctl: ..." to standard error and returns `status`. */
int ctl_fail(enum ctl_exit status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- the control socket (control.c) ---- */

/* Connects to the tunnel server; -1 after saying why not. Close it with close(). */
int ctl_control_open(const struct ctl *ctl);

/* Sends one request; false after saying why not. */
bool ctl_control_send(int fd, const struct amm_ipc_message *request);

/* Receives the next answer. False on DONE and on the end of the connection; FAILED is printed.
 * `*status` says which: CTL_OK after DONE, CTL_FAILED or CTL_NO_SERVER else. */
bool ctl_control_next(int fd, struct amm_ipc_message *answer, enum ctl_exit *status);

/* Finds a live tunnel by gateway name; `*server` may be NULL. CTL_NOT_FOUND if it is down. */
enum ctl_exit ctl_find_peer(const struct ctl *ctl, const char *name, struct amm_ipc_peer *peer,
                            struct amm_ipc_server *server);

/* The port on which the gateways file has a place for `name`; 0 if it has none or cannot be read
 * (gateway.c). */
uint16_t ctl_gateway_port(const struct ctl *ctl, const char *name);

/* ---- tables (table.c) ---- */

enum { CTL_COLUMNS = 12, CTL_CELL = 128 };

/* Collects rows, then prints them in columns as wide as their content. */
struct ctl_table {
    size_t n_columns, n_rows, room;
    char (*cells)[CTL_CELL]; /* malloc'd, row by row; the first row is the head */
};

void ctl_table_init(struct ctl_table *table, size_t n_columns, const char *const *head);
void ctl_table_cell(struct ctl_table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void ctl_table_print(struct ctl_table *table, FILE *out); /* and frees */

#define CTL_TIME_TEXT 32
/* "2026-11-23 22:00:01Z" */
const char *ctl_time_text(int64_t wall, char *out);
/* "12.3 MB" */
const char *ctl_bytes_text(uint64_t bytes, char *out);
/* "90s", "10m", "2h": up to a day. */
bool ctl_seconds_parse(const char *text, uint32_t *seconds);

/* "3d 4h", "12m 5s" */
const char *ctl_age_text(int64_t seconds, char *out);
