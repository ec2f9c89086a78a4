#include "login.h"

#include "api.h"

#include "io/file.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { FILE_MAX = 4096, PASSWORD_MAX = 256, PATH_ROOM = 512, DAYS = 90 };

/* ---- the file ---- */

static bool file_path(char folder[PATH_ROOM], char path[PATH_ROOM])
{
    const char *base = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    int n = base && base[0] == '/'   ? snprintf(folder, PATH_ROOM, "%s/amm", base)
            : home && home[0] == '/' ? snprintf(folder, PATH_ROOM, "%s/.config/amm", home)
                                     : -1;
    return n > 0 && n < PATH_ROOM && snprintf(path, PATH_ROOM, "%s/login.json", folder) < PATH_ROOM;
}

static void take(const json_t *json, const char *member, char *out, size_t room)
{
    const char *text = json_string_value(json_object_get(json, member));
    snprintf(out, room, "%s", text ? text : "");
}

bool ctl_login_exists(void)
{
    char folder[PATH_ROOM], path[PATH_ROOM];
    return file_path(folder, path) && access(path, F_OK) == 0;
}

bool ctl_login_load(struct ctl_login *login, enum ctl_exit *status)
{
    char folder[PATH_ROOM], path[PATH_ROOM], error[256];
    struct amm_span text;
    *status = CTL_USAGE;
    if (!file_path(folder, path) || access(path, F_OK) != 0) {
        ctl_fail(CTL_USAGE, "no manager is known here: on the server run this as root with its "
                            "configuration (--config FILE), elsewhere: ammctl login URL");
        return false;
    }
    if (!amm_file_read(path, FILE_MAX, &text, error, sizeof error)) {
        ctl_fail(CTL_USAGE, "%s", error);
        return false;
    }
    json_t *json = json_loadb((const char *)text.data, text.len, 0, NULL);
    amm_wipe(text.data, text.len);
    free(text.data);
    *login = (struct ctl_login){0};
    take(json, "url", login->url, sizeof login->url);
    take(json, "token", login->token, sizeof login->token);
    take(json, "token_id", login->token_id, sizeof login->token_id);
    take(json, "ca", login->ca, sizeof login->ca);
    json_decref(json);
    if (!login->url[0] || !login->token[0]) {
        ctl_fail(CTL_USAGE, "%s is damaged; make a new one with: ammctl login URL", path);
        return false;
    }
    *status = CTL_OK;
    return true;
}

bool ctl_login_save(const struct ctl_login *login)
{
    char folder[PATH_ROOM], path[PATH_ROOM], error[256];
    if (!file_path(folder, path)) {
        ctl_fail(CTL_FAILED, "HOME is not set: there is no place for the login");
        return false;
    }
    json_t *json = json_pack("{s:s, s:s, s:s, s:s}", "url", login->url, "token", login->token,
                             "token_id", login->token_id, "ca", login->ca);
    char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
    bool ok = text && amm_directory_make(folder, 0700, error, sizeof error) &&
              amm_file_write(path, amm_view_str(text), 0600, error, sizeof error);
    if (!ok) {
        ctl_fail(CTL_FAILED, "%s", text ? error : "out of memory");
    }
    if (text) {
        amm_wipe(text, strlen(text));
        free(text);
    }
    json_decref(json);
    return ok;
}

bool ctl_login_forget(void)
{
    char folder[PATH_ROOM], path[PATH_ROOM];
    return file_path(folder, path) && (unlink(path) == 0 || errno == ENOENT);
}

/* ---- asking for passwords ---- */

/* From the terminal without echo, or a line of standard input where that is no terminal. False at
 * its end. The caller wipes. */
static bool ask_password(const char *prompt, char out[PASSWORD_MAX])
{
    struct termios before, silent;
    bool is_terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;
    if (is_terminal) {
        silent = before;
        silent.c_lflag &= (tcflag_t) ~(tcflag_t)ECHO;
        fputs(prompt, stderr);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    }
    bool ok = fgets(out, PASSWORD_MAX, stdin) != NULL;
    if (is_terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputc('\n', stderr);
    }
    if (!ok) {
        ctl_fail(CTL_USAGE, "no password was given");
        return false;
    }
    out[strcspn(out, "\n")] = '\0';
    return true;
}

/* Who logs in with a password that was set by another must choose one of his own first. */
static bool change_password(struct ctl_api *api, char password[PASSWORD_MAX], enum ctl_exit *status)
{
    char chosen[PASSWORD_MAX];
    fputs("This password is for one login: choose your own (at least 12 characters).\n", stderr);
    if (!ask_password("New password: ", chosen)) {
        *status = CTL_USAGE;
        return false;
    }
    json_t *answer = ctl_api_call(api, "POST", "/api/v1/me/password",
                                  json_pack("{s:s, s:s}", "old", password, "new", chosen), status);
    snprintf(password, PASSWORD_MAX, "%s", chosen);
    amm_wipe(chosen, sizeof chosen);
    json_decref(answer);
    return answer != NULL;
}

