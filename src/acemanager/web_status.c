/* Status, WAN/Cellular, LAN, Applications: what is so, nothing to set. */
#include "web_format.h"
#include "web_view.h"

#include "domain/stats.h"

#include <inttypes.h>
#include <stdio.h>

enum { EVENTS = 8, LISTENS = 16 };

/* ---- Status ---- */

static void card_tunnel(json_t *view, const struct web_call *call)
{
    struct ace_tunnel_view t;
    char text[200], in[WEB_WORDS], out[WEB_WORDS], address[AMM_IPV4_TEXT];
    json_t *card = web_card(view, "cards", "tunnel", "AMM Management Tunnel");
    ace_tunnel_view(call->pages->core, &t);
    struct web_state state = web_tunnel_state(&t);
    web_card_lamp(card, state.lamp, state.word);
    if (t.state == ACE_TUNNEL_DISABLED) {
        web_row_text(card, "State", "Switched off. Services > MSCI switches it on.");
        return;
    }
    if (t.client.inner_ip) {
        web_row_mono(card, "Address", amm_ipv4_text(t.client.inner_ip, address));
    }
    snprintf(text, sizeof text, "%u", t.port);
    web_row_text(card, "Port", text);
    if (t.moving) {
        snprintf(text, sizeof text, "port %u is being tried; the tunnel stays until it is up",
                 t.port_next);
        web_row_lamp(card, "Move", "pending", "Moving", text);
    }
    web_row_time(card, "Since", t.since, call);
    web_row_text(card, t.state == ACE_TUNNEL_UP ? "Last error" : "Why",
                 t.why[0] ? t.why : t.client.last_error);
    web_row_mono(card, "Server", t.client.remote);
    web_row_text(card, "Encryption", t.client.cipher);
    if (t.state == ACE_TUNNEL_UP) {
        snprintf(text, sizeof text, "%s in, %s out", web_bytes(t.client.rx_bytes, in),
                 web_bytes(t.client.tx_bytes, out));
        web_row_text(card, "Moved", text);
    } else if (t.client.next_try) {
        snprintf(text, sizeof text, "in %s", web_duration(t.client.next_try, in));
        web_row_text(card, "Next try", text);
    }
}

static void card_checkin(json_t *view, const struct web_call *call)
{
    struct ace_checkin_view c;
    struct ace_identity_view identity;
    char text[400], words[WEB_WORDS];
    json_t *card = web_card(view, "cards", "checkin", "Check-in");
    ace_checkin_view(call->pages->core, &c);
    ace_identity_view(call->pages->core, &identity);
    struct web_state state = web_checkin_state(&c, &identity);
    web_card_lamp(card, state.lamp, state.word);
    web_row_text(card, "Identity", web_identity_words(identity.state));
    web_row_mono(card, "Name", identity.name);
    web_row_text(card, "Enrolment", identity.error);
    if (c.state == ACE_CHECKIN_OFF) {
        return;
    }
    web_row_time(card, "Last", c.last, call);
    if (c.next > 0 && (c.state == ACE_CHECKIN_IDLE || c.state == ACE_CHECKIN_FAILING)) {
        snprintf(text, sizeof text, "in %s", web_duration(c.next, words));
        web_row_text(card, "Next", text);
    }
    web_row_text(card, "Every", web_duration(c.interval, words));
    web_row_mono(card, "Server", c.server);
    web_row_text(card, "Way", c.last ? (c.in_tunnel ? "through the tunnel" : "over the WAN") : "");
    web_row_text(card, "Last error", c.error);
    web_row_time(card, "Certificate until", identity.not_after, call);
    if (call->session->role == WEB_USER) {
        web_action(card, "checkin", "now", "Check in now");
    }
}

