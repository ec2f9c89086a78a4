#include "parameters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BY_MAX = 65,
    CHANGES_MAX = AMM_CHECKIN_CHANGES, /* more than that and the oldest are forgotten: the values
                                          themselves are reported anyway */
    FILE_LIMIT = 512 * 1024,
};

struct entry {
    const struct amm_msci *msci;
    struct amm_msci_value value, pending;
    bool has_value, has_pending;
    bool is_set; /* by somebody: stands in the file */
    int64_t at;
    char by[BY_MAX];
};

struct change {
    uint64_t number;
    uint32_t id;
    struct amm_msci_value value;
    int64_t at;
    char by[BY_MAX];
};

struct ace_parameters {
    const struct ace_files *files;
    char path[ACE_PATH];
    struct entry *entries; /* in the order of the registry */
    size_t n;
    struct change *changes;
    size_t n_changes;
    uint64_t next_change;
    int64_t revision, refused; /* of the server's settings: taken last, refused last */
    uint32_t boot;             /* at which the pending values were set */
    uint64_t generation;
};

/* ---- entries ---- */

static struct entry *entry_of(const struct ace_parameters *p, uint32_t id)
{
    size_t low = 0, high = p->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (p->entries[middle].msci->id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < p->n && p->entries[low].msci->id == id ? &p->entries[low] : NULL;
}

static void entry_default(struct entry *e)
{
    *e = (struct entry){.msci = e->msci};
    e->has_value = amm_msci_initial(e->msci, &e->value);
    snprintf(e->by, sizeof e->by, "default");
}

static void entry_activate(struct entry *e)
{
    if (e->has_pending) {
        e->value = e->pending;
        e->has_value = true;
        e->has_pending = false;
    }
}

/* ---- the file ---- */

static json_t *entry_json(const struct entry *e)
{
    json_t *one = json_pack("{sI ss}", "at", (json_int_t)e->at, "by", e->by);
    bool ok =
        one &&
        (!e->has_value || json_object_set_new(one, "value", json_string(e->value.text)) == 0) &&
        (!e->has_pending || json_object_set_new(one, "pending", json_string(e->pending.text)) == 0);
    if (!ok) {
        json_decref(one);
        return NULL;
    }
    return one;
}

static json_t *change_json(const struct change *c)
{
    return json_pack("{sI ss sI ss}", "id", (json_int_t)c->id, "value", c->value.text, "at",
                     (json_int_t)c->at, "by", c->by);
}

static json_t *file_json(const struct ace_parameters *p)
{
    char id[16];
    bool ok = true;
    json_t *settings = json_object(), *changes = json_array();
    for (size_t i = 0; i < p->n; i++) {
        if (p->entries[i].is_set) {
            snprintf(id, sizeof id, "%u", p->entries[i].msci->id);
            ok = json_object_set_new(settings, id, entry_json(&p->entries[i])) == 0 && ok;
        }
    }
    for (size_t i = 0; i < p->n_changes; i++) {
        ok = json_array_append_new(changes, change_json(&p->changes[i])) == 0 && ok;
    }
    json_t *file = json_pack("{si sI sI sI so so}", "version", 1, "boot", (json_int_t)p->boot,
                             "revision", (json_int_t)p->revision, "refused", (json_int_t)p->refused,
                             "settings", settings, "changes", changes);
    if (!ok) {
        json_decref(file);
        return NULL;
    }
    return file;
}

static bool save(const struct ace_parameters *p, char *error, size_t room)
{
    json_t *file = file_json(p);
    char *text = file ? json_dumps(file, JSON_INDENT(1)) : NULL;
    json_decref(file);
    if (!text) {
        snprintf(error, room, "%s: out of memory", p->path);
        return false;
    }
    bool ok = ace_record_write(p->files, p->path, amm_view_str(text), error, room);
    amm_wipe(text, strlen(text)); /* a token may be in it */
    free(text);
    return ok;
}

static void take_text(char *out, size_t room, const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    snprintf(out, room, "%s", text ? text : "");
}

/* A value that the registry no longer knows or allows (an older or newer release) is left out. */
static bool take_value(const struct amm_msci *msci, const json_t *text, struct amm_msci_value *out)
{
    char error[AMM_MSCI_ERROR];
    return json_is_string(text) &&
           amm_msci_from_text(msci, amm_view_str(json_string_value(text)), out, error);
}

static void take_entry(struct ace_parameters *p, uint32_t id, const json_t *from)
{
    struct entry *e = entry_of(p, id);
    if (!e || e->msci->access == AMM_MSCI_READ_ONLY) {
        return;
    }
    bool has_value = take_value(e->msci, json_object_get(from, "value"), &e->value);
    e->has_pending = take_value(e->msci, json_object_get(from, "pending"), &e->pending);
    e->has_value = has_value || e->has_value;
    e->is_set = has_value || e->has_pending;
    e->at = json_integer_value(json_object_get(from, "at"));
    take_text(e->by, sizeof e->by, from, "by");
}

static void take_change(struct ace_parameters *p, const json_t *from)
{
    struct change c = {.number = p->next_change,
                       .id = (uint32_t)json_integer_value(json_object_get(from, "id")),
                       .at = json_integer_value(json_object_get(from, "at"))};
    const struct amm_msci *msci = amm_msci_find(c.id);
    take_text(c.by, sizeof c.by, from, "by");
    if (msci && p->n_changes < CHANGES_MAX &&
        take_value(msci, json_object_get(from, "value"), &c.value)) {
        p->changes[p->n_changes++] = c;
        p->next_change++;
    }
}

static void take_file(struct ace_parameters *p, const json_t *file)
{
    const char *name;
    json_t *one;
    size_t i;
    json_object_foreach(json_object_get(file, "settings"), name, one)
    {
        take_entry(p, (uint32_t)strtoul(name, NULL, 10), one);
    }
    json_array_foreach(json_object_get(file, "changes"), i, one)
    {
        take_change(p, one);
    }
    p->revision = json_integer_value(json_object_get(file, "revision"));
    p->refused = json_integer_value(json_object_get(file, "refused"));
    p->boot = (uint32_t)json_integer_value(json_object_get(file, "boot"));
}

static void read_file(struct ace_parameters *p, char *error, size_t room)
{
    struct amm_span content;
    enum ace_record found = ace_record_read(p->path, FILE_LIMIT, &content);
    if (found == ACE_RECORD_NONE) {
        return;
    }
    json_t *file = NULL;
    if (found != ACE_RECORD_DAMAGED) {
        file = json_loadb((const char *)content.data, content.len, 0, NULL);
        amm_wipe(content.data, content.len);
        free(content.data);
    }
    if (found == ACE_RECORD_PREVIOUS) {
        snprintf(error, room, "%s: was damaged; the settings before the last change are in force",
                 p->path);
    }
    if (!json_is_object(file)) {
        snprintf(error, room, "%s: was damaged; all settings are at their defaults", p->path);
    }
    take_file(p, file);
    json_decref(file);
}

struct ace_parameters *ace_parameters_open(const struct ace_files *files, const char *path,
                                           uint32_t boot, char *error, size_t room)
{
    struct ace_parameters *p = calloc(1, sizeof *p);
    error[0] = '\0';
    if (!p) {
        return NULL;
    }
    p->files = files;
    p->n = amm_msci_count();
    p->entries = calloc(p->n, sizeof *p->entries);
    p->changes = calloc(CHANGES_MAX, sizeof *p->changes);
    if (!p->entries || !p->changes) {
        return ace_parameters_free(p);
    }
    p->next_change = 1;
    snprintf(p->path, sizeof p->path, "%s", path);
    for (size_t i = 0; i < p->n; i++) {
        p->entries[i].msci = amm_msci_at(i);
        entry_default(&p->entries[i]);
    }
    read_file(p, error, room);
    for (size_t i = 0; i < p->n && p->boot != boot; i++) {
        entry_activate(&p->entries[i]);
    }
    p->boot = boot;
    return p;
}

struct ace_parameters *ace_parameters_free(struct ace_parameters *p)
{
    if (p) {
        if (p->entries) {
            amm_wipe(p->entries, p->n * sizeof *p->entries);
        }
        free(p->entries);
        free(p->changes);
        free(p);
    }
    return NULL;
}

/* ---- reading ---- */

bool ace_parameters_get(const struct ace_parameters *p, uint32_t id, struct ace_parameter *out)
{
    const struct entry *e = entry_of(p, id);
    if (!e) {
        return false;
    }
    *out = (struct ace_parameter){
        .msci = e->msci,
        .value = e->has_value ? e->value.text : "",
        .pending = e->has_pending ? e->pending.text : NULL,
        .at = e->at,
        .by = e->by,
    };
    return true;
}

const char *ace_parameters_text(const struct ace_parameters *p, uint32_t id)
{
    const struct entry *e = entry_of(p, id);
    return e && e->has_value ? e->value.text : "";
}

int64_t ace_parameters_number(const struct ace_parameters *p, uint32_t id)
{
    const struct entry *e = entry_of(p, id);
    return e && e->has_value ? amm_msci_value_number(e->msci, &e->value) : 0;
}

unsigned ace_parameters_waiting(const struct ace_parameters *p)
{
    unsigned n = 0;
    for (size_t i = 0; i < p->n; i++) {
        n += p->entries[i].has_pending;
    }
    return n;
}

uint64_t ace_parameters_generation(const struct ace_parameters *p)
{
    return p->generation;
}

int64_t ace_parameters_revision(const struct ace_parameters *p)
{
    return p->revision;
}

/* ---- changing: on a copy, which takes the place of the former state when it is on disk ---- */

struct draft {
    struct ace_parameters next;
    struct ace_parameters *p;
};

static bool draft_begin(struct draft *d, struct ace_parameters *p)
{
    *d = (struct draft){*p, p};
    d->next.entries = calloc(p->n, sizeof *p->entries);
    d->next.changes = calloc(CHANGES_MAX, sizeof *p->changes);
    if (!d->next.entries || !d->next.changes) {
        free(d->next.entries);
        free(d->next.changes);
        return false;
    }
    memcpy(d->next.entries, p->entries, p->n * sizeof *p->entries);
    memcpy(d->next.changes, p->changes, p->n_changes * sizeof *p->changes);
    return true;
}

static void draft_drop(struct draft *d)
{
    amm_wipe(d->next.entries, d->next.n * sizeof *d->next.entries);
    free(d->next.entries);
    free(d->next.changes);
}

static bool draft_save(struct draft *d, char *error, size_t room)
{
    d->next.generation++;
    if (!save(&d->next, error, room)) {
        draft_drop(d);
        return false;
    }
    struct ace_parameters former = *d->p;
    *d->p = d->next;
    d->next = former;
    draft_drop(d);
    return true;
}

static bool object(struct ace_objection *objection, uint32_t id, const char *text)
{
    objection->id = id;
    snprintf(objection->text, sizeof objection->text, "%s", text);
    return false;
}

static void set_entry(struct entry *e, const struct amm_msci_value *value, bool at_once, int64_t at,
                      const char *by)
{
    if (at_once) {
        e->value = *value;
        e->has_value = true;
        e->has_pending = false;
    } else {
        e->pending = *value;
        /* Back to what is in force: nothing waits any more. */
        e->has_pending = !(e->has_value && amm_msci_value_equal(&e->value, value));
    }
    e->is_set = true;
    e->at = at;
    snprintf(e->by, sizeof e->by, "%s", by);
}

static void note_change(struct ace_parameters *p, const struct entry *e,
                        const struct amm_msci_value *value, int64_t at, const char *by)
{
    struct change c = {.number = p->next_change++, .id = e->msci->id, .at = at};
    snprintf(c.by, sizeof c.by, "%s", by);
    if (!e->msci->is_secret) {
        c.value = *value;
    }
    if (p->n_changes == CHANGES_MAX) {
        memmove(p->changes, p->changes + 1, (CHANGES_MAX - 1) * sizeof *p->changes);
        p->n_changes--;
    }
    p->changes[p->n_changes++] = c;
}

static bool change_one(struct draft *d, const struct ace_setting *setting, int64_t at,
                       const char *by, struct ace_objection *objection)
{
    struct amm_msci_value value;
    char error[AMM_MSCI_ERROR];
    struct entry *e = entry_of(&d->next, setting->id);
    if (!e) {
        return object(objection, setting->id, "there is no such parameter");
    }
    if (!amm_msci_may_set(e->msci, AMM_MSCI_FROM_PAGE, error) ||
        !amm_msci_from_text(e->msci, setting->text, &value, error)) {
        return object(objection, setting->id, error);
    }
    const struct amm_msci_value *now = e->has_pending ? &e->pending
                                       : e->has_value ? &e->value
                                                      : NULL;
    if (now && amm_msci_value_equal(now, &value)) {
        return true;
    }
    set_entry(e, &value, e->msci->activation == AMM_MSCI_NOW, at, by);
    note_change(&d->next, e, &value, at, by);
    return true;
}

bool ace_parameters_change(struct ace_parameters *p, const struct ace_setting *settings, size_t n,
                           int64_t at, const char *by, struct ace_objection *objection)
{
    struct draft d;
    if (!draft_begin(&d, p)) {
        return object(objection, 0, "out of memory");
    }
    for (size_t i = 0; i < n; i++) {
        if (!change_one(&d, &settings[i], at, by, objection)) {
            draft_drop(&d);
            return false;
        }
    }
    objection->id = 0;
    return draft_save(&d, objection->text, sizeof objection->text);
}

bool ace_parameters_activate(struct ace_parameters *p, char *error, size_t room)
{
    struct draft d;
    if (!draft_begin(&d, p)) {
        snprintf(error, room, "out of memory");
        return false;
    }
    for (size_t i = 0; i < d.next.n; i++) {
        entry_activate(&d.next.entries[i]);
    }
    return draft_save(&d, error, room);
}

bool ace_parameters_put(struct ace_parameters *p, uint32_t id, const char *text, int64_t at,
                        const char *by, char *error, size_t room)
{
    struct draft d;
    struct amm_msci_value value;
    char reason[AMM_MSCI_ERROR];
    const struct amm_msci *msci = amm_msci_find(id);
    if (!msci || !amm_msci_from_text(msci, amm_view_str(text), &value, reason)) {
        snprintf(error, room, "%s", msci ? reason : "there is no such parameter");
        return false;
    }
    if (!draft_begin(&d, p)) {
        snprintf(error, room, "out of memory");
        return false;
    }
    set_entry(entry_of(&d.next, id), &value, true, at, by);
    return draft_save(&d, error, room);
}

/* ---- the server's settings ---- */

static bool take_desired(struct draft *d, const json_t *set, int64_t at, char *error, size_t room)
{
    const char *name;
    json_t *json;
    char reason[AMM_MSCI_ERROR];
    json_object_foreach((json_t *)set, name, json)
    {
        struct amm_msci_value value;
        struct entry *e = entry_of(&d->next, (uint32_t)strtoul(name, NULL, 10));
        if (!e) {
            snprintf(error, room, "%s: this gateway has no such parameter", name);
            return false;
        }
        if (!amm_msci_may_set(e->msci, AMM_MSCI_FROM_SERVER, reason) ||
            !amm_msci_from_json(e->msci, json, &value, reason)) {
            snprintf(error, room, "%s", reason);
            return false;
        }
        set_entry(e, &value, true, at, "server");
    }
    return true;
}

enum ace_desired ace_parameters_take(struct ace_parameters *p, int64_t revision, const json_t *set,
                                     bool again, int64_t at, char *error, size_t room)
{
    struct draft d;
    char disk[ACE_PATH + 96];
    if (!again && (revision <= p->revision || revision <= p->refused)) {
        return ACE_DESIRED_OLD;
    }
    if (!draft_begin(&d, p)) {
        snprintf(error, room, "out of memory");
        return ACE_DESIRED_LATER;
    }
    bool is_good = take_desired(&d, set, at, error, room);
    if (is_good) {
        d.next.revision = revision > p->revision ? revision : p->revision;
    } else {
        memcpy(d.next.entries, p->entries, p->n * sizeof *p->entries);
        d.next.refused = revision;
    }
    if (!draft_save(&d, disk, sizeof disk)) {
        snprintf(error, room, "%s", disk);
        return ACE_DESIRED_LATER;
    }
    return is_good ? ACE_DESIRED_TAKEN : ACE_DESIRED_REFUSED;
}

/* ---- reports ---- */

bool ace_parameters_report(struct ace_parameters *p, uint32_t id, const char *text)
{
    struct amm_msci_value value;
    char error[AMM_MSCI_ERROR];
    struct entry *e = entry_of(p, id);
    if (!e || e->msci->access != AMM_MSCI_READ_ONLY) {
        return false;
    }
    if (text[0] == '\0') {
        e->has_value = false;
        return true;
    }
    if (!amm_msci_from_text(e->msci, amm_view_str(text), &value, error)) {
        return false;
    }
    e->value = value;
    e->has_value = true;
    return true;
}

json_t *ace_parameters_reported(const struct ace_parameters *p)
{
    char id[16];
    json_t *all = json_object();
    for (size_t i = 0; i < p->n; i++) {
        const struct entry *e = &p->entries[i];
        snprintf(id, sizeof id, "%u", e->msci->id);
        if (e->has_value &&
            json_object_set_new(all, id, amm_msci_to_json(e->msci, &e->value)) != 0) {
            json_decref(all);
            return NULL;
        }
    }
    return all;
}

size_t ace_parameters_changes(const struct ace_parameters *p, struct amm_checkin_change *out,
                              size_t n, uint64_t *last)
{
    size_t have = 0;
    *last = 0;
    for (; have < p->n_changes && have < n; have++) {
        const struct change *c = &p->changes[have];
        const struct amm_msci *msci = amm_msci_find(c->id);
        out[have] = (struct amm_checkin_change){
            .id = c->id,
            .at = c->at,
            .value =
                msci->is_secret ? json_pack("{sb}", "set", 1) : amm_msci_to_json(msci, &c->value),
        };
        snprintf(out[have].by, sizeof out[have].by, "%s", c->by);
        *last = c->number;
    }
    return have;
}

void ace_parameters_heard(struct ace_parameters *p, uint64_t last)
{
    char error[ACE_PATH + 96];
    size_t n = 0;
    while (n < p->n_changes && p->changes[n].number <= last) {
        n++;
    }
    memmove(p->changes, p->changes + n, (p->n_changes - n) * sizeof *p->changes);
    p->n_changes -= n;
    if (n > 0) {
        save(p, error, sizeof error); /* or they are told twice, which does no harm */
    }
}

bool ace_parameters_reset(struct ace_parameters *p, const uint32_t *keep, size_t n, char *error,
                          size_t room)
{
    struct draft d;
    if (!draft_begin(&d, p)) {
        snprintf(error, room, "out of memory");
        return false;
    }
    for (size_t i = 0; i < d.next.n; i++) {
        bool is_kept = d.next.entries[i].msci->access == AMM_MSCI_READ_ONLY;
        for (size_t k = 0; k < n; k++) {
            is_kept = is_kept || d.next.entries[i].msci->id == keep[k];
        }
        if (!is_kept) {
            entry_default(&d.next.entries[i]);
        }
    }
    d.next.n_changes = 0;
    return draft_save(&d, error, room);
}
