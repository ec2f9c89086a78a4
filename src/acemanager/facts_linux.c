#include "facts.h"

#include "io/file.h"

#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SMALL_FILE = 4096, PREFIXES_ROOM = AMM_STAT_TEXT_MAX + 1 };

/* Files of /proc and /sys have no size. The length; 0 if it cannot be read. */
static size_t read_small(const char *path, char *out, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, out, room - 1) : -1;
    if (fd >= 0) {
        close(fd);
    }
    size_t len = got > 0 ? (size_t)got : 0;
    out[len] = '\0';
    return len;
}

static void first_line(char *text)
{
    text[strcspn(text, "\r\n")] = '\0';
}

void ace_boot_id(char out[37])
{
    char text[64];
    read_small("/proc/sys/kernel/random/boot_id", text, sizeof text);
    first_line(text);
    snprintf(out, 37, "%.36s", text);
}

bool ace_facts_match(const char *patterns, const char *name)
{
    while (*patterns) {
        size_t len = strcspn(patterns, " ,");
        bool is_open = len > 0 && patterns[len - 1] == '*';
        if (is_open ? strncmp(patterns, name, len - 1) == 0
                    : len > 0 && strlen(name) == len && strncmp(patterns, name, len) == 0) {
            return true;
        }
        patterns += len;
        patterns += strspn(patterns, " ,");
    }
    return false;
}

/* Interface of the default route with the lowest metric; "" if there is none. */
static void default_interface(char out[IF_NAMESIZE])
{
    char table[SMALL_FILE * 4], name[IF_NAMESIZE];
    unsigned best = ~0U;
    out[0] = '\0';
    read_small("/proc/net/route", table, sizeof table);
    for (const char *line = strchr(table, '\n'); line; line = strchr(line + 1, '\n')) {
        unsigned destination, flags, metric, mask;
        if (sscanf(line + 1, "%15s %x %*x %x %*d %*d %u %x", name, &destination, &flags, &metric,
                   &mask) == 5 &&
            destination == 0 && mask == 0 && (flags & 1) && metric < best) {
            best = metric;
            snprintf(out, IF_NAMESIZE, "%s", name);
        }
    }
}

static bool take_ip(const struct sockaddr *from, struct amm_address *out)
{
    *out = (struct amm_address){0};
    if (from && from->sa_family == AF_INET) {
        out->family = AMM_FAMILY_IPV4;
        memcpy(out->ip, &((const struct sockaddr_in *)(const void *)from)->sin_addr, 4);
    } else if (from && from->sa_family == AF_INET6) {
        out->family = AMM_FAMILY_IPV6;
        memcpy(out->ip, &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr, 16);
    }
    return out->family != AMM_FAMILY_NONE;
}

static unsigned bits_of(const struct amm_address *mask)
{
    unsigned bits = 0;
    for (size_t i = 0; i < sizeof mask->ip; i++) {
        bits += (unsigned)__builtin_popcount(mask->ip[i]);
    }
    return bits;
}

/* "192.0.2.1", from the form with a port. */
static void ip_text(const struct amm_address *address, char out[AMM_ADDRESS_TEXT])
{
    char text[AMM_ADDRESS_TEXT];
    amm_address_text(address, text);
    char *colon = strrchr(text, ':');
    if (colon) {
        *colon = '\0';
    }
    size_t len = strlen(text);
    bool has_brackets = text[0] == '[' && len > 2;
    snprintf(out, AMM_ADDRESS_TEXT, "%.*s", (int)(has_brackets ? len - 2 : len),
             text + has_brackets);
}

struct links {
    struct ace_facts *facts;
    const struct ace_linux *settings;
    char wan[IF_NAMESIZE];
    char lan_prefixes[PREFIXES_ROOM], wan_prefixes[PREFIXES_ROOM];
    json_t *addresses, *rx, *tx;
};

static void add_prefix(char list[PREFIXES_ROOM], const struct amm_address *address,
                       const struct amm_address *mask)
{
    struct amm_address network = *address;
    char text[AMM_ADDRESS_TEXT], item[AMM_ADDRESS_TEXT + 8];
    for (size_t i = 0; i < sizeof network.ip; i++) {
        network.ip[i] &= mask->ip[i];
    }
    ip_text(&network, text);
    snprintf(item, sizeof item, "%s/%u", text, bits_of(mask));
    size_t have = strlen(list);
    if (!strstr(list, item) && have + strlen(item) + 2 <= PREFIXES_ROOM) {
        snprintf(list + have, PREFIXES_ROOM - have, "%s%s", have ? " " : "", item);
    }
}

