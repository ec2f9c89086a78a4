#include "inner.h"

#include "ip.h"

/* A sound header? Cuts what stands behind the packet's own length. */
static enum amm_drop check_header(struct amm_span *inner, size_t largest)
{
    const uint8_t *p = inner->data;
    if (inner->len == 0) {
        return AMM_DROP_DATA_UNKNOWN_INNER;
    }
    if (p[0] >> 4 != 4) {
        return p[0] >> 4 == 6 ? AMM_DROP_INNER_IPV6 : AMM_DROP_DATA_UNKNOWN_INNER;
    }
    if (inner->len < AMM_IP_HEADER) {
        return AMM_DROP_INNER_MALFORMED;
    }
    size_t header = amm_ip_header_len(p);
    size_t total = amm_load_u16(p + AMM_IP_LENGTH);
    if (header < AMM_IP_HEADER || total < header || total > inner->len) {
        return AMM_DROP_INNER_MALFORMED;
    }
    if (total > largest) {
        return AMM_DROP_INNER_TOO_BIG;
    }
    inner->len = total;
    return AMM_DROP_COUNT;
}

static bool is_published(const struct amm_plane_config *config, uint16_t port)
{
    for (size_t i = 0; i < sizeof config->published / sizeof config->published[0]; i++) {
        if (config->published[i] == 0) {
            return false;
        }
        if (config->published[i] == port) {
            return true;
        }
    }
    return false;
}

/* Echo and the errors that path MTU discovery and closed ports need. */
static bool is_allowed_icmp(uint8_t type)
{
    enum { ECHO_REPLY = 0, UNREACHABLE = 3, ECHO = 8, TIME_EXCEEDED = 11, PARAMETER_PROBLEM = 12 };
    return type == ECHO || type == ECHO_REPLY || type == UNREACHABLE || type == TIME_EXCEEDED ||
           type == PARAMETER_PROBLEM;
}

static enum amm_drop check_service(const struct amm_plane_config *config, const uint8_t *p,
                                   size_t len)
{
    size_t header = amm_ip_header_len(p);
    const uint8_t *payload = p + header;
    size_t left = len - header;
    if (p[AMM_IP_PROTOCOL] == AMM_PROTOCOL_ICMP) {
        if (left < AMM_ICMP_HEADER) {
            return AMM_DROP_INNER_MALFORMED;
        }
        return is_allowed_icmp(payload[0]) ? AMM_DROP_COUNT : AMM_DROP_INNER_SERVICE;
    }
    if (p[AMM_IP_PROTOCOL] == AMM_PROTOCOL_TCP) {
        if (left < AMM_TCP_HEADER) {
            return AMM_DROP_INNER_MALFORMED;
        }
        /* What is no opening SYN can only belong to a connection that the server has; its kernel
         * knows. */
        bool opens = (payload[AMM_TCP_FLAGS] & (AMM_TCP_SYN | AMM_TCP_ACK)) == AMM_TCP_SYN;
        return !opens || is_published(config, amm_load_u16(payload + 2)) ? AMM_DROP_COUNT
                                                                         : AMM_DROP_INNER_SERVICE;
    }
    return AMM_DROP_INNER_SERVICE;
}

static size_t largest_inner(const struct amm_plane_config *config)
{
    return config->mtu > AMM_INNER_MAX ? config->mtu : AMM_INNER_MAX;
}

enum amm_drop amm_inner_from_gateway(const struct amm_plane_config *config, uint32_t server,
                                     uint32_t own, struct amm_span *inner)
{
    enum amm_drop reason = check_header(inner, largest_inner(config));
    if (reason != AMM_DROP_COUNT) {
        return reason;
    }
    const uint8_t *p = inner->data;
    if (amm_load_u16(p + AMM_IP_FRAGMENT) & AMM_IP_FRAGMENT_BITS) {
        return AMM_DROP_INNER_FRAGMENT;
    }
    if (config->no_inner_check) {
        return AMM_DROP_COUNT;
    }
    if (amm_load_u32(p + AMM_IP_SOURCE) != own) {
        return AMM_DROP_INNER_SOURCE;
    }
    if (amm_load_u32(p + AMM_IP_DESTINATION) != server) {
        return AMM_DROP_INNER_DESTINATION;
    }
    return check_service(config, p, inner->len);
}

enum amm_drop amm_inner_from_server(const struct amm_plane_config *config, uint32_t own,
                                    struct amm_span *inner)
{
    enum amm_drop reason = check_header(inner, largest_inner(config));
    if (reason != AMM_DROP_COUNT || config->no_inner_check) {
        return reason;
    }
    return amm_load_u32(inner->data + AMM_IP_DESTINATION) == own ? AMM_DROP_COUNT
                                                                 : AMM_DROP_INNER_DESTINATION;
}
