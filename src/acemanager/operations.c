#include "operations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_LIMIT = 1024 * 1024 };

struct ace_operations {
    const struct ace_files *files;
    char path[ACE_PATH];
    struct ace_operation at[ACE_OPERATIONS]; /* oldest first */
    size_t n;
    uint64_t version;
};

/* ---- the file ---- */

static json_t *to_json(const struct ace_operation *o)
{
    json_t *one = json_pack("{ss ss ss ss sI sb}", "id", o->id, "kind", o->kind, "state",
                            amm_operation_state_name(o->state), "text", o->text, "boot",
                            (json_int_t)o->boot, "heard", o->is_heard);
    if (one && o->data && json_object_set(one, "data", o->data) != 0) {
        json_decref(one);
        return NULL;
    }
    return one;
}

static bool save(const struct ace_operations *o, char *error, size_t room)
{
    bool ok = true;
    json_t *list = json_array();
    for (size_t i = 0; i < o->n; i++) {
        ok = json_array_append_new(list, to_json(&o->at[i])) == 0 && ok;
    }
    char *text = ok ? json_dumps(list, JSON_COMPACT) : NULL;
    json_decref(list);
    if (!text) {
        snprintf(error, room, "%s: out of memory", o->path);
        return false;
    }
    ok = ace_record_write(o->files, o->path, amm_view_str(text), error, room);
    free(text);
    return ok;
}

static void take_text(char *out, size_t room, const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    snprintf(out, room, "%s", text ? text : "");
}

static void take_one(struct ace_operations *o, const json_t *from)
{
    char state[16];
    struct ace_operation one = {.version = ++o->version};
    take_text(one.id, sizeof one.id, from, "id");
    take_text(one.kind, sizeof one.kind, from, "kind");
    take_text(one.text, sizeof one.text, from, "text");
    take_text(state, sizeof state, from, "state");
    one.boot = (uint32_t)json_integer_value(json_object_get(from, "boot"));
    one.is_heard = json_is_true(json_object_get(from, "heard"));
    one.state = AMM_OPERATION_FAILED;
    for (unsigned i = 0; i < AMM_OPERATION_STATES; i++) {
        if (strcmp(state, amm_operation_state_name((enum amm_operation_state)i)) == 0) {
            one.state = (enum amm_operation_state)i;
        }
    }
    if (one.id[0] && o->n < ACE_OPERATIONS) {
        one.data = json_incref(json_object_get(from, "data"));
        o->at[o->n++] = one;
    }
}

struct ace_operations *ace_operations_open(const struct ace_files *files, const char *path,
                                           char *error, size_t room)
{
    struct ace_operations *o = calloc(1, sizeof *o);
    struct amm_span content;
    size_t i;
    json_t *one;
    error[0] = '\0';
    if (!o) {
        return NULL;
    }
    o->files = files;
    snprintf(o->path, sizeof o->path, "%s", path);
    enum ace_record found = ace_record_read(path, FILE_LIMIT, &content);
    if (found == ACE_RECORD_DAMAGED) {
        snprintf(error, room, "%s: was damaged; results of former operations are lost", path);
    }
    if (found == ACE_RECORD_GOOD || found == ACE_RECORD_PREVIOUS) {
        json_t *list = json_loadb((const char *)content.data, content.len, 0, NULL);
        free(content.data);
        json_array_foreach(list, i, one)
        {
            take_one(o, one);
        }
        json_decref(list);
    }
    return o;
}

static void remove_at(struct ace_operations *o, size_t i)
{
    json_decref(o->at[i].data);
    memmove(&o->at[i], &o->at[i + 1], (o->n - i - 1) * sizeof o->at[0]);
    o->n--;
}

struct ace_operations *ace_operations_free(struct ace_operations *o)
{
    while (o && o->n > 0) {
        remove_at(o, o->n - 1);
    }
    free(o);
    return NULL;
}

/* ---- */