static void count_bytes(json_t *into, const char *name, const char *what)
{
    char path[128], text[32];
    snprintf(path, sizeof path, "/sys/class/net/%s/statistics/%s", name, what);
    if (read_small(path, text, sizeof text) > 0 && json_object_size(into) < AMM_STAT_LABELS_MAX) {
        json_object_set_new(into, name, json_integer((json_int_t)strtoull(text, NULL, 10)));
    }
}

static bool is_link_local(const struct amm_address *a)
{
    return a->family == AMM_FAMILY_IPV6 && a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80;
}

static void take_lan(struct links *l, const char *name, const struct amm_address *address,
                     unsigned bits)
{
    struct ace_facts *f = l->facts;
    char text[AMM_ADDRESS_TEXT], network[AMM_ADDRESS_TEXT + 8];
    if (f->n_listens < ACE_FACTS_LISTENS) {
        struct ace_listen *listen = &f->listens[f->n_listens++];
        *listen = (struct ace_listen){.address = *address, .prefix = (uint8_t)bits};
        snprintf(listen->link, sizeof listen->link, "%s", name);
    }
    if (address->family == AMM_FAMILY_IPV4) {
        ip_text(address, text);
        snprintf(network, sizeof network, "%s/%u", text, bits);
        ace_facts_report(f, AMM_MSCI_LAN_ADDRESS, network);
    }
}

static void take_address(struct links *l, const struct ifaddrs *at)
{
    struct amm_address address, mask;
    char text[AMM_ADDRESS_TEXT];
    if (!take_ip(at->ifa_addr, &address) || !take_ip(at->ifa_netmask, &mask) ||
        is_link_local(&address)) {
        return;
    }
    bool is_lan = ace_facts_match(l->settings->lan, at->ifa_name);
    ip_text(&address, text);
    if (json_object_get(l->addresses, at->ifa_name) == NULL &&
        json_object_size(l->addresses) < AMM_STAT_LABELS_MAX) {
        json_object_set_new(l->addresses, at->ifa_name, json_string(text));
        count_bytes(l->rx, at->ifa_name, "rx_bytes");
        count_bytes(l->tx, at->ifa_name, "tx_bytes");
    }
    add_prefix(is_lan ? l->lan_prefixes : l->wan_prefixes, &address, &mask);
    if (is_lan) {
        take_lan(l, at->ifa_name, &address, bits_of(&mask));
    } else if (strcmp(at->ifa_name, l->wan) == 0 && address.family == AMM_FAMILY_IPV4) {
        ace_facts_report(l->facts, AMM_MSCI_NETWORK_IP_ADDRESS, text);
    }
}

static void take_links(struct ace_facts *f, const struct ace_linux *settings)
{
    struct links l = {.facts = f, .settings = settings};
    struct ifaddrs *list = NULL;
    l.addresses = json_object();
    l.rx = json_object();
    l.tx = json_object();
    default_interface(l.wan);
    if (getifaddrs(&list) == 0) {
        for (const struct ifaddrs *at = list; at; at = at->ifa_next) {
            if ((at->ifa_flags & IFF_UP) && !(at->ifa_flags & IFF_LOOPBACK) &&
                !ace_facts_match(settings->tunnel, at->ifa_name) &&
                amm_stat_name_ok(at->ifa_name)) {
                take_address(&l, at);
            }
        }
        freeifaddrs(list);
    }
    ace_facts_stat(f, "Interface-IPAddress", l.addresses);
    ace_facts_stat(f, "Interface-rxBytes", l.rx);
    ace_facts_stat(f, "Interface-txBytes", l.tx);
    ace_facts_stat(f, "LAN-Prefixes", json_string(l.lan_prefixes));
    ace_facts_stat(f, "WAN-Prefixes", json_string(l.wan_prefixes));
    if (l.wan[0]) {
        ace_facts_stat(f, "CurrentWANInterface", json_string(l.wan));
    }
}

static void take_model(struct ace_facts *f, const char *model)
{
    static const char *const places[] = {"/proc/device-tree/model",
                                         "/sys/class/dmi/id/product_name"};
    char text[128];
    snprintf(text, sizeof text, "%s", model);
    for (size_t i = 0; !text[0] && i < sizeof places / sizeof places[0]; i++) {
        read_small(places[i], text, sizeof text);
        first_line(text);
    }
    if (text[0] && amm_text_ok(text, AMM_STAT_TEXT_MAX, false)) {
        ace_facts_stat(f, "Platform", json_string(text));
    }
}

void ace_facts_linux(struct ace_facts *f, const struct ace_linux *settings)
{
    struct timespec up;
    clock_gettime(CLOCK_BOOTTIME, &up);
    f->uptime = up.tv_sec;
    take_model(f, settings->model);
    take_links(f, settings);
}
