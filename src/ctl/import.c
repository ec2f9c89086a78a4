/* ammctl import FILE, and gateway export. */
#include "fleet.h"
#include "import.h"

#include "io/file.h"

#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SHEET_MAX = 32 << 20, FILENAME = 128 };

struct upload {
    const char *file, *map, *tenant, *group;
    bool only_good, create, apply, yes;
};

static bool parse_upload(int argc, char **argv, struct upload *out)
{
    static const struct option options[] = {
        {"map", required_argument, NULL, 'm'},   {"tenant", required_argument, NULL, 't'},
        {"group", required_argument, NULL, 'r'}, {"only-good", no_argument, NULL, 'g'},
        {"create", no_argument, NULL, 'c'},      {"apply", no_argument, NULL, 'a'},
        {"yes", no_argument, NULL, 'y'},         {0}};
    int option;
    *out = (struct upload){0};
    optind = 1;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'm':
            out->map = optarg;
            break;
        case 't':
            out->tenant = optarg;
            break;
        case 'r':
            out->group = optarg;
            break;
        case 'g':
            out->only_good = true;
            break;
        case 'c':
            out->create = true;
            break;
        case 'a':
            out->apply = true;
            break;
        case 'y':
            out->yes = true;
            break;
        default:
            return false;
        }
    }
    if (optind + 1 != argc) {
        return false;
    }
    out->file = argv[optind];
    return true;
}

/* Ids of tenant and group, as far as they are named, into a query. */
static bool add_branch(struct ctl_api *api, struct ctl_target *target, const char *tenant,
                       const char *group, enum ctl_exit *status)
{
    char tenant_id[32], group_id[32];
    if (tenant && !ctl_find_id(api, CTL_TENANT, tenant, NULL, tenant_id, status)) {
        return false;
    }
    if (group && strcmp(group, "/") != 0 &&
        !ctl_find_id(api, CTL_GROUP, group, tenant ? tenant_id : NULL, group_id, status)) {
        return false;
    }
    ctl_target_query(target, "tenant", tenant ? tenant_id : NULL);
    ctl_target_query(target, "group", group && strcmp(group, "/") != 0 ? group_id : NULL);
    return true;
}

/* "C=10034,D=ignore" as the body of PUT mapping; NULL after saying what is wrong. */
static json_t *mapping_of(const char *text)
{
    json_t *columns = json_array();
    while (*text) {
        size_t len = strcspn(text, ","), name = strcspn(text, "=,");
        if (name == 0 || name >= len || name > 3 || len - name - 1 == 0) {
            json_decref(columns);
            ctl_fail(CTL_USAGE, "--map wants COLUMN=WHAT, with commas between: C=10034,D=group");
            return NULL;
        }
        json_array_append_new(columns, json_pack("{s:s%, s:s%}", "column", text, name, "target",
                                                 text + name + 1, len - name - 1));
        text += len + (text[len] == ',');
    }
    return json_pack("{s:o}", "columns", columns);
}

static json_t *send_file(struct ctl_api *api, const struct upload *upload, enum ctl_exit *status)
{
    struct ctl_target target;
    struct amm_span bytes;
    char error[256], copy[512];
    snprintf(copy, sizeof copy, "%s", upload->file);
    const char *name = basename(copy);
    ctl_target_init(&target, "/api/v1/imports");
    ctl_target_query(&target, "filename", strlen(name) <= FILENAME ? name : NULL);
    if (!add_branch(api, &target, upload->tenant, upload->group, status)) {
        return NULL;
    }
    if (!amm_file_read(upload->file, SHEET_MAX, &bytes, error, sizeof error)) {
        *status = (enum ctl_exit)ctl_fail(CTL_FAILED, "%s", error);
        return NULL;
    }
    json_t *import =
        ctl_api_upload(api, "POST", ctl_import_target(&target), amm_view_of(bytes), status);
    free(bytes.data);
    return import;
}

static json_t *map_columns(struct ctl_api *api, const char *id, const char *map,
                           enum ctl_exit *status)
{
    struct ctl_target target;
    json_t *body = mapping_of(map);
    if (!body) {
        *status = CTL_USAGE;
        return NULL;
    }
    ctl_target_init(&target, "/api/v1/imports");
    ctl_target_segment(&target, id);
    ctl_target_segment(&target, "mapping");
    json_t *answer = ctl_api_call(api, "PUT", ctl_import_target(&target), body, status);
    json_decref(answer);
    return answer ? ctl_import_wait(api, id, status) : NULL;
}