static void card_clock(json_t *view, const struct web_call *call)
{
    struct ace_clock_view clock;
    char words[WEB_WORDS];
    json_t *card = web_card(view, "cards", "clock", "Clock");
    ace_clock_view(call->pages->core, &clock);
    struct web_state state = web_clock_state(&clock);
    web_card_lamp(card, state.lamp, state.word);
    json_t *row = web_row(card, "Time");
    json_t *now = web_time(call->now.wall, call->now.wall);
    if (now) {
        json_object_set_new(row, "time", now);
    }
    web_row_text(card, "Source", web_clock_source(clock.source));
    web_row_time(card, clock.source == AMM_CLOCK_SYSTEM ? "Running since" : "Set", clock.since,
                 call);
    web_row_text(card, "State", clock.words);
    if (clock.offset) {
        web_format(web_row(card, "Offset"), "text", "%s beside the system’s clock",
                   web_duration(clock.offset < 0 ? -clock.offset : clock.offset, words));
    }
}

static void row_parameter(json_t *card, const struct web_call *call, uint32_t id)
{
    struct ace_parameter p;
    if (!ace_parameter_get(call->pages->core, id, &p) || !p.value[0]) {
        return;
    }
    json_t *row = web_row(card, p.msci->name);
    json_object_set_new(row, "id", json_integer(id));
    web_format(row, "text", "%s%s%s", p.value, p.msci->unit ? WEB_NARROW : "",
               p.msci->unit ? p.msci->unit : "");
}

static void card_gateway(json_t *view, const struct web_call *call)
{
    struct ace_about about;
    char words[WEB_WORDS];
    json_t *card = web_card(view, "cards", "gateway", "Gateway");
    json_object_set_new(card, "tall", json_true());
    ace_about(call->pages->core, &about);
    web_row_text(card, "Name", about.name);
    web_row_text(card, "Model", about.model);
    web_row_text(card, "Software", about.software);
    web_row_mono(card, "Serial number", about.serial);
    web_row_text(card, "Running for", web_duration(about.uptime, words));
    web_row_text(card, "Started by", about.boot_reason);
    row_parameter(card, call, AMM_MSCI_ELECTRONIC_ID);
    row_parameter(card, call, AMM_MSCI_POWER_IN);
    row_parameter(card, call, AMM_MSCI_BOARD_TEMPERATURE);
    row_parameter(card, call, AMM_MSCI_GPS_FIX);
    row_parameter(card, call, AMM_MSCI_LATITUDE);
    row_parameter(card, call, AMM_MSCI_LONGITUDE);
}

static void card_bytes(json_t *view, const struct web_call *call)
{
    static const char *const names[] = {"Check-ins", "Tunnel", "Software"};
    struct ace_bytes_view bytes;
    char words[WEB_WORDS];
    uint64_t in = 0, out = 0;
    json_t *card = web_card(view, "cards", "bytes", "Data this month");
    ace_bytes_view(call->pages->core, &bytes);
    json_t *table =
        web_table(card, "Data this month by purpose", "Purpose|#Received|#Sent|#Together");
    for (size_t i = 0; i < ACE_PURPOSES; i++) {
        json_t *line = web_line(table);
        web_cell(line, names[i]);
        web_cell_number(line, web_bytes(bytes.by[i].in, words));
        web_cell_number(line, web_bytes(bytes.by[i].out, words));
        web_cell_number(line, web_bytes(bytes.by[i].in + bytes.by[i].out, words));
        in += bytes.by[i].in;
        out += bytes.by[i].out;
    }
    json_t *line = web_line(table);
    web_cell(line, "All");
    web_cell_number(line, web_bytes(in, words));
    web_cell_number(line, web_bytes(out, words));
    web_cell_number(line, web_bytes(in + out, words));
    web_set(
        card, "text",
        bytes.month
            ? "What this gateway’s own software moved, counted in UTC months. Tunnel: what went "
              "through it."
            : "Counted since the start: the clock is not set, so the month is not known.");
}

static void card_events(json_t *view, const struct web_call *call)
{
    struct amm_checkin_event events[EVENTS];
    size_t n = ace_events_latest(call->pages->core, events, EVENTS);
    json_t *card = web_card(view, "cards", "events", "Latest events");
    json_t *table = web_table(card, "Latest events", "When|Kind|What");
    json_object_set_new(card, "wide", json_true());
    for (size_t i = 0; i < n; i++) {
        json_t *line = web_line(table);
        json_t *at = web_time(events[i].at, call->now.wall);
        json_t *cell = web_cell(line, at ? "" : "before the clock was set");
        if (at) {
            json_object_set_new(cell, "time", at);
        }
        web_cell(line, events[i].kind);
        json_object_set_new(web_cell(line, events[i].text), "long", json_true());
    }
    if (n == 0) {
        web_set(table, "empty", "Nothing has happened since the first start.");
    }
    web_action_link(card, "admin/diagnostics", "All of it in Diagnostics");
}

