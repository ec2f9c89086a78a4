/* ammctl pki: the certificates of the tunnel server and of the gateways. */
#include "pki.h"
#include "request.h"
#include "pki/pki_store.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PKI_DEFAULT "/etc/amm/pki"

enum { DAYS_MAX = 3650 };

const char *ctl_pki_folder(const struct ctl *ctl, const char *option)
{
    if (option) {
        return option;
    }
    return ctl->config && ctl->config->pki[0] ? ctl->config->pki : PKI_DEFAULT;
}

/* What the pki commands take; each says which it wants. */
struct arguments {
    const char *folder, *organisation, *server, *host;
    int days;
    const char *name; /* the one word that is no option */
};

static bool parse_arguments(int argc, char **argv, const char *wanted, bool wants_name,
                            struct arguments *out)
{
    static const struct option options[] = {
        {"pki", required_argument, NULL, 'p'},
        {"dir", required_argument, NULL, 'p'},
        {"name", required_argument, NULL, 'n'},
        {"server", required_argument, NULL, 's'},
        {"host", required_argument, NULL, 'h'},
        {"days", required_argument, NULL, 'd'},
        {NULL, 0, NULL, 0},
    };
    int option;
    optind = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == '?' || (option != 'p' && !strchr(wanted, option))) {
            return false;
        }
        out->folder = option == 'p' ? optarg : out->folder;
        out->organisation = option == 'n' ? optarg : out->organisation;
        out->server = option == 's' ? optarg : out->server;
        out->host = option == 'h' ? optarg : out->host;
        if (option == 'd') {
            char *end;
            long days = strtol(optarg, &end, 10);
            if (*end != '\0' || days < 1 || days > DAYS_MAX) {
                return false;
            }
            out->days = (int)days;
        }
    }
    out->name = optind < argc ? argv[optind] : NULL;
    return argc - optind == (wants_name ? 1 : 0);
}

static int pki_init(const struct ctl *ctl, int argc, char **argv)
{
    struct arguments arguments = {.organisation = "amm", .server = AMM_PKI_SERVER_NAME};
    if (!parse_arguments(argc, argv, "nsh", false, &arguments)) {
        return ctl_fail(
            CTL_USAGE,
            "pki init [--pki DIR] [--name ORGANISATION] [--server NAME] [--host DNSNAME]");
    }
    char error[PKI_ERROR];
    const char *folder = ctl_pki_folder(ctl, arguments.folder);
    if (!pki_create(folder, arguments.organisation, arguments.server, arguments.host, error)) {
        return ctl_fail(CTL_FAILED, "%s", error);
    }
    printf("%s: CAs for the server, gateways and connection files, certificates of the tunnel "
           "server, the manager and its time, and the channel keys\n"
           "Keep the files *-ca.key: whoever has them can join.\n",
           folder);
    return CTL_OK;
}

/* Runs `work` on the PKI and prints `error` if it says no. */
static enum ctl_exit with_pki(const struct ctl *ctl, const struct arguments *arguments,
                              bool (*work)(struct pki *pki, const struct arguments *arguments,
                                           char error[PKI_ERROR]))
{
    struct pki pki;
    char error[PKI_ERROR];
    bool ok = pki_open(&pki, ctl_pki_folder(ctl, arguments->folder), error) &&
              work(&pki, arguments, error);
    pki_close(&pki);
    return ok ? CTL_OK : (enum ctl_exit)ctl_fail(CTL_FAILED, "%s", error);
}

static bool upgrade(struct pki *pki, const struct arguments *arguments, char error[PKI_ERROR])
{
    char made[256];
    (void)arguments;
    if (!pki_upgrade(pki, made, sizeof made, error)) {
        return false;
    }
    if (made[0]) {
        printf("%s: made %s\n", pki->folder, made);
    } else {
        printf("%s: nothing is missing\n", pki->folder);
    }
    return true;
}

