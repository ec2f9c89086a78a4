#include "web_guard.h"

#include <arpa/inet.h>
#include <strings.h>

static const char scheme[] = "https://";

static bool is_ip(struct amm_view text, int family)
{
    char copy[INET6_ADDRSTRLEN];
    uint8_t ip[16];
    if (text.len == 0 || text.len >= sizeof copy) {
        return false;
    }
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return inet_pton(family, copy, ip) == 1;
}

static bool ends_with(struct amm_view text, const char *end)
{
    size_t len = strlen(end);
    return text.len >= len && strncasecmp((const char *)text.data + text.len - len, end, len) == 0;
}

static bool is_port(struct amm_view text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
    }
    return text.len >= 1 && text.len <= 5;
}

bool web_host_ok(struct amm_view host)
{
    size_t end = 0;
    bool is_bracketed = host.len > 0 && host.data[0] == '[';
    while (end < host.len && host.data[end] != (is_bracketed ? ']' : ':')) {
        end++;
    }
    struct amm_view name = amm_view(host.data, end);
    if (is_bracketed) {
        if (end == host.len || !is_ip(amm_view(host.data + 1, end - 1), AF_INET6)) {
            return false;
        }
        end++;
    } else if (!is_ip(name, AF_INET) && !(name.len == 9 && ends_with(name, "localhost")) &&
               !ends_with(name, ".localhost")) {
        return false;
    }
    return end == host.len ||
           (host.data[end] == ':' && is_port(amm_view(host.data + end + 1, host.len - end - 1)));
}

bool web_may_change(const struct amm_http_request *request)
{
    struct amm_view origin = amm_http_field(&request->fields, "origin");
    struct amm_view site = amm_http_field(&request->fields, "sec-fetch-site");
    size_t skip = sizeof scheme - 1;
    if (site.data && !amm_http_is(site, "same-origin")) {
        return false;
    }
    return origin.len == skip + request->host.len && memcmp(origin.data, scheme, skip) == 0 &&
           strncasecmp((const char *)origin.data + skip, (const char *)request->host.data,
                       request->host.len) == 0;
}

bool web_may_read(const struct amm_http_request *request)
{
    struct amm_view site = amm_http_field(&request->fields, "sec-fetch-site");
    if (!site.data || amm_http_is(site, "same-origin") || amm_http_is(site, "none")) {
        return true;
    }
    return amm_http_is(amm_http_field(&request->fields, "sec-fetch-mode"), "navigate") &&
           amm_http_is(amm_http_field(&request->fields, "sec-fetch-dest"), "document");
}

struct amm_view web_cookie(const struct amm_http_fields *fields, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < fields->n; i++) {
        struct amm_view rest = fields->at[i].value;
        if (!amm_http_is(fields->at[i].name, "cookie")) {
            continue;
        }
        while (rest.len > 0) {
            const uint8_t *end = memchr(rest.data, ';', rest.len);
            size_t n = end ? (size_t)(end - rest.data) : rest.len;
            struct amm_view pair = amm_view(rest.data, n);
            rest = amm_view(rest.data + n + (end ? 1 : 0), rest.len - n - (end ? 1 : 0));
            while (pair.len > 0 && (pair.data[0] == ' ' || pair.data[0] == '\t')) {
                pair = amm_view(pair.data + 1, pair.len - 1);
            }
            if (pair.len > len && memcmp(pair.data, name, len) == 0 && pair.data[len] == '=') {
                return amm_view(pair.data + len + 1, pair.len - len - 1);
            }
        }
    }
    return amm_view(NULL, 0);
}
