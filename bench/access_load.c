/* Everything around amm-proxyd but the tunnel: ammd's side of its socket, a page of a gateway with
 * TLS, and browsers. For ./amm bench access.
 *
 *   access_load --socket PATH --browsers ADDRESS:PORT --sessions N PHASE...
 *
 * Listens at PATH, waits until amm-proxyd has come and knows of N remote sessions, each of a
 * gateway of its own, and then does the phases; each prints one line of JSON:
 *
 *   latency:PAIRS      PAIRS times a request of 4 KiB to the page itself and one through the proxy,
 *                      in turns, on kept connections with TLS
 *   download:MIB       one body of that size through the proxy
 *   upload:MIB         the same the other way
 *   sessions:SECONDS   each session makes a request of 4 KiB a second
 *
 * CPU time and memory are those of amm-proxyd, which says its pid. */
#include "base/base64.h"
#include "crypto/mac.h"
#include "crypto/pki.h"
#include "http/client.h"
#include "http/server.h"
#include "io/clock.h"
#include "io/loop.h"
#include "io/tcp.h"
#include "io/unix.h"
#include "ipc/proxy.h"

#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SMALL = 4096, AHEAD = 65536, WARM_UP = 50, HOST = 96 };

static struct {
    struct amm_address browsers, page;
    const char *socket;
    unsigned n_sessions;
    int big; /* a file of zeros */
    uint64_t big_len;
    int manager; /* the connection to amm-proxyd */
    uint32_t pid;
    struct amm_http_tls *tls;
    char cookie[AMM_BASE64_ROOM(32)];
} load;

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "access_load: %s: %s\n", what, why);
    exit(2);
}

/* ---- the page ---- */

static bool streams(void *context, const struct amm_http_call *call)
{
    (void)context;
    return amm_view_equal(call->request->method, amm_view_str("PUT"));
}

static void piece(void *context, struct amm_http_ref ref, struct amm_view bytes, bool last)
{
    struct amm_http_server *const *server = context;
    amm_http_take(*server, ref, bytes.len);
    if (last) {
        amm_http_answer(*server, ref, &(struct amm_http_reply){.status = 200});
    }
}

static void handle(void *context, const struct amm_http_call *call)
{
    static const uint8_t small[SMALL];
    (void)context;
    if (call->streamed) {
        amm_http_take(call->server, call->ref, AHEAD);
        return;
    }
    struct amm_http_reply reply = {
        .status = 200, .content_type = "text/html", .body = amm_view(small, sizeof small)};
    if (amm_view_equal(call->request->path, amm_view_str("/big"))) {
        reply.has_file = true;
        reply.file = dup(load.big);
        reply.file_len = load.big_len;
    }
    amm_http_answer(call->server, call->ref, &reply);
}

static void *serve(void *server)
{
    amm_http_server_run(server);
    return NULL;
}

static void start_page(void)
{
    static char certificate[AMM_PEM_MAX], key[AMM_PEM_MAX];
    char error[256] = "out of memory";
    int64_t now = amm_now().wall;
    const struct amm_certificate_request request = {AMM_CERTIFICATE_CA, "router", NULL, now - 60,
                                                    now + 86400};
    load.page = (struct amm_address){.family = AMM_FAMILY_IPV4, .ip = {127, 0, 0, 1}};
    int fd = amm_tcp_listen(&load.page, false, error, sizeof error);
    struct sockaddr_in name;
    socklen_t len = sizeof name;
    if (fd < 0 || getsockname(fd, (struct sockaddr *)&name, &len) != 0 ||
        !amm_pki_key_new(key, error, sizeof error) ||
        !amm_pki_issue(&request, key, NULL, key, certificate, error, sizeof error)) {
        die("page", error);
    }
    load.page.port = ntohs(name.sin_port);
    struct amm_http_settings settings;
    amm_http_settings_init(&settings);
    static struct amm_http_server *server;
    settings.handle = handle;
    settings.streams = streams;
    settings.piece = piece;
    settings.context = &server;
    settings.connections = 2 * load.n_sessions + 64;
    server = amm_http_server_new(&settings);
    struct amm_http_tls *tls =
        amm_http_tls_new(&(struct amm_http_tls_settings){.certificate = certificate, .key = key},
                         error, sizeof error);
    pthread_t thread;
    if (!server || !tls || !amm_http_server_listen(server, fd, tls, 0) ||
        pthread_create(&thread, NULL, serve, server) != 0) {
        die("page", error);
    }
}