static bool confirmed(const struct upload *upload, const json_t *import)
{
    char answer[8];
    if (upload->yes) {
        return true;
    }
    if (!isatty(STDIN_FILENO)) {
        ctl_fail(CTL_USAGE, "nobody is there to be asked: say --yes");
        return false;
    }
    printf("\napply %lld rows? [y/N] ",
           (long long)json_integer_value(ctl_member(import, "rows.good")));
    fflush(stdout);
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

/* What to do with an import that has been read. */
static enum ctl_exit go_on(const struct ctl *ctl, struct ctl_api *api, const struct upload *upload,
                           const json_t *import)
{
    const char *id = ctl_import_text(import, "id"), *state = ctl_import_text(import, "state");
    if (strcmp(state, "failed") == 0) {
        return (enum ctl_exit)ctl_fail(CTL_FAILED, "%s", ctl_import_text(import, "text"));
    }
    if (!ctl->json) {
        ctl_import_print(api, import);
    }
    if (strcmp(state, "mapping") == 0) {
        return (enum ctl_exit)ctl_fail(
            CTL_FAILED, "say what the columns mean that are not sure: --map C=10034,D=ignore");
    }
    if (!upload->apply) {
        if (!ctl->json) {
            printf("\nnothing is changed yet: ammctl import apply %s\n", id);
        }
        return CTL_OK;
    }
    return confirmed(upload, import)
               ? ctl_import_apply(ctl, api, id, upload->only_good, upload->create)
               : CTL_USAGE;
}

static enum ctl_exit upload_sheet(const struct ctl *ctl, struct ctl_api *api,
                                  const struct upload *upload)
{
    enum ctl_exit status;
    json_t *sent = send_file(api, upload, &status);
    if (!sent) {
        return status;
    }
    char id[32];
    snprintf(id, sizeof id, "%s", ctl_import_text(sent, "id"));
    json_decref(sent);
    json_t *import = ctl_import_wait(api, id, &status);
    if (import && upload->map && strcmp(ctl_import_text(import, "state"), "failed") != 0) {
        json_decref(import);
        import = map_columns(api, id, upload->map, &status);
    }
    if (!import) {
        return status;
    }
    status = go_on(ctl, api, upload, import);
    if (ctl->json && !upload->apply) {
        ctl_print_json(import);
    } else {
        json_decref(import);
    }
    return status;
}

static int import_run(const struct ctl *ctl, int argc, char **argv)
{
    struct upload upload;
    enum ctl_exit status;
    const struct ctl_command *command = argc > 1 ? ctl_import_find(argv[1]) : NULL;
    if (command) {
        return command->request ? ctl_request_run(ctl, command, argc - 1, argv + 1)
                                : command->managed(ctl, argc - 1, argv + 1);
    }
    if (!parse_upload(argc, argv, &upload)) {
        return ctl_fail(CTL_USAGE, "usage: import FILE [--map C=10034,...] [--only-good] "
                                   "[--create] [--apply] [--yes]; ammctl help says more");
    }
    struct ctl_api *api = ctl_api_open(ctl, &status);
    if (api) {
        status = upload_sheet(ctl, api, &upload);
    }
    ctl_api_close(api);
    return status;
}

const struct ctl_command ctl_import_commands[] = {
    {.name = "import",
     .usage = "FILE [--map C=10034,...] [--group PATH] [--tenant SLUG] [--only-good] [--create] "
              "[--apply] [--yes]  upload a sheet (CSV, XLSX) and show what it would change; then: "
              "import list, show ID, rows ID [--verdict bad], apply ID [--only-good] [--create], "
              "hold ID, resume ID, stop ID, undo ID, remove ID",
     .managed = import_run},
    {.name = NULL},
};

/* ---- export ---- */

static enum ctl_exit write_out(const char *file, const char *bytes, size_t len)
{
    char error[256];
    if (file && !amm_file_write(file, amm_view(bytes, len), 0644, error, sizeof error)) {
        return (enum ctl_exit)ctl_fail(CTL_FAILED, "%s", error);
    }
    if (!file && (fwrite(bytes, 1, len, stdout) != len || fflush(stdout) != 0)) {
        return (enum ctl_exit)ctl_fail(CTL_FAILED, "standard output: %s", strerror(errno));
    }
    return CTL_OK;
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), tail = strlen(end);
    return len >= tail && strcasecmp(text + len - tail, end) == 0;
}

int ctl_import_export(const struct ctl *ctl, int argc, char **argv)
{
    static const struct option options[] = {
        {"columns", required_argument, NULL, 'c'}, {"tenant", required_argument, NULL, 't'},
        {"group", required_argument, NULL, 'r'},   {"kind", required_argument, NULL, 'k'},
        {"text", required_argument, NULL, 'x'},    {0}};
    const char *columns = NULL, *tenant = NULL, *group = NULL, *kind = NULL, *text = NULL;
    struct ctl_target target;
    enum ctl_exit status;
    size_t len;
    int option;
    optind = 1;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        const char **to = option == 'c'   ? &columns
                          : option == 't' ? &tenant
                          : option == 'r' ? &group
                          : option == 'k' ? &kind
                          : option == 'x' ? &text
                                          : NULL;
        if (!to) {
            return CTL_USAGE;
        }
        *to = optarg;
    }
    const char *file = optind < argc ? argv[optind] : NULL;
    if (optind + 1 < argc) {
        return ctl_fail(CTL_USAGE, "one file: gateway export [FILE]");
    }
    struct ctl_api *api = ctl_api_open(ctl, &status);
    if (!api) {
        return status;
    }
    ctl_target_init(&target, file && ends_with(file, ".xlsx") ? "/api/v1/export.xlsx"
                                                              : "/api/v1/export.csv");
    ctl_target_query(&target, "columns", columns);
    ctl_target_query(&target, "kind", kind);
    ctl_target_query(&target, "text", text);
    if (add_branch(api, &target, tenant, group, &status)) {
        char *bytes = ctl_api_text(api, "GET", ctl_import_target(&target), NULL, &len, &status);
        status = bytes ? write_out(file, bytes, len) : status;
        free(bytes);
    }
    ctl_api_close(api);
    return status;
}
