/* The tunnel client of a gateway: options, files, and what it prints. */
#include "ammer.h"
#include "config.h"
#include "io/clock.h"
#include "io/log.h"
#include "io/privilege.h"
#include "state_server.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_CONFIG = 2 };

struct options {
    const char *config, *ovpn;
    const char *tun, *state, *user, *clock_floor;
    bool json;
    int check, status, print, print_doc, verbose;
};

static const char usage[] =
    "usage: ammer --config FILE | --ovpn FILE [OPTION]...\n"
    "       ammer --status [--state SOCKET] [-o json]\n"
    "\n"
    "The tunnel client of a gateway: joins amm-tunneld or an OpenVPN server (tested: 2.6).\n"
    "\n"
    "  --config FILE       run with ammer's own configuration file\n"
    "  --ovpn FILE         run with a plain .ovpn file\n"
    "  --tun NAME          name of the tun device\n"
    "  --state SOCKET      local socket that tells the state\n"
    "  --user USER         become this user once the device is open\n"
    "  --clock-floor FILE  remembers the latest time that a server proved\n"
    "  --verbose           log more\n"
    "  --check-config      say whether the file and what it names are good, and stop\n"
    "  --print-config      write a commented configuration with all defaults\n"
    "  --print-doc         write the same as a table (doc/configuration.md)\n"
    "  --status            print the state of the ammer that serves --state (default "
    "/run/ammer.sock)\n"
    "  -o json             print it as JSON\n"
    "  --version, --help\n"
    "\n"
    "signals: TERM and INT take the tunnel down\n"
    "exit codes: 0 stopped, 1 failed, 2 wrong configuration or usage\n";

