#include "api.h"

#include "login.h"

#include "http/client.h"
#include "io/clock.h"
#include "io/file.h"
#include "io/loop.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { ANSWER_MAX = 64 << 20, HOST_MAX = 256, TOKEN_MAX = 256, CA_MAX = 1 << 20 };

#define SYSTEM_CAS "/etc/ssl/certs/ca-certificates.crt"

struct ctl_api {
    struct amm_http_client *client; /* NULL until the first call, and after the server closed it */
    struct amm_http_client_settings settings;
    struct amm_http_tls *tls;
    char host[HOST_MAX];
    char token[TOKEN_MAX];
    char cookie[TOKEN_MAX]; /* of a login that this process made; "": none */
    char *socket_path;
};

/* An answer as it comes in. */
struct answer {
    int status;
    uint8_t *bytes; /* malloc'd, with room for a NUL */
    size_t len, room;
    char error[256];
};

/* ---- where the manager is ---- */

/* 0, or a code of getaddrinfo. */
static int find_address(struct amm_address *out, const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    int code = getaddrinfo(host, port, &hints, &found);
    if (code != 0) {
        return code;
    }
    char text[AMM_ADDRESS_TEXT], number[NI_MAXHOST];
    bool ok = getnameinfo(found->ai_addr, found->ai_addrlen, number, sizeof number, NULL, 0,
                          NI_NUMERICHOST) == 0;
    snprintf(text, sizeof text, strchr(number, ':') ? "[%.45s]:%s" : "%.45s:%s", number, port);
    freeaddrinfo(found);
    return ok && amm_address_parse(out, text, 0) ? 0 : EAI_FAIL;
}

static bool look_up(struct amm_address *out, const char *host, const char *port)
{
    int code = find_address(out, host, port);
    if (code != 0) {
        ctl_fail(CTL_NO_SERVER, "%s: %s", host, gai_strerror(code));
    }
    return code == 0;
}

/* "https://host[:port]" into its parts. Plain http only to this machine: a token goes with it. */
static bool split_url(const char *url, bool *is_tls, char host[HOST_MAX], char port[8])
{
    size_t scheme = strncmp(url, "https://", 8) == 0 ? 8 : strncmp(url, "http://", 7) == 0 ? 7 : 0;
    const char *rest = url + scheme;
    size_t len = rest[0] == '[' ? strcspn(rest, "]") + 1 : strcspn(rest, ":/");
    size_t inner = rest[0] == '[';
    *is_tls = scheme == 8;
    snprintf(port, 8, "%s", *is_tls ? "443" : "80");
    if (!scheme || len <= 2 * inner || len >= HOST_MAX || strlen(rest) < len) {
        return false;
    }
    snprintf(host, HOST_MAX, "%.*s", (int)(len - 2 * inner), rest + inner);
    rest += len;
    if (rest[0] == ':') {
        size_t digits = strspn(rest + 1, "0123456789");
        if (digits == 0 || digits > 5) {
            return false;
        }
        snprintf(port, 8, "%.*s", (int)digits, rest + 1);
        rest += 1 + digits;
    }
    return rest[0] == '\0' || strcmp(rest, "/") == 0;
}

static bool is_loopback(const struct amm_address *address)
{
    static const uint8_t ipv6[16] = {[15] = 1};
    return address->family == AMM_FAMILY_IPV4 ? address->ip[0] == 127
                                              : memcmp(address->ip, ipv6, 16) == 0;
}

static struct amm_http_tls *client_tls(const char *ca_file)
{
    char error[256];
    struct amm_span ca;
    if (!amm_file_read(ca_file ? ca_file : SYSTEM_CAS, CA_MAX, &ca, error, sizeof error)) {
        ctl_fail(CTL_USAGE, "%s", error);
        return NULL;
    }
    struct amm_http_tls *tls = amm_http_tls_new(
        &(struct amm_http_tls_settings){.is_client = true, .ca = (const char *)ca.data}, error,
        sizeof error);
    free(ca.data);
    if (!tls) {
        ctl_fail(CTL_FAILED, "%s", error);
    }
    return tls;
}

