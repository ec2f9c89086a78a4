/* ammctl import list, show, rows, apply, hold, resume, stop, undo, remove. */
#include "import.h"

#include <getopt.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

enum { PAUSE_MS = 200, FIRST_ROWS = 20 };

static const struct ctl_parameter named[] = {{"ID", CTL_ID, CTL_IN_PATH, NULL, true},
                                             {.name = NULL}};

static const struct ctl_column list_columns[] = {{"ID", "id", CTL_SHOW_TEXT},
                                                 {"FILE", "filename", CTL_SHOW_TEXT},
                                                 {"STATE", "state", CTL_SHOW_TEXT},
                                                 {"ROWS", "rows.total", CTL_SHOW_TEXT},
                                                 {"REFUSED", "rows.bad", CTL_SHOW_TEXT},
                                                 {"APPLIED", "rows.applied", CTL_SHOW_TEXT},
                                                 {"BACK", "moves.back", CTL_SHOW_TEXT},
                                                 {"WAITING", "moves.waiting", CTL_SHOW_TEXT},
                                                 {"BY", "by", CTL_SHOW_TEXT},
                                                 {"AT", "at", CTL_SHOW_TIME},
                                                 {.head = NULL}};
static const struct ctl_parameter list_parameters[] = {
    {"--tenant", CTL_TENANT, CTL_IN_QUERY, "tenant", false}, {.name = NULL}};

static const struct ctl_column row_columns[] = {{"ROW", "row", CTL_SHOW_TEXT},
                                                {"GATEWAY", "name", CTL_SHOW_TEXT},
                                                {"VERDICT", "verdict", CTL_SHOW_TEXT},
                                                {"STATE", "state", CTL_SHOW_TEXT},
                                                {"MOVE", "move", CTL_SHOW_TEXT},
                                                {"TEXT", "text", CTL_SHOW_TEXT},
                                                {.head = NULL}};
static const struct ctl_parameter row_parameters[] = {
    {"ID", CTL_ID, CTL_IN_PATH, NULL, true},
    {"--verdict", CTL_TEXT, CTL_IN_QUERY, "verdict", false},
    {.name = NULL}};

const char *ctl_import_text(const json_t *import, const char *name)
{
    const char *text = json_string_value(json_object_get(import, name));
    return text ? text : "";
}

static long long number(const json_t *import, const char *path)
{
    return json_integer_value(ctl_member(import, path));
}

const char *ctl_import_target(struct ctl_target *target)
{
    amm_write_u8(&target->w, 0);
    return target->text;
}

/* ---- waiting ---- */

json_t *ctl_import_get(struct ctl_api *api, const char *id, enum ctl_exit *status)
{
    struct ctl_target target;
    ctl_target_init(&target, "/api/v1/imports");
    ctl_target_segment(&target, id);
    return ctl_api_call(api, "GET", ctl_import_target(&target), NULL, status);
}

static void show_progress(const json_t *import)
{
    long long done = number(import, "progress.done"), of = number(import, "progress.of");
    if (!isatty(STDERR_FILENO)) {
        return;
    }
    if (of > 0) {
        fprintf(stderr, "\r%s %lld of %lld ", ctl_import_text(import, "phase"), done, of);
    } else {
        fprintf(stderr, "\r%s %lld ", ctl_import_text(import, "phase"), done);
    }
    fflush(stderr);
}

json_t *ctl_import_wait(struct ctl_api *api, const char *id, enum ctl_exit *status)
{
    for (;;) {
        json_t *import = ctl_import_get(api, id, status);
        const char *phase = ctl_import_text(import, "phase");
        bool is_held = strcmp(ctl_import_text(import, "state"), "held") == 0;
        if (!import || is_held || strcmp(phase, "none") == 0 || strcmp(phase, "moves") == 0) {
            if (import && isatty(STDERR_FILENO)) {
                fputs("\r\033[K", stderr);
            }
            return import;
        }
        show_progress(import);
        json_decref(import);
        poll(NULL, 0, PAUSE_MS);
    }
}

/* ---- showing ---- */

