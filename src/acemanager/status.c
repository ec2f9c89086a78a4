#include "core_parts.h"

#include "io/unix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static json_t *identity_json(const struct ace_core *core)
{
    struct ace_identity_view v;
    ace_identity_view(core, &v);
    return json_pack("{ss ss ss sI sI ss}", "state", ace_identity_state_name(v.state), "name",
                     v.name, "serial", v.serial, "not-before", (json_int_t)v.not_before,
                     "not-after", (json_int_t)v.not_after, "error", v.error);
}

static json_t *checkin_json(const struct ace_core *core)
{
    struct ace_checkin_view v;
    ace_checkin_view(core, &v);
    return json_pack("{ss ss sI sI sI sb sI ss}", "state", ace_checkin_state_name(v.state),
                     "server", v.server, "last", (json_int_t)v.last, "next", (json_int_t)v.next,
                     "interval", (json_int_t)v.interval, "in-tunnel", v.in_tunnel, "seq",
                     (json_int_t)v.seq, "error", v.error);
}

static json_t *tunnel_json(const struct ace_core *core)
{
    struct ace_tunnel_view v;
    char ip[AMM_IPV4_TEXT] = "";
    ace_tunnel_view(core, &v);
    if (v.client.inner_ip) {
        amm_ipv4_text(v.client.inner_ip, ip);
    }
    return json_pack("{ss ss sI sb sI ss ss ss}", "state", ace_tunnel_state_name(v.state), "why",
                     v.why, "port", (json_int_t)v.port, "moving", v.moving, "since",
                     (json_int_t)v.since, "address", ip, "device", v.client.tun, "ammer",
                     v.client.remote[0] ? amm_client_phase_name(v.client.phase) : "");
}

static json_t *clock_json(const struct ace_core *core)
{
    struct ace_clock_view v;
    ace_clock_view(core, &v);
    json_t *ntp = json_array();
    for (size_t i = 0; i < v.n_ntp; i++) {
        json_array_append_new(ntp,
                              json_pack("{ss sI sI ss}", "server", v.ntp[i].server, "last",
                                        (json_int_t)v.ntp[i].last, "offset-ms",
                                        (json_int_t)v.ntp[i].offset_ms, "error", v.ntp[i].error));
    }
    return json_pack("{sb ss sI sI sI ss ss so}", "trusted", v.is_trusted, "source",
                     amm_clock_source_name(v.source), "time", (json_int_t)core_now(core).wall,
                     "offset", (json_int_t)v.offset, "floor", (json_int_t)v.floor, "floor-from",
                     v.floor_from, "words", v.words, "ntp", ntp);
}

static json_t *bytes_json(const struct ace_core *core)
{
    struct ace_bytes_view v;
    ace_bytes_view(core, &v);
    return json_pack("{sI s[II] s[II] s[II]}", "month", (json_int_t)v.month, "check-ins",
                     (json_int_t)v.by[ACE_CHECKINS].in, (json_int_t)v.by[ACE_CHECKINS].out,
                     "tunnel", (json_int_t)v.by[ACE_TUNNEL].in, (json_int_t)v.by[ACE_TUNNEL].out,
                     "software", (json_int_t)v.by[ACE_SOFTWARE].in,
                     (json_int_t)v.by[ACE_SOFTWARE].out);
}

static json_t *events_json(const struct ace_core *core)
{
    enum { SHOWN = 50 };
    struct amm_checkin_event *events = calloc(SHOWN, sizeof *events);
    json_t *list = json_array();
    size_t n = events ? ace_events_latest(core, events, SHOWN) : 0;
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(list, json_pack("{sI sI ss ss}", "id", (json_int_t)events[i].id, "at",
                                              (json_int_t)events[i].at, "kind", events[i].kind,
                                              "text", events[i].text));
        json_decref(events[i].data);
    }
    free(events);
    return list;
}

char *core_status_text(const struct ace_core *core, bool with_parameters)
{
    struct ace_about about;
    ace_about(core, &about);
    json_t *all = json_pack(
        "{ss ss sI sI ss ss so so so so so sI sI}", "software", about.software, "model",
        about.model, "boot", (json_int_t)core->memory.boot, "uptime", (json_int_t)about.uptime,
        "boot-reason", about.boot_reason, "storage-error", core->storage_error, "identity",
        identity_json(core), "check-in", checkin_json(core), "tunnel", tunnel_json(core), "clock",
        clock_json(core), "bytes", bytes_json(core), "events-waiting",
        (json_int_t)ace_events_waiting(core), "events-lost", (json_int_t)ace_events_lost(core));
    if (all && with_parameters) { /* secrets are {"set": true} there */
        json_object_set_new(all, "parameters", ace_parameters_reported(core->parameters));
        json_object_set(all, "stats", core->facts.stats);
        json_object_set_new(all, "events", events_json(core));
    }
    char *text = all ? json_dumps(all, JSON_INDENT(1)) : NULL;
    json_decref(all);
    return text;
}

void core_status_answer(struct ace_core *core)
{
    char *text = core_status_text(core, false);
    for (int client = amm_unix_accept(core->state_socket); client >= 0;
         client = amm_unix_accept(core->state_socket)) {
        if (text) {
            amm_unix_send(client, amm_view_str(text), NULL, 0); /* who does not read gets nothing */
        }
        close(client);
    }
    free(text);
}
