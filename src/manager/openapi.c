#include "manager/openapi.h"

#include "manager/route.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const char *const action_words[] = {
    [ACCESS_OPEN] = "anyone",        [ACCESS_SELF] = "whoever is logged in",
    [ACCESS_VIEW] = "viewer",        [ACCESS_OPERATE] = "operator",
    [ACCESS_ADMIN] = "tenant-admin", [ACCESS_SYSTEM] = "system-admin",
};

/* The members of a schema for one field. */
static json_t *field_schema(const struct field *field)
{
    json_t *schema = json_object(), *choices;
    switch (field->kind) {
    case FIELD_TEXT:
        json_object_set_new(schema, "type", json_string("string"));
        json_object_set_new(schema, "minLength", json_integer(field->min > 0));
        json_object_set_new(schema, "maxLength", json_integer(field->max));
        break;
    case FIELD_NUMBER:
        json_object_set_new(schema, "type", json_string("integer"));
        json_object_set_new(schema, "minimum", json_integer(field->min));
        json_object_set_new(schema, "maximum", json_integer(field->max));
        break;
    case FIELD_BOOL:
        json_object_set_new(schema, "type", json_string("boolean"));
        break;
    case FIELD_ID:
        json_object_set_new(schema, "type", json_string("string"));
        json_object_set_new(schema, "pattern", json_string("^[0-9]{1,18}$"));
        break;
    case FIELD_CHOICE:
        choices = json_array();
        for (const char *at = field->choices; *at != '\0';) {
            size_t len = strcspn(at, "|");
            json_array_append_new(choices, json_stringn(at, len));
            at += len + (at[len] == '|');
        }
        json_object_set_new(schema, "type", json_string("string"));
        json_object_set_new(schema, "enum", choices);
        break;
    case FIELD_OBJECT:
        json_object_set_new(schema, "type", json_string("object"));
        break;
    case FIELD_ARRAY:
        json_object_set_new(schema, "type", json_string("array"));
        json_object_set_new(schema, "items", json_object());
        json_object_set_new(schema, "maxItems", json_integer(field->max));
        break;
    case FIELD_ANY:
        break;
    }
    json_object_set_new(schema, "description", json_string(field->doc));
    return schema;
}

static json_t *body_schema(const struct field *fields)
{
    json_t *properties = json_object(), *required = json_array();
    for (const struct field *field = fields; field->name != NULL; field++) {
        json_object_set_new(properties, field->name, field_schema(field));
        if (field->required) {
            json_array_append_new(required, json_string(field->name));
        }
    }
    json_t *schema = json_pack("{s:s, s:b, s:o}", "type", "object", "additionalProperties", 0,
                               "properties", properties);
    if (json_array_size(required) > 0) {
        json_object_set(schema, "required", required);
    }
    json_decref(required);
    return schema;
}

static json_t *parameters(const struct route *route)
{
    json_t *list = json_array();
    for (const char *at = route->path; (at = strchr(at, '{')) != NULL; at++) {
        size_t len = strcspn(at + 1, "}");
        json_array_append_new(list,
                              json_pack("{s:s#, s:s, s:b, s:{s:s}}", "name", at + 1, (int)len, "in",
                                        "path", "required", 1, "schema", "type", "string"));
    }
    for (const struct field *field = route->query; field != NULL && field->name != NULL; field++) {
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:b, s:s, s:o}", "name", field->name, "in",
                                        "query", "required", field->required, "description",
                                        field->doc, "schema", field_schema(field)));
    }
    return list;
}

/* "get-api-v1-users-id": unique, since method and path are. */
static json_t *operation_id(const struct route *route)
{
    char text[160];
    size_t len = 0;
    for (const char *at = route->method; *at != '\0' && len + 2 < sizeof text; at++) {
        text[len++] = (char)tolower((unsigned char)*at);
    }
    for (const char *at = route->path; *at != '\0' && len + 1 < sizeof text; at++) {
        if (*at != '{' && *at != '}') {
            text[len++] = *at == '/' ? '-' : *at;
        }
    }
    return json_stringn(text, len);
}

