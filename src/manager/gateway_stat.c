#include "gateway_stat.h"

#include "lamps.h"

#include <stdio.h>

struct stat_key stat_key(const char *name, const char *label)
{
    static const char *const own[] = {[STAT_ADDRESS] = "ManagementTunnel-IPAddress",
                                      [STAT_PORT] = "ManagementTunnel-Port",
                                      [STAT_HEARTBEAT] = "Heartbeat",
                                      [STAT_CONFIGURATION] = "ConfigurationState"};
    struct stat_key key = {values_key(VALUES_STATS, name), STAT_REPORTED, label};
    for (unsigned i = STAT_ADDRESS; i <= STAT_CONFIGURATION; i++) {
        if (strcmp(own[i], name) == 0) {
            key.own = (enum stat_own)i;
        }
    }
    return key;
}

static void set_number(struct value *out, int64_t number)
{
    *out = (struct value){.type = VALUE_INTEGER, .integer = number, .real = (double)number};
}

static void set_text(struct value *out, const char *text)
{
    *out = (struct value){.type = VALUE_TEXT, .text = amm_view_str(text)};
}

bool stat_get(const struct fleet_gateway *gateway, const struct stat_key *key, int64_t now,
              struct value *out, char room[STAT_ROOM])
{
    struct value whole;
    switch (key->own) {
    case STAT_ADDRESS:
        if (!fleet_tunnel_address(gateway, room)) {
            return false;
        }
        set_text(out, room);
        return true;
    case STAT_PORT:
        set_number(out, gateway->tunnel.up_port);
        return gateway->tunnel.up_port != 0;
    case STAT_HEARTBEAT:
        set_number(out, now - gateway->last_checkin);
        return gateway->last_checkin != 0;
    case STAT_CONFIGURATION:
        set_text(out, fleet_sync_text(gateway->sync));
        return true;
    case STAT_REPORTED:
        break;
    }
    if (key->label[0] == '\0') {
        return values_get(gateway->stats, key->values, out);
    }
    return values_get(gateway->stats, key->values, &whole) && value_label(&whole, key->label, out);
}

enum stat_says stat_says(const struct fleet_gateway *gateway, const struct stat_key *key,
                         int64_t now)
{
    if (key->own == STAT_CONFIGURATION) {
        return STAT_SAYS;
    }
    if (key->own == STAT_HEARTBEAT || key->own == STAT_REPORTED) {
        return gateway->last_checkin != 0 ? STAT_SAYS : STAT_SILENT;
    }
    enum lamp lamp = lamp_tunnel(gateway, now);
    if (lamp == LAMP_UNKNOWN || lamp == LAMP_RESTING) {
        return STAT_SILENT;
    }
    return gateway->tunnel.stale || lamp == LAMP_PENDING ? STAT_KEEPS : STAT_SAYS;
}

/* Cut at the start of a character. */
static void copy_text(char *out, size_t room, struct amm_view text)
{
    size_t len = text.len < room ? text.len : room - 1;
    while (len > 0 && len < text.len && (text.data[len] & 0xc0) == 0x80) {
        len--;
    }
    snprintf(out, room, "%.*s", (int)len, (const char *)text.data);
}

bool stat_text(const struct value *value, char *out, size_t room)
{
    switch (value->type) {
    case VALUE_FALSE:
    case VALUE_TRUE:
        snprintf(out, room, "%s", value->type == VALUE_TRUE ? "true" : "false");
        return true;
    case VALUE_INTEGER:
        snprintf(out, room, "%lld", (long long)value->integer);
        return true;
    case VALUE_REAL:
        snprintf(out, room, "%.10g", value->real);
        return true;
    case VALUE_TEXT:
        copy_text(out, room, value->text);
        return true;
    case VALUE_OBJECT:
        break;
    }
    if (room > 0) {
        out[0] = '\0';
    }
    return false;
}
