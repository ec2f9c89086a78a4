#include "manager/places.h"

#include "base/bytes.h"

#include <stdlib.h>

struct slot {
    int64_t gateway; /* 0: nobody's */
    int64_t freed;   /* wall seconds; 0: never used */
};

struct port {
    struct places_port settings;
    uint32_t n_slots, taken;
    struct slot *slots; /* [n_slots + 1]; slot 0 is the server's own */
};

struct places {
    size_t n;
    struct port ports[PLACES_PORTS_MAX];
};

struct places *places_new(const struct places_port *ports, size_t n)
{
    struct places *places = calloc(1, sizeof *places);
    if (places == NULL || n > PLACES_PORTS_MAX) {
        return places_free(places);
    }
    for (; places->n < n; places->n++) {
        struct port *port = &places->ports[places->n];
        port->settings = ports[places->n];
        port->n_slots = amm_pool_slots(&port->settings.pool);
        port->slots = calloc(port->n_slots + 1, sizeof *port->slots);
        if (port->slots == NULL) {
            return places_free(places);
        }
    }
    return places;
}

struct places *places_free(struct places *places)
{
    if (places != NULL) {
        for (size_t i = 0; i < places->n; i++) {
            free(places->ports[i].slots);
        }
        free(places);
    }
    return NULL;
}

size_t places_count(const struct places *places)
{
    return places->n;
}

const struct places_port *places_at(const struct places *places, size_t i)
{
    return &places->ports[i].settings;
}

static const struct port *port_of(const struct places *places, uint32_t number)
{
    for (size_t i = 0; i < places->n; i++) {
        if (places->ports[i].settings.port == number) {
            return &places->ports[i];
        }
    }
    return NULL;
}

const struct places_port *places_find(const struct places *places, uint32_t port)
{
    const struct port *found = port_of(places, port);
    return found != NULL ? &found->settings : NULL;
}

static uint32_t left_on(const struct port *port)
{
    return port->settings.limit > port->taken ? port->settings.limit - port->taken : 0;
}

uint32_t places_taken(const struct places *places, uint32_t port)
{
    const struct port *found = port_of(places, port);
    return found != NULL ? found->taken : 0;
}

uint32_t places_left(const struct places *places, uint32_t port)
{
    const struct port *found = port_of(places, port);
    return found != NULL ? left_on(found) : 0;
}

/* NULL: no such place. */
static struct slot *slot_of(const struct places *places, uint32_t port, uint32_t slot)
{
    const struct port *found = port_of(places, port);
    return found != NULL && slot >= 1 && slot <= found->n_slots ? &found->slots[slot] : NULL;
}

int64_t places_owner(const struct places *places, uint32_t port, uint32_t slot)
{
    const struct slot *found = slot_of(places, port, slot);
    return found != NULL ? found->gateway : 0;
}

uint32_t places_address(const struct places *places, uint32_t port, uint32_t slot)
{
    const struct port *found = port_of(places, port);
    return found != NULL ? amm_pool_address(&found->settings.pool, slot) : 0;
}

uint32_t places_choose(const struct places *places, uint32_t port, int64_t now)
{
    const struct port *found = port_of(places, port);
    uint32_t oldest = 0;
    if (found == NULL || left_on(found) == 0) {
        return 0;
    }
    for (uint32_t i = 1; i <= found->n_slots; i++) {
        const struct slot *slot = &found->slots[i];
        if (slot->gateway != 0) {
            continue;
        }
        if (slot->freed == 0 || now - slot->freed >= PLACES_COOL) {
            return i;
        }
        if (oldest == 0 || slot->freed < found->slots[oldest].freed) {
            oldest = i;
        }
    }
    return oldest;
}

uint16_t places_balance(const struct places *places, uint32_t avoid)
{
    const struct port *best = NULL;
    bool best_avoided = true;
    for (size_t i = 0; i < places->n; i++) {
        const struct port *port = &places->ports[i];
        bool avoided = avoid >> i & 1;
        if (left_on(port) == 0) {
            continue;
        }
        /* left / limit compared without fractions */
        bool larger = best == NULL || (uint64_t)left_on(port) * best->settings.limit >
                                          (uint64_t)left_on(best) * port->settings.limit;
        if (avoided != best_avoided ? best_avoided : larger) {
            best = port;
            best_avoided = avoided;
        }
    }
    return best != NULL ? best->settings.port : 0;
}

static struct port *port_to_change(struct places *places, uint32_t number)
{
    return (struct port *)(uintptr_t)port_of(places, number);
}

bool places_take(struct places *places, uint32_t port, uint32_t slot, int64_t gateway)
{
    struct slot *found = slot_of(places, port, slot);
    if (found == NULL || found->gateway != 0) {
        return found != NULL && found->gateway == gateway;
    }
    found->gateway = gateway;
    port_to_change(places, port)->taken++;
    return true;
}

void places_release(struct places *places, uint32_t port, uint32_t slot, int64_t now)
{
    struct slot *found = slot_of(places, port, slot);
    if (found != NULL && found->gateway != 0) {
        found->gateway = 0;
        found->freed = now;
        port_to_change(places, port)->taken--;
    }
}

bool places_change(struct places *places, const struct places_port *settings)
{
    struct port *port = port_to_change(places, settings->port);
    uint32_t n_slots = amm_pool_slots(&settings->pool);
    if (port == NULL) {
        return false;
    }
    for (uint32_t i = n_slots + 1; i <= port->n_slots; i++) {
        if (port->slots[i].gateway != 0) {
            return false;
        }
    }
    struct slot *slots = calloc((size_t)n_slots + 1, sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    uint32_t kept = n_slots < port->n_slots ? n_slots : port->n_slots;
    memcpy(slots, port->slots, ((size_t)kept + 1) * sizeof *slots);
    free(port->slots);
    port->slots = slots;
    port->n_slots = n_slots;
    port->settings = *settings;
    return true;
}

void places_say_full(const struct places *places, uint32_t port, char *out, size_t room)
{
    const struct port *full = port_of(places, port);
    struct amm_writer w = amm_writer((uint8_t *)out, room - 1);
    amm_write_text(&w, "port %u is full: %u of %u places are taken", port, full ? full->taken : 0,
                   full ? full->settings.limit : 0);
    for (size_t i = 0, said = 0; i < places->n; i++) {
        const struct port *other = &places->ports[i];
        if (other != full) {
            amm_write_text(&w, "%s %u on %u", said++ ? "," : "; free:", left_on(other),
                           other->settings.port);
        }
    }
    out[amm_writer_len(&w)] = '\0'; /* empty if `room` is too small for it */
}
