/* The states of tunnel, check-in, radio and clock in lamp and word, and the strip that shows them
 * on every page. */
#include "web_view.h"

#include "web_format.h"

#include <inttypes.h>
#include <stdio.h>

struct web_state web_tunnel_state(const struct ace_tunnel_view *tunnel)
{
    static const struct web_state states[] = {
        [ACE_TUNNEL_DISABLED] = {"resting", "Disabled"},
        [ACE_TUNNEL_WAITING] = {"pending", "Waiting"},
        [ACE_TUNNEL_STARTING] = {"pending", "Connecting"},
        [ACE_TUNNEL_UP] = {"up", "Up"},
        [ACE_TUNNEL_DOWN] = {"down", "Down"},
        [ACE_TUNNEL_BRAKED] = {"down", "Failed"},
        [ACE_TUNNEL_STOPPED] = {"down", "Stopped by the server"},
    };
    return states[tunnel->state];
}

struct web_state web_checkin_state(const struct ace_checkin_view *checkin,
                                   const struct ace_identity_view *identity)
{
    static const struct web_state states[] = {
        [ACE_CHECKIN_OFF] = {"resting", "No server set"},
        [ACE_CHECKIN_IDLE] = {"up", "On time"},
        [ACE_CHECKIN_TRYING] = {"pending", "Under way"},
        [ACE_CHECKIN_FAILING] = {"down", "Failing"},
        [ACE_CHECKIN_REFUSED] = {"down", "Refused by the server"},
    };
    if (checkin->state != ACE_CHECKIN_OFF) {
        if (identity->state == ACE_IDENTITY_NONE) {
            return (struct web_state){"resting", "Not enrolled"};
        }
        if (identity->state == ACE_IDENTITY_WAITING) {
            return (struct web_state){"pending", "Waiting for approval"};
        }
        if (identity->state == ACE_IDENTITY_ENROLLING) {
            return (struct web_state){"pending", "Enrolling"};
        }
    }
    return states[checkin->state];
}

struct web_state web_clock_state(const struct ace_clock_view *clock)
{
    if (!clock->is_trusted) {
        return (struct web_state){"degraded", "Not set"};
    }
    return clock->source == AMM_CLOCK_SYSTEM ? (struct web_state){"unknown", "Not confirmed"}
                                             : (struct web_state){"up", "Set"};
}

const char *web_clock_source(enum amm_clock_source source)
{
    static const char *const words[] = {
        [AMM_CLOCK_NONE] = "none",         [AMM_CLOCK_SYSTEM] = "the gateway’s own clock",
        [AMM_CLOCK_SERVER] = "the server", [AMM_CLOCK_CELLULAR] = "the cellular network",
        [AMM_CLOCK_GPS] = "GPS",           [AMM_CLOCK_NTP] = "NTP",
    };
    return source < AMM_CLOCK_SOURCES ? words[source] : "none";
}

const char *web_identity_words(enum ace_identity_state state)
{
    static const char *const words[] = {
        [ACE_IDENTITY_NONE] = "Not enrolled: it needs an enrolment token (Services > MSCI)",
        [ACE_IDENTITY_ENROLLING] = "Enrolling",
        [ACE_IDENTITY_WAITING] = "Waiting for a person to approve it on the server",
        [ACE_IDENTITY_VALID] = "Enrolled",
        [ACE_IDENTITY_EXPIRED] = "Certificate expired; renewal is being tried",
        [ACE_IDENTITY_REFUSED] = "Revoked, or taken off the server",
    };
    return words[state];
}

/* ---- the strip ---- */

static json_t *item(json_t *list, const char *lamp, const char *word)
{
    json_t *object = json_object();
    json_array_append_new(list, object);
    web_set(object, "lamp", lamp);
    web_set(object, "word", word);
    return object;
}

