#include "proxyd/probe.h"

#include "http/client.h"
#include "io/clock.h"
#include "io/file.h"
#include "io/log.h"
#include "io/tcp.h"
#include "proxyd/link.h"
#include "proxyd/proxyd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* IP packets of these sizes are sent at once; the largest that comes back is what passes. */
static const uint16_t sizes[] = {100, 576, 1200, 1280, 1350, 1400, 1420, 1450, 1500};

enum {
    N_SIZES = sizeof sizes / sizeof sizes[0],
    SMALLEST = 100,
    HEADERS = 28,       /* IPv4 and ICMP */
    PAGE_BYTES = 65536, /* of the page, looked through for its title */
    TITLE = 80,
    TARGET = 256,
    HOPS = 3,
    MTU_WAIT = 300, /* ms that later answers get behind the first one */
};

struct probe {
    struct probe *next;
    struct amm_proxy_test test;
    struct amm_proxy_result result;
    amm_time began, ends;
    struct proxyd_watch ping; /* fd -1: none */
    amm_time ponged;          /* first answer; 0: none yet */
    uint16_t largest;         /* that came back */
    bool ping_over;
    struct proxyd_watch tcp; /* fd -1: none */
    bool tcp_over, tcp_ok;
    struct proxyd_watch page; /* of the client */
    unsigned interest;
    struct amm_http_client *client;
    bool page_over;
    unsigned hops;
    char target[TARGET];   /* that is asked for; a redirection within the page is followed */
    char leads_to[TARGET]; /* where the page sends us; "": nowhere */
    size_t title_len;
    char head[PAGE_BYTES];
};

struct probes {
    unsigned n;
    struct probe *first;
};

/* ---- results ---- */

static bool wants(const struct probe *probe, enum amm_proxy_step step)
{
    return (probe->test.steps >> step & 1) != 0;
}

__attribute__((format(printf, 5, 6))) static void say(struct probe *probe, enum amm_proxy_step step,
                                                      enum amm_proxy_verdict verdict, amm_time now,
                                                      const char *format, ...)
{
    struct amm_proxy_result *result = &probe->result;
    if (!wants(probe, step) || result->n == AMM_PROXY_STEPS) {
        return;
    }
    for (unsigned i = 0; i < result->n; i++) {
        if (result->list[i].step == step) {
            return;
        }
    }
    struct amm_proxy_step_result *out = &result->list[result->n++];
    out->step = (uint8_t)step;
    out->verdict = (uint8_t)verdict;
    out->milliseconds = (uint32_t)((now - probe->began) / AMM_MILLISECOND);
    va_list list;
    va_start(list, format);
    vsnprintf(out->text, sizeof out->text, format, list);
    va_end(list);
}

/* ---- ping and the size of packets ---- */

void probes_allow(gid_t group)
{
    char text[64], error[128];
    int len = snprintf(text, sizeof text, "%u\t%u\n", (unsigned)group, (unsigned)group);
    FILE *file = fopen("/proc/sys/net/ipv4/ping_group_range", "we");
    if (file == NULL || fwrite(text, 1, (size_t)len, file) != (size_t)len) {
        snprintf(error, sizeof error, "%s", strerror(errno));
        amm_log(AMM_LOG_WARNING, "no-ping", amm_field_text("error", error));
    }
    if (file != NULL) {
        fclose(file);
    }
}

static void ponged(struct proxyd *proxyd, struct proxyd_watch *watch, const struct amm_ready *ready)
{
    struct probe *probe = (struct probe *)((char *)watch - offsetof(struct probe, ping));
    uint8_t packet[2048];
    ssize_t got;
    (void)ready;
    while ((got = recv(watch->fd, packet, sizeof packet, 0)) >= (ssize_t)sizeof(struct icmphdr)) {
        uint16_t size = (uint16_t)(got + HEADERS - (ssize_t)sizeof(struct icmphdr));
        if (packet[0] != ICMP_ECHOREPLY) {
            continue;
        }
        if (probe->ponged == 0) {
            probe->ponged = proxyd->now.mono;
            say(probe, AMM_PROXY_STEP_PING, AMM_PROXY_STEP_OK, proxyd->now.mono,
                "The gateway answers through its tunnel.");
        }
        probe->largest = size > probe->largest ? size : probe->largest;
    }
}