/* ---- ammd ---- */

static void label_of(unsigned i, char out[AMM_PROXY_LABEL + 1])
{
    uint8_t random[16] = {[0 ... 15] = 7};
    random[0] = (uint8_t)i;
    random[1] = (uint8_t)(i >> 8);
    amm_proxy_label(random, out);
}

static void tell(const struct amm_proxy_message *message)
{
    static uint8_t packet[AMM_PROXY_MAX];
    size_t len = amm_proxy_encode(message, packet, sizeof packet);
    struct pollfd ready = {.fd = load.manager, .events = POLLOUT};
    enum amm_unix_result result = AMM_UNIX_OK;
    do {
        poll(&ready, 1, 1000);
        result = amm_unix_send(load.manager, amm_view(packet, len), NULL, 0);
    } while (len > 0 && result == AMM_UNIX_AGAIN);
    if (len == 0 || result != AMM_UNIX_OK) {
        die("socket", "amm-proxyd does not take a message");
    }
}

static bool hear(struct amm_proxy_message *message)
{
    static uint8_t packet[AMM_PROXY_MAX];
    struct pollfd ready = {.fd = load.manager, .events = POLLIN};
    size_t len;
    return poll(&ready, 1, -1) == 1 &&
           amm_unix_receive(load.manager, (struct amm_span){packet, sizeof packet}, &len, NULL,
                            NULL) == AMM_UNIX_OK &&
           amm_proxy_decode(message, amm_view(packet, len));
}

/* The record of requests, and the keys. */
static void *listen_to_proxy(void *unused)
{
    static struct amm_proxy_message message;
    (void)unused;
    while (hear(&message)) {
    }
    return NULL;
}

static void tell_session(unsigned i)
{
    static const uint8_t secret[32] = {[0 ... 31] = 'c'};
    static struct amm_proxy_message message;
    int64_t now = amm_now().wall;
    message = (struct amm_proxy_message){.type = AMM_PROXY_SESSION,
                                         .session = {.kind = AMM_PROXY_PAGE,
                                                     .role = AMM_PROXY_USER,
                                                     .scheme = AMM_PROXY_HTTPS,
                                                     .gateway = i + 1,
                                                     .epoch = 1,
                                                     .tunnel = "bench",
                                                     .address = load.page,
                                                     .has_cookie = 1,
                                                     .idle = 3600,
                                                     .last_at = now,
                                                     .until = now + 3600}};
    label_of(i, message.session.label);
    amm_sha256(amm_view(secret, sizeof secret), message.session.cookie);
    amm_base64_encode(load.cookie, sizeof load.cookie, amm_view(secret, sizeof secret),
                      AMM_BASE64_URL);
    tell(&message);
}

static void be_manager(void)
{
    static struct amm_proxy_message message;
    char error[256];
    int listener = amm_unix_listen(load.socket, 0666, (gid_t)-1, error, sizeof error);
    struct pollfd ready = {.fd = listener, .events = POLLIN};
    if (listener < 0) {
        die("socket", error);
    }
    printf("{\"ready\": true}\n");
    fflush(stdout);
    if (poll(&ready, 1, 20000) != 1 || (load.manager = amm_unix_accept(listener)) < 0 ||
        !hear(&message) || message.type != AMM_PROXY_HELLO) {
        die("socket", "amm-proxyd has not come");
    }
    load.pid = message.hello.pid;
    tell(&(struct amm_proxy_message){.type = AMM_PROXY_WELCOME});
    for (unsigned i = 0; i < load.n_sessions; i++) {
        tell_session(i);
    }
    tell(&(struct amm_proxy_message){.type = AMM_PROXY_SYNCED});
    pthread_t thread;
    if (pthread_create(&thread, NULL, listen_to_proxy, NULL) != 0) {
        die("start", "no thread");
    }
}

