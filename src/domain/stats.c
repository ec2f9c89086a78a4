#include "domain/stats.h"

#include "base/address.h"
#include "base/bytes.h"

#include <stdio.h>
#include <string.h>

#define NUMBER AMM_STAT_NUMBER
#define TEXT AMM_STAT_TEXT
#define ADDRESS AMM_STAT_ADDRESS

const struct amm_stat amm_stats[] = {
    {"SoftwareVersion", TEXT, false, false, "", "Version of the gateway's software."},
    {"Platform", TEXT, false, false, "", "Model."},
    {"SerialNumber", TEXT, false, false, "", "Serial number."},
    {"BootReason", TEXT, false, false, "",
     "Why the gateway started last: `power on`, `reboot by server`, `reboot by user`, `watchdog`, "
     "`crash`, `unknown`."},
    {"ResetCount", NUMBER, false, false, "", "How often it has started."},
    {"CurrentWANInterface", TEXT, false, false, "", "Interface of the default route."},
    {"LAN-Prefixes", AMM_STAT_PREFIXES, false, false, "", "Networks on the LAN side."},
    {"WAN-Prefixes", AMM_STAT_PREFIXES, false, false, "", "Networks on the WAN side."},
    {"ManagementTunnel-IPAddress", ADDRESS, false, false, "",
     "Address in the management tunnel; there is one only while the tunnel is up. The server's "
     "own."},
    {"ManagementTunnel-State", TEXT, false, false, "",
     "State of the tunnel as the gateway sees it."},
    {"ManagementTunnel-Error", TEXT, false, false, "", "Why it is down, in words."},
    {"AMMER-Version", TEXT, false, false, "", "Version of the tunnel client."},
    {"EventsLost", NUMBER, false, false, "", "Events dropped because the queue was full."},
    {"CellLink-RadioFirmwareVersion", TEXT, false, false, "", "Firmware of the modem."},
    {"CellLink-MobileDirectoryNumber", TEXT, false, false, "", "Phone number."},
    {"CellLink-CurrentNetworkOperator", TEXT, false, false, "", "Network in use."},
    {"CellLink-ICCID", TEXT, false, false, "", "Number of the SIM card."},
    {"CellLink-ECIO", NUMBER, false, true, "dB", "Signal quality, not LTE."},
    {"CellLink-RSSI", NUMBER, false, true, "dBm", "Received signal strength."},
    {"CellLink-RSRQ", NUMBER, false, true, "dB", "Reference signal quality, LTE."},
    {"CellLink-RSRP", NUMBER, false, true, "dBm", "Reference signal power, LTE."},
    {"CellLink-SINR", NUMBER, false, true, "dB", "Signal to noise, LTE."},
    {"CellLink-NetworkServiceType", TEXT, false, false, "", "Radio technology, such as LTE."},
    {"CellLink-txBytes", NUMBER, false, true, "B", "Sent over the cellular link."},
    {"CellLink-rxBytes", NUMBER, false, true, "B", "Received over the cellular link."},
    {"CellLink-IPAddress", ADDRESS, false, false, "", "Address of the cellular link."},
    {"CellLink-State", TEXT, false, false, "", "WAN state of the cellular link."},
    {"WiFiLink-IPAddress", ADDRESS, false, false, "", "Address of the Wi-Fi link."},
    {"WiFiLink-State", TEXT, false, false, "", "WAN state of the Wi-Fi link."},
    {"EthernetLink-State", TEXT, false, false, "", "WAN state of the Ethernet link."},
    {"Ethernet4-IPAddress", ADDRESS, false, false, "", "Address of Ethernet port 4."},
    {"IMEI", TEXT, false, false, "", "Identity of the modem."},
    {"GPS Location-latitude", NUMBER, false, false, "°", "North is positive."},
    {"GPS Location-longitude", NUMBER, false, false, "°", "East is positive."},
    {"GPS Location-speedmph", NUMBER, false, true, "mph", "Speed over ground."},
    {"GPS-Quality", NUMBER, false, false, "", "Quality of the fix; 0: none."},
    {"GPS-Satellites", NUMBER, false, true, "", "Satellites in use."},
    {"AssetTemperature", NUMBER, true, true, "°C", "Temperature by asset tag."},
    {"Interface-rxBytes", NUMBER, true, true, "B", "Received, by interface."},
    {"Interface-txBytes", NUMBER, true, true, "B", "Sent, by interface."},
    {"Interface-IPAddress", ADDRESS, true, false, "", "Address, by interface."},
    {"Bytes-CheckIn", NUMBER, false, true, "B", "TCP payload of check-ins this month."},
    {"Bytes-Tunnel", NUMBER, false, true, "B", "Inner bytes of the tunnel this month."},
    {"Bytes-Software", NUMBER, false, true, "B", "TCP payload of software this month."},
    {"Ethernet_Port1_mode", TEXT, false, false, "", "`LAN`, `WAN` or `Auto`."},
    {"Ethernet_Port4_mode", TEXT, false, false, "", "`LAN`, `WAN` or `Auto`."},
    {"WiFi_Link_mode", TEXT, false, false, "", "`Off`, `Access point`, `Client`."},
    {"GPS_enabled", AMM_STAT_BOOL, false, false, "", "Whether GPS is on."},
    {"VPN1-State", TEXT, false, false, "", "State of the customer's VPN 1."},
    {"VPN2-State", TEXT, false, false, "", "State of the customer's VPN 2."},
    {"VPN3-State", TEXT, false, false, "", "State of the customer's VPN 3."},
    {"VPN4-State", TEXT, false, false, "", "State of the customer's VPN 4."},
    {"VPN5-State", TEXT, false, false, "", "State of the customer's VPN 5."},
};