/* Nothing is fragmented on the way: what is too large for it does not come back. */
static bool send_pings(struct proxyd *proxyd, struct probe *probe)
{
    static uint8_t packet[1500];
    struct sockaddr_in to = {.sin_family = AF_INET};
    memcpy(&to.sin_addr, probe->test.address.ip, 4);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ICMP);
    int whole = IP_PMTUDISC_PROBE;
    probe->ping.fd = fd;
    if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &whole, sizeof whole) != 0 ||
        connect(fd, (struct sockaddr *)&to, sizeof to) != 0 ||
        !proxyd_watch(proxyd, &probe->ping, AMM_READ)) {
        say(probe, AMM_PROXY_STEP_PING, AMM_PROXY_STEP_FAILED, proxyd->now.mono,
            "No ping can be sent from here: %s.", strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        probe->ping.fd = -1;
        return false;
    }
    unsigned n = wants(probe, AMM_PROXY_STEP_MTU) ? N_SIZES : 1;
    for (unsigned i = 0; i < n; i++) {
        struct icmphdr head = {.type = ICMP_ECHO, .un.echo.sequence = htons((uint16_t)(i + 1))};
        memcpy(packet, &head, sizeof head);
        /* What is larger than the tunnel's own limit fails here. */
        if (send(fd, packet, sizes[i] - (HEADERS - sizeof head), 0) < 0 && i == 0) {
            say(probe, AMM_PROXY_STEP_PING, AMM_PROXY_STEP_FAILED, proxyd->now.mono,
                "No packet reaches the tunnel: %s.", strerror(errno));
            return false;
        }
    }
    return true;
}

static void end_ping(struct proxyd *proxyd, struct probe *probe)
{
    probe->ping_over = true;
    if (probe->ping.fd >= 0) {
        proxyd_unwatch(proxyd, &probe->ping);
        close(probe->ping.fd);
        probe->ping.fd = -1;
    }
    if (probe->ponged == 0) {
        say(probe, AMM_PROXY_STEP_PING, AMM_PROXY_STEP_FAILED, proxyd->now.mono,
            "The gateway does not answer a ping: the tunnel is down, or the gateway drops pings.");
        say(probe, AMM_PROXY_STEP_MTU, AMM_PROXY_STEP_SKIPPED, proxyd->now.mono,
            "Not measured, because pings are not answered.");
        return;
    }
    say(probe, AMM_PROXY_STEP_MTU,
        probe->largest >= 1280 ? AMM_PROXY_STEP_OK : AMM_PROXY_STEP_FAILED, proxyd->now.mono,
        "Packets of up to %u bytes pass the tunnel whole%s.", probe->largest,
        probe->largest >= 1280 ? "" : ": large pages may hang; see the radio link's MTU");
}

/* ---- TCP ---- */

static void connected(struct proxyd *proxyd, struct proxyd_watch *watch,
                      const struct amm_ready *ready)
{
    struct probe *probe = (struct probe *)((char *)watch - offsetof(struct probe, tcp));
    struct amm_address local;
    (void)ready;
    int cause = amm_tcp_connect_result(watch->fd, &local);
    probe->tcp_over = true;
    probe->tcp_ok = cause == 0;
    if (cause == 0) {
        say(probe, AMM_PROXY_STEP_TCP, AMM_PROXY_STEP_OK, proxyd->now.mono,
            "Port %u accepts connections.", probe->test.address.port);
    } else {
        say(probe, AMM_PROXY_STEP_TCP, AMM_PROXY_STEP_FAILED, proxyd->now.mono, "Port %u: %s%s.",
            probe->test.address.port, strerror(cause),
            cause == ECONNREFUSED ? " (is the page on this port, and allowed in the tunnel?)" : "");
    }
    proxyd_unwatch(proxyd, watch);
    close(watch->fd);
    watch->fd = -1;
}

static void begin_tcp(struct proxyd *proxyd, struct probe *probe)
{
    char error[128];
    probe->tcp.fd = amm_tcp_connect(&probe->test.address, error, sizeof error);
    if (probe->tcp.fd >= 0 && proxyd_watch(proxyd, &probe->tcp, AMM_WRITE)) {
        return;
    }
    if (probe->tcp.fd >= 0) {
        close(probe->tcp.fd);
        probe->tcp.fd = -1;
        snprintf(error, sizeof error, "out of descriptors");
    }
    probe->tcp_over = true;
    say(probe, AMM_PROXY_STEP_TCP, AMM_PROXY_STEP_FAILED, proxyd->now.mono, "%s.", error);
}