/* ---- commands ---- */

struct login_options {
    const char *url, *user, *role, *ca;
};

static bool parse_options(int argc, char **argv, struct login_options *out)
{
    static const struct option options[] = {
        {"user", required_argument, NULL, 'u'},
        {"role", required_argument, NULL, 'r'},
        {"ca", required_argument, NULL, 'c'},
        {NULL, 0, NULL, 0},
    };
    int option;
    *out = (struct login_options){.user = "admin", .role = "system-admin"};
    optind = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'u':
            out->user = optarg;
            break;
        case 'r':
            out->role = optarg;
            break;
        case 'c':
            out->ca = optarg;
            break;
        default:
            return false;
        }
    }
    out->url = optind == argc - 1 ? argv[optind] : NULL;
    return out->url && strlen(out->url) < sizeof((struct ctl_login *)NULL)->url;
}

/* Logs in, makes a token for this machine, logs out again: what is kept is the token alone. */
static bool make_token(struct ctl_api *api, const struct login_options *options,
                       char password[PASSWORD_MAX], struct ctl_login *login, enum ctl_exit *status)
{
    char host[64] = "", name[96];
    json_t *answer =
        ctl_api_call(api, "POST", "/api/v1/login",
                     json_pack("{s:s, s:s}", "user", options->user, "password", password), status);
    bool ok = answer != NULL;
    if (ok && json_is_true(json_object_get(answer, "must_change_password"))) {
        ok = change_password(api, password, status);
    }
    json_decref(answer);
    if (!ok) {
        return false;
    }
    gethostname(host, sizeof host - 1);
    snprintf(name, sizeof name, "ammctl-%.40s-%lld", host, (long long)time(NULL));
    answer = ctl_api_call(
        api, "POST", "/api/v1/tokens",
        json_pack("{s:s, s:s, s:i}", "name", name, "role", options->role, "days", DAYS), status);
    take(answer, "token", login->token, sizeof login->token);
    take(answer, "id", login->token_id, sizeof login->token_id);
    json_decref(answer);
    if (answer) {
        enum ctl_exit ignored;
        json_decref(ctl_api_call(api, "POST", "/api/v1/logout", NULL, &ignored));
    }
    return login->token[0] != '\0';
}

static int login_run(const struct ctl *ctl, int argc, char **argv)
{
    struct login_options options;
    struct ctl_login login = {0};
    char password[PASSWORD_MAX];
    enum ctl_exit status;
    (void)ctl;
    if (!parse_options(argc, argv, &options)) {
        return ctl_fail(CTL_USAGE, "usage: login URL [--user NAME] [--role ROLE] [--ca FILE]");
    }
    struct ctl_api *api = ctl_api_open_url(options.url, NULL, options.ca, &status);
    if (api && !ask_password("Password: ", password)) {
        status = CTL_USAGE;
    } else if (api && make_token(api, &options, password, &login, &status)) {
        snprintf(login.url, sizeof login.url, "%s", options.url);
        snprintf(login.ca, sizeof login.ca, "%s", options.ca ? options.ca : "");
        status = ctl_login_save(&login) ? CTL_OK : CTL_FAILED;
    }
    if (status == CTL_OK) {
        printf("logged in at %s as %s for %d days\n", options.url, options.user, DAYS);
    }
    amm_wipe(password, sizeof password);
    amm_wipe(&login, sizeof login);
    ctl_api_close(api);
    return status;
}

static int logout_run(const struct ctl *ctl, int argc, char **argv)
{
    struct ctl_login login;
    struct ctl_target target;
    enum ctl_exit status;
    (void)ctl, (void)argc, (void)argv;
    if (!ctl_login_load(&login, &status)) {
        return status;
    }
    struct ctl_api *api =
        ctl_api_open_url(login.url, login.token, login.ca[0] ? login.ca : NULL, &status);
    ctl_target_init(&target, "/api/v1/tokens");
    ctl_target_segment(&target, login.token_id);
    amm_write_u8(&target.w, 0);
    if (api) {
        json_decref(ctl_api_call(api, "DELETE", target.text, NULL, &status));
    }
    ctl_api_close(api);
    amm_wipe(&login, sizeof login);
    /* A token that could not be revoked is still forgotten here; the words above said so. */
    return ctl_login_forget() ? (int)status
                              : ctl_fail(CTL_FAILED, "the login could not be removed");
}

const struct ctl_command ctl_login_commands[] = {
    {"login",
     "URL [--user NAME] [--role ROLE] [--ca FILE]  keep an API token of a manager elsewhere",
     login_run, false, NULL, NULL},
    {"logout", "  revoke and forget it", logout_run, false, NULL, NULL},
    {.name = NULL},
};
