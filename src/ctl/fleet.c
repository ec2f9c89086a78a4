/* The commands of gateways and operations that are one request. */
#include "fleet.h"

#define END                                                                                        \
    {                                                                                              \
        .name = NULL                                                                               \
    }
#define COLUMNS_END                                                                                \
    {                                                                                              \
        .head = NULL                                                                               \
    }
#define NAME                                                                                       \
    {                                                                                              \
        "NAME", CTL_GATEWAY, CTL_IN_PATH, NULL, true                                               \
    }

static const struct ctl_parameter named[] = {NAME, END};
static const struct ctl_parameter id_named[] = {{"ID", CTL_ID, CTL_IN_PATH, NULL, true}, END};

/* ---- lists ---- */

static const struct ctl_column list_columns[] = {
    {"NAME", "name", CTL_SHOW_TEXT},
    {"KIND", "kind", CTL_SHOW_TEXT},
    {"ACCESS", "access", CTL_SHOW_TEXT},
    {"CHECKED IN", "last_checkin", CTL_SHOW_AGE},
    {"LATE", "late", CTL_SHOW_YES},
    {"SETTINGS", "sync_text", CTL_SHOW_TEXT},
    {"TUNNEL", "tunnel.up", CTL_SHOW_YES},
    {"PORT", "tunnel.port", CTL_SHOW_TEXT},
    {"ADDRESS", "tunnel.address", CTL_SHOW_TEXT},
    {"SERIAL", "serial", CTL_SHOW_TEXT},
    COLUMNS_END,
};

static const struct ctl_parameter list_parameters[] = {
    {"--tenant", CTL_TENANT, CTL_IN_QUERY, "tenant", false},
    {"--group", CTL_GROUP, CTL_IN_QUERY, "group", false},
    {"--kind", CTL_TEXT, CTL_IN_QUERY, "kind", false},
    {"--access", CTL_TEXT, CTL_IN_QUERY, "access", false},
    {"--settings", CTL_TEXT, CTL_IN_QUERY, "sync", false},
    {"--tunnel", CTL_TEXT, CTL_IN_QUERY, "tunnel", false},
    {"--port", CTL_TEXT, CTL_IN_QUERY, "port", false},
    {"--late", CTL_FLAG, CTL_IN_QUERY, "late", false},
    {"--clone", CTL_FLAG, CTL_IN_QUERY, "clone", false},
    {"--text", CTL_TEXT, CTL_IN_QUERY, "text", false},
    {"--stat", CTL_TEXT, CTL_IN_QUERY, "stat", false},
    {"--sort", CTL_TEXT, CTL_IN_QUERY, "sort", false},
    END,
};

const struct ctl_request ctl_gateway_list_request = {
    "GET", "/api/v1/gateways", list_parameters, list_columns, "no gateways", NULL};

/* ---- one ---- */

static const struct ctl_column show_columns[] = {
    {"name", "name", CTL_SHOW_TEXT},
    {"label", "label", CTL_SHOW_TEXT},
    {"kind", "kind", CTL_SHOW_TEXT},
    {"serial number", "serial", CTL_SHOW_TEXT},
    {"note", "note", CTL_SHOW_TEXT},
    {"access", "access", CTL_SHOW_TEXT},
    {"because", "access_reason", CTL_SHOW_TEXT},
    {"two live uses", "clone", CTL_SHOW_YES},
    {"checked in", "last_checkin", CTL_SHOW_TIME},
    {"ago", "last_checkin", CTL_SHOW_AGE},
    {"late", "late", CTL_SHOW_YES},
    {"interval, s", "interval", CTL_SHOW_TEXT},
    {"clock from", "clock", CTL_SHOW_TEXT},
    {"clock off by, s", "clock_skew", CTL_SHOW_TEXT},
    {"starts", "starts", CTL_SHOW_TEXT},
    {"settings", "sync_text", CTL_SHOW_TEXT},
    {"settings refused", "settings_error", CTL_SHOW_TEXT},
    {"operations open", "open_operations", CTL_SHOW_TEXT},
    {"tunnel up", "tunnel.up", CTL_SHOW_YES},
    {"tunnel port", "tunnel.port", CTL_SHOW_TEXT},
    {"tunnel address", "tunnel.address", CTL_SHOW_TEXT},
    {"tunnel since", "tunnel.since", CTL_SHOW_TIME},
    {"tunnel error", "tunnel.error", CTL_SHOW_TEXT},
    {"moves to port", "tunnel.move_port", CTL_SHOW_TEXT},
    {"software", "stats.SoftwareVersion", CTL_SHOW_TEXT},
    {"platform", "stats.Platform", CTL_SHOW_TEXT},
    COLUMNS_END,
};