struct ctl_api *ctl_api_open_url(const char *url, const char *token, const char *ca,
                                 enum ctl_exit *status)
{
    char name[HOST_MAX], port[8];
    bool is_tls;
    struct ctl_api *api = calloc(1, sizeof *api);
    *status = CTL_USAGE;
    if (!api) {
        return NULL;
    }
    if (!split_url(url, &is_tls, name, port)) {
        ctl_fail(CTL_USAGE, "\"%s\" is no address of a manager (https://HOST or https://HOST:PORT)",
                 url);
        return ctl_api_close(api);
    }
    *status = CTL_NO_SERVER;
    if (!look_up(&api->settings.address, name, port)) {
        return ctl_api_close(api);
    }
    *status = CTL_USAGE;
    if (!is_tls && !is_loopback(&api->settings.address)) {
        ctl_fail(CTL_USAGE, "a manager on another machine is asked over https only");
        return ctl_api_close(api);
    }
    if (is_tls && !(api->tls = client_tls(ca))) {
        return ctl_api_close(api);
    }
    snprintf(api->host, sizeof api->host, strchr(name, ':') ? "[%s]:%s" : "%s:%s", name, port);
    snprintf(api->token, sizeof api->token, "%s", token ? token : "");
    api->settings.host = api->host;
    api->settings.tls = api->tls;
    *status = CTL_OK;
    return api;
}

static struct ctl_api *open_saved(enum ctl_exit *status)
{
    struct ctl_login login;
    struct ctl_api *api = NULL;
    if (ctl_login_load(&login, status)) {
        api = ctl_api_open_url(login.url, login.token, login.ca[0] ? login.ca : NULL, status);
    }
    amm_wipe(&login, sizeof login);
    return api;
}

struct ctl_api *ctl_api_open(const struct ctl *ctl, enum ctl_exit *status)
{
    if (!ctl->manager_socket) {
        return open_saved(status);
    }
    struct ctl_api *api = calloc(1, sizeof *api);
    *status = api ? CTL_OK : CTL_FAILED;
    if (api) {
        api->socket_path = strdup(ctl->manager_socket);
        api->settings.unix_path = api->socket_path;
        api->settings.host = "localhost";
    }
    return api;
}

struct ctl_api *ctl_api_close(struct ctl_api *api)
{
    if (api) {
        amm_http_client_free(api->client);
        amm_http_tls_unref(api->tls);
        amm_wipe(api->token, sizeof api->token);
        amm_wipe(api->cookie, sizeof api->cookie);
        free(api->socket_path);
        free(api);
    }
    return NULL;
}

/* ---- remote access ---- */

static bool is_below_localhost(const char *host)
{
    static const char end[] = ".localhost";
    size_t len = strlen(host), n = sizeof end - 1;
    return len > n && strcmp(host + len - n, end) == 0;
}

bool ctl_api_reach(struct ctl_api *api, const char *url, const char *ca, char host[CTL_HOST],
                   struct amm_http_client_settings *out, enum ctl_exit *status)
{
    char name[HOST_MAX], port[8];
    bool is_tls;
    *out = (struct amm_http_client_settings){.host = host};
    *status = CTL_FAILED;
    if (!split_url(url, &is_tls, name, port)) {
        ctl_fail(CTL_FAILED, "the manager gave no address of its remote access");
        return false;
    }
    snprintf(host, CTL_HOST, "%s:%s", name, port);
    if (is_below_localhost(name) || find_address(&out->address, name, port) != 0) {
        out->address = api->settings.address;
        if (api->settings.unix_path) {
            out->address = (struct amm_address){.ip = {127, 0, 0, 1}, .family = AMM_FAMILY_IPV4};
        }
        out->address.port = (uint16_t)strtoul(port, NULL, 10);
    }
    if (!is_tls && !is_loopback(&out->address)) {
        ctl_fail(CTL_FAILED, "remote access on another machine needs TLS: give it a certificate "
                             "([remote-access] certificate)");
        return false;
    }
    if (is_tls && !api->tls) {
        api->tls = client_tls(ca);
    }
    out->tls = is_tls ? api->tls : NULL;
    *status = is_tls && !api->tls ? CTL_USAGE : CTL_OK;
    return *status == CTL_OK;
}

/* ---- one call ---- */

