#include "tunneld/holder.h"

static void write_device_list(struct amm_writer *w, const struct amm_tunneld_config *config)
{
    for (size_t i = 0; i < config->n_ports; i++) {
        amm_write_text(w, "%s\"tun%u\"", i > 0 ? ", " : "", config->ports[i].port);
    }
}

/* The ports of gateways that the proxy's user may open. */
static void write_page_ports(struct amm_writer *w, const struct amm_tunneld_config *config)
{
    amm_write_text(w, "{ %u", config->page_port);
    for (size_t i = 0; i < config->n_remote; i++) {
        if (config->remote[i] != config->page_port) {
            amm_write_text(w, ", %u", config->remote[i]);
        }
    }
    amm_write_str(w, " }");
}

/* What gateways may send to the server. `ip daddr !=` does not match IPv6, hence the first line.
 * Which gateway of the port sent a packet is known to the engine only; the network of all is known
 * here. */
static void write_from_gateways(struct amm_writer *w, const struct amm_tunneld_config *config,
                                const struct amm_port_config *port)
{
    char ip[AMM_IPV4_TEXT], network[AMM_IPV4_TEXT];
    amm_write_text(w,
                   "  chain gw%u {\n"
                   "    meta nfproto ipv6 drop\n"
                   "    ip daddr != %s drop\n"
                   "    ip saddr != %s/%u drop\n",
                   port->port, amm_ipv4_text(amm_pool_server(&port->pool), ip),
                   amm_ipv4_text(port->pool.network, network), port->pool.prefix);
    for (size_t i = 0; i < config->n_published; i++) {
        amm_write_text(w, "    tcp dport %u accept\n", config->published[i]);
    }
    amm_write_str(w, "    tcp sport ");
    write_page_ports(w, config);
    amm_write_str(
        w,
        " tcp dport >= 32768 tcp flags & (syn|ack) != syn accept\n"
        "    icmp type { destination-unreachable, time-exceeded, parameter-problem, echo-request, "
        "echo-reply } accept\n"
        "    drop\n"
        "  }\n");
}

/* What may be sent to gateways. Replies, resets and TIME_WAIT answers have no socket and so no
 * user: what is not a SYN passes, and `meta skuid` decides over the SYN. */
static void write_to_gateways(struct amm_writer *w, const struct amm_holdings *h)
{
    amm_write_text(w,
                   "  chain to_gw {\n"
                   "    meta nfproto ipv6 drop\n"
                   "    tcp flags & (syn|ack) != syn accept\n"
                   "    meta skuid %u icmp type echo-request accept\n"
                   "    meta skuid %u tcp dport ",
                   h->proxy.uid, h->proxy.uid);
    write_page_ports(w, &h->config);
    amm_write_str(w, " accept\n"
                     "    icmp type { destination-unreachable, time-exceeded, parameter-problem, "
                     "echo-reply } accept\n"
                     "    drop\n"
                     "  }\n");
}

size_t amm_firewall_rules(const struct amm_holdings *h, char *out, size_t room)
{
    const struct amm_tunneld_config *config = &h->config;
    struct amm_writer w = amm_writer(out, room);
    /* Declared, deleted, written: the same whether the table was there or not, and in one
     * transaction. */
    amm_write_text(&w, "table inet amm {\n}\ndelete table inet amm\ntable inet amm {\n");
    for (size_t i = 0; i < config->n_ports; i++) {
        write_from_gateways(&w, config, &config->ports[i]);
    }
    write_to_gateways(&w, h);
    amm_write_text(
        &w, "  chain forward {\n    type filter hook forward priority filter - 10; policy accept;\n"
            "    iifname { ");
    write_device_list(&w, config);
    amm_write_text(&w, " } drop\n    oifname { ");
    write_device_list(&w, config);
    amm_write_text(
        &w, " } drop\n  }\n"
            "  chain input {\n    type filter hook input priority filter - 10; policy accept;\n");
    for (size_t i = 0; i < config->n_ports; i++) {
        amm_write_text(&w, "    iifname \"tun%u\" jump gw%u\n", config->ports[i].port,
                       config->ports[i].port);
    }
    amm_write_text(
        &w,
        "  }\n  chain output {\n    type filter hook output priority filter - 10; policy accept;\n"
        "    oifname { ");
    write_device_list(&w, config);
    amm_write_text(&w, " } jump to_gw\n  }\n}\n");
    return amm_writer_len(&w);
}