/* ---- the key and the page ---- */

static void end_page(struct proxyd *proxyd, struct probe *probe)
{
    if (probe->page.fd >= 0) {
        proxyd_unwatch(proxyd, &probe->page);
        probe->page.fd = -1;
    }
    probe->client = amm_http_client_free(probe->client);
    probe->page_over = true;
}

static void see_key(struct proxyd *proxyd, struct probe *probe)
{
    char hex[17];
    if (probe->result.has_key || !amm_http_client_key(probe->client, probe->result.key)) {
        return;
    }
    probe->result.has_key = 1;
    amm_hex(hex, amm_view(probe->result.key, 8));
    say(probe, AMM_PROXY_STEP_TLS, AMM_PROXY_STEP_OK, proxyd->now.mono,
        probe->test.has_pin ? "The page shows the key that is known, %s."
                            : "The page shows the key %s; it is saved when somebody enters.",
        hex);
}

/* The text between <title> and </title>, printable. */
static void find_title(const struct probe *probe, char out[TITLE])
{
    struct amm_view left = amm_view(probe->head, probe->title_len);
    out[0] = '\0';
    for (size_t i = 0; i + 7 < left.len; i++) {
        if (strncasecmp((const char *)left.data + i, "<title", 6) != 0) {
            continue;
        }
        const uint8_t *start = memchr(left.data + i, '>', left.len - i);
        size_t at = start ? (size_t)(start - left.data) + 1 : left.len;
        size_t end = at;
        while (end < left.len && left.data[end] != '<') {
            end++;
        }
        amm_text_clean(out, TITLE, amm_view(left.data + at, end - at));
        return;
    }
}

/* Most pages lead from "/" to their login. */
static void see_head(struct probe *probe, const struct amm_http_response *response)
{
    struct amm_view to = amm_http_field(&response->fields, "location");
    bool leads = response->status >= 300 && response->status < 400 && to.len > 0 &&
                 to.len < TARGET && to.data[0] == '/' && (to.len == 1 || to.data[1] != '/');
    probe->leads_to[0] = '\0';
    if (leads && probe->hops < HOPS) {
        memcpy(probe->leads_to, to.data, to.len);
        probe->leads_to[to.len] = '\0';
    }
}

static void page_done(struct proxyd *proxyd, struct probe *probe)
{
    char title[TITLE];
    if (probe->leads_to[0] != '\0') {
        memcpy(probe->target, probe->leads_to, sizeof probe->target);
        probe->hops++;
        probe->title_len = 0;
        end_page(proxyd, probe);
        probe->page_over = false; /* probes_step begins anew */
        return;
    }
    find_title(probe, title);
    say(probe, AMM_PROXY_STEP_PAGE, AMM_PROXY_STEP_OK, proxyd->now.mono,
        title[0] != '\0' ? "The page answers; its title is \"%s\"." : "The page answers%s.", title);
    end_page(proxyd, probe);
}

static void page_failed(struct proxyd *proxyd, struct probe *probe,
                        const struct amm_http_event *event)
{
    enum amm_proxy_step step =
        event->tls_failure != AMM_TLS_OK ? AMM_PROXY_STEP_TLS : AMM_PROXY_STEP_PAGE;
    if (event->tls_failure == AMM_TLS_WRONG_PIN) {
        probe->result.has_key = amm_http_client_key(probe->client, probe->result.key);
        say(probe, step, AMM_PROXY_STEP_FAILED, proxyd->now.mono,
            "The page shows another key than the known one: accept it in the console if you know "
            "why.");
    } else {
        say(probe, step, AMM_PROXY_STEP_FAILED, proxyd->now.mono, "%s.", event->error);
    }
    end_page(proxyd, probe);
}

static void step_page(struct proxyd *proxyd, struct probe *probe);

static void page_ready(struct proxyd *proxyd, struct proxyd_watch *watch,
                       const struct amm_ready *ready)
{
    (void)ready;
    step_page(proxyd, (struct probe *)((char *)watch - offsetof(struct probe, page)));
}

static void watch_page(struct proxyd *proxyd, struct probe *probe)
{
    int fd = amm_http_client_fd(probe->client);
    unsigned interest = amm_http_client_interest(probe->client);
    if (fd != probe->page.fd) {
        if (probe->page.fd >= 0) {
            proxyd_unwatch(proxyd, &probe->page);
        }
        probe->page.fd = fd;
        if (fd >= 0) {
            proxyd_watch(proxyd, &probe->page, interest);
        }
    } else if (fd >= 0 && interest != probe->interest) {
        proxyd_rewatch(proxyd, &probe->page, interest);
    }
    probe->interest = interest;
}