const struct ctl_request ctl_gateway_show_request = {
    "GET", "/api/v1/gateways/{}", named, show_columns, NULL, NULL};
const struct ctl_request ctl_gateway_remove_request = {
    "DELETE", "/api/v1/gateways/{}", named, NULL, NULL, "removed"};

static const struct ctl_parameter move_parameters[] = {
    NAME,
    {"--group", CTL_GROUP, CTL_IN_BODY, "group", false},
    {"--note", CTL_TEXT, CTL_IN_BODY, "note", false},
    {"--serial", CTL_TEXT, CTL_IN_BODY, "serial", false},
    END,
};
const struct ctl_request ctl_gateway_move_request = {
    "PATCH", "/api/v1/gateways/{}", move_parameters, NULL, NULL, "changed"};

static const struct ctl_column event_columns[] = {
    {"AT", "at", CTL_SHOW_TIME},
    {"KIND", "kind", CTL_SHOW_TEXT},
    {"TEXT", "text", CTL_SHOW_TEXT},
    COLUMNS_END,
};
const struct ctl_request ctl_gateway_events_request = {
    "GET", "/api/v1/gateways/{}/events", named, event_columns, "no events", NULL};

static const struct ctl_column history_columns[] = {
    {"AT", "at", CTL_SHOW_TIME},        {"MSCIID", "parameter", CTL_SHOW_TEXT},
    {"NAME", "name", CTL_SHOW_TEXT},    {"OLD", "old", CTL_SHOW_TEXT},
    {"NEW", "new", CTL_SHOW_TEXT},      {"BY", "by", CTL_SHOW_TEXT},
    {"LOCALLY", "local", CTL_SHOW_YES}, COLUMNS_END,
};
const struct ctl_request ctl_gateway_history_request = {"GET",
                                                        "/api/v1/gateways/{}/parameters/history",
                                                        named,
                                                        history_columns,
                                                        "nothing was changed yet",
                                                        NULL};

/* ---- access ---- */

static const struct ctl_parameter reason_parameters[] = {
    NAME,
    {"--reason", CTL_TEXT, CTL_IN_BODY, "reason", false},
    END,
};
const struct ctl_request ctl_gateway_quarantine_request = {
    "POST",
    "/api/v1/gateways/{}/quarantine",
    reason_parameters,
    NULL,
    NULL,
    "no tunnel, no check-in until it is released"};
const struct ctl_request ctl_gateway_release_request = {
    "POST", "/api/v1/gateways/{}/release", named, NULL, NULL, "released"};
const struct ctl_request ctl_gateway_revoke_request = {
    "POST",
    "/api/v1/gateways/{}/revoke",
    reason_parameters,
    NULL,
    NULL,
    "revoked: its certificates are worthless, tunnel and check-ins are cut"};

static const struct ctl_column token_columns[] = {
    {"name", "gateway.name", CTL_SHOW_TEXT},
    {"token (shown this once)", "token.token", CTL_SHOW_TEXT},
    {"good until", "token.expires", CTL_SHOW_TIME},
    COLUMNS_END,
};
static const struct ctl_parameter replace_parameters[] = {
    NAME,
    {"--serial", CTL_TEXT, CTL_IN_BODY, "serial", false},
    END,
};
const struct ctl_request ctl_gateway_replace_request = {
    "POST", "/api/v1/gateways/{}/replace", replace_parameters, token_columns, NULL, NULL};