static void print_columns(const json_t *import)
{
    static const char *const head[] = {"COLUMN", "HEADING", "MEANS", "SURE"};
    struct ctl_table table;
    size_t i;
    const json_t *item;
    char cell[CTL_CELL];
    ctl_table_init(&table, 4, head);
    json_array_foreach(json_object_get(import, "columns"), i, item)
    {
        ctl_table_cell(&table, "%s", ctl_import_text(item, "column"));
        ctl_table_cell(&table, "%s",
                       ctl_show(json_object_get(item, "header"), CTL_SHOW_TEXT, cell));
        ctl_table_cell(&table, "%s", ctl_import_text(item, "target"));
        ctl_table_cell(&table, "%s", json_is_true(json_object_get(item, "sure")) ? "yes" : "no");
    }
    ctl_table_print(&table, stdout);
}

static void print_ports(const json_t *import)
{
    static const char *const head[] = {"PORT", "NOW", "OUT", "IN", "THEN", "FREE FOR YOU"};
    static const char *const members[] = {"port", "now", "out", "in", "after", "free_for_you"};
    const json_t *ports = json_object_get(import, "ports");
    struct ctl_table table;
    size_t i;
    const json_t *item;
    if (json_array_size(ports) == 0) {
        return;
    }
    ctl_table_init(&table, 6, head);
    json_array_foreach(ports, i, item)
    {
        for (size_t k = 0; k < 6; k++) {
            ctl_table_cell(&table, "%lld", number(item, members[k]));
        }
    }
    putchar('\n');
    ctl_table_print(&table, stdout);
}

static void print_refused(struct ctl_api *api, const json_t *import)
{
    struct ctl_target target;
    enum ctl_exit status;
    size_t i;
    const json_t *item;
    char cell[CTL_CELL];
    ctl_target_init(&target, "/api/v1/imports");
    ctl_target_segment(&target, ctl_import_text(import, "id"));
    ctl_target_segment(&target, "rows");
    ctl_target_query(&target, "verdict", "bad");
    char limit[8];
    snprintf(limit, sizeof limit, "%d", FIRST_ROWS);
    ctl_target_query(&target, "limit", limit);
    json_t *rows = ctl_api_call(api, "GET", ctl_import_target(&target), NULL, &status);
    json_array_foreach(json_object_get(rows, "items"), i, item)
    {
        char text[600];
        const char *said = ctl_import_text(item, "text");
        amm_text_clean(text, sizeof text, amm_view_str(said));
        printf("%srow %s: %s\n", i == 0 ? "\n" : "",
               ctl_show(json_object_get(item, "row"), CTL_SHOW_TEXT, cell), text);
    }
    if (json_object_get(rows, "next")) {
        printf("... (ammctl import rows %s --verdict bad)\n", ctl_import_text(import, "id"));
    }
    json_decref(rows);
}

void ctl_import_print(struct ctl_api *api, const json_t *import)
{
    char file[CTL_CELL], text[600];
    ctl_show(json_object_get(import, "filename"), CTL_SHOW_TEXT, file);
    amm_text_clean(text, sizeof text, amm_view_str(ctl_import_text(import, "text")));
    printf("import %s, %s: %s%s%s\n", ctl_import_text(import, "id"), file,
           ctl_import_text(import, "state"), text[0] ? ". " : "", text);
    printf("%lld rows: %lld change, %lld new, %lld to check, %lld unchanged, %lld refused\n",
           number(import, "rows.total"), number(import, "rows.change"), number(import, "rows.new"),
           number(import, "rows.check"), number(import, "rows.unchanged"),
           number(import, "rows.bad"));
    if (number(import, "rows.applied") + number(import, "rows.failed") > 0) {
        printf("%lld applied, %lld failed\n", number(import, "rows.applied"),
               number(import, "rows.failed"));
    }
    if (number(import, "moves.done") + number(import, "moves.waiting") > 0) {
        printf("moves: stage %lld, %lld ordered, %lld back, %lld failed, %lld wait\n",
               number(import, "moves.stage"), number(import, "moves.done"),
               number(import, "moves.back"), number(import, "moves.failed"),
               number(import, "moves.waiting"));
    }
    putchar('\n');
    print_columns(import);
    print_ports(import);
    print_refused(api, import);
}

