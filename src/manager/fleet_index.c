/* What is in the fleet and how it is found: lists, hash tables, the tree. Knows no store. */
#include "fleet_parts.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- keys ---- */

struct name_key {
    int64_t tenant;
    const char *name;
};

static uint64_t id_hash(const struct fleet *fleet, int64_t id)
{
    return fleet_hash(fleet, &id, sizeof id);
}

static uint64_t text_hash(const struct fleet *fleet, const char *text)
{
    return fleet_hash(fleet, text, strlen(text));
}

static uint64_t name_hash(const struct fleet *fleet, int64_t tenant, const char *name)
{
    return text_hash(fleet, name) ^ id_hash(fleet, tenant);
}

static bool group_has_id(const void *item, void *key)
{
    return ((const struct fleet_group *)item)->id == *(const int64_t *)key;
}

static bool gateway_has_id(const void *item, void *key)
{
    return ((const struct fleet_gateway *)item)->id == *(const int64_t *)key;
}

static bool gateway_has_name(const void *item, void *key)
{
    const struct fleet_gateway *gateway = item;
    const struct name_key *want = key;
    return gateway->group->tenant->id == want->tenant && strcmp(gateway->name, want->name) == 0;
}

static bool gateway_has_serial(const void *item, void *key)
{
    return strcmp(((const struct fleet_gateway *)item)->serial, key) == 0;
}

static bool gateway_has_tunnel_name(const void *item, void *key)
{
    char name[FLEET_TUNNEL_NAME];
    fleet_tunnel_name(item, name);
    return strcmp(name, key) == 0;
}

/* ---- tenants ---- */

struct fleet_tenant *fleet_tenant_insert(struct fleet *fleet, int64_t id, const char *slug)
{
    struct fleet_tenant *tenant = calloc(1, sizeof *tenant);
    struct fleet_group *root = calloc(1, sizeof *root);
    struct fleet_tenant **bigger = realloc(fleet->tenants, (fleet->n_tenants + 1) * sizeof *bigger);
    if (bigger) {
        fleet->tenants = bigger;
    }
    if (!tenant || !root || !bigger) {
        free(tenant);
        free(root);
        return NULL;
    }
    tenant->id = id;
    snprintf(tenant->slug, sizeof tenant->slug, "%s", slug);
    tenant->root = root;
    root->tenant = tenant;
    size_t at = fleet->n_tenants;
    while (at > 0 && strcmp(bigger[at - 1]->slug, tenant->slug) > 0) {
        bigger[at] = bigger[at - 1];
        at--;
    }
    bigger[at] = tenant;
    fleet->n_tenants++;
    return tenant;
}

static void group_free(struct fleet_group *group)
{
    fleet_settings_clear(&group->template);
    free(group);
}

void fleet_tenant_forget(struct fleet *fleet, struct fleet_tenant *tenant)
{
    while (tenant->root->first_child) {
        struct fleet_group *leaf = tenant->root->first_child;
        while (leaf->first_child) {
            leaf = leaf->first_child;
        }
        fleet_group_forget(fleet, leaf);
    }
    size_t at = 0;
    while (fleet->tenants[at] != tenant) {
        at++;
    }
    fleet->n_tenants--;
    memmove(fleet->tenants + at, fleet->tenants + at + 1,
            (fleet->n_tenants - at) * sizeof fleet->tenants[0]);
    group_free(tenant->root);
    free(tenant);
}

struct fleet_tenant *fleet_tenant_find(struct fleet *fleet, int64_t id)
{
    for (size_t i = 0; i < fleet->n_tenants; i++) {
        if (fleet->tenants[i]->id == id) {
            return fleet->tenants[i];
        }
    }
    return NULL;
}

struct fleet_tenant *fleet_tenant_by_slug(struct fleet *fleet, const char *slug)
{
    for (size_t i = 0; i < fleet->n_tenants; i++) {
        if (strcmp(fleet->tenants[i]->slug, slug) == 0) {
            return fleet->tenants[i];
        }
    }
    return NULL;
}

size_t fleet_tenant_count(const struct fleet *fleet)
{
    return fleet->n_tenants;
}

struct fleet_tenant *fleet_tenant_at(const struct fleet *fleet, size_t i)
{
    return fleet->tenants[i];
}

/* ---- groups ---- */

struct fleet_group *fleet_group_insert(struct fleet *fleet, struct fleet_tenant *tenant, int64_t id)
{
    struct fleet_group *group = calloc(1, sizeof *group);
    if (!group || !index_add(&fleet->groups, id_hash(fleet, id), group)) {
        free(group);
        return NULL;
    }
    group->id = id;
    group->tenant = tenant;
    return group;
}