static void step_page(struct proxyd *proxyd, struct probe *probe)
{
    struct amm_http_event event;
    do {
        amm_http_client_step(probe->client, proxyd->now, &event);
        if (event.kind != AMM_HTTP_EVENT_FAILED) {
            see_key(proxyd, probe);
        }
        if (event.kind == AMM_HTTP_EVENT_KEY) {
            amm_http_client_trust(probe->client);
        }
        if (event.kind == AMM_HTTP_EVENT_HEAD) {
            see_head(probe, event.response);
        }
        if (event.kind == AMM_HTTP_EVENT_BODY) {
            size_t room = sizeof probe->head - probe->title_len;
            size_t len = event.content.len < room ? event.content.len : room;
            memcpy(probe->head + probe->title_len, event.content.data, len);
            probe->title_len += len;
        }
        if (event.kind == AMM_HTTP_EVENT_FAILED) {
            page_failed(proxyd, probe, &event);
            return;
        }
        if (event.kind == AMM_HTTP_EVENT_DONE || probe->title_len == sizeof probe->head) {
            page_done(proxyd, probe);
            return;
        }
    } while (event.kind != AMM_HTTP_EVENT_NONE);
    watch_page(proxyd, probe);
}

static void begin_page(struct proxyd *proxyd, struct probe *probe)
{
    const struct amm_proxy_test *test = &probe->test;
    bool secure = test->scheme == AMM_PROXY_HTTPS;
    char address[AMM_ADDRESS_TEXT];
    amm_duration limit = test->milliseconds * AMM_MILLISECOND;
    const struct amm_http_client_settings settings = {
        .address = test->address,
        .host = test->host[0] != '\0' ? test->host : amm_address_text(&test->address, address),
        .tls = secure ? proxyd->pages : NULL,
        .server_name = "",
        .key_pin = test->has_pin ? amm_view(test->pin, sizeof test->pin) : (struct amm_view){0},
        .first_use = !test->has_pin,
        .tolerant_end = true,
        .connect_deadline = limit,
        .answer_deadline = limit,
        .idle_deadline = limit};
    static const char accept[] = "Accept: text/html,*/*;q=0.8\r\n";
    probe->client = amm_http_client_new(&settings, proxyd->now);
    if (probe->client == NULL ||
        !amm_http_client_request(probe->client, amm_view_str("GET"), amm_view_str(probe->target),
                                 amm_view_str(accept), (struct amm_view){0})) {
        say(probe, AMM_PROXY_STEP_PAGE, AMM_PROXY_STEP_FAILED, proxyd->now.mono, "out of memory.");
        end_page(proxyd, probe);
        return;
    }
    step_page(proxyd, probe);
}

/* ---- life ---- */

struct probes *probes_new(void)
{
    return calloc(1, sizeof(struct probes));
}

static void finish(struct proxyd *proxyd, struct probe *probe)
{
    if (!probe->ping_over) {
        end_ping(proxyd, probe);
    }
    if (probe->tcp.fd >= 0) {
        proxyd_unwatch(proxyd, &probe->tcp);
        close(probe->tcp.fd);
    }
    if (probe->client != NULL) {
        end_page(proxyd, probe);
    }
    free(probe);
}

struct probes *probes_free(struct proxyd *proxyd)
{
    while (proxyd->probes != NULL && proxyd->probes->first != NULL) {
        struct probe *probe = proxyd->probes->first;
        proxyd->probes->first = probe->next;
        finish(proxyd, probe);
    }
    free(proxyd->probes);
    return NULL;
}