static json_t *live_page(struct web_call *call, const char *path, const char *heading)
{
    json_t *view = web_view_new(call, path, heading);
    json_object_set_new(view, "is_live", json_true());
    json_object_set_new(view, "is_grid", json_true());
    return view;
}

void web_status_show(struct web_call *call)
{
    json_t *view = live_page(call, "status", "Status");
    web_view_first_password(view, call);
    card_tunnel(view, call);
    card_checkin(view, call);
    card_gateway(view, call);
    card_bytes(view, call);
    card_clock(view, call);
    card_events(view, call);
    web_visitors_card(view, call);
    web_answer_view(call, 200, "page", view);
}

/* ---- WAN/Cellular, LAN ---- */

struct stat_row {
    const char *stat, *name;
    uint32_t id; /* MSCIID under which the same value is known; 0: none */
};

static bool row_stat(json_t *card, const struct web_call *call, const struct stat_row *row)
{
    const json_t *value = json_object_get(ace_stats(call->pages->core), row->stat);
    const struct amm_stat *stat = amm_stat_find(row->stat);
    char number[64] = "";
    bool is_bytes = stat && strcmp(stat->unit, "B") == 0;
    if (json_is_integer(value) && is_bytes) {
        web_bytes((uint64_t)json_integer_value(value), number);
    } else if (json_is_number(value)) {
        bool has_unit = stat && stat->unit[0];
        double amount = json_number_value(value);
        snprintf(number, sizeof number, "%s%.6g%s%s", amount < 0 ? "−" : "",
                 amount < 0 ? -amount : amount, has_unit ? WEB_NARROW : "",
                 has_unit ? stat->unit : "");
    } else if (!json_is_string(value) || json_string_length(value) == 0) {
        return false;
    }
    json_t *object = web_row(card, row->name);
    web_set(object, "text", number[0] ? number : json_string_value(value));
    if (row->id) {
        json_object_set_new(object, "id", json_integer(row->id));
    }
    return true;
}

static void rows_stats(json_t *card, const struct web_call *call, const struct stat_row *rows,
                       size_t n, const char *none)
{
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        any |= row_stat(card, call, &rows[i]);
    }
    if (!any) {
        web_set(card, "text", none);
    }
}

#define ROWS(rows) (rows), sizeof(rows) / sizeof *(rows)

void web_wan_show(struct web_call *call)
{
    static const struct stat_row connection[] = {
        {"CurrentWANInterface", "Interface", 0},
        {"WAN-Prefixes", "Networks", 0},
        {"CellLink-IPAddress", "Cellular address", AMM_MSCI_NETWORK_IP_ADDRESS},
        {"Ethernet4-IPAddress", "Ethernet address", 0},
        {"WiFiLink-IPAddress", "Wi-Fi address", 0},
        {"EthernetLink-State", "Ethernet", 0},
        {"WiFiLink-State", "Wi-Fi", 0},
    };
    static const struct stat_row cellular[] = {
        {"CellLink-State", "State", AMM_MSCI_NETWORK_STATE},
        {"CellLink-CurrentNetworkOperator", "Network", 0},
        {"CellLink-NetworkServiceType", "Technology", AMM_MSCI_NETWORK_SERVICE_TYPE},
        {"CellLink-RSSI", "RSSI", AMM_MSCI_RSSI},
        {"CellLink-RSRP", "RSRP", 0},
        {"CellLink-RSRQ", "RSRQ", 0},
        {"CellLink-SINR", "SINR", 0},
        {"CellLink-ECIO", "EC/IO", 0},
        {"CellLink-txBytes", "Sent", AMM_MSCI_CELLULAR_BYTES_SENT},
        {"CellLink-rxBytes", "Received", AMM_MSCI_CELLULAR_BYTES_RECEIVED},
        {"IMEI", "IMEI", 0},
        {"CellLink-ICCID", "SIM card", 0},
        {"CellLink-MobileDirectoryNumber", "Phone number", 0},
        {"CellLink-RadioFirmwareVersion", "Modem firmware", 0},
    };
    json_t *view = live_page(call, "wan", "WAN/Cellular");
    rows_stats(web_card(view, "cards", "connection", "Connection"), call, ROWS(connection),
               "There is no WAN connection.");
    rows_stats(web_card(view, "cards", "cellular", "Cellular"), call, ROWS(cellular),
               "This gateway has no modem, or it says nothing.");
    web_answer_view(call, 200, "page", view);
}