static struct ace_operation *find(struct ace_operations *o, const char *id)
{
    for (size_t i = 0; i < o->n; i++) {
        if (strcmp(o->at[i].id, id) == 0) {
            return &o->at[i];
        }
    }
    return NULL;
}

const struct ace_operation *ace_operations_find(const struct ace_operations *o, const char *id)
{
    return find((struct ace_operations *)o, id);
}

/* The oldest that has ended goes, one that the server has heard of before one that it has not. */
static bool make_room(struct ace_operations *o)
{
    size_t victim = o->n;
    for (size_t i = o->n; i > 0; i--) {
        const struct ace_operation *one = &o->at[i - 1];
        bool is_better = victim == o->n || one->is_heard || !o->at[victim].is_heard;
        if (one->state != AMM_OPERATION_RUNNING && is_better) {
            victim = i - 1;
        }
    }
    if (victim == o->n) {
        return false;
    }
    remove_at(o, victim);
    return true;
}

bool ace_operations_begin(struct ace_operations *o, const char *id, const char *kind, uint32_t boot,
                          char *error, size_t room)
{
    if (o->n == ACE_OPERATIONS && !make_room(o)) {
        snprintf(error, room, "too many operations are running");
        return false;
    }
    struct ace_operation *one = &o->at[o->n++];
    *one = (struct ace_operation){.state = AMM_OPERATION_RUNNING, .boot = boot};
    one->version = ++o->version;
    snprintf(one->id, sizeof one->id, "%s", id);
    snprintf(one->kind, sizeof one->kind, "%s", kind);
    if (!save(o, error, room)) {
        o->n--;
        return false;
    }
    return true;
}

bool ace_operations_end(struct ace_operations *o, const char *id, enum amm_operation_state state,
                        const char *text, json_t *data, char *error, size_t room)
{
    struct ace_operation *one = find(o, id);
    if (!one && (o->n < ACE_OPERATIONS || make_room(o))) {
        one = &o->at[o->n++]; /* of desired settings, or refused at once: it had no beginning */
        *one = (struct ace_operation){0};
        snprintf(one->id, sizeof one->id, "%s", id);
    }
    if (!one) {
        json_decref(data);
        snprintf(error, room, "too many operations are running");
        return false;
    }
    one->state = state;
    one->is_heard = false;
    one->version = ++o->version;
    amm_text_clean(one->text, sizeof one->text, amm_view_str(text));
    json_decref(one->data);
    one->data = data;
    return save(o, error, room);
}

void ace_operations_again(struct ace_operations *o, const char *id)
{
    struct ace_operation *one = find(o, id);
    if (one) {
        one->is_heard = false;
        one->version = ++o->version;
    }
}

const struct ace_operation *ace_operations_running(const struct ace_operations *o,
                                                   const struct ace_operation *after)
{
    for (size_t i = after ? (size_t)(after - o->at) + 1 : 0; i < o->n; i++) {
        if (o->at[i].state == AMM_OPERATION_RUNNING) {
            return &o->at[i];
        }
    }
    return NULL;
}

size_t ace_operations_results(const struct ace_operations *o,
                              struct amm_checkin_result out[AMM_CHECKIN_RESULTS], uint64_t *mark)
{
    size_t n = 0;
    for (size_t i = 0; i < o->n; i++) {
        const struct ace_operation *one = &o->at[i];
        if (!one->is_heard) {
            out[n] =
                (struct amm_checkin_result){.state = one->state, .data = json_incref(one->data)};
            snprintf(out[n].id, sizeof out[n].id, "%s", one->id);
            snprintf(out[n].text, sizeof out[n].text, "%s", one->text);
            n++;
        }
    }
    *mark = o->version;
    return n;
}

/* Not written: a result that is told twice does no harm. */
void ace_operations_heard(struct ace_operations *o, uint64_t mark)
{
    for (size_t i = 0; i < o->n; i++) {
        o->at[i].is_heard = o->at[i].is_heard || o->at[i].version <= mark;
    }
}