static int pki_upgrade_folder(const struct ctl *ctl, int argc, char **argv)
{
    struct arguments arguments = {0};
    if (!parse_arguments(argc, argv, "", false, &arguments)) {
        return ctl_fail(CTL_USAGE, "pki upgrade [--pki DIR]");
    }
    return (int)with_pki(ctl, &arguments, upgrade);
}

static bool roll(struct pki *pki, const struct arguments *arguments, char error[PKI_ERROR])
{
    char former[64];
    enum pki_kind kind =
        strcmp(arguments->name, AMM_PKI_PROFILE_AUTHORITY) == 0 ? PKI_PROFILE : PKI_GATEWAY;
    if (!pki_roll(pki, kind, former, sizeof former, error)) {
        return false;
    }
    printf("%s/%s.crt issues from now on; the one before is %s and stays trusted\n"
           "Restart amm-cad and ammd; the tunnel server trusts the new one at its next start.\n"
           "When no gateway hangs on the old one (ammctl pki authorities): ammctl pki retire %s\n",
           pki->folder, pki_kinds[kind].authority, former, former);
    return true;
}

static int pki_roll_authority(const struct ctl *ctl, int argc, char **argv)
{
    struct arguments arguments = {0};
    if (!parse_arguments(argc, argv, "", true, &arguments) ||
        (strcmp(arguments.name, AMM_PKI_GATEWAY_AUTHORITY) != 0 &&
         strcmp(arguments.name, AMM_PKI_PROFILE_AUTHORITY) != 0)) {
        return ctl_fail(CTL_USAGE, "pki roll [--pki DIR] gateway-ca|profile-ca");
    }
    return (int)with_pki(ctl, &arguments, roll);
}

static bool retire(struct pki *pki, const struct arguments *arguments, char error[PKI_ERROR])
{
    if (!pki_retire(pki, arguments->name, error)) {
        return false;
    }
    printf("%s: %s is gone; who has a certificate of it must enrol anew\n"
           "Restart amm-cad and ammd; the tunnel server forgets it at its next start.\n",
           pki->folder, arguments->name);
    return true;
}

static int pki_retire_authority(const struct ctl *ctl, int argc, char **argv)
{
    struct arguments arguments = {0};
    if (!parse_arguments(argc, argv, "", true, &arguments)) {
        return ctl_fail(CTL_USAGE, "pki retire [--pki DIR] NAME (as gateway-ca-1)");
    }
    return (int)with_pki(ctl, &arguments, retire);
}

/* Issues and writes <base>.crt and .key; the paths are printed. */
static enum ctl_exit issue_to_files(struct pki *pki, enum pki_kind kind, const char *name,
                                    const struct arguments *arguments, const char *base)
{
    char error[PKI_ERROR];
    struct pki_credential made;
    bool ok = pki_issue(pki, kind, name, arguments->host, arguments->days, &made, error) &&
              pki_write_credential(pki, base, &made, error);
    amm_wipe(&made, sizeof made);
    if (!ok) {
        return ctl_fail(CTL_FAILED, "%s", error);
    }
    printf("%s/%s.crt\n%s/%s.key\n", pki->folder, base, pki->folder, base);
    return CTL_OK;
}

static int pki_server(const struct ctl *ctl, int argc, char **argv)
{
    struct arguments arguments = {.server = AMM_PKI_SERVER_NAME};
    if (!parse_arguments(argc, argv, "shd", false, &arguments)) {
        return ctl_fail(CTL_USAGE,
                        "pki server [--pki DIR] [--server NAME] [--host DNSNAME] [--days N]");
    }
    struct pki pki;
    char error[PKI_ERROR];
    enum ctl_exit status =
        pki_open(&pki, ctl_pki_folder(ctl, arguments.folder), error)
            ? issue_to_files(&pki, PKI_SERVER, arguments.server, &arguments, "server")
            : (enum ctl_exit)ctl_fail(CTL_FAILED, "%s", error);
    pki_close(&pki);
    return status;
}

