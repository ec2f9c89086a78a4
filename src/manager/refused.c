#include "manager/refused.h"

#include "manager/fleet.h"
#include "manager/tunnel_parts.h"

#include <stdio.h>

enum { EXPIRE_EVERY = 50 }; /* rows */

static uint64_t mix(uint64_t hash, const void *data, size_t len)
{
    const uint8_t *at = data;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ at[i]) * 0x100000001b3u;
    }
    return hash;
}

/* Only for folding: who finds another name with the same hash has his refusal shown as that one's
 * repetition, no more. */
static uint64_t hash_of(const struct amm_ipc_event *event)
{
    uint64_t hash = 0xcbf29ce484222325u;
    hash = mix(hash, event->name, strlen(event->name) + 1);
    hash = mix(hash, event->reason, strlen(event->reason) + 1);
    hash = mix(hash, event->remote.ip, sizeof event->remote.ip);
    hash = mix(hash, &event->port, sizeof event->port);
    return hash | 1;
}

/* Whose namespace the name is in: of main, those without '@'. Nobody's if no certificate proves
 * that the name is not made up. */
static int64_t tenant_of(struct manager *m, const struct amm_ipc_event *event)
{
    static const uint8_t none[sizeof event->login.key];
    const struct fleet_gateway *gateway = fleet_gateway_by_tunnel_name(m->fleet, event->name);
    if (gateway != NULL) {
        return gateway->group->tenant->id;
    }
    if (event->name[0] == '\0' || memcmp(event->login.key, none, sizeof none) == 0) {
        return 0;
    }
    const char *at = strrchr(event->name, '@');
    const struct fleet_tenant *tenant = fleet_tenant_by_slug(m->fleet, at ? at + 1 : "main");
    return tenant != NULL ? tenant->id : 0;
}

static bool may_add(struct refused *refused, amm_time now)
{
    const amm_duration cost = AMM_SECOND / REFUSED_PER_SECOND;
    amm_time paid = refused->paid_until > now ? refused->paid_until : now;
    if (paid - now >= REFUSED_BURST * cost) {
        refused->dropped++;
        return false;
    }
    refused->paid_until = paid + cost;
    return true;
}

static void add(struct manager *m, struct refused *refused, const struct amm_ipc_event *event)
{
    char remote[AMM_ADDRESS_TEXT];
    static const uint8_t none[sizeof event->login.key];
    bool has_key = memcmp(event->login.key, none, sizeof none) != 0;
    int64_t id;
    if (amm_store_number(
            m->store, AMM_SQL_REFUSED_ADD,
            AMM_WITH(amm_number(tenant_of(m, event)), amm_number(event->at), amm_number(event->at),
                     amm_number(event->port), amm_text(event->name),
                     amm_text(amm_address_text(&event->remote, remote)),
                     amm_text(event->transport == AMM_TCP ? "tcp" : "udp"), amm_text(event->client),
                     amm_text(event->reason), amm_text(event->text),
                     amm_blob(event->login.key, has_key ? sizeof event->login.key : 0),
                     amm_blob(event->login.serial, has_key ? sizeof event->login.serial : 0)),
            &id) != AMM_STORE_OK) {
        return;
    }
    refused->recent[refused->next++ % REFUSED_RECENT] =
        (struct refused_recent){hash_of(event), id, event->at, event->at, 0};
    if (id % EXPIRE_EVERY == 0) {
        amm_store_run(m->store, AMM_SQL_REFUSED_EXPIRE, AMM_WITH(amm_number(id - REFUSED_KEPT)));
    }
}

void refused_note(struct manager *m, struct refused *refused, const struct amm_ipc_event *event)
{
    uint64_t hash = hash_of(event);
    for (unsigned i = 0; i < REFUSED_RECENT; i++) {
        struct refused_recent *recent = &refused->recent[i];
        if (recent->hash != hash || event->at - recent->first_at > REFUSED_FOLD) {
            continue;
        }
        recent->repeats++;
        if (event->at - recent->written_at >= REFUSED_WRITE) {
            recent->written_at = event->at;
            amm_store_run(m->store, AMM_SQL_REFUSED_AGAIN,
                          AMM_WITH(amm_number(event->at), amm_number(recent->repeats),
                                   amm_number(recent->id)));
        }
        return;
    }
    if (may_add(refused, m->now.mono)) {
        add(m, refused, event);
    }
}