static bool send_request(struct ctl_api *api, const char *method, const char *target,
                         struct amm_view body, const char *type)
{
    uint8_t room[1024];
    struct amm_writer fields = amm_writer(room, sizeof room);
    if (body.len > 0) {
        amm_http_write_field(&fields, "Content-Type", amm_view_str(type));
    }
    if (api->token[0]) {
        char bearer[TOKEN_MAX + 8];
        snprintf(bearer, sizeof bearer, "Bearer %s", api->token);
        amm_http_write_field(&fields, "Authorization", amm_view_str(bearer));
        amm_wipe(bearer, sizeof bearer);
    }
    if (api->cookie[0]) {
        amm_http_write_field(&fields, "Cookie", amm_view_str(api->cookie));
    }
    amm_http_write_field(&fields, "X-AMM-Request", amm_view_str("1"));
    if (!api->client) {
        api->client = amm_http_client_new(&api->settings, amm_now());
    }
    bool ok = api->client && !fields.failed &&
              amm_http_client_request(api->client, amm_view_str(method), amm_view_str(target),
                                      amm_view(room, amm_writer_len(&fields)), body);
    amm_wipe(room, sizeof room);
    return ok;
}

/* "name=value" of the cookie that a login sets; one that is taken back has no value. */
static void take_cookie(struct ctl_api *api, const struct amm_http_response *response)
{
    struct amm_view value = amm_http_field(&response->fields, "set-cookie");
    const uint8_t *end = value.len ? memchr(value.data, ';', value.len) : NULL;
    size_t len = end ? (size_t)(end - value.data) : value.len;
    if (value.data && len < sizeof api->cookie) {
        snprintf(api->cookie, sizeof api->cookie, "%.*s", (int)len, (const char *)value.data);
    }
}

static bool take_content(struct answer *answer, struct amm_view content)
{
    if (answer->len + content.len >= ANSWER_MAX) {
        snprintf(answer->error, sizeof answer->error, "the answer is larger than %d MB",
                 ANSWER_MAX >> 20);
        return false;
    }
    if (answer->len + content.len + 1 > answer->room) {
        size_t room = (answer->len + content.len + 1) * 2;
        uint8_t *bytes = realloc(answer->bytes, room);
        if (!bytes) {
            snprintf(answer->error, sizeof answer->error, "out of memory");
            return false;
        }
        answer->bytes = bytes;
        answer->room = room;
    }
    memcpy(answer->bytes + answer->len, content.data, content.len);
    answer->len += content.len;
    answer->bytes[answer->len] = '\0';
    return true;
}

static void wait_for(const struct amm_http_client *client)
{
    unsigned interest = amm_http_client_interest(client);
    struct pollfd fd = {
        .fd = amm_http_client_fd(client),
        .events =
            (short)((interest & AMM_READ ? POLLIN : 0) | (interest & AMM_WRITE ? POLLOUT : 0)),
    };
    amm_time deadline = amm_http_client_deadline(client);
    amm_duration left = deadline == AMM_NEVER ? AMM_SECOND : deadline - amm_now().mono;
    poll(&fd, 1, left <= 0 ? 0 : (int)(left / AMM_MILLISECOND) + 1);
}

/* Until the answer is whole; false with answer->error. */
static bool receive_answer(struct ctl_api *api, struct answer *answer)
{
    for (;;) {
        struct amm_http_event event;
        amm_http_client_step(api->client, amm_now(), &event);
        switch (event.kind) {
        case AMM_HTTP_EVENT_KEY:
        case AMM_HTTP_EVENT_INTERIM:
        case AMM_HTTP_EVENT_UPGRADED: /* not asked for */
        case AMM_HTTP_EVENT_NONE:
            wait_for(api->client);
            break;
        case AMM_HTTP_EVENT_HEAD:
            answer->status = event.response->status;
            take_cookie(api, event.response);
            break;
        case AMM_HTTP_EVENT_BODY:
            if (!take_content(answer, event.content)) {
                return false;
            }
            break;
        case AMM_HTTP_EVENT_DONE:
            if (!event.keep_alive) {
                api->client = amm_http_client_free(api->client);
            }
            return true;
        case AMM_HTTP_EVENT_FAILED:
            snprintf(answer->error, sizeof answer->error, "%s", event.error);
            return false;
        }
    }
}

static enum ctl_exit exit_of(int status)
{
    return status == 404                                     ? CTL_NOT_FOUND
           : status == 502 || status == 503 || status == 504 ? CTL_NO_SERVER
                                                             : CTL_FAILED;
}

