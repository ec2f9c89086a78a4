#include "base/address.h"

#include "base/bytes.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

bool amm_address_equal(const struct amm_address *a, const struct amm_address *b)
{
    return a->family == b->family && a->port == b->port && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

bool amm_path_equal(const struct amm_path *a, const struct amm_path *b)
{
    return a->transport == b->transport && a->link == b->link && a->port_index == b->port_index &&
           amm_address_equal(&a->remote, &b->remote) && amm_address_equal(&a->local, &b->local);
}

const char *amm_address_text(const struct amm_address *address, char *out)
{
    char ip[INET6_ADDRSTRLEN] = "";
    if (address->family == AMM_FAMILY_IPV4) {
        inet_ntop(AF_INET, address->ip, ip, sizeof ip);
        snprintf(out, AMM_ADDRESS_TEXT, "%s:%u", ip, address->port);
    } else if (address->family == AMM_FAMILY_IPV6) {
        inet_ntop(AF_INET6, address->ip, ip, sizeof ip);
        snprintf(out, AMM_ADDRESS_TEXT, "[%s]:%u", ip, address->port);
    } else {
        snprintf(out, AMM_ADDRESS_TEXT, "-");
    }
    return out;
}

static bool parse_port(uint16_t *out, const char *text)
{
    unsigned long port = 0;
    if (*text == '\0') {
        return false;
    }
    for (; *text; text++) {
        if (*text < '0' || *text > '9') {
            return false;
        }
        port = port * 10 + (unsigned long)(*text - '0');
        if (port > 65535) {
            return false;
        }
    }
    *out = (uint16_t)port;
    return port > 0;
}

/* A v4-mapped address becomes the IPv4 address that it is. */
static void unmap(struct amm_address *address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (memcmp(address->ip, mapped, sizeof mapped) == 0) {
        memmove(address->ip, address->ip + sizeof mapped, 4);
        memset(address->ip + 4, 0, sizeof address->ip - 4);
        address->family = AMM_FAMILY_IPV4;
    }
}

bool amm_address_parse(struct amm_address *out, const char *text, uint16_t default_port)
{
    char ip[INET6_ADDRSTRLEN];
    struct amm_address address = {.port = default_port};
    const char *port = NULL;
    size_t len;
    if (text[0] == '[') {
        const char *close = strchr(text, ']');
        if (close == NULL) {
            return false;
        }
        len = (size_t)(close - text - 1);
        text++;
        port = close[1] == ':' ? close + 2 : close[1] == '\0' ? NULL : "";
    } else {
        const char *colon = strchr(text, ':');
        bool is_ipv6 = colon != NULL && strchr(colon + 1, ':') != NULL;
        len = colon && !is_ipv6 ? (size_t)(colon - text) : strlen(text);
        port = colon && !is_ipv6 ? colon + 1 : NULL;
    }
    if (len == 0 || len >= sizeof ip) {
        return false;
    }
    memcpy(ip, text, len);
    ip[len] = '\0';
    if (inet_pton(AF_INET, ip, address.ip) == 1) {
        address.family = AMM_FAMILY_IPV4;
    } else if (inet_pton(AF_INET6, ip, address.ip) == 1) {
        address.family = AMM_FAMILY_IPV6;
        unmap(&address);
    } else {
        return false;
    }
    if (port ? !parse_port(&address.port, port) : default_port == 0) {
        return false;
    }
    *out = address;
    return true;
}

uint64_t amm_address_prefix(const struct amm_address *address)
{
    uint64_t prefix = address->family;
    size_t bytes = address->family == AMM_FAMILY_IPV4 ? 3 : 7;
    for (size_t i = 0; i < bytes; i++) {
        prefix = prefix << 8 | address->ip[i];
    }
    return prefix;
}

const char *amm_ipv4_text(uint32_t ip, char *out)
{
    snprintf(out, AMM_IPV4_TEXT, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
    return out;
}

bool amm_ipv4_parse(uint32_t *out, const char *text)
{
    struct in_addr address;
    if (inet_pton(AF_INET, text, &address) != 1) {
        return false;
    }
    *out = ntohl(address.s_addr);
    return true;
}
