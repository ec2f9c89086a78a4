#include "msci_syntax.h"

#include "base/address.h"
#include "domain/relay.h"
#include "domain/token.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

enum {
    HOST_MAX = 253,
    LABEL_MAX = 63,
    DECIMALS = 6,
    CHECK_IN_PORT = 8443, /* GP-1 */
};

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

static bool is_letter(uint8_t c)
{
    return lower(c) >= 'a' && lower(c) <= 'z';
}

struct amm_view msci_trim(struct amm_view text)
{
    while (text.len > 0 && is_blank(text.data[0])) {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && is_blank(text.data[text.len - 1])) {
        text.len--;
    }
    return text;
}

/* The length of the character at the start of `text` and its number; 0 if it is not UTF-8. */
static size_t character(struct amm_view text, uint32_t *out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t c = text.data[0];
    size_t len = c < 0x80                ? 1
                 : c >= 0xc2 && c < 0xe0 ? 2
                 : c >= 0xe0 && c < 0xf0 ? 3
                 : c >= 0xf0 && c < 0xf5 ? 4
                                         : 0;
    if (len == 0 || len > text.len) {
        return 0;
    }
    uint32_t value = len == 1 ? c : c & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((text.data[i] & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (text.data[i] & 0x3f);
    }
    if (value < least[len] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) {
        return 0;
    }
    *out = value;
    return len;
}

static bool is_plain(uint32_t c)
{
    bool is_control = c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029;
    bool turns = c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
                 (c >= 0x2066 && c <= 0x2069);
    return !is_control && !turns && c != 0xfeff && c < 0xfff0;
}

bool msci_is_plain_text(struct amm_view text)
{
    uint32_t c = 0;
    while (text.len > 0) {
        size_t len = character(text, &c);
        if (len == 0 || !(is_plain(c) || c > 0xffff)) {
            return false;
        }
        text.data += len;
        text.len -= len;
    }
    return true;
}

void msci_shown(struct amm_view text, char *out, size_t room)
{
    static const char cut[] = "…";
    size_t at = 0;
    while (text.len > 0) {
        uint32_t c = 0;
        size_t len = character(text, &c);
        bool is_fine = len > 0 && (is_plain(c) || c > 0xffff);
        size_t need = is_fine ? len : 1;
        if (at + need + sizeof cut > room) {
            memcpy(out + at, cut, sizeof cut);
            return;
        }
        if (is_fine) {
            memcpy(out + at, text.data, len);
        } else {
            out[at] = '_';
        }
        at += need;
        text.data += len > 0 ? len : 1;
        text.len -= len > 0 ? len : 1;
    }
    out[at] = '\0';
}

bool msci_whole_number(struct amm_view text, int64_t *out)
{
    bool is_negative = text.len > 0 && text.data[0] == '-';
    size_t first = is_negative ? 1 : 0;
    if (text.len == first || text.len - first > 18 ||
        (text.data[first] == '0' && (is_negative || text.len > first + 1))) {
        return false;
    }
    int64_t value = 0;
    for (size_t i = first; i < text.len; i++) {
        if (!is_digit(text.data[i])) {
            return false;
        }
        value = value * 10 + (text.data[i] - '0');
    }
    *out = is_negative ? -value : value;
    return true;
}

bool msci_decimal(struct amm_view text, int64_t min, int64_t max, char *out)
{
    bool is_negative = text.len > 0 && text.data[0] == '-';
    int64_t millionths = 0;
    size_t digits = 0, behind = 0;
    bool has_point = false;
    for (size_t i = is_negative ? 1 : 0; i < text.len; i++) {
        if (text.data[i] == '.' && !has_point && digits > 0) {
            has_point = true;
            continue;
        }
        if (!is_digit(text.data[i]) || ++digits > 15 || (has_point && ++behind > DECIMALS)) {
            return false;
        }
        millionths = millionths * 10 + (text.data[i] - '0');
    }
    if (digits == 0 || digits - behind > 9 || (has_point && behind == 0)) {
        return false;
    }
    for (size_t i = behind; i < DECIMALS; i++) {
        millionths *= 10;
    }
    if ((is_negative ? -millionths : millionths) < min * 1000000 ||
        (is_negative ? -millionths : millionths) > max * 1000000) {
        return false;
    }
    int len = snprintf(out, AMM_MSCI_VALUE, "%s%" PRId64 ".%06" PRId64,
                       is_negative && millionths > 0 ? "-" : "", millionths / 1000000,
                       millionths % 1000000);
    while (out[len - 1] == '0') {
        out[--len] = '\0';
    }
    if (out[len - 1] == '.') {
        out[--len] = '\0';
    }
    return true;
}

/* Labels of letters, digits and hyphens (RFC 1123); the last one is not a number, so that nothing
 * which looks like an IPv4 address is taken for a name. Lower case to out. */
static bool take_name(struct amm_view text, char *out)
{
    size_t label = 0;
    bool is_number = true;
    if (text.len == 0 || text.len > HOST_MAX) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '.') {
            if (label == 0 || text.data[i - 1] == '-') {
                return false;
            }
            label = 0;
            is_number = true;
        } else if (is_letter(c) || is_digit(c) || (c == '-' && label > 0)) {
            is_number &= is_digit(c);
            if (++label > LABEL_MAX) {
                return false;
            }
        } else {
            return false;
        }
        out[i] = (char)lower(c);
    }
    out[text.len] = '\0';
    return label > 0 && !is_number && out[text.len - 1] != '-';
}

