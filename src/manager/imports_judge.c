/* What one row would do, against the fleet as it is. */
#include "imports_parts.h"

#include "domain/msci.h"
#include "manager/fleet_module.h"
#include "manager/remote_parts.h"
#include "manager/tunnel_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { NOTE_MAX = 1024, NUMBER_EXACT = 15 };

/* One row on its way to a plan. */
struct judging {
    struct manager *m;
    const struct import *import;
    const struct actor *actor;
    const struct amm_sheet_row *row;
    struct import_plan *plan;
    struct fleet_tenant *tenant;
    bool is_bad, is_check, changes;
};

static struct amm_view trim(struct amm_view text)
{
    while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t')) {
        text.len--;
    }
    return text;
}

static const struct amm_sheet_cell *cell_of(const struct judging *j, int32_t target)
{
    const struct import_column *column = import_column_of(j->import, target);
    for (uint16_t i = 0; column != NULL && i < j->row->n; i++) {
        if (j->row->cells[i].column == column->column) {
            return trim(j->row->cells[i].text).len > 0 ? &j->row->cells[i] : NULL;
        }
    }
    return NULL;
}

/* ---- what is noted about a cell ---- */

static void note_change(struct judging *j, const struct amm_sheet_cell *cell, const char *now,
                        const char *new)
{
    json_array_append_new(j->plan->cells,
                          json_pack("{s:i, s:s, s:s}", "c", cell->column, "now", now, "new", new));
    j->changes = true;
}

static void append_text(struct judging *j, const char *text)
{
    char *to = j->plan->text;
    size_t len = strlen(to);
    snprintf(to + len, sizeof j->plan->text - len, "%s%s", len > 0 ? " " : "", text);
}

/* "E119, 10034: 1194 is no tunnel port. Allowed: 1190, 1191, 1192, 1193." */
static void refuse(struct judging *j, const struct amm_sheet_cell *cell, int32_t target,
                   const char *error, const char *allowed)
{
    char shown[80], letters[AMM_SHEET_COLUMN_NAME], title[16], text[IMPORT_TEXT];
    size_t len = cell->text.len < sizeof shown - 1 ? cell->text.len : sizeof shown - 1;
    while (len < cell->text.len && len > 0 && (cell->text.data[len] & 0xc0) == 0x80) {
        len--;
    }
    snprintf(shown, sizeof shown, "%.*s", (int)len, (const char *)cell->text.data);
    json_array_append_new(j->plan->cells,
                          json_pack("{s:i, s:s, s:s, s:s*}", "c", cell->column, "new", shown,
                                    "error", error, "allowed", allowed));
    snprintf(text, sizeof text, "%s%u, %s: %s%s%s%s", amm_sheet_column(cell->column, letters),
             j->row->number, import_target_title(target, title), error,
             allowed != NULL ? " Allowed: " : "", allowed != NULL ? allowed : "",
             allowed != NULL ? "." : "");
    append_text(j, text);
    j->is_bad = true;
}

/* ---- what stands in a cell ---- */

static bool only_digits(struct amm_view text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
    }
    return text.len > 0;
}

