#include "values.h"

#include "domain/stats.h"

#include <math.h>
#include <stdlib.h>

/* A block is a list of entries:
 *
 *     number (16 bits)   VALUES_NAMED: then a length byte and the name
 *     value              a type byte, then by type:
 *                          INTEGER, REAL   8 bytes
 *                          TEXT            16-bit length, bytes
 *                          OBJECT          16-bit length, and entries of: length byte, label, value
 */

enum { DEPTH = 2 };

struct values *values_free(struct values *values)
{
    free(values);
    return NULL;
}

struct values_key values_key(enum values_kind kind, const char *name)
{
    struct values_key key = {VALUES_NAMED, name};
    if (kind == VALUES_STATS) {
        const struct amm_stat *stat = amm_stat_find(name);
        if (stat) {
            key.number = (uint16_t)(stat - amm_stats);
        }
        return key;
    }
    unsigned number = 0;
    size_t digits = strspn(name, "0123456789");
    if (name[digits] == '\0' && digits > 0 && digits <= 5 && name[0] != '0') {
        for (size_t i = 0; i < digits; i++) {
            number = number * 10 + (unsigned)(name[i] - '0');
        }
        if (number < VALUES_NAMED) {
            key.number = (uint16_t)number;
        }
    }
    return key;
}

/* ---- writing ---- */

static void write_value(struct amm_writer *w, const json_t *json, unsigned depth);

static void write_object(struct amm_writer *w, const json_t *json, unsigned depth)
{
    uint8_t *length = amm_write_gap(w, 2);
    uint8_t *start = w->at;
    const char *label;
    json_t *item;
    json_object_foreach((json_t *)json, label, item)
    {
        size_t len = strlen(label);
        w->failed |= len > UINT8_MAX;
        amm_write_u8(w, (uint8_t)len);
        amm_write_bytes(w, label, len);
        write_value(w, item, depth + 1);
    }
    if (!w->failed) {
        amm_store_u16(length, (uint16_t)(w->at - start));
    }
}

static void write_value(struct amm_writer *w, const json_t *json, unsigned depth)
{
    double real;
    uint64_t bits;
    switch (json_typeof(json)) {
    case JSON_FALSE:
        amm_write_u8(w, VALUE_FALSE);
        return;
    case JSON_TRUE:
        amm_write_u8(w, VALUE_TRUE);
        return;
    case JSON_INTEGER:
        amm_write_u8(w, VALUE_INTEGER);
        amm_write_u64(w, (uint64_t)json_integer_value(json));
        return;
    case JSON_REAL:
        amm_write_u8(w, VALUE_REAL);
        real = json_real_value(json);
        memcpy(&bits, &real, sizeof bits);
        amm_write_u64(w, bits);
        return;
    case JSON_STRING:
        amm_write_u8(w, VALUE_TEXT);
        w->failed |= json_string_length(json) > UINT16_MAX;
        amm_write_u16(w, (uint16_t)json_string_length(json));
        amm_write_bytes(w, json_string_value(json), json_string_length(json));
        return;
    case JSON_OBJECT:
        amm_write_u8(w, VALUE_OBJECT);
        if (depth + 1 < DEPTH) {
            write_object(w, json, depth);
            return;
        }
        break;
    case JSON_NULL:
    case JSON_ARRAY:
        break;
    }
    w->failed = true;
}

static void write_entry(struct amm_writer *w, enum values_kind kind, const char *name,
                        const json_t *json)
{
    struct values_key key = values_key(kind, name);
    amm_write_u16(w, key.number);
    if (key.number == VALUES_NAMED) {
        size_t len = strlen(name);
        w->failed |= len > UINT8_MAX;
        amm_write_u8(w, (uint8_t)len);
        amm_write_bytes(w, name, len);
    }
    write_value(w, json, 0);
}

/* ---- reading ---- */

static bool read_value(struct amm_reader *r, struct value *out)
{
    uint64_t bits;
    *out = (struct value){.type = amm_read_u8(r)};
    switch (out->type) {
    case VALUE_FALSE:
    case VALUE_TRUE:
        return !r->failed;
    case VALUE_INTEGER:
        out->integer = (int64_t)amm_read_u64(r);
        out->real = (double)out->integer;
        return !r->failed;
    case VALUE_REAL:
        bits = amm_read_u64(r);
        memcpy(&out->real, &bits, sizeof out->real);
        return !r->failed;
    case VALUE_TEXT:
    case VALUE_OBJECT:
        out->text = amm_read_bytes(r, amm_read_u16(r));
        return !r->failed;
    }
    return false;
}

struct entry {
    uint16_t number;
    struct amm_view name;  /* VALUES_NAMED */
    struct amm_view bytes; /* the whole entry */
    struct value value;
};

static bool read_entry(struct amm_reader *r, struct entry *out)
{
    const uint8_t *start = r->at;
    if (r->failed || r->at == r->end) {
        return false;
    }
    out->number = amm_read_u16(r);
    out->name = (struct amm_view){NULL, 0};
    if (out->number == VALUES_NAMED) {
        out->name = amm_read_bytes(r, amm_read_u8(r));
    }
    bool good = read_value(r, &out->value);
    out->bytes = amm_view(start, (size_t)(r->at - start));
    return good;
}

static struct amm_reader reader_of(const struct values *values)
{
    return amm_reader(values ? amm_view(values->data, values->len) : amm_view(NULL, 0));
}