static int pki_gateway(const struct ctl *ctl, int argc, char **argv)
{
    struct arguments arguments = {0};
    if (!parse_arguments(argc, argv, "d", true, &arguments)) {
        return ctl_fail(
            CTL_USAGE,
            "pki gateway [--pki DIR] [--days N] NAME (1-64 characters without '/' and space)");
    }
    struct pki pki;
    char error[PKI_ERROR], base[AMM_NAME_MAX + 16];
    enum ctl_exit status;
    if (strlen(arguments.name) > AMM_NAME_MAX || strchr(arguments.name, '/') ||
        arguments.name[0] == '.') {
        return ctl_fail(CTL_USAGE,
                        "a gateway's name has 1-64 characters, no '/' and no leading '.'");
    }
    snprintf(base, sizeof base, "%s/%s", AMM_PKI_GATEWAYS_FOLDER, arguments.name);
    status = pki_open(&pki, ctl_pki_folder(ctl, arguments.folder), error)
                 ? issue_to_files(&pki, PKI_GATEWAY, arguments.name, &arguments, base)
                 : (enum ctl_exit)ctl_fail(CTL_FAILED, "%s", error);
    pki_close(&pki);
    return status;
}

static int pki_revoke_name(const struct ctl *ctl, int argc, char **argv)
{
    struct arguments arguments = {0};
    if (!parse_arguments(argc, argv, "", true, &arguments)) {
        return ctl_fail(CTL_USAGE, "pki revoke [--pki DIR] NAME");
    }
    struct pki pki;
    char error[PKI_ERROR];
    size_t count = 0;
    enum ctl_exit status = CTL_OK;
    if (!pki_open(&pki, ctl_pki_folder(ctl, arguments.folder), error) ||
        !pki_revoke(&pki, arguments.name, &count, error)) {
        status = ctl_fail(CTL_FAILED, "%s", error);
    } else if (count == 0) {
        status =
            ctl_fail(CTL_NOT_FOUND, "%s has no certificate that is not revoked (ammctl pki list)",
                     arguments.name);
    } else {
        printf("revoked %zu certificate%s of %s\n", count, count == 1 ? "" : "s", arguments.name);
        if (ctl->manager_socket) {
            printf("The tunnel server's list is signed by amm-cad, which reads this at its next "
                   "start. Gateways of the manager: ammctl gateway revoke NAME\n");
        }
    }
    pki_close(&pki);
    return status;
}

static const char *state_of(const struct pki_entry *entry)
{
    if (entry->revoked) {
        return "revoked";
    }
    return entry->not_after < time(NULL) ? "expired" : "good";
}

static void print_json(const struct pki *pki)
{
    json_t *list = json_array();
    for (size_t i = 0; i < pki->n; i++) {
        const struct pki_entry *entry = &pki->entries[i];
        char serial[2 * sizeof entry->serial + 1];
        amm_hex(serial, amm_view(entry->serial, sizeof entry->serial));
        json_t *one = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "name", entry->name, "kind",
                                pki_kinds[entry->kind].name, "state", state_of(entry), "serial",
                                serial, "issued", (json_int_t)entry->issued, "not_after",
                                (json_int_t)entry->not_after);
        json_object_set_new(one, "revoked",
                            entry->revoked ? json_integer(entry->revoked) : json_null());
        json_array_append_new(list, one);
    }
    json_dumpf(list, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    putchar('\n');
    json_decref(list);
}

static void print_table(const struct pki *pki)
{
    struct ctl_table table;
    ctl_table_init(&table, 5, (const char *const[]){"NAME", "KIND", "STATE", "UNTIL", "SERIAL"});
    for (size_t i = 0; i < pki->n; i++) {
        const struct pki_entry *entry = &pki->entries[i];
        char until[CTL_TIME_TEXT], serial[2 * sizeof entry->serial + 1];
        amm_hex(serial, amm_view(entry->serial, sizeof entry->serial));
        ctl_table_cell(&table, "%s", entry->name);
        ctl_table_cell(&table, "%s", pki_kinds[entry->kind].name);
        ctl_table_cell(&table, "%s", state_of(entry));
        ctl_table_cell(&table, "%s", ctl_time_text(entry->not_after, until));
        ctl_table_cell(&table, "%s", serial + strspn(serial, "0"));
    }
    ctl_table_print(&table, stdout);
}

