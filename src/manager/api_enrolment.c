/* The rows of the enrolment in the route table. */
#include "api_enrolment.h"

#include "fleet_module.h"
#include "manager/enrolment.h"
#include "manager/job.h"

enum { YEAR = 366 * 86400, BULK = 1000, EST_BODY = 16384 };

static const struct field time_query[] = {
    {"nonce", FIELD_TEXT, true, 32, 32, NULL, "32 hexadecimal digits"}, {.name = NULL}};
static const struct field page_query[] = {ROUTE_PAGE, {.name = NULL}};
static const struct field token_query[] = {
    ROUTE_PAGE, {"tenant", FIELD_ID, false, 1, 0, NULL, "only of this tenant"}, {.name = NULL}};
static const struct field request_query[] = {
    ROUTE_PAGE,
    {"tenant", FIELD_ID, false, 1, 0, NULL, "only of this tenant"},
    {"state", FIELD_CHOICE, false, 0, 0, "waiting|approved|refused", "default waiting"},
    {.name = NULL}};
static const struct field token_body[] = {
    {"tenant", FIELD_ID, false, 1, 0, NULL, "tenant of the new gateways"},
    {"group", FIELD_ID, false, 0, 0, NULL, "group of the new gateways; 0: directly in the tenant"},
    {"gateway", FIELD_ID, false, 1, 0, NULL, "or: the one gateway that the token is for"},
    {"count", FIELD_NUMBER, false, 1, BULK, NULL, "how many; default 1"},
    {"expires_in", FIELD_NUMBER, false, 60, YEAR, NULL, "seconds; default 30 days"},
    {"note", FIELD_TEXT, false, 0, 256, NULL, "for people"},
    {.name = NULL}};
static const struct field refuse_body[] = {
    {"reason", FIELD_TEXT, false, 0, 200, NULL, "why, for people"}, {.name = NULL}};
static const struct field replace_body[] = {
    {"serial", FIELD_TEXT, false, 0, 64, NULL, "serial number of the new one; default: any"},
    {"expires_in", FIELD_NUMBER, false, 60, YEAR, NULL, "seconds of the token; default 30 days"},
    {.name = NULL}};
static const struct field file_body[] = {
    {"remotes", FIELD_ARRAY, false, 0, 16, NULL,
     "names or addresses of the server as the router sees it; default: tunnel-hosts"},
    {"wrap", FIELD_CHOICE, false, 0, 0, "none|tls-auth|tls-crypt|tls-crypt-v2",
     "default: that of the gateway's port"},
    {"days", FIELD_NUMBER, false, 1, 3650, NULL, "life of the certificate; default ten years"},
    {.name = NULL}};
static const struct field empty_body[] = {{.name = NULL}};

#define OF_GATEWAYS(verb, where, flag, params, run, words)                                         \
    {                                                                                              \
        .method = verb, .path = where, .listeners = LISTENER_GATEWAYS, .action = ACCESS_OPEN,      \
        .flags = flag, .body_max = (flag)&ROUTE_RAW_BODY ? EST_BODY : 0, .query = params,          \
        .handle = run, .summary = words                                                            \
    }

const struct route enrolment_routes[] = {
    OF_GATEWAYS("GET", "/time", 0, time_query, enrolment_time, "the server's time, signed"),
    OF_GATEWAYS("GET", "/tunnel", 0, NULL, enrolment_tunnel, "settings of the tunnel"),
    OF_GATEWAYS("GET", "/.well-known/est/cacerts", 0, NULL, enrolment_cacerts,
                "certificates of the CAs"),
    OF_GATEWAYS("POST", "/.well-known/est/simpleenroll", ROUTE_RAW_BODY | ROUTE_UNAUDITED, NULL,
                enrolment_simpleenroll, "enrol with a token"),
    OF_GATEWAYS("POST", "/.well-known/est/simplereenroll", ROUTE_RAW_BODY | ROUTE_UNAUDITED, NULL,
                enrolment_simplereenroll, "renew a certificate"),

    {.method = "POST",
     .path = "/api/v1/enrolment-tokens",
     .action = ACCESS_ADMIN,
     .body = token_body,
     .handle = enrolment_token_add,
     .summary = "make enrolment tokens; their text is shown once"},
    {.method = "GET",
     .path = "/api/v1/enrolment-tokens",
     .action = ACCESS_VIEW,
     .query = token_query,
     .handle = enrolment_token_list,
     .summary = "list enrolment tokens"},
    {.method = "GET",
     .path = "/api/v1/enrolment-tokens/{id}",
     .action = ACCESS_VIEW,
     .find = enrolment_token_object,
     .handle = enrolment_token_show,
     .summary = "one enrolment token"},
    {.method = "DELETE",
     .path = "/api/v1/enrolment-tokens/{id}",
     .action = ACCESS_ADMIN,
     .find = enrolment_token_object,
     .handle = enrolment_token_remove,
     .summary = "take a token back"},

    {.method = "GET",
     .path = "/api/v1/enrolment-requests",
     .action = ACCESS_VIEW,
     .query = request_query,
     .handle = enrolment_request_list,
     .summary = "gateways that wait for approval"},
    {.method = "POST",
     .path = "/api/v1/enrolment-requests/{id}/approve",
     .action = ACCESS_ADMIN,
     .find = enrolment_request_object,
     .body = empty_body,
     .handle = enrolment_request_approve,
     .summary = "let a gateway enrol"},
    {.method = "POST",
     .path = "/api/v1/enrolment-requests/{id}/refuse",
     .action = ACCESS_ADMIN,
     .find = enrolment_request_object,
     .body = empty_body,
     .handle = enrolment_request_refuse,
     .summary = "do not let a gateway enrol"},

    {.method = "GET",
     .path = "/api/v1/gateways/{id}/certificates",
     .action = ACCESS_VIEW,
     .find = gateway_find_object,
     .handle = enrolment_gateway_certificates,
     .summary = "every certificate of a gateway"},
    {.method = "POST",
     .path = "/api/v1/gateways/{id}/revoke",
     .action = ACCESS_ADMIN,
     .find = gateway_find_object,
     .body = refuse_body,
     .handle = enrolment_gateway_revoke,
     .summary = "end a gateway's identity for good"},
    {.method = "POST",
     .path = "/api/v1/gateways/{id}/replace",
     .action = ACCESS_ADMIN,
     .find = gateway_find_object,
     .body = replace_body,
     .handle = enrolment_gateway_replace,
     .summary = "another router takes the gateway's place"},
    {.method = "POST",
     .path = "/api/v1/gateways/{id}/connection-file",
     .action = ACCESS_ADMIN,
     .find = gateway_find_object,
     .body = file_body,
     .handle = enrolment_gateway_connection_file,
     .summary = "make a connection file for an OpenVPN router; given once"},

    {.method = "GET",
     .path = "/api/v1/authorities",
     .action = ACCESS_SYSTEM,
     .handle = enrolment_authorities,
     .summary = "the CAs of gateways, and how many gateways hang on each"},
    {.method = "GET",
     .path = "/api/v1/authorities/{key}/gateways",
     .action = ACCESS_SYSTEM,
     .query = page_query,
     .handle = enrolment_authority_gateways,
     .summary = "the gateways that are lost if this CA goes"},
    {.method = NULL},
};