/* What the manager said no with: {"error", "text", "field"}. */
static enum ctl_exit say_refusal(const struct answer *answer)
{
    json_t *json =
        answer->len ? json_loadb((const char *)answer->bytes, answer->len, 0, NULL) : NULL;
    char text[CTL_CELL * 4], field[CTL_CELL];
    const char *said = json_string_value(json_object_get(json, "text"));
    const json_t *where = json_object_get(json, "field");
    amm_text_clean(text, sizeof text,
                   amm_view_str(said ? said : amm_http_status_text(answer->status)));
    if (where && strncmp(text, ctl_show(where, CTL_SHOW_TEXT, field), strlen(field)) != 0) {
        ctl_fail(CTL_FAILED, "%s: %s", field, text);
    } else {
        ctl_fail(CTL_FAILED, "%s", text);
    }
    if (answer->status == 401) {
        fputs("        (ammctl login URL makes a new login)\n", stderr);
    }
    json_decref(json);
    return exit_of(answer->status);
}

/* True with a 2xx answer; the caller frees answer->bytes in any case. */
static bool ask_bytes(struct ctl_api *api, const char *method, const char *target,
                      struct amm_view body, const char *type, struct answer *answer,
                      enum ctl_exit *status)
{
    if (!send_request(api, method, target, body, type) || !receive_answer(api, answer)) {
        *status = (enum ctl_exit)ctl_fail(CTL_NO_SERVER, "the manager does not answer (%s): %s",
                                          api->socket_path ? api->socket_path : api->host,
                                          answer->error[0] ? answer->error
                                                           : "the request could not be made");
        api->client = amm_http_client_free(api->client);
        return false;
    }
    *status = answer->status / 100 == 2 ? CTL_OK : say_refusal(answer);
    return *status == CTL_OK;
}

static bool ask(struct ctl_api *api, const char *method, const char *target, json_t *body,
                struct answer *answer, enum ctl_exit *status)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    struct amm_view bytes = text ? amm_view_str(text) : amm_view(NULL, 0);
    bool ok = ask_bytes(api, method, target, bytes, "application/json", answer, status);
    if (text) {
        amm_wipe(text, strlen(text));
        free(text);
    }
    json_decref(body);
    return ok;
}

static json_t *json_of(const struct answer *answer, enum ctl_exit *status)
{
    json_t *json =
        answer->len ? json_loadb((const char *)answer->bytes, answer->len, 0, NULL) : json_null();
    if (!json) {
        *status = (enum ctl_exit)ctl_fail(CTL_FAILED, "the manager's answer is no JSON");
    }
    return json;
}

json_t *ctl_api_upload(struct ctl_api *api, const char *method, const char *target,
                       struct amm_view body, enum ctl_exit *status)
{
    struct answer answer = {0};
    json_t *json = ask_bytes(api, method, target, body, "application/octet-stream", &answer, status)
                       ? json_of(&answer, status)
                       : NULL;
    free(answer.bytes);
    return json;
}

json_t *ctl_api_call(struct ctl_api *api, const char *method, const char *target, json_t *body,
                     enum ctl_exit *status)
{
    struct answer answer = {0};
    json_t *json = NULL;
    if (ask(api, method, target, body, &answer, status)) {
        json = json_of(&answer, status);
    }
    free(answer.bytes);
    return json;
}

char *ctl_api_text(struct ctl_api *api, const char *method, const char *target, json_t *body,
                   size_t *len, enum ctl_exit *status)
{
    struct answer answer = {0};
    if (!ask(api, method, target, body, &answer, status)) {
        free(answer.bytes);
        return NULL;
    }
    *len = answer.len;
    return answer.bytes ? (char *)answer.bytes : strdup("");
}

enum ctl_exit ctl_api_list(struct ctl_api *api, const char *target,
                           void (*each)(void *context, const json_t *item), void *context)
{
    enum ctl_exit status = CTL_OK;
    char after[256] = "";
    do {
        char page[CTL_TARGET + 1024];
        struct ctl_target next;
        ctl_target_init(&next, target);
        next.has_query = strchr(target, '?') != NULL;
        ctl_target_query(&next, "after", after[0] ? after : NULL);
        snprintf(page, sizeof page, "%.*s", (int)amm_writer_len(&next.w), next.text);
        json_t *answer = ctl_api_call(api, "GET", page, NULL, &status);
        if (!answer) {
            return status;
        }
        size_t i;
        const json_t *item;
        json_array_foreach(json_object_get(answer, "items"), i, item) each(context, item);
        const char *more = json_string_value(json_object_get(answer, "next"));
        snprintf(after, sizeof after, "%s", more ? more : "");
        json_decref(answer);
    } while (after[0]);
    return status;
}