static void add_response(json_t *responses, const char *status, const char *words)
{
    json_object_set_new(responses, status,
                        json_pack("{s:s, s:{s:{s:{s:s}}}}", "description", words, "content",
                                  "application/json", "schema", "$ref",
                                  "#/components/schemas/Error"));
}

static json_t *responses(const struct route *route)
{
    json_t *list = json_object();
    json_object_set_new(list, "2XX", json_pack("{s:s}", "description", "done"));
    if (route->query != NULL || route->body != NULL) {
        add_response(list, "400", "malformed: `field` names the member");
    }
    if (route->action != ACCESS_OPEN) {
        add_response(list, "401", "no valid login or token");
        add_response(list, "403", "the role does not allow it");
    }
    if (strchr(route->path, '{') != NULL) {
        add_response(list, "404", "not there, or not for you");
    }
    if (strcmp(route->method, "GET") != 0) {
        add_response(list, "507", "the disk of the server is full: nothing was changed");
    }
    add_response(list, "429", "too many requests: see Retry-After");
    return list;
}

static json_t *operation(const struct route *route)
{
    json_t *made = json_pack("{s:o, s:s, s:o, s:o, s:s}", "operationId", operation_id(route),
                             "summary", route->summary, "parameters", parameters(route),
                             "responses", responses(route), "x-role", action_words[route->action]);
    if (route->body != NULL) {
        json_object_set_new(made, "requestBody",
                            json_pack("{s:b, s:{s:{s:o}}}", "required", 1, "content",
                                      "application/json", "schema", body_schema(route->body)));
    }
    if (route->action == ACCESS_OPEN) {
        json_object_set_new(made, "security", json_array());
    }
    unsigned listeners = route->listeners ? route->listeners : LISTENER_CONSOLE | LISTENER_LOCAL;
    if (!(listeners & LISTENER_CONSOLE)) {
        json_object_set_new(made, "x-listener",
                            json_string(listeners & LISTENER_GATEWAYS ? "gateways" : "metrics"));
    }
    return made;
}

static bool add_route(void *context, const struct route *route)
{
    json_t *paths = context;
    char method[16] = "";
    for (size_t i = 0; route->method[i] != '\0' && i + 1 < sizeof method; i++) {
        method[i] = (char)tolower((unsigned char)route->method[i]);
    }
    json_t *path = json_object_get(paths, route->path);
    if (path == NULL) {
        path = json_object();
        json_object_set_new(paths, route->path, path);
    }
    json_object_set_new(path, method, operation(route));
    return true;
}

json_t *openapi_make(void)
{
    json_t *paths = json_object();
    route_each(add_route, paths);
    json_t *error = json_pack("{s:s, s:[s,s], s:{s:{s:s, s:s}, s:{s:s, s:s}, s:{s:s, s:s}}}",
                              "type", "object", "required", "error", "text", "properties", "error",
                              "type", "string", "description", "stable name", "text", "type",
                              "string", "description", "for a person", "field", "type", "string",
                              "description", "member that it is about");
    json_t *schemes = json_pack(
        "{s:{s:s, s:s}, s:{s:s, s:s, s:s, s:s}}", "token", "type", "http", "scheme", "bearer",
        "login", "type", "apiKey", "in", "cookie", "name", "__Host-amm", "description",
        "requests that change something also need the header X-AMM-Request: 1");
    return json_pack(
        "{s:s, s:{s:s, s:s, s:s}, s:[{s:s}], s:o, s:{s:{s:o}, s:o}, s:[{s:[]}, {s:[]}]}", "openapi",
        "3.0.3", "info", "title", "amm manager", "version", AMM_VERSION, "description",
        "Ids are decimal numbers as strings. Lists: ?limit= and ?after=; `next` is there while "
        "there is more.",
        "servers", "url", "/", "paths", paths, "components", "schemas", "Error", error,
        "securitySchemes", schemes, "security", "token", "login");
}