/* A name or an address, canonical; false if it is neither. `out` has HOST_MAX + 1 bytes. */
static bool take_host(struct amm_view text, char *out)
{
    char copy[INET6_ADDRSTRLEN];
    struct in6_addr ip;
    if (text.len < sizeof copy && text.len > 0) {
        memcpy(copy, text.data, text.len);
        copy[text.len] = '\0';
        if (inet_pton(AF_INET6, copy, &ip) == 1) {
            return inet_ntop(AF_INET6, &ip, out, HOST_MAX + 1) != NULL;
        }
        if (inet_pton(AF_INET, copy, &ip) == 1) {
            return inet_ntop(AF_INET, &ip, out, HOST_MAX + 1) != NULL;
        }
    }
    return take_name(text, out);
}

bool msci_hosts(struct amm_view text, size_t min, size_t max, char *out)
{
    struct amm_writer w = amm_writer(out, AMM_MSCI_VALUE - 1);
    size_t n = 0;
    while (text.len > 0) {
        char host[HOST_MAX + 1];
        size_t len = 0;
        while (len < text.len && !is_blank(text.data[len]) && text.data[len] != ',' &&
               text.data[len] != ';') {
            len++;
        }
        if (len > 0) {
            if (++n > max || !take_host(amm_view(text.data, len), host)) {
                return false;
            }
            amm_write_str(&w, n > 1 ? ", " : "");
            amm_write_str(&w, host);
        }
        len += len < text.len ? 1 : 0;
        text.data += len;
        text.len -= len;
    }
    if (w.failed || n < min) {
        return false;
    }
    out[amm_writer_len(&w)] = '\0';
    return true;
}

bool msci_network(struct amm_view text, char *out)
{
    char address[AMM_IPV4_TEXT], copy[AMM_IPV4_TEXT];
    uint32_t ip;
    int64_t prefix;
    size_t slash = 0;
    while (slash < text.len && text.data[slash] != '/') {
        slash++;
    }
    if (slash == text.len || slash >= sizeof copy) {
        return false;
    }
    memcpy(copy, text.data, slash);
    copy[slash] = '\0';
    if (!amm_ipv4_parse(&ip, copy) ||
        !msci_whole_number(amm_view(text.data + slash + 1, text.len - slash - 1), &prefix) ||
        prefix < 0 || prefix > 32) {
        return false;
    }
    snprintf(out, AMM_MSCI_VALUE, "%s/%" PRId64, amm_ipv4_text(ip, address), prefix);
    return true;
}

static bool starts_with(struct amm_view text, const char *start)
{
    size_t len = strlen(start);
    if (text.len < len) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (lower(text.data[i]) != (uint8_t)start[i]) {
            return false;
        }
    }
    return true;
}

/* Splits "host", "host:port", "[v6]", "[v6]:port". The port is a view behind the colon, or empty.
 */
static bool split_authority(struct amm_view text, struct amm_view *host, struct amm_view *port)
{
    bool is_bracketed = text.len > 0 && text.data[0] == '[';
    size_t end = 0;
    while (end < text.len && text.data[end] != (is_bracketed ? ']' : ':')) {
        end++;
    }
    *host = is_bracketed && end > 0 ? amm_view(text.data + 1, end - 1) : amm_view(text.data, end);
    if (is_bracketed) {
        if (end == text.len) {
            return false;
        }
        end++;
    }
    *port = amm_view(NULL, 0);
    if (end == text.len) {
        return true;
    }
    *port = amm_view(text.data + end + 1, text.len - end - 1);
    return text.data[end] == ':' && port->len > 0;
}

bool msci_url(struct amm_view text, char *out)
{
    char host[HOST_MAX + 1];
    struct amm_view name, number;
    int64_t port = CHECK_IN_PORT;
    out[0] = '\0';
    if (text.len == 0) {
        return true;
    }
    if (starts_with(text, "https://")) {
        text.data += 8;
        text.len -= 8;
    }
    if (text.len > 0 && text.data[text.len - 1] == '/') {
        text.len--;
    }
    if (!split_authority(text, &name, &number) || !take_host(name, host) ||
        (number.len > 0 && !msci_whole_number(number, &port)) || port < 1 || port > 65535) {
        return false;
    }
    bool is_ipv6 = strchr(host, ':') != NULL;
    if (is_ipv6 != (text.data[0] == '[')) {
        return false;
    }
    int len = snprintf(out, AMM_MSCI_VALUE, "https://%s%s%s:%" PRId64, is_ipv6 ? "[" : "", host,
                       is_ipv6 ? "]" : "", port);
    return len > 0 && len < AMM_MSCI_VALUE;
}

bool msci_token(struct amm_view text, char *out)
{
    struct amm_token token;
    out[0] = '\0';
    if (text.len == 0) {
        return true;
    }
    if (text.len != AMM_TOKEN_TEXT - 1) {
        return false;
    }
    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    bool ok = amm_token_parse(&token, out);
    amm_wipe(&token, sizeof token);
    return ok;
}

bool msci_targets(struct amm_view text, char *out)
{
    _Static_assert((int)AMM_RELAY_LIST == (int)AMM_MSCI_VALUE, "a list fits a value");
    struct amm_relay_list list;
    return amm_relay_parse(&list, text, NULL) && amm_relay_text(&list, out);
}