static void strip_tunnel(json_t *list, const struct web_call *call)
{
    struct ace_tunnel_view tunnel;
    char word[64], address[AMM_IPV4_TEXT];
    ace_tunnel_view(call->pages->core, &tunnel);
    struct web_state state = web_tunnel_state(&tunnel);
    snprintf(word, sizeof word, "Tunnel %c%s", state.word[0] | 0x20, state.word + 1);
    json_t *object = item(list, state.lamp, word);
    if (tunnel.state == ACE_TUNNEL_UP) {
        web_set(object, "mono", amm_ipv4_text(tunnel.client.inner_ip, address));
        web_format(object, "more", "port %u, since", tunnel.port);
        json_t *since = web_time(tunnel.since, call->now.wall);
        if (since) {
            json_object_set_new(object, "since", since);
        }
    } else if (tunnel.state == ACE_TUNNEL_DISABLED) {
        web_set(object, "more", "(Services > MSCI)");
    } else if (tunnel.why[0]) {
        web_format(object, "more", "%.100s%s", tunnel.why, strlen(tunnel.why) > 100 ? "…" : "");
    } else {
        web_format(object, "more", "port %u", tunnel.port);
    }
}

static void strip_checkin(json_t *list, const struct web_call *call)
{
    struct ace_checkin_view checkin;
    struct ace_identity_view identity;
    char ago[WEB_WORDS], next[WEB_WORDS];
    ace_checkin_view(call->pages->core, &checkin);
    ace_identity_view(call->pages->core, &identity);
    struct web_state state = web_checkin_state(&checkin, &identity);
    bool is_idle = strcmp(state.word, "On time") == 0;
    json_t *object = item(list, state.lamp, is_idle ? "Check-in" : state.word);
    web_duration(checkin.next, next);
    if (is_idle && checkin.last) {
        web_format(object, "more", "%s, next in %s", web_ago(call->now.wall - checkin.last, ago),
                   next);
    } else if (checkin.state == ACE_CHECKIN_FAILING) {
        web_set(object, "word", "Check-in failing");
        web_format(object, "more", "%.80s; next try in %s", checkin.error, next);
    } else if (checkin.state == ACE_CHECKIN_OFF) {
        web_set(object, "more", "(Services > MSCI)");
    }
}

static void strip_radio(json_t *list, const struct web_call *call)
{
    const json_t *stats = ace_stats(call->pages->core);
    const char *name = json_string_value(json_object_get(stats, "CellLink-CurrentNetworkOperator"));
    const json_t *rsrp = json_object_get(stats, "CellLink-RSRP");
    const json_t *rssi = json_object_get(stats, "CellLink-RSSI");
    if (!name || !name[0]) {
        return;
    }
    /* usual bounds of a usable LTE signal */
    double power = json_number_value(rsrp);
    const char *lamp = !json_is_number(rsrp) ? "up"
                       : power >= -105       ? "up"
                       : power >= -118       ? "degraded"
                                             : "down";
    json_t *object = item(list, lamp, name);
    if (json_is_number(rsrp)) {
        web_format(object, "more", "RSRP %s%.0f" WEB_NARROW "dBm", power < 0 ? "−" : "",
                   power < 0 ? -power : power);
    } else if (json_is_number(rssi)) {
        power = json_number_value(rssi);
        web_format(object, "more", "RSSI %s%.0f" WEB_NARROW "dBm", power < 0 ? "−" : "",
                   power < 0 ? -power : power);
    }
}

static void strip_clock(json_t *list, const struct web_call *call)
{
    struct ace_clock_view clock;
    ace_clock_view(call->pages->core, &clock);
    struct web_state state = web_clock_state(&clock);
    json_t *object = item(list, state.lamp, clock.is_trusted ? "Clock" : "Clock not set");
    if (clock.source == AMM_CLOCK_SYSTEM && clock.is_trusted) {
        web_set(object, "more", "not confirmed yet");
    } else if (clock.is_trusted) {
        web_format(object, "more", "by %s", web_clock_source(clock.source));
    } else {
        web_set(object, "more", clock.words);
    }
}

void web_strip(json_t *list, const struct web_call *call)
{
    strip_tunnel(list, call);
    strip_checkin(list, call);
    strip_radio(list, call);
    strip_clock(list, call);
}