/* ---- browsers ---- */

struct browser {
    struct amm_http_client *client;
    unsigned session;
    int status;
    uint64_t got;
};

static void open_browser(struct browser *browser, const struct amm_address *to, unsigned session)
{
    const struct amm_http_client_settings settings = {
        .address = *to, .host = "bench", .server_name = "", .tls = load.tls, .first_use = true};
    *browser =
        (struct browser){.client = amm_http_client_new(&settings, amm_now()), .session = session};
    if (!browser->client) {
        die("browser", "out of memory");
    }
}

static void ask_with(struct browser *browser, const char *method, const char *path, uint64_t length)
{
    char label[AMM_PROXY_LABEL + 1], text[HOST];
    uint8_t bytes[512];
    struct amm_writer fields = amm_writer(bytes, sizeof bytes);
    label_of(browser->session, label);
    snprintf(text, sizeof text, "%s.localhost", label);
    amm_http_write_field(&fields, "Host", amm_view_str(text));
    snprintf(text, sizeof text, "__Host-amm-remote=%s", load.cookie);
    amm_http_write_field(&fields, "Cookie", amm_view_str(text));
    browser->got = 0;
    browser->status = 0;
    if (!amm_http_client_begin(
            browser->client,
            &(struct amm_http_ask){.method = amm_view_str(method),
                                   .target = amm_view_str(path),
                                   .fields = amm_view(bytes, amm_writer_len(&fields)),
                                   .has_host = true,
                                   .framing = length > 0 ? AMM_HTTP_LENGTH : AMM_HTTP_NO_BODY,
                                   .length = length})) {
        die("request", "the connection is over");
    }
}

static void ask(struct browser *browser, const char *path)
{
    ask_with(browser, "GET", path, 0);
}

/* Goes on; true when the answer is whole. */
static bool go_on(struct browser *browser)
{
    struct amm_http_event event;
    do {
        amm_http_client_step(browser->client, amm_now(), &event);
        switch (event.kind) {
        case AMM_HTTP_EVENT_KEY:
            amm_http_client_trust(browser->client);
            break;
        case AMM_HTTP_EVENT_HEAD:
            browser->status = event.response->status;
            break;
        case AMM_HTTP_EVENT_BODY:
            browser->got += event.content.len;
            break;
        case AMM_HTTP_EVENT_DONE:
            if (browser->status != 200) {
                fprintf(stderr, "access_load: status %d\n", browser->status);
                exit(1);
            }
            return true;
        case AMM_HTTP_EVENT_FAILED:
            die("request", event.error);
        case AMM_HTTP_EVENT_INTERIM:
        case AMM_HTTP_EVENT_UPGRADED:
        case AMM_HTTP_EVENT_NONE:
            break;
        }
    } while (event.kind != AMM_HTTP_EVENT_NONE);
    return false;
}

static void wait_for(const struct browser *browser)
{
    unsigned interest = amm_http_client_interest(browser->client);
    struct pollfd ready = {.fd = amm_http_client_fd(browser->client),
                           .events = (short)((interest & AMM_READ ? POLLIN : 0) |
                                             (interest & AMM_WRITE ? POLLOUT : 0))};
    poll(&ready, 1, 1000);
}

static double fetch(struct browser *browser, const char *path)
{
    amm_time since = amm_now().mono;
    ask(browser, path);
    while (!go_on(browser)) {
        wait_for(browser);
    }
    return (double)(amm_now().mono - since) / (double)AMM_MILLISECOND;
}

/* ---- what amm-proxyd takes ---- */