/* The name as text: in `room` if it has to be made. */
static const char *entry_name(const struct entry *entry, enum values_kind kind, char room[256])
{
    if (entry->number != VALUES_NAMED) {
        if (kind == VALUES_STATS) {
            return amm_stats[entry->number].name;
        }
        struct amm_writer w = amm_writer(room, 256);
        amm_write_text(&w, "%u", entry->number);
        amm_write_u8(&w, 0);
        return room;
    }
    memcpy(room, entry->name.data, entry->name.len);
    room[entry->name.len] = '\0';
    return room;
}

/* Where the value of `key` begins; NULL: there is none. Lists of many gateways spend their time
 * here, so it walks the block by itself: blocks are ours, and whole. */
static const uint8_t *locate(const struct values *values, struct values_key key)
{
    const uint8_t *at = values->data, *end = values->data + values->len;
    size_t name_len = key.number == VALUES_NAMED ? strlen(key.name) : 0;
    while (at < end) {
        bool same = amm_load_u16(at) == key.number;
        at += 2;
        if (amm_load_u16(at - 2) == VALUES_NAMED) {
            same = same && *at == name_len && memcmp(at + 1, key.name, name_len) == 0;
            at += 1 + *at;
        }
        if (same) {
            return at;
        }
        switch ((enum value_type) * at++) {
        case VALUE_FALSE:
        case VALUE_TRUE:
            break;
        case VALUE_INTEGER:
        case VALUE_REAL:
            at += 8;
            break;
        case VALUE_TEXT:
        case VALUE_OBJECT:
            at += 2 + amm_load_u16(at);
            break;
        }
    }
    return NULL;
}

bool values_get(const struct values *values, struct values_key key, struct value *out)
{
    const uint8_t *at = values ? locate(values, key) : NULL;
    if (!at) {
        return false;
    }
    struct amm_reader r = amm_reader(amm_view(at, (size_t)(values->data + values->len - at)));
    return read_value(&r, out);
}

bool values_find(const struct values *values, enum values_kind kind, const char *name,
                 struct value *out)
{
    return values_get(values, values_key(kind, name), out);
}

bool value_label(const struct value *object, const char *label, struct value *out)
{
    struct amm_reader r = amm_reader(object->text);
    struct amm_view want = amm_view_str(label);
    while (object->type == VALUE_OBJECT && amm_reader_left(&r) > 0) {
        struct amm_view name = amm_read_bytes(&r, amm_read_u8(&r));
        if (!read_value(&r, out)) {
            return false;
        }
        if (amm_view_equal(name, want)) {
            return true;
        }
    }
    return false;
}

bool value_next(const struct value *object, size_t *at, struct amm_view *label, struct value *out)
{
    if (object->type != VALUE_OBJECT || *at >= object->text.len) {
        return false;
    }
    struct amm_reader r = amm_reader(amm_view(object->text.data + *at, object->text.len - *at));
    *label = amm_read_bytes(&r, amm_read_u8(&r));
    bool good = read_value(&r, out);
    *at = object->text.len - amm_reader_left(&r);
    return good;
}

json_t *value_to_json(const struct value *value)
{
    switch (value->type) {
    case VALUE_FALSE:
        return json_false();
    case VALUE_TRUE:
        return json_true();
    case VALUE_INTEGER:
        return json_integer(value->integer);
    case VALUE_REAL:
        return json_real(value->real);
    case VALUE_TEXT:
        return json_stringn((const char *)value->text.data, value->text.len);
    case VALUE_OBJECT:
        break;
    }
    json_t *object = json_object();
    struct amm_reader r = amm_reader(value->text);
    while (object && amm_reader_left(&r) > 0) {
        struct amm_view label = amm_read_bytes(&r, amm_read_u8(&r));
        struct value item;
        if (!read_value(&r, &item) || json_object_setn_new(object, (const char *)label.data,
                                                           label.len, value_to_json(&item)) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

json_t *values_to_json(const struct values *values, enum values_kind kind)
{
    json_t *object = json_object();
    struct amm_reader r = reader_of(values);
    struct entry entry;
    while (object && read_entry(&r, &entry)) {
        char room[256];
        if (json_object_set_new(object, entry_name(&entry, kind, room),
                                value_to_json(&entry.value)) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

/* ---- changing ---- */

bool values_merge(struct values **out, const struct values *old, enum values_kind kind,
                  const json_t *changes, void (*refuse)(void *context, const char *name),
                  void *context)
{
    uint8_t room[VALUES_ROOM];
    struct amm_writer w = amm_writer(room, sizeof room);
    struct amm_reader r = reader_of(old);
    struct entry entry;
    while (read_entry(&r, &entry)) {
        char name[256];
        if (!json_object_get(changes, entry_name(&entry, kind, name))) {
            amm_write_view(&w, entry.bytes);
        }
    }
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)changes, name, value)
    {
        if (json_is_null(value)) {
            continue;
        }
        struct amm_writer before = w;
        write_entry(&w, kind, name, value);
        if (!w.failed) {
            continue;
        }
        w = before;
        if (refuse) {
            refuse(context, name);
        }
        /* The old value stays if it is still known; there was room for it, unless new ones took it.
         */
        struct amm_reader again = reader_of(old);
        struct values_key key = values_key(kind, name);
        while (read_entry(&again, &entry)) {
            if (entry.number == key.number &&
                (key.number != VALUES_NAMED || amm_view_equal(entry.name, amm_view_str(name)))) {
                amm_write_view(&w, entry.bytes);
                w = w.failed ? before : w;
            }
        }
    }
    size_t len = amm_writer_len(&w);
    struct values *made = NULL;
    if (len > 0) {
        made = malloc(sizeof *made + len);
        if (!made) {
            return false;
        }
        made->len = (uint32_t)len;
        memcpy(made->data, room, len);
    }
    *out = made;
    return true;
}
