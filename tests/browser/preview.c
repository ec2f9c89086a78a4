/* ACEmanager's pages over a made-up gateway, for looking at them:
 *
 *   preview FOLDER PORT [fresh|busy|down|hostile]
 *
 * https://127.0.0.1:PORT until it is stopped; FOLDER/page-label has the password. SIGUSR1: the
 * tunnel is down from now on. What the core was told is printed when it ends. */
#include "io/clock.h"
#include "support/fake_core.h"
#include "web.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile sig_atomic_t stopped, fell;

static void note(int signal_number)
{
    stopped |= signal_number != SIGUSR1;
    fell |= signal_number == SIGUSR1;
}

static void down(struct ace_core *core, int64_t wall)
{
    core->tunnel =
        (struct ace_tunnel_view){.state = ACE_TUNNEL_DOWN, .port = 1190, .since = wall - 4000};
    core->tunnel.client.next_try = 40;
    snprintf(core->tunnel.why, sizeof core->tunnel.why,
             "no answer from amm.example.net:1190/udp within 60 s");
    core->checkin.state = ACE_CHECKIN_FAILING;
    snprintf(core->checkin.error, sizeof core->checkin.error, "connection refused");
    core->clock.is_trusted = false;
    core->clock.source = AMM_CLOCK_NONE;
    snprintf(core->clock.words, sizeof core->clock.words,
             "clock is 1970-01-01: waiting for time (NTP, GPS, cellular or server)");
}

static uint32_t visit(struct ace_pages *pages, const struct web_visitor *who, const char *target,
                      int64_t ago)
{
    struct amm_now then = amm_now();
    then.wall -= ago;
    return web_visits_begin(&pages->visits, who, target, then);
}

/* One operator who is here by page and relay, and two who were. */
static void visitors(struct ace_pages *pages, const char *name)
{
    char token[WEB_TOKEN_TEXT];
    struct amm_now now = amm_now();
    const struct amm_address server = {.ip = {10, 4, 32, 1}, .family = AMM_FAMILY_IPV4};
    struct web_visitor who = {.from = "198.51.100.7",
                              .label = "abcdefghijklmnopqrstuvwx27",
                              .role = WEB_USER,
                              .epoch = ace_tunnel_epoch(pages->core)};
    snprintf(who.name, sizeof who.name, "Otto Maier");
    uint32_t number = visit(pages, &who, "", 90000);
    web_visits_end(&pages->visits, number, WEB_END_IDLE,
                   (struct amm_now){now.mono, now.wall - 88000});
    snprintf(who.name, sizeof who.name, "%s", name);
    number = visit(pages, &who, "192.168.13.100:80", 3000);
    web_visits_find(&pages->visits, number)->in = 48123;
    web_visits_find(&pages->visits, number)->out = 7123456;
    web_visits_end(&pages->visits, number, WEB_END_LEFT,
                   (struct amm_now){now.mono, now.wall - 1200});
    number = visit(pages, &who, "", 310);
    web_session_open_remote(&pages->sessions, &who, &server, now, token)->visit = number;
    visit(pages, &who, "gateway:22", 120);
}

static void serve(struct ace_core *core)
{
    while (!stopped) {
        struct pollfd ready = {.fd = core->part.fd(core->part.context), .events = POLLIN};
        amm_time deadline = core->part.deadline(core->part.context);
        int64_t wait =
            deadline == AMM_NEVER ? 1000 : (deadline - amm_now().mono) / AMM_MILLISECOND + 1;
        poll(&ready, 1, wait < 0 ? 0 : wait > 1000 ? 1000 : (int)wait);
        core->part.step(core->part.context);
        if (fell && core->tunnel.state == ACE_TUNNEL_UP) {
            down(core, amm_now().wall);
        }
    }
}

int main(int argc, char **argv)
{
    static struct ace_core core;
    char error[256];
    if (argc < 3) {
        fprintf(stderr, "usage: preview FOLDER PORT [fresh|busy|down|hostile]\n");
        return 2;
    }
    fake_core_init(&core, argv[1]);
    core.n_listens = 1;
    core.listens[0] = (struct ace_listen){
        .address = {.ip = {127, 0, 0, 1}, .family = AMM_FAMILY_IPV4}, .link = "lo"};
    if (argc > 3 && strcmp(argv[3], "fresh") != 0) {
        fake_core_busy(&core, amm_now().wall);
    }
    if (argc > 3 && strcmp(argv[3], "down") == 0) {
        down(&core, amm_now().wall);
    }
    if (argc > 3 && strcmp(argv[3], "hostile") == 0) {
        fake_core_hostile(&core);
    }
    core.has_remote_key = true;
    core.tunnel.client.epoch = 7;
    fake_core_set(&core, AMM_MSCI_HTTPS_PORT, argv[2]);
    signal(SIGTERM, note);
    signal(SIGINT, note);
    signal(SIGUSR1, note);
    signal(SIGPIPE, SIG_IGN);
    struct ace_pages *pages = ace_pages_new(&core, error, sizeof error);
    if (!pages) {
        fprintf(stderr, "preview: %s\n", error);
        return 1;
    }
    if (argc > 3 && strcmp(argv[3], "busy") == 0) {
        visitors(pages, "Maria Schmidt");
    } else if (argc > 3 && strcmp(argv[3], "hostile") == 0) {
        visitors(pages, "\"'><script>alert(1)</script><img src=x onerror=alert(1)>");
    }
    serve(&core);
    ace_pages_free(pages);
    printf("sets=%u activations=%u reboots=%u resets=%u checkins=%u\n", core.sets, core.activations,
           core.reboots, core.resets, core.checkins);
    fake_core_deinit(&core);
    return 0;
}