static int show_run(const struct ctl *ctl, int argc, char **argv)
{
    enum ctl_exit status;
    if (argc != 2) {
        return ctl_fail(CTL_USAGE, "usage: import show ID");
    }
    struct ctl_api *api = ctl_api_open(ctl, &status);
    json_t *import = api ? ctl_import_get(api, argv[1], &status) : NULL;
    if (import && ctl->json) {
        ctl_print_json(import);
    } else if (import) {
        ctl_import_print(api, import);
        json_decref(import);
    }
    ctl_api_close(api);
    return status;
}

/* ---- applying ---- */

enum ctl_exit ctl_import_apply(const struct ctl *ctl, struct ctl_api *api, const char *id,
                               bool only_good, bool create)
{
    enum ctl_exit status;
    struct ctl_target target;
    ctl_target_init(&target, "/api/v1/imports");
    ctl_target_segment(&target, id);
    ctl_target_segment(&target, "apply");
    json_t *answer = ctl_api_call(
        api, "POST", ctl_import_target(&target),
        json_pack("{s:b, s:b}", "only_good", only_good, "create_unknown", create), &status);
    json_decref(answer);
    json_t *import = answer ? ctl_import_wait(api, id, &status) : NULL;
    if (!import) {
        return status;
    }
    const char *state = ctl_import_text(import, "state");
    bool moves = strcmp(ctl_import_text(import, "phase"), "moves") == 0;
    bool ok = strcmp(state, "applied") == 0 || (moves && strcmp(state, "applying") == 0);
    if (!ok) {
        status = (enum ctl_exit)ctl_fail(CTL_FAILED, "%s", ctl_import_text(import, "text"));
    } else if (!ctl->json) {
        printf("%lld rows applied, %lld failed\n", number(import, "rows.applied"),
               number(import, "rows.failed"));
        if (moves) {
            printf("%lld gateways change their tunnel port, in stages: ammctl import show %s\n",
                   number(import, "moves.waiting") + number(import, "moves.done"), id);
        }
    }
    if (ctl->json) {
        ctl_print_json(import);
    } else {
        json_decref(import);
    }
    return status;
}

static int apply_run(const struct ctl *ctl, int argc, char **argv)
{
    static const struct option options[] = {
        {"only-good", no_argument, NULL, 'g'}, {"create", no_argument, NULL, 'c'}, {0}};
    bool only_good = false, create = false;
    enum ctl_exit status;
    int option;
    optind = 1;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        only_good |= option == 'g';
        create |= option == 'c';
        if (option == '?') {
            return CTL_USAGE;
        }
    }
    if (optind + 1 != argc) {
        return ctl_fail(CTL_USAGE, "usage: import apply ID [--only-good] [--create]");
    }
    struct ctl_api *api = ctl_api_open(ctl, &status);
    if (api) {
        status = ctl_import_apply(ctl, api, argv[optind], only_good, create);
    }
    ctl_api_close(api);
    return status;
}

/* ---- the table ---- */

#define ONE(verb, tail, done)                                                                      \
    .request = &(const struct ctl_request)                                                         \
    {                                                                                              \
        verb, "/api/v1/imports/{}" tail, named, NULL, NULL, done                                   \
    }

static const struct ctl_command commands[] = {
    {.name = "list",
     .request = &(const struct ctl_request){"GET", "/api/v1/imports", list_parameters, list_columns,
                                            "no imports", NULL}},
    {.name = "show", .managed = show_run},
    {.name = "rows",
     .request = &(const struct ctl_request){"GET", "/api/v1/imports/{}/rows", row_parameters,
                                            row_columns, "no such rows", NULL}},
    {.name = "apply", .managed = apply_run},
    {.name = "hold", ONE("POST", "/hold", "on hold")},
    {.name = "resume", ONE("POST", "/resume", "goes on")},
    {.name = "stop", ONE("POST", "/stop", "stopped; what is done stays")},
    {.name = "undo", ONE("POST", "/undo", "is being undone")},
    {.name = "remove", ONE("DELETE", "", "removed; what it changed stays")},
    {.name = NULL},
};

const struct ctl_command *ctl_import_find(const char *name)
{
    for (const struct ctl_command *command = commands; command->name != NULL; command++) {
        if (strcmp(command->name, name) == 0) {
            return command;
        }
    }
    return NULL;
}