static void set_depth(struct fleet_group *group)
{
    group->depth = group->parent ? (uint8_t)(group->parent->depth + 1) : 0;
    for (struct fleet_group *child = group->first_child; child; child = child->next_sibling) {
        set_depth(child);
    }
}

/* Children stand in the order of their names. */
void fleet_group_attach(struct fleet_group *group, struct fleet_group *parent)
{
    struct fleet_group **at = &parent->first_child;
    while (*at && strcmp((*at)->name, group->name) < 0) {
        at = &(*at)->next_sibling;
    }
    group->next_sibling = *at;
    group->parent = parent;
    *at = group;
    set_depth(group);
}

void fleet_group_detach(struct fleet_group *group)
{
    if (!group->parent) {
        return;
    }
    struct fleet_group **at = &group->parent->first_child;
    while (*at != group) {
        at = &(*at)->next_sibling;
    }
    *at = group->next_sibling;
    group->parent = NULL;
    group->next_sibling = NULL;
}

void fleet_group_forget(struct fleet *fleet, struct fleet_group *group)
{
    fleet_group_detach(group);
    index_remove(&fleet->groups, id_hash(fleet, group->id), group);
    group_free(group);
}

struct fleet_group *fleet_group_find(struct fleet *fleet, int64_t id)
{
    return index_find(&fleet->groups, id_hash(fleet, id), group_has_id, &id);
}

struct fleet_group *fleet_branch_find(struct fleet *fleet, int64_t tenant, int64_t group)
{
    if (group == 0) {
        struct fleet_tenant *found = fleet_tenant_find(fleet, tenant);
        return found ? found->root : NULL;
    }
    struct fleet_group *found = fleet_group_find(fleet, group);
    return found && found->tenant->id == tenant ? found : NULL;
}

bool fleet_group_within(const struct fleet_group *group, const struct fleet_group *branch)
{
    if (!branch) {
        return true;
    }
    while (group && group != branch) {
        group = group->parent;
    }
    return group != NULL;
}

static void mark_below(struct fleet_group *group, uint32_t mark)
{
    group->mark = mark;
    for (struct fleet_group *child = group->first_child; child; child = child->next_sibling) {
        mark_below(child, mark);
    }
}

uint32_t fleet_mark_new(struct fleet *fleet)
{
    return ++fleet->mark;
}

uint32_t fleet_group_mark_branch(struct fleet *fleet, struct fleet_group *branch)
{
    fleet->mark++;
    if (branch) {
        mark_below(branch, fleet->mark);
    } else {
        for (size_t i = 0; i < fleet->n_tenants; i++) {
            mark_below(fleet->tenants[i]->root, fleet->mark);
        }
    }
    return fleet->mark;
}

uint32_t fleet_group_gateways_below(const struct fleet_group *group)
{
    uint32_t n = group->n_gateways;
    for (struct fleet_group *child = group->first_child; child; child = child->next_sibling) {
        n += fleet_group_gateways_below(child);
    }
    return n;
}

/* ---- gateways ---- */

static int compare(const struct fleet_gateway *a, const struct fleet_gateway *b)
{
    int order = strcmp(a->name, b->name);
    return order != 0 ? order : (a->id > b->id) - (a->id < b->id);
}

static int compare_entries(const void *a, const void *b)
{
    return compare(*(struct fleet_gateway *const *)a, *(struct fleet_gateway *const *)b);
}