void web_lan_show(struct web_call *call)
{
    static const struct stat_row networks[] = {
        {"LAN-Prefixes", "Networks", 0},
        {"Ethernet_Port1_mode", "Ethernet port 1", 0},
        {"Ethernet_Port4_mode", "Ethernet port 4", 0},
        {"WiFi_Link_mode", "Wi-Fi", 0},
    };
    struct ace_listen listens[LISTENS];
    json_t *view = live_page(call, "lan", "LAN");
    json_t *card = web_card(view, "cards", "networks", "Networks");
    row_parameter(card, call, AMM_MSCI_LAN_ADDRESS);
    rows_stats(card, call, ROWS(networks), "");
    card = web_card(view, "cards", "interfaces", "Addresses of this gateway");
    json_t *table = web_table(card, "Addresses on the LAN", "Interface|Address");
    size_t n = ace_listens(call->pages->core, listens, LISTENS), shown = 0;
    for (size_t i = 0; i < n && i < LISTENS; i++) {
        char address[AMM_ADDRESS_TEXT];
        if (!listens[i].is_tunnel) {
            json_t *line = web_line(table);
            web_cell(line, listens[i].link);
            json_object_set_new(web_cell(line, web_address(&listens[i].address, address)), "mono",
                                json_true());
            shown++;
        }
    }
    if (shown == 0) {
        web_set(table, "empty", "No LAN interface has an address.");
    }
    web_answer_view(call, 200, "page", view);
}

/* ---- Applications ---- */

void web_applications_show(struct web_call *call)
{
    struct ace_tunnel_view tunnel;
    struct ace_about about;
    char number[24];
    json_t *view = live_page(call, "applications", "Applications");
    json_t *card = web_card(view, "cards", "ammer", "ammer");
    const json_t *version = json_object_get(ace_stats(call->pages->core), "AMMER-Version");
    bool runs;
    ace_tunnel_view(call->pages->core, &tunnel);
    ace_about(call->pages->core, &about);
    runs = tunnel.state == ACE_TUNNEL_STARTING || tunnel.state == ACE_TUNNEL_UP ||
           tunnel.state == ACE_TUNNEL_DOWN;
    web_card_lamp(card,
                  runs                                ? "up"
                  : tunnel.state == ACE_TUNNEL_BRAKED ? "down"
                                                      : "resting",
                  runs                                ? "Running"
                  : tunnel.state == ACE_TUNNEL_BRAKED ? "Failed"
                                                      : "Not running");
    web_row_text(card, "What", "Client of the AMM Management Tunnel");
    web_row_text(card, "Version", json_string_value(version));
    web_row_text(card, "State", runs ? amm_client_phase_name(tunnel.client.phase) : tunnel.why);
    web_row_mono(card, "Interface", tunnel.client.tun);
    web_row_text(card, "TLS", tunnel.client.tls);
    snprintf(number, sizeof number, "%" PRIu32, tunnel.client.joins);
    web_row_text(card, "Joined", runs ? number : "");
    web_row_text(card, "Last error", tunnel.client.last_error);
    card = web_card(view, "cards", "acemanager", "acemanager");
    web_card_lamp(card, "up", "Running");
    web_row_text(card, "What", "Settings, check-ins, clock and these pages");
    web_row_text(card, "Version", AMM_VERSION);
    web_answer_view(call, 200, "page", view);
}