static double cpu_seconds(void)
{
    char path[64];
    unsigned long long ns = 0;
    snprintf(path, sizeof path, "/proc/%u/schedstat", load.pid);
    FILE *file = fopen(path, "re");
    if (!file || fscanf(file, "%llu", &ns) != 1) {
        die(path, "cannot be read");
    }
    fclose(file);
    return (double)ns / 1e9;
}

/* Peak of resident memory, KiB. */
static double peak_kib(void)
{
    char path[64], line[256];
    double kib = 0;
    snprintf(path, sizeof path, "/proc/%u/status", load.pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            kib = strtod(line + 6, NULL);
        }
    }
    if (file) {
        fclose(file);
    }
    return kib;
}

/* ---- phases ---- */

static int by_size(const void *a, const void *b)
{
    double difference = *(const double *)a - *(const double *)b;
    return (difference > 0) - (difference < 0);
}

static void latency(unsigned pairs)
{
    struct browser direct, proxied;
    double *times[2] = {calloc(pairs, sizeof(double)), calloc(pairs, sizeof(double))};
    open_browser(&direct, &load.page, 0);
    open_browser(&proxied, &load.browsers, 0);
    for (unsigned i = 0; i < WARM_UP; i++) {
        fetch(&direct, "/");
        fetch(&proxied, "/");
    }
    for (unsigned i = 0; i < pairs; i++) {
        times[0][i] = fetch(&direct, "/");
        times[1][i] = fetch(&proxied, "/");
    }
    qsort(times[0], pairs, sizeof(double), by_size);
    qsort(times[1], pairs, sizeof(double), by_size);
    size_t p50 = pairs / 2, p99 = pairs * 99 / 100;
    printf("{\"phase\": \"latency\", \"direct_p50\": %.4f, \"direct_p99\": %.4f, "
           "\"proxied_p50\": %.4f, \"proxied_p99\": %.4f}\n",
           times[0][p50], times[0][p99], times[1][p50], times[1][p99]);
    free(times[0]);
    free(times[1]);
    amm_http_client_free(direct.client);
    amm_http_client_free(proxied.client);
}

static void download(unsigned mib)
{
    struct browser browser;
    load.big_len = (uint64_t)mib << 20;
    if (ftruncate(load.big, (off_t)load.big_len) != 0) {
        die("download", "no memory file");
    }
    open_browser(&browser, &load.browsers, 0);
    fetch(&browser, "/");
    double cpu = cpu_seconds(), ms = fetch(&browser, "/big");
    if (browser.got != load.big_len) {
        die("download", "it is not whole");
    }
    printf("{\"phase\": \"download\", \"mib\": %u, \"seconds\": %.4f, \"cpu\": %.4f, "
           "\"peak_kib\": %.0f}\n",
           mib, ms / 1000, cpu_seconds() - cpu, peak_kib());
    amm_http_client_free(browser.client);
}

static void upload(unsigned mib)
{
    static const uint8_t zeros[16384];
    struct browser browser;
    uint64_t left = (uint64_t)mib << 20;
    open_browser(&browser, &load.browsers, 0);
    fetch(&browser, "/");
    double cpu = cpu_seconds();
    amm_time since = amm_now().mono;
    ask_with(&browser, "PUT", "/up", left);
    for (bool done = false; !done;) {
        size_t room = amm_http_client_room(browser.client);
        size_t n = left < sizeof zeros ? (size_t)left : sizeof zeros;
        if (n > 0 && room >= n && amm_http_client_send(browser.client, amm_view(zeros, n))) {
            left -= n;
            done = go_on(&browser);
        } else {
            wait_for(&browser);
            done = go_on(&browser);
        }
    }
    printf("{\"phase\": \"upload\", \"mib\": %u, \"seconds\": %.4f, \"cpu\": %.4f, "
           "\"peak_kib\": %.0f}\n",
           mib, (double)(amm_now().mono - since) / (double)AMM_SECOND, cpu_seconds() - cpu,
           peak_kib());
    amm_http_client_free(browser.client);
}