static const struct ctl_column certificate_columns[] = {
    {"ID", "id", CTL_SHOW_TEXT},
    {"KIND", "kind", CTL_SHOW_TEXT},
    {"SERIAL", "serial", CTL_SHOW_TEXT},
    {"ISSUED", "issued", CTL_SHOW_TIME},
    {"UNTIL", "until", CTL_SHOW_TIME},
    {"REVOKED", "revoked", CTL_SHOW_TIME},
    COLUMNS_END,
};
const struct ctl_request ctl_gateway_certificates_request = {
    "GET", "/api/v1/gateways/{}/certificates", named, certificate_columns, "it has never enrolled",
    NULL};

/* ---- the approval queue ---- */

static const struct ctl_column request_columns[] = {
    {"ID", "id", CTL_SHOW_TEXT},         {"SERIAL", "serial", CTL_SHOW_TEXT},
    {"KEY", "key", CTL_SHOW_TEXT},       {"FROM", "remote", CTL_SHOW_TEXT},
    {"SINCE", "created", CTL_SHOW_TIME}, COLUMNS_END,
};
const struct ctl_request ctl_gateway_requests_request = {
    "GET",           "/api/v1/enrolment-requests",    NULL,
    request_columns, "no gateway waits for approval", NULL};
const struct ctl_request ctl_gateway_approve_request = {
    "POST",   "/api/v1/enrolment-requests/{}/approve",
    id_named, NULL,
    NULL,     "approved: it gets its certificate when it asks again"};
const struct ctl_request ctl_gateway_refuse_request = {
    "POST", "/api/v1/enrolment-requests/{}/refuse", id_named, NULL, NULL, "refused"};

/* ---- operations ---- */

static const struct ctl_column operation_columns[] = {
    {"ID", "id", CTL_SHOW_TEXT},
    {"GATEWAY", "gateway_name", CTL_SHOW_TEXT},

    {"KIND", "kind", CTL_SHOW_TEXT},
    {"STATE", "state", CTL_SHOW_TEXT},
    {"SINCE", "created_at", CTL_SHOW_TIME},
    {"UNTIL", "expires_at", CTL_SHOW_TIME},
    {"BY", "by", CTL_SHOW_TEXT},
    {"TEXT", "text", CTL_SHOW_TEXT},
    COLUMNS_END,
};
static const struct ctl_column kind_columns[] = {
    {"KIND", "kind", CTL_SHOW_TEXT},
    {"WHAT", "doc", CTL_SHOW_TEXT},
    COLUMNS_END,
};
static const struct ctl_parameter order_parameters[] = {
    NAME,
    {"KIND", CTL_TEXT, CTL_IN_BODY, "kind", true},
    {"--confirm", CTL_TEXT, CTL_IN_BODY, "confirm", false},
    {"--expires-in", CTL_NUMBER, CTL_IN_BODY, "expires_in", false},
    {"--key", CTL_TEXT, CTL_IN_BODY, "key", false},
    {"--args", CTL_JSON, CTL_IN_BODY, "args", false},
    END,
};

const struct ctl_command ctl_operation_commands[] = {
    {.name = "list",
     .usage = "  what was asked of gateways, newest first",
     .request = &(const struct ctl_request){"GET", "/api/v1/operations", NULL, operation_columns,
                                            "nothing was asked yet", NULL}},
    {.name = "kinds",
     .usage = "  what can be asked of a gateway",
     .request = &(const struct ctl_request){"GET", "/api/v1/operations/kinds", NULL, kind_columns,
                                            "nothing", NULL}},
    {.name = "order",
     .usage = "NAME KIND [--args JSON] [--expires-in SECONDS] [--confirm NAME]  ask a gateway for "
              "something",
     .request = &(const struct ctl_request){"POST", "/api/v1/gateways/{}/operations",
                                            order_parameters, operation_columns, NULL, NULL}},
    {.name = "show",
     .usage = "ID  one with its result",
     .request = &(const struct ctl_request){"GET", "/api/v1/operations/{}", id_named,
                                            operation_columns, NULL, NULL}},
    {.name = "cancel",
     .usage = "ID  call back what the gateway has not taken",
     .request = &(const struct ctl_request){"POST", "/api/v1/operations/{}/cancel", id_named,
                                            operation_columns, NULL, NULL}},
    {.name = NULL},
};