void probe_start(struct proxyd *proxyd, const struct amm_proxy_test *test)
{
    struct probe *probe = proxyd->probes->n < PROBES ? calloc(1, sizeof *probe) : NULL;
    if (probe == NULL || test->address.family != AMM_FAMILY_IPV4) {
        free(probe);
        link_result(proxyd->link, &(struct amm_proxy_result){
                                      .id = test->id,
                                      .n = 1,
                                      .list[0] = {.step = AMM_PROXY_STEP_PING,
                                                  .verdict = AMM_PROXY_STEP_FAILED,
                                                  .text = "Too many tests are under way."}});
        return;
    }
    probe->test = *test;
    memcpy(probe->target, "/", 2);
    probe->result.id = test->id;
    probe->began = proxyd->now.mono;
    probe->ends = amm_time_after(probe->began, test->milliseconds * AMM_MILLISECOND);
    probe->ping = (struct proxyd_watch){.ready = ponged, .fd = -1};
    probe->tcp = (struct proxyd_watch){.ready = connected, .fd = -1};
    probe->page = (struct proxyd_watch){.ready = page_ready, .fd = -1};
    probe->ping_over = (!wants(probe, AMM_PROXY_STEP_PING) && !wants(probe, AMM_PROXY_STEP_MTU)) ||
                       !send_pings(proxyd, probe);
    bool wants_page = wants(probe, AMM_PROXY_STEP_TLS) || wants(probe, AMM_PROXY_STEP_PAGE);
    probe->page_over = !wants_page;
    if (wants(probe, AMM_PROXY_STEP_TCP) || wants_page) {
        begin_tcp(proxyd, probe);
    } else {
        probe->tcp_over = true;
    }
    probe->next = proxyd->probes->first;
    proxyd->probes->first = probe;
    proxyd->probes->n++;
}

/* What still stands open has failed for want of time, or of what comes before it. */
static void close_up(struct proxyd *proxyd, struct probe *probe)
{
    amm_time now = proxyd->now.mono;
    if (!probe->ping_over) {
        end_ping(proxyd, probe);
    }
    if (!probe->tcp_over) {
        say(probe, AMM_PROXY_STEP_TCP, AMM_PROXY_STEP_FAILED, now,
            "Port %u does not answer in time.", probe->test.address.port);
    }
    bool was_begun = probe->tcp_ok;
    if (probe->test.scheme == AMM_PROXY_HTTP) {
        say(probe, AMM_PROXY_STEP_TLS, AMM_PROXY_STEP_SKIPPED, now, "The page is plain HTTP.");
    }
    say(probe, AMM_PROXY_STEP_TLS, was_begun ? AMM_PROXY_STEP_FAILED : AMM_PROXY_STEP_SKIPPED, now,
        was_begun ? "No TLS in time." : "Not tried: there is no connection.");
    say(probe, AMM_PROXY_STEP_PAGE, was_begun ? AMM_PROXY_STEP_FAILED : AMM_PROXY_STEP_SKIPPED, now,
        was_begun ? "No page in time." : "Not tried: there is no connection.");
}

static bool is_over(struct proxyd *proxyd, struct probe *probe)
{
    if (probe->tcp_over && !probe->page_over && probe->client == NULL) {
        if (probe->tcp_ok) {
            begin_page(proxyd, probe);
        } else {
            probe->page_over = true;
        }
    }
    if (probe->client != NULL && amm_http_client_deadline(probe->client) <= proxyd->now.mono) {
        step_page(proxyd, probe);
    }
    if (!probe->ping_over && probe->ponged != 0 &&
        (!wants(probe, AMM_PROXY_STEP_MTU) ||
         proxyd->now.mono - probe->ponged >= MTU_WAIT * AMM_MILLISECOND)) {
        end_ping(proxyd, probe);
    }
    return (probe->ping_over && probe->tcp_over && probe->page_over) ||
           proxyd->now.mono >= probe->ends;
}

void probes_step(struct proxyd *proxyd)
{
    for (struct probe **at = &proxyd->probes->first; *at != NULL;) {
        struct probe *probe = *at;
        if (!is_over(proxyd, probe)) {
            at = &probe->next;
            continue;
        }
        *at = probe->next;
        proxyd->probes->n--;
        close_up(proxyd, probe);
        link_result(proxyd->link, &probe->result);
        finish(proxyd, probe);
    }
}

amm_time probes_deadline(const struct proxyd *proxyd)
{
    amm_time at = AMM_NEVER;
    for (const struct probe *probe = proxyd->probes->first; probe != NULL; probe = probe->next) {
        at = amm_time_min(at, probe->ends);
        if (probe->tcp_over && !probe->page_over && probe->client == NULL) {
            at = proxyd->now.mono;
        }
        if (probe->client != NULL) {
            at = amm_time_min(at, amm_http_client_deadline(probe->client));
        }
        if (!probe->ping_over && probe->ponged != 0) {
            at = amm_time_min(at, probe->ponged + MTU_WAIT * AMM_MILLISECOND);
        }
    }
    return at;
}