static bool parse_options(struct options *o, int argc, char **argv)
{
    enum { CONFIG, OVPN, TUN, STATE, USER, CLOCK, N_TEXTS, VERSION = 256, HELP };
    const char **texts[N_TEXTS] = {
        [CONFIG] = &o->config, [OVPN] = &o->ovpn, [TUN] = &o->tun,
        [STATE] = &o->state,   [USER] = &o->user, [CLOCK] = &o->clock_floor,
    };
    const struct option longs[] = {
        {"config", required_argument, NULL, CONFIG},
        {"ovpn", required_argument, NULL, OVPN},
        {"tun", required_argument, NULL, TUN},
        {"state", required_argument, NULL, STATE},
        {"user", required_argument, NULL, USER},
        {"clock-floor", required_argument, NULL, CLOCK},
        {"check-config", no_argument, &o->check, 1},
        {"status", no_argument, &o->status, 1},
        {"print-config", no_argument, &o->print, 1},
        {"print-doc", no_argument, &o->print_doc, 1},
        {"verbose", no_argument, &o->verbose, 1},
        {"version", no_argument, NULL, VERSION},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    for (int c, at; at = -1, (c = getopt_long(argc, argv, "o:h", longs, &at)) != -1;) {
        if (at >= 0 && longs[at].flag == NULL && c < N_TEXTS) {
            *texts[c] = optarg;
        } else if (c == 'o' && strcmp(optarg, "json") == 0) {
            o->json = true;
        } else if (c == VERSION || c == HELP || c == 'h') {
            fputs(c == VERSION ? "ammer " AMM_VERSION "\n" : usage, stdout);
            exit(EXIT_SUCCESS);
        } else if (at < 0 || longs[at].flag == NULL) {
            return false;
        }
    }
    return optind == argc && (o->status || o->print || o->print_doc || !o->config != !o->ovpn);
}

static bool take_over(const char *option, const char *name, char *out, size_t room, char *error,
                      size_t error_room)
{
    if (option && strlen(option) >= room) {
        snprintf(error, error_room, "--%s: at most %zu characters", name, room - 1);
        return false;
    }
    if (option) {
        snprintf(out, room, "%s", option);
    }
    return true;
}

static bool override(struct amm_settings *s, const struct options *o, char *error, size_t room)
{
    return take_over(o->tun, "tun", s->tun, sizeof s->tun, error, room) &&
           take_over(o->state, "state", s->state_socket, sizeof s->state_socket, error, room) &&
           take_over(o->user, "user", s->user, sizeof s->user, error, room) &&
           take_over(o->clock_floor, "clock-floor", s->clock_floor, sizeof s->clock_floor, error,
                     room);
}

static int print_status(const struct options *o)
{
    struct amm_client_state s;
    char text[AMM_CLIENT_STATE_MAX], error[256], ip[AMM_IPV4_TEXT], address[AMM_ADDRESS_TEXT];
    if (!state_ask(o->state ? o->state : "/run/ammer.sock", &s, error, sizeof error)) {
        fprintf(stderr, "ammer: %s\n", error);
        return EXIT_FAILURE;
    }
    if (o->json) {
        fwrite(text, 1, amm_client_state_json(&s, text, sizeof text), stdout);
        return EXIT_SUCCESS;
    }
    printf("state     %s for %lld s\n", amm_client_phase_name(s.phase),
           (long long)(amm_now().wall - s.since));
    printf("server    %s%s%s\n", s.remote, s.server[0] ? ", " : "", s.server);
    if (s.address.family != AMM_FAMILY_NONE) {
        printf("address   %s\n", amm_address_text(&s.address, address));
    }
    if (s.phase == AMM_PHASE_UP) {
        printf("tunnel    %s on %s, %s, %s\n", amm_ipv4_text(s.inner_ip, ip), s.tun, s.cipher,
               s.tls);
        printf("received  %llu packets, %llu bytes\n", (unsigned long long)s.rx_packets,
               (unsigned long long)s.rx_bytes);
        printf("sent      %llu packets, %llu bytes\n", (unsigned long long)s.tx_packets,
               (unsigned long long)s.tx_bytes);
    }
    if (s.last_error[0]) {
        printf("error     %s\n", s.last_error);
    }
    if (s.next_try > 0) {
        printf("next try  in %u s\n", s.next_try);
    }
    return EXIT_SUCCESS;
}

static int print_config(bool is_table)
{
    enum { ROOM = 32768 };
    char *text = malloc(ROOM);
    bool ok = text && (is_table ? amm_conf_markdown(&amm_ammer_schema, text, ROOM)
                                : amm_conf_example(&amm_ammer_schema, text, ROOM));
    if (ok) {
        fputs(text, stdout);
    }
    free(text);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run(struct amm_settings *settings, const struct options *o)
{
    char error[512];
    const char *path = o->ovpn ? o->ovpn : o->config;
    struct amm_credentials credentials = {0};
    amm_settings_init(settings);
    bool ok = settings_read(settings, path, o->ovpn != NULL, error, sizeof error) &&
              override(settings, o, error, sizeof error) &&
              credentials_load(&credentials, settings, path, error, sizeof error);
    amm_settings_deinit(settings);
    if (!ok) {
        fprintf(stderr, "ammer: %s\n", error);
        return EXIT_CONFIG;
    }
    if (o->check) {
        printf("%s: good, %u servers\n", path, settings->n_remotes);
    } else {
        ok = ammer_run(settings, &credentials, "amm-" AMM_VERSION, error, sizeof error);
        if (!ok) {
            fprintf(stderr, "ammer: %s\n", error);
        }
    }
    credentials_free(&credentials);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct options options = {0};
    amm_process_fill_streams();
    if (!parse_options(&options, argc, argv)) {
        fputs(usage, stderr);
        return EXIT_CONFIG;
    }
    if (options.status) {
        return print_status(&options);
    }
    if (options.print || options.print_doc) {
        return print_config(options.print_doc);
    }
    amm_log_set_level(options.verbose ? AMM_LOG_DEBUG : AMM_LOG_INFO);
    struct amm_settings *settings = malloc(sizeof *settings);
    int code = settings ? run(settings, &options) : EXIT_FAILURE;
    free(settings);
    return code;
}