static bool has_control(struct amm_view text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < 0x20 || text.data[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

/* Cells that no column takes; and, where text is meant (`is_text`), numbers that are not what was
 * typed. False: refused. */
static bool check_cell(struct judging *j, const struct amm_sheet_cell *cell, int32_t target,
                       bool is_text, char *out, size_t room)
{
    struct amm_view text = trim(cell->text);
    const char *why = NULL;
    switch ((enum amm_sheet_kind)cell->kind) {
    case AMM_SHEET_FORMULA:
        why = "a formula. Formulas are not evaluated. Paste the value.";
        break;
    case AMM_SHEET_FAULT:
        why = "an error of the spreadsheet program. Enter the value.";
        break;
    case AMM_SHEET_DATE:
        why = "a date. Format the column as text and enter the value again.";
        break;
    case AMM_SHEET_NUMBER:
        if (is_text && only_digits(text) && text.len > NUMBER_EXACT) {
            why = "a spreadsheet program keeps 15 digits of a number: the last ones are wrong. "
                  "Format the column as text and enter it again.";
        } else if (is_text && !only_digits(text)) {
            why = "a spreadsheet program shortened this number. Format the column as text and "
                  "enter it again.";
        }
        break;
    case AMM_SHEET_TEXT:
        if (is_text && amm_sheet_is_shortened(text)) {
            why = "a spreadsheet program shortened this number. Format the column as text and "
                  "enter it again.";
        }
        break;
    case AMM_SHEET_BOOL:
    case AMM_SHEET_KINDS:
        break;
    }
    if (why == NULL && (text.len >= room || has_control(text))) {
        why = text.len >= room ? "the text is too long."
                               : "the text has line breaks or other control characters.";
    }
    if (why != NULL) {
        refuse(j, cell, target, why, NULL);
        return false;
    }
    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    return true;
}

/* ---- which gateway ---- */

static bool allowed(const struct judging *j, enum access_action action,
                    const struct fleet_group *group)
{
    struct access_object place = {group->tenant->id, group->id};
    return j->actor == NULL || access_allows(j->m->fleet, j->actor, action, &place);
}

/* One of another tenant, or outside of the branch, is not there. */
static struct fleet_gateway *visible(const struct judging *j, struct fleet_gateway *gateway)
{
    struct fleet_group *branch =
        fleet_branch_find(j->m->fleet, j->import->tenant, j->import->group);
    return gateway != NULL && branch != NULL && fleet_group_within(gateway->group, branch) &&
                   allowed(j, ACCESS_VIEW, gateway->group)
               ? gateway
               : NULL;
}

static void judge_new(struct judging *j, const struct amm_sheet_cell *serial,
                      const struct amm_sheet_cell *name)
{
    struct import_plan *plan = j->plan;
    const struct amm_sheet_cell *cell = serial != NULL ? serial : name;
    struct fleet_group *group = fleet_branch_find(j->m->fleet, j->import->tenant, j->import->group);
    if (name == NULL) {
        refuse(j, cell, TARGET_SERIAL,
               "no gateway has this serial number here. To create it, the row needs a name, too.",
               NULL);
    } else if (!fleet_gateway_name_ok(plan->name)) {
        refuse(j, name, TARGET_NAME, "this is no name of a gateway.",
               "1 to 64 letters, digits and - _ .");
    } else if (plan->serial[0] != '\0' && !fleet_gateway_serial_ok(plan->serial)) {
        refuse(j, serial, TARGET_SERIAL, "this is no serial number.",
               "up to 64 letters, digits and - _ . : /");
    } else if (group == NULL || !allowed(j, ACCESS_ADMIN, group)) {
        refuse(j, cell, serial != NULL ? TARGET_SERIAL : TARGET_NAME,
               "there is no such gateway, and your role does not allow to create it.", NULL);
    }
    plan->group = group;
    plan->kind = FLEET_OURS;
    j->changes = true;
}

static void judge_known(struct judging *j, const struct amm_sheet_cell *serial,
                        const struct amm_sheet_cell *name)
{
    struct import_plan *plan = j->plan;
    const struct fleet_gateway *gateway = plan->gateway;
    if (!allowed(j, ACCESS_OPERATE, gateway->group)) {
        refuse(j, serial != NULL ? serial : name, serial != NULL ? TARGET_SERIAL : TARGET_NAME,
               "your role does not allow to change this gateway.", NULL);
        return;
    }
    if (name != NULL && strcmp(gateway->name, plan->name) != 0) {
        char text[200];
        snprintf(text, sizeof text,
                 "the gateway with this serial number is %s, and names never change. For another "
                 "label use a column \"label\".",
                 gateway->name);
        refuse(j, name, TARGET_NAME, text, NULL);
    }
    if (serial == NULL || strcmp(gateway->serial, plan->serial) == 0) {
        return;
    }
    if (gateway->serial[0] != '\0') {
        char text[200];
        snprintf(text, sizeof text,
                 "%s has the serial number %s. For other hardware use `ammctl gateway replace`.",
                 gateway->name, gateway->serial);
        refuse(j, serial, TARGET_SERIAL, text, NULL);
    } else if (!fleet_gateway_serial_ok(plan->serial)) {
        refuse(j, serial, TARGET_SERIAL, "this is no serial number.",
               "up to 64 letters, digits and - _ . : /");
    } else {
        note_change(j, serial, "", plan->serial);
        plan->sets_serial = true;
    }
}

/* False: the row names nothing that could be looked for. */
static bool find_gateway(struct judging *j)
{
    struct import_plan *plan = j->plan;
    struct fleet *fleet = j->m->fleet;
    const struct amm_sheet_cell *serial = cell_of(j, TARGET_SERIAL),
                                *name = cell_of(j, TARGET_NAME);
    if (serial == NULL && name == NULL) {
        char text[80];
        snprintf(text, sizeof text, "Row %u names no gateway.", j->row->number);
        append_text(j, text);
        j->is_bad = true;
        return false;
    }
    if ((serial != NULL &&
         !check_cell(j, serial, TARGET_SERIAL, true, plan->serial, sizeof plan->serial)) ||
        (name != NULL && !check_cell(j, name, TARGET_NAME, true, plan->name, sizeof plan->name))) {
        return false;
    }
    if (serial != NULL) {
        plan->gateway = visible(j, fleet_gateway_by_serial(fleet, plan->serial));
    }
    if (plan->gateway == NULL && name != NULL) {
        plan->gateway = visible(j, fleet_gateway_by_name(fleet, j->tenant, plan->name));
    }
    if (plan->gateway != NULL) {
        judge_known(j, serial, name);
    } else {
        judge_new(j, serial, name);
    }
    return true;
}

/* ---- fields of the record ---- */

static void judge_note(struct judging *j)
{
    struct import_plan *plan = j->plan;
    const struct amm_sheet_cell *cell = cell_of(j, TARGET_NOTE);
    if (cell == NULL || !check_cell(j, cell, TARGET_NOTE, false, plan->texts, NOTE_MAX + 1)) {
        return;
    }
    const char *now = plan->gateway != NULL ? plan->gateway->note : "";
    if (strcmp(now, plan->texts) != 0) {
        plan->note = plan->texts;
        note_change(j, cell, now, plan->texts);
    }
}

static void judge_kind(struct judging *j)
{
    struct import_plan *plan = j->plan;
    const struct amm_sheet_cell *cell = cell_of(j, TARGET_KIND);
    char text[32];
    if (cell == NULL || !check_cell(j, cell, TARGET_KIND, false, text, sizeof text)) {
        return;
    }
    for (unsigned i = 0; i < FLEET_KINDS; i++) {
        if (strcasecmp(text, fleet_kind_name(i)) != 0) {
            continue;
        }
        if (plan->gateway == NULL || plan->gateway->kind != i) {
            note_change(j, cell, plan->gateway != NULL ? fleet_kind_name(plan->gateway->kind) : "",
                        fleet_kind_name(i));
            plan->sets_kind = true;
            plan->kind = i;
        }
        return;
    }
    refuse(j, cell, TARGET_KIND, "there is no such kind.", "amm, aleos, openvpn");
}

/* "depot/north", "/": the top of the tenant. */
static struct fleet_group *group_by_path(struct fleet_group *root, const char *path)
{
    struct fleet_group *at = root;
    while (*path == '/') {
        path++;
    }
    while (at != NULL && *path != '\0') {
        size_t len = strcspn(path, "/");
        struct fleet_group *child = at->first_child;
        while (child != NULL &&
               (strlen(child->name) != len || strncmp(child->name, path, len) != 0)) {
            child = child->next_sibling;
        }
        at = child;
        path += len + (path[len] == '/');
    }
    return at;
}

static void path_of_group(const struct fleet_group *group, char *out, size_t room)
{
    const struct fleet_group *chain[FLEET_DEPTH_MAX + 1];
    size_t n = 0, len = 0;
    for (; group->parent != NULL && n < FLEET_DEPTH_MAX + 1; group = group->parent) {
        chain[n++] = group;
    }
    snprintf(out, room, "/");
    while (n > 0 && len < room) {
        n--;
        len += (size_t)snprintf(out + len, room - len, "%s%s", len > 0 ? "/" : "", chain[n]->name);
    }
}

static void judge_group(struct judging *j)
{
    enum { PATH = FLEET_DEPTH_MAX * (FLEET_NAME_MAX + 1) };
    struct import_plan *plan = j->plan;
    const struct amm_sheet_cell *cell = cell_of(j, TARGET_GROUP);
    char text[PATH], now[PATH] = "";
    if (cell == NULL || !check_cell(j, cell, TARGET_GROUP, true, text, sizeof text)) {
        return;
    }
    struct fleet_group *group = group_by_path(j->tenant->root, text);
    if (group == NULL || !allowed(j, ACCESS_VIEW, group)) {
        refuse(j, cell, TARGET_GROUP, "there is no such group.",
               "the path of a group, such as depot/north; / for the top");
        return;
    }
    if (plan->gateway != NULL) {
        if (group == plan->gateway->group) {
            return;
        }
        path_of_group(plan->gateway->group, now, sizeof now);
    }
    if (!allowed(j, ACCESS_ADMIN, group) ||
        (plan->gateway != NULL && !allowed(j, ACCESS_ADMIN, plan->gateway->group))) {
        refuse(j, cell, TARGET_GROUP, "your role does not allow to move gateways there.", NULL);
        return;
    }
    plan->group = group;
    path_of_group(group, text, sizeof text);
    note_change(j, cell, now, text);
}

/* ---- parameters ---- */

/* What a spreadsheet program has made of Enable and Disable. */
static void undo_bool(const struct amm_msci *msci, const struct amm_sheet_cell *cell, char *text,
                      size_t room)
{
    if (msci->type == AMM_MSCI_CHOICE && cell->kind == AMM_SHEET_BOOL &&
        strstr(msci->choices, "Enable") != NULL) {
        snprintf(text, room, "%s", strcmp(text, "TRUE") == 0 ? "Enable" : "Disable");
    }
}

/* The refusal begins with the number, which the row's text has in another form. */
static void refuse_value(struct judging *j, const struct amm_sheet_cell *cell,
                         const struct amm_msci *msci, char *error)
{
    static const char marker[] = " Allowed: ";
    char *text = strchr(error, ':');
    char *may = strstr(error, marker);
    text = text != NULL && text[1] == ' ' ? text + 2 : error;
    if (may != NULL) {
        *may = '\0';
        may += sizeof marker - 1;
        size_t len = strlen(may);
        if (len > 0 && may[len - 1] == '.') {
            may[len - 1] = '\0';
        }
    }
    refuse(j, cell, (int32_t)msci->id, text, may);
}

/* It has a tunnel that could be lost: the change goes in stages. */
static bool goes_in_stages(const struct fleet_gateway *gateway)
{
    return gateway != NULL && gateway->tunnel.port != 0 &&
           (gateway->tunnel.up_port != 0 ||
            (gateway->kind != FLEET_OPENVPN && gateway->first_checkin != 0));
}

bool import_is_visited(struct manager *m, const struct fleet_gateway *gateway)
{
    return m->remote != NULL && remote_count_gateway(m->remote, gateway->id, true) > 0;
}

static void take_port(struct judging *j, const struct amm_sheet_cell *cell, const char *value)
{
    struct import_plan *plan = j->plan;
    const struct tunnel *tunnel = j->m->tunnel;
    uint32_t port = (uint32_t)strtoul(value, NULL, 10);
    if (tunnel != NULL && places_find(tunnel->places, port) == NULL) {
        char text[80], list[80];
        size_t len = 0;
        list[0] = '\0';
        for (size_t i = 0; i < places_count(tunnel->places) && len < sizeof list; i++) {
            len += (size_t)snprintf(list + len, sizeof list - len, "%s%u", i > 0 ? ", " : "",
                                    places_at(tunnel->places, i)->port);
        }
        snprintf(text, sizeof text, "%u is no tunnel port of this server.", port);
        refuse(j, cell, AMM_MSCI_TUNNEL_PORT, text, list);
        return;
    }
    plan->port = port;
    plan->is_move = goes_in_stages(plan->gateway);
    if (plan->is_move && import_is_visited(j->m, plan->gateway)) {
        append_text(j, "A remote session is open on it. The move waits until it ends.");
        j->is_check = true;
    }
}

static bool judge_value(struct judging *j, const struct amm_msci *msci)
{
    struct import_plan *plan = j->plan;
    const struct amm_sheet_cell *cell = cell_of(j, (int32_t)msci->id);
    char text[AMM_MSCI_VALUE], error[AMM_MSCI_ERROR], now[AMM_PARAMETER_TEXT_MAX] = "", id[16];
    struct amm_msci_value value;
    if (cell == NULL ||
        !check_cell(j, cell, (int32_t)msci->id, msci->type == AMM_MSCI_STRING, text, sizeof text)) {
        return true;
    }
    undo_bool(msci, cell, text, sizeof text);
    if (!amm_msci_from_text(msci, amm_view_str(text), &value, error)) {
        refuse_value(j, cell, msci, error);
        return true;
    }
    if (plan->gateway != NULL) {
        enum fleet_kind kind = plan->sets_kind ? plan->kind : (enum fleet_kind)plan->gateway->kind;
        bool has = fleet_effective(plan->gateway, msci->id, now, sizeof now);
        if (kind == FLEET_OPENVPN && msci->id != AMM_MSCI_TUNNEL_PORT) {
            refuse(
                j, cell, (int32_t)msci->id,
                "the router has no software of ours: of its settings only 10034 is the server's.",
                NULL);
            return true;
        }
        if (msci->id == AMM_MSCI_TUNNEL_PORT && kind == FLEET_OPENVPN && !has &&
            plan->gateway->tunnel.port != 0) {
            snprintf(now, sizeof now, "%u", plan->gateway->tunnel.port);
            has = true;
        }
        if (has && strcmp(now, value.text) == 0) {
            return true;
        }
        if (msci->id == AMM_MSCI_HTTPS_PORT && kind == FLEET_ALEOS &&
            strcmp(value.text, "9443") != 0) {
            append_text(j,
                        "ALEOS opens its page on 9443 only. The ACEmanager button stops working.");
            j->is_check = true;
        }
    }
    note_change(j, cell, msci->is_secret ? "" : now, msci->is_secret ? "(secret)" : value.text);
    if (msci->id == AMM_MSCI_TUNNEL_PORT) {
        take_port(j, cell, value.text);
        if (plan->is_move) {
            return true;
        }
    }
    snprintf(id, sizeof id, "%u", msci->id);
    plan->values = plan->values != NULL ? plan->values : json_object();
    json_t *json = msci->is_secret ? json_string(value.text) : amm_msci_to_json(msci, &value);
    return json_object_set_new(plan->values, id, json) == 0;
}

/* ---- the verdict ---- */

static void say_verdict(struct judging *j)
{
    struct import_plan *plan = j->plan;
    plan->verdict = j->is_bad               ? VERDICT_BAD
                    : plan->gateway == NULL ? VERDICT_NEW
                    : !j->changes           ? VERDICT_SAME
                    : j->is_check           ? VERDICT_CHECK
                                            : VERDICT_CHANGE;
    bool is_pending = plan->gateway == NULL || plan->gateway->first_checkin == 0;
    bool is_ours =
        plan->gateway != NULL ? plan->gateway->kind != FLEET_OPENVPN : plan->kind != FLEET_OPENVPN;
    if (is_pending && is_ours &&
        (plan->verdict == VERDICT_NEW || plan->verdict == VERDICT_CHANGE)) {
        append_text(j, "Pending (device registration) until its first check-in.");
    }
}

bool import_plan(struct manager *m, const struct import *import, const struct actor *actor,
                 const struct amm_sheet_row *row, struct import_plan *plan)
{
    struct judging j = {.m = m,
                        .import = import,
                        .actor = actor,
                        .row = row,
                        .plan = plan,
                        .tenant = fleet_tenant_find(m->fleet, import->tenant)};
    *plan = (struct import_plan){.cells = json_array()};
    bool ok = plan->cells != NULL && j.tenant != NULL;
    if (ok && find_gateway(&j)) {
        judge_kind(&j);
        judge_group(&j);
        judge_note(&j);
        for (uint16_t i = 0; ok && i < import->n_columns; i++) {
            const struct amm_msci *msci = import->columns[i].target > 0
                                              ? amm_msci_find((uint32_t)import->columns[i].target)
                                              : NULL;
            ok = msci == NULL || judge_value(&j, msci);
        }
    }
    say_verdict(&j);
    return ok;
}

void import_plan_deinit(struct import_plan *plan)
{
    json_decref(plan->cells);
    json_decref(plan->values);
}