static int pki_list(const struct ctl *ctl, int argc, char **argv)
{
    struct arguments arguments = {0};
    if (!parse_arguments(argc, argv, "", false, &arguments)) {
        return ctl_fail(CTL_USAGE, "pki list [--pki DIR]");
    }
    struct pki pki;
    char error[PKI_ERROR];
    enum ctl_exit status = CTL_OK;
    if (!pki_open(&pki, ctl_pki_folder(ctl, arguments.folder), error)) {
        status = ctl_fail(CTL_FAILED, "%s", error);
    } else if (ctl->json) {
        print_json(&pki);
    } else {
        print_table(&pki);
    }
    pki_close(&pki);
    return status;
}

/* ---- the manager's report ---- */

static const struct ctl_column authority_columns[] = {
    {"CA", "name", CTL_SHOW_TEXT},
    {"FOR", "kind", CTL_SHOW_TEXT},
    {"ISSUES", "issues", CTL_SHOW_YES},
    {"UNTIL", "until", CTL_SHOW_TIME},
    {"LOST WITH IT", "gateways", CTL_SHOW_TEXT},
    {"KEY", "key", CTL_SHOW_TEXT},
    {NULL, NULL, CTL_SHOW_TEXT},
};
static const struct ctl_request authorities_request = {
    "GET", "/api/v1/authorities", NULL, authority_columns, "no CA", NULL};

static const struct ctl_parameter key_parameters[] = {
    {"KEY", CTL_ID, CTL_IN_PATH, NULL, true},
    {.name = NULL},
};
static const struct ctl_column lost_columns[] = {
    {"NAME", "name", CTL_SHOW_TEXT},
    {"SERIAL", "serial", CTL_SHOW_TEXT},
    {"LAST CHECK-IN", "last_checkin", CTL_SHOW_TIME},
    {NULL, NULL, CTL_SHOW_TEXT},
};
static const struct ctl_request lost_request = {
    "GET",        "/api/v1/authorities/{}/gateways",   key_parameters,
    lost_columns, "no gateway hangs on this CA alone", NULL};

const struct ctl_command ctl_pki_commands[] = {
    {"init", "[--pki DIR] [--name ORGANISATION] [--server NAME] [--host DNSNAME]  make a new PKI",
     pki_init, false, NULL, NULL},
    {"upgrade", "[--pki DIR]  make what an existing PKI lacks for this version", pki_upgrade_folder,
     false, NULL, NULL},
    {"roll", "[--pki DIR] gateway-ca|profile-ca  a new CA beside the old one", pki_roll_authority,
     false, NULL, NULL},
    {"retire", "[--pki DIR] NAME  take a replaced CA away", pki_retire_authority, false, NULL,
     NULL},
    {.name = "authorities",
     .usage = "  the CAs of the manager, and how many gateways are lost if one goes",
     .request = &authorities_request},
    {.name = "lost",
     .usage = "KEY  the gateways that are lost if the CA with this key goes",
     .request = &lost_request},
    {"server",
     "[--pki DIR] [--server NAME] [--host DNSNAME] [--days N]  a new certificate for the server",
     pki_server, false, NULL, NULL},
    {"gateway", "[--pki DIR] [--days N] NAME  certificate and key for a gateway with our client",
     pki_gateway, false, NULL, NULL},
    {"revoke", "[--pki DIR] NAME  make every certificate of that name worthless", pki_revoke_name,
     false, NULL, NULL},
    {"list", "[--pki DIR]  what was issued", pki_list, false, NULL, NULL},
    {.name = NULL},
};