const size_t amm_stats_count = sizeof amm_stats / sizeof amm_stats[0];

const struct amm_stat *amm_stat_find(const char *name)
{
    for (size_t i = 0; i < amm_stats_count; i++) {
        if (strcmp(amm_stats[i].name, name) == 0) {
            return &amm_stats[i];
        }
    }
    return NULL;
}

bool amm_stat_name_ok(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_. ";
    size_t len = strlen(name);
    return len >= 1 && len <= AMM_STAT_NAME_MAX && strspn(name, allowed) == len;
}

/* Length of the UTF-8 character at `at`, 0 if it is none. Overlong forms and surrogates are none.
 */
static size_t character(const uint8_t *at, uint32_t *out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = at[0] < 0x80             ? 1
                 : (at[0] & 0xe0) == 0xc0 ? 2
                 : (at[0] & 0xf0) == 0xe0 ? 3
                 : (at[0] & 0xf8) == 0xf0 ? 4
                                          : 0;
    uint32_t value = len == 1 ? at[0] : at[0] & (0x7fU >> len);
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0; /* also at the NUL */
        }
        value = value << 6 | (at[i] & 0x3f);
    }
    if (len == 0 || value < least[len] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) {
        return 0;
    }
    *out = value;
    return len;
}

bool amm_text_ok(const char *text, size_t most, bool may_be_empty)
{
    size_t n = 0;
    for (const uint8_t *at = (const uint8_t *)text; *at; n++) {
        uint32_t value;
        size_t len = character(at, &value);
        if (len == 0 || value < 0x20 || (value >= 0x7f && value < 0xa0) || n == most) {
            return false;
        }
        at += len;
    }
    return n > 0 || may_be_empty;
}

static bool is_ip(const char *text)
{
    struct amm_address address;
    const char *colon = strchr(text, ':');
    bool has_port = text[0] == '[' || (colon && !strchr(colon + 1, ':'));
    return !has_port && amm_address_parse(&address, text, 1);
}

static bool is_prefix(const char *word)
{
    char ip[AMM_ADDRESS_TEXT];
    const char *slash = strchr(word, '/');
    if (!slash || (size_t)(slash - word) >= sizeof ip) {
        return false;
    }
    snprintf(ip, sizeof ip, "%.*s", (int)(slash - word), word);
    unsigned most = strchr(ip, ':') ? 128 : 32, bits = 0;
    size_t digits = strspn(slash + 1, "0123456789");
    if (digits == 0 || digits > 3 || slash[1 + digits] != '\0') {
        return false;
    }
    for (size_t i = 0; i < digits; i++) {
        bits = bits * 10 + (unsigned)(slash[1 + i] - '0');
    }
    return bits <= most && is_ip(ip);
}