static void turn(struct amm_loop *loop, struct browser *browsers, amm_time until, unsigned *done)
{
    struct amm_ready ready[AMM_LOOP_READY];
    unsigned n = amm_loop_wait(loop, until, ready);
    for (unsigned i = 0; i < n; i++) {
        struct browser *browser = &browsers[ready[i].tag];
        *done += go_on(browser);
        amm_loop_change(loop, amm_http_client_fd(browser->client),
                        amm_http_client_interest(browser->client), ready[i].tag);
    }
}

static void sessions(unsigned seconds)
{
    unsigned n = load.n_sessions, done = 0;
    struct browser *browsers = calloc(n, sizeof *browsers);
    struct amm_loop *loop = amm_loop_new();
    for (unsigned i = 0; i < n; i++) { /* connections, TLS, the keys of the pages: not measured */
        open_browser(&browsers[i], &load.browsers, i);
        fetch(&browsers[i], "/");
        amm_loop_add(loop, amm_http_client_fd(browsers[i].client), AMM_READ, i);
    }
    amm_time begin = amm_now().mono, every = AMM_SECOND / n;
    double cpu = cpu_seconds();
    for (unsigned k = 0; k < n * seconds; k++) {
        amm_time at = begin + k * every;
        while (amm_now().mono < at) {
            turn(loop, browsers, at, &done);
        }
        struct browser *browser = &browsers[k % n];
        if (k >= n && browser->got < SMALL) {
            die("sessions", "an answer took longer than a second");
        }
        ask(browser, "/");
        done += go_on(browser);
    }
    while (done < n * seconds) {
        turn(loop, browsers, amm_time_after(amm_now().mono, AMM_SECOND), &done);
    }
    double wall = (double)(amm_now().mono - begin) / (double)AMM_SECOND;
    printf("{\"phase\": \"sessions\", \"sessions\": %u, \"requests\": %u, \"seconds\": %.3f, "
           "\"cpu\": %.4f, \"peak_kib\": %.0f}\n",
           n, done, wall, cpu_seconds() - cpu, peak_kib());
    for (unsigned i = 0; i < n; i++) {
        amm_http_client_free(browsers[i].client);
    }
    amm_loop_free(loop);
    free(browsers);
}

static void do_phase(const char *text)
{
    const char *colon = strchr(text, ':');
    unsigned n = colon ? (unsigned)strtoul(colon + 1, NULL, 10) : 0;
    if (n > 0 && strncmp(text, "latency:", 8) == 0) {
        latency(n);
    } else if (n > 0 && strncmp(text, "download:", 9) == 0) {
        download(n);
    } else if (n > 0 && strncmp(text, "upload:", 7) == 0) {
        upload(n);
    } else if (n > 0 && strncmp(text, "sessions:", 9) == 0) {
        sessions(n);
    } else {
        die(text, "is no phase");
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"socket", required_argument, NULL, 's'},
                                            {"browsers", required_argument, NULL, 'b'},
                                            {"sessions", required_argument, NULL, 'n'},
                                            {0}};
    char error[256];
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 's') {
            load.socket = optarg;
        } else if (option == 'n') {
            load.n_sessions = (unsigned)strtoul(optarg, NULL, 10);
        } else if (option != 'b' || !amm_address_parse(&load.browsers, optarg, 0)) {
            die("options", "see the top of bench/access_load.c");
        }
    }
    if (!load.socket || load.browsers.family == AMM_FAMILY_NONE || load.n_sessions == 0) {
        die("options", "--socket, --browsers and --sessions are needed");
    }
    const struct rlimit files = {65536, 65536};
    setrlimit(RLIMIT_NOFILE, &files);
    load.big = memfd_create("big", MFD_CLOEXEC);
    load.tls =
        amm_http_tls_new(&(struct amm_http_tls_settings){.is_client = true}, error, sizeof error);
    if (load.big < 0 || !load.tls) {
        die("start", "out of memory");
    }
    start_page();
    be_manager();
    for (int i = optind; i < argc; i++) {
        do_phase(argv[i]);
    }
    return 0;
}