/* Where the gateway is in the list, or belongs. */
static size_t position(const struct fleet *fleet, const struct fleet_gateway *gateway)
{
    size_t low = 0, high = fleet->n_gateways;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(fleet->gateways[middle], gateway) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool list_add(struct fleet *fleet, struct fleet_gateway *gateway, bool sorted)
{
    if (fleet->n_gateways == fleet->gateways_room) {
        size_t room = fleet->gateways_room ? fleet->gateways_room + fleet->gateways_room / 2 : 64;
        struct fleet_gateway **bigger = realloc(fleet->gateways, room * sizeof *bigger);
        if (!bigger) {
            return false;
        }
        fleet->gateways = bigger;
        fleet->gateways_room = room;
    }
    size_t at = sorted ? position(fleet, gateway) : fleet->n_gateways;
    memmove(fleet->gateways + at + 1, fleet->gateways + at,
            (fleet->n_gateways - at) * sizeof fleet->gateways[0]);
    fleet->gateways[at] = gateway;
    fleet->n_gateways++;
    return true;
}

static void list_remove(struct fleet *fleet, struct fleet_gateway *gateway)
{
    /* While the list is loaded it is not in order yet; what goes then is the last one. */
    size_t last = fleet->n_gateways - 1;
    size_t at = fleet->gateways[last] == gateway ? last : position(fleet, gateway);
    fleet->n_gateways--;
    memmove(fleet->gateways + at, fleet->gateways + at + 1,
            (fleet->n_gateways - at) * sizeof fleet->gateways[0]);
}

void fleet_gateways_sort(struct fleet *fleet)
{
    if (fleet->n_gateways > 0) {
        qsort(fleet->gateways, fleet->n_gateways, sizeof fleet->gateways[0], compare_entries);
    }
}

static void gateway_free(struct fleet_gateway *gateway)
{
    fleet_text_free(gateway->serial);
    fleet_text_free(gateway->note);
    fleet_text_free(gateway->access_reason);
    fleet_text_free(gateway->settings_error);
    fleet_text_free(gateway->tunnel.last_error);
    fleet_settings_clear(&gateway->desired);
    values_free(gateway->reported);
    values_free(gateway->stats);
    free(gateway->name);
    free(gateway);
}

struct fleet_gateway *fleet_gateway_insert(struct fleet *fleet, struct fleet_group *group,
                                           int64_t id, const char *name, bool sorted)
{
    struct fleet_gateway *gateway = calloc(1, sizeof *gateway);
    if (!gateway) {
        return NULL;
    }
    *gateway = (struct fleet_gateway){.id = id,
                                      .name = strdup(name),
                                      .serial = fleet_empty,
                                      .note = fleet_empty,
                                      .access_reason = fleet_empty,
                                      .settings_error = fleet_empty,
                                      .tunnel.last_error = fleet_empty,
                                      .clock_skew = INT32_MIN};
    if (!gateway->name || !list_add(fleet, gateway, sorted)) {
        gateway_free(gateway);
        return NULL;
    }
    gateway->group = group;
    group->n_gateways++;
    group->tenant->n_gateways++;
    char tunnel_name[FLEET_TUNNEL_NAME];
    fleet_tunnel_name(gateway, tunnel_name);
    if (!index_add(&fleet->by_id, id_hash(fleet, id), gateway) ||
        !index_add(&fleet->by_name, name_hash(fleet, group->tenant->id, name), gateway) ||
        !index_add(&fleet->by_tunnel_name, text_hash(fleet, tunnel_name), gateway)) {
        fleet_gateway_forget(fleet, gateway);
        return NULL;
    }
    return gateway;
}

void fleet_gateway_forget(struct fleet *fleet, struct fleet_gateway *gateway)
{
    char tunnel_name[FLEET_TUNNEL_NAME];
    fleet_tunnel_name(gateway, tunnel_name);
    fleet_identities_forget(fleet, gateway);
    index_remove(&fleet->by_id, id_hash(fleet, gateway->id), gateway);
    index_remove(&fleet->by_name, name_hash(fleet, gateway->group->tenant->id, gateway->name),
                 gateway);
    index_remove(&fleet->by_tunnel_name, text_hash(fleet, tunnel_name), gateway);
    if (gateway->serial[0] != '\0') {
        index_remove(&fleet->by_serial, text_hash(fleet, gateway->serial), gateway);
    }
    list_remove(fleet, gateway);
    gateway->group->n_gateways--;
    gateway->group->tenant->n_gateways--;
    gateway_free(gateway);
}

void fleet_gateway_place(struct fleet_gateway *gateway, struct fleet_group *group)
{
    gateway->group->n_gateways--;
    group->n_gateways++;
    gateway->group = group;
}

bool fleet_serial_set(struct fleet *fleet, struct fleet_gateway *gateway, const char *serial)
{
    char *old = gateway->serial, *copy = fleet_empty;
    if (strcmp(old, serial) == 0) {
        return true;
    }
    if (!fleet_text_set(&copy, serial)) {
        return false;
    }
    if (serial[0] != '\0' && !index_add(&fleet->by_serial, text_hash(fleet, serial), gateway)) {
        fleet_text_free(copy);
        return false;
    }
    if (old[0] != '\0') {
        index_remove(&fleet->by_serial, text_hash(fleet, old), gateway);
    }
    gateway->serial = copy;
    fleet_text_free(old);
    return true;
}

struct fleet_gateway *fleet_gateway_find(struct fleet *fleet, int64_t id)
{
    return index_find(&fleet->by_id, id_hash(fleet, id), gateway_has_id, &id);
}

struct fleet_gateway *fleet_gateway_by_name(struct fleet *fleet, const struct fleet_tenant *tenant,
                                            const char *name)
{
    struct name_key key = {tenant->id, name};
    return index_find(&fleet->by_name, name_hash(fleet, tenant->id, name), gateway_has_name, &key);
}

struct fleet_gateway *fleet_gateway_by_serial(struct fleet *fleet, const char *serial)
{
    return index_find(&fleet->by_serial, text_hash(fleet, serial), gateway_has_serial,
                      (void *)serial);
}

struct fleet_gateway *fleet_gateway_by_tunnel_name(struct fleet *fleet, const char *name)
{
    return index_find(&fleet->by_tunnel_name, text_hash(fleet, name), gateway_has_tunnel_name,
                      (void *)name);
}

size_t fleet_gateway_count(const struct fleet *fleet)
{
    return fleet->n_gateways;
}

struct fleet_gateway *fleet_gateway_at(const struct fleet *fleet, size_t i)
{
    return fleet->gateways[i];
}

size_t fleet_gateway_behind(const struct fleet *fleet, const char *name, int64_t id)
{
    struct fleet_gateway key = {.id = id, .name = (char *)name};
    size_t at = position(fleet, &key);
    return at < fleet->n_gateways && compare(fleet->gateways[at], &key) == 0 ? at + 1 : at;
}

void fleet_tunnel_name(const struct fleet_gateway *gateway, char out[FLEET_TUNNEL_NAME])
{
    const char *slug = gateway->group->tenant->slug;
    if (strcmp(slug, "main") == 0) {
        snprintf(out, FLEET_TUNNEL_NAME, "%s", gateway->name);
    } else {
        snprintf(out, FLEET_TUNNEL_NAME, "%s@%s", gateway->name, slug);
    }
}

/* ---- identities ---- */

struct identity_key {
    const uint8_t *hash;
    struct fleet_identity *best;
};

/* Certificates of one key: the one that is good for longest answers for it. */
static bool collect_identity(const void *item, void *key)
{
    struct fleet_identity *identity = (struct fleet_identity *)item;
    struct identity_key *want = key;
    if (memcmp(identity->key_hash, want->hash, FLEET_KEY_HASH) != 0) {
        return false;
    }
    bool is_good = identity->revoked_at == 0;
    if (!want->best || (is_good && want->best->revoked_at != 0) ||
        (is_good == (want->best->revoked_at == 0) && identity->not_after > want->best->not_after)) {
        want->best = identity;
    }
    return false;
}

static uint64_t key_hash_hash(const struct fleet *fleet, const uint8_t *hash)
{
    return fleet_hash(fleet, hash, FLEET_KEY_HASH);
}

struct fleet_identity *fleet_identity_find(struct fleet *fleet,
                                           const uint8_t key_hash[FLEET_KEY_HASH])
{
    struct identity_key key = {key_hash, NULL};
    index_find(&fleet->by_key, key_hash_hash(fleet, key_hash), collect_identity, &key);
    return key.best;
}

struct fleet_identity *fleet_identity_put(struct fleet *fleet, struct fleet_gateway *gateway,
                                          const struct fleet_identity *what)
{
    struct fleet_identity *identity = gateway->identities;
    while (identity && identity->id != what->id) {
        identity = identity->next;
    }
    fleet_touch_gateway(fleet, gateway, FLEET_ACCESS);
    if (!identity) {
        identity = calloc(1, sizeof *identity);
        if (!identity ||
            !index_add(&fleet->by_key, key_hash_hash(fleet, what->key_hash), identity)) {
            free(identity);
            return NULL;
        }
        identity->id = what->id;
        identity->gateway = gateway;
        identity->next = gateway->identities;
        gateway->identities = identity;
        memcpy(identity->key_hash, what->key_hash, FLEET_KEY_HASH);
    }
    identity->not_before = what->not_before;
    identity->not_after = what->not_after;
    identity->revoked_at = what->revoked_at;
    identity->kind = what->kind;
    return identity;
}

static void forget_identities(struct fleet *fleet, struct fleet_gateway *gateway, int64_t before)
{
    struct fleet_identity **at = &gateway->identities;
    while (*at) {
        struct fleet_identity *identity = *at;
        if (before != INT64_MAX && identity->not_after >= before) {
            at = &identity->next;
            continue;
        }
        *at = identity->next;
        index_remove(&fleet->by_key, key_hash_hash(fleet, identity->key_hash), identity);
        free(identity);
    }
}

void fleet_identities_forget(struct fleet *fleet, struct fleet_gateway *gateway)
{
    forget_identities(fleet, gateway, INT64_MAX);
}

void fleet_identity_expire(struct fleet *fleet, int64_t wall)
{
    wall -= FLEET_IDENTITY_KEPT;
    fleet->identities_from = wall;
    for (size_t i = 0; i < fleet->n_gateways; i++) {
        forget_identities(fleet, fleet->gateways[i], wall);
    }
}