static bool are_prefixes(const char *text)
{
    while (*text) {
        char word[64];
        size_t len = strcspn(text, " ");
        if (len == 0 || len >= sizeof word) {
            return false;
        }
        memcpy(word, text, len);
        word[len] = '\0';
        if (!is_prefix(word)) {
            return false;
        }
        text += len;
        if (*text == ' ' && *++text == '\0') {
            return false;
        }
    }
    return true;
}

static const char *text_objection(const json_t *value)
{
    if (!json_is_string(value)) {
        return "not a text";
    }
    return strlen(json_string_value(value)) == json_string_length(value) &&
                   amm_text_ok(json_string_value(value), AMM_STAT_TEXT_MAX, true)
               ? NULL
               : "not a text of at most 256 characters without control characters";
}

static const char *scalar_objection(const struct amm_stat *stat, const json_t *value)
{
    if (!stat) {
        return json_is_number(value) || json_is_boolean(value) ? NULL
               : json_is_string(value)                         ? text_objection(value)
                                       : "neither number, text, true nor false";
    }
    const char *why = NULL;
    switch (stat->type) {
    case AMM_STAT_NUMBER:
        return json_is_number(value) ? NULL : "not a number";
    case AMM_STAT_BOOL:
        return json_is_boolean(value) ? NULL : "neither true nor false";
    case AMM_STAT_TEXT:
        return text_objection(value);
    case AMM_STAT_ADDRESS:
        why = text_objection(value);
        return why ? why : is_ip(json_string_value(value)) ? NULL : "not an IP address";
    case AMM_STAT_PREFIXES:
        why = text_objection(value);
        return why                                      ? why
               : are_prefixes(json_string_value(value)) ? NULL
                                                        : "not a list of networks such as "
                                                          "192.168.1.0/24";
    }
    return "of no known type";
}

static const char *object_objection(const struct amm_stat *stat, const json_t *value)
{
    const char *label;
    json_t *inner;
    if (stat && !stat->labelled) {
        return "has labels, but this stat has none";
    }
    if (json_object_size(value) > AMM_STAT_LABELS_MAX) {
        return "has more than 64 labels";
    }
    json_object_foreach((json_t *)value, label, inner)
    {
        const char *why = amm_stat_name_ok(label) ? scalar_objection(stat, inner)
                                                  : "has a label of other characters";
        if (why) {
            return why;
        }
    }
    return NULL;
}

const char *amm_stat_objection(const char *name, const json_t *value)
{
    const struct amm_stat *stat = amm_stat_find(name);
    if (!amm_stat_name_ok(name)) {
        return "not a name: 1 to 64 letters, digits, '-', '_', '.', blank";
    }
    if (json_is_null(value)) {
        return NULL;
    }
    if (json_is_object(value)) {
        return object_objection(stat, value);
    }
    return stat && stat->labelled ? "has no labels" : scalar_objection(stat, value);
}

static const char *type_name(enum amm_stat_type type)
{
    static const char *const names[] = {
        [AMM_STAT_NUMBER] = "number",     [AMM_STAT_TEXT] = "text",
        [AMM_STAT_BOOL] = "true, false",  [AMM_STAT_ADDRESS] = "IP address",
        [AMM_STAT_PREFIXES] = "networks",
    };
    return names[type];
}

bool amm_stats_markdown(char *out, size_t room)
{
    struct amm_writer w = amm_writer(out, room);
    amm_write_str(&w,
                  "# Stats\n\n"
                  "Last known values of a gateway, sent with its check-ins (gateway-protocol.md, "
                  "GP-44). Names that stand here have the\ntype given; other names are kept as "
                  "they are. This file is made from `src/domain/stats.c`.\n\n"
                  "| name | type | unit | by label | history | meaning |\n"
                  "|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < amm_stats_count; i++) {
        const struct amm_stat *s = &amm_stats[i];
        amm_write_text(&w, "| %s | %s | %s | %s | %s | %s |\n", s->name, type_name(s->type),
                       s->unit, s->labelled ? "yes" : "", s->history ? "yes" : "", s->doc);
    }
    amm_write_u8(&w, '\0');
    return !w.failed;
}
