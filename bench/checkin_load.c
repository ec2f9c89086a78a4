/* Gateways that check in, as many and as fast as the server answers: for ./amm bench manager.
 *
 *   checkin_load --server ADDRESS:PORT --ca FILE --gateways FILE [--skip N] [--pid PID]
 *                [--threads N] PHASE...
 *
 * A phase is KIND:CHECK-INS:CONNECTIONS[:GATEWAYS], and each prints one line of JSON:
 *
 *   full     a new connection with a full handshake for each check-in
 *   resumed  a new connection with a resumed TLS session
 *   kept     a connection is kept; each belongs to one gateway
 *   first    as full, with all stats in the body, as a gateway that has enrolled; also what makes
 *            the sessions of `resumed`
 *
 * CONNECTIONS are open at a time; GATEWAYS limits the phase to the first ones. FILE of gateways is
 * made by fleet_fixture; those behind the first N are used, 480 at most. What counts is an answer
 * of status 200 that takes the check-in as it was; any other is a failure, and the exit code then
 * is 1. CPU time is that of the threads of process PID (/proc/PID/task/.../schedstat) from the
 * first request of the phase to its last answer.
 *
 * Each thread has a loop and its own gateways: nothing is shared but what is read only. */
#include "domain/checkin.h"
#include "fleet_values.h"
#include "http/client.h"
#include "io/clock.h"
#include "io/file.h"
#include "io/loop.h"

#include <dirent.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

/* A TLS context has an OSSL_LIB_CTX, which takes two of the 1024 thread-specific keys of a process.
 */
enum { THREADS_MAX = 32, GATEWAYS_MAX = 480, FILE_MAX = 64 * 1024 * 1024, BODY_ROOM = 4096 };
#define TICK (200 * AMM_MILLISECOND)

enum kind { FIRST, FULL, RESUMED, KEPT, KINDS };
static const char *const kind_names[KINDS] = {"first", "full", "resumed", "kept"};

struct gateway {
    uint32_t number;
    char *key, *certificate; /* PEM */
    uint64_t seq;
    char hash[AMM_CHECKIN_HASH]; /* what the server has */
    struct amm_http_tls *tls;    /* made at its first connection */
    struct amm_http_session *session;
};

struct phase {
    enum kind kind;
    unsigned long checkins;
    unsigned connections, gateways;
};

struct tally {
    unsigned long done, failed, resumed;
    uint64_t in, out, body, answer; /* bytes: TCP payload, and of it JSON */
    char error[200];
};

/* One connection of a thread, and the check-in that is under way on it. */
struct slot {
    struct amm_http_client *client;
    struct gateway *gateway;
    int fd;
    unsigned interest;
    amm_time since;
    uint64_t in, out; /* of the connection, before this check-in */
    char answer[BODY_ROOM];
    size_t answer_len;
    int status;
};

struct worker {
    const struct phase *phase;
    pthread_t thread;
    struct amm_loop *loop;
    struct slot *slots;
    unsigned n_slots, busy;
    struct gateway *gateways; /* its own */
    unsigned n_gateways, next;
    unsigned long left; /* check-ins to begin */
    struct tally tally;
    float *latency; /* milliseconds */
    size_t n_latency;
};

static struct {
    struct amm_address server;
    char host[64];
    char *ca;
    struct gateway *gateways;
    unsigned n_gateways, n_threads;
    long pid;
} load = {.n_threads = 2};

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "checkin_load: %s: %s\n", what, why);
    exit(2);
}

static void *must(void *memory)
{
    if (!memory) {
        die("start", "out of memory");
    }
    return memory;
}

/* ---- a check-in ---- */

/* A hash names a state and is opaque to the server: the number of the check-in does. */
static void hash_of(uint64_t seq, char out[AMM_CHECKIN_HASH])
{
    snprintf(out, AMM_CHECKIN_HASH, "%016llx", (unsigned long long)seq);
}

static char *body_of(const struct gateway *gateway, bool is_first, size_t *len)
{
    struct amm_checkin message = {
        .seq = gateway->seq,
        .has_boot = is_first,
        .boot = 1,
        .has_uptime = is_first,
        .uptime = 3600,
        .has_time = is_first,
        .time = amm_now().wall,
        .clock = AMM_CLOCK_NTP,
        .has_revision = is_first,
        .stats = bench_stats(gateway->number, is_first ? 0 : gateway->seq),
        .parameters = is_first ? bench_parameters(gateway->number) : NULL};
    if (!is_first) {
        memcpy(message.base, gateway->hash, sizeof message.base);
    }
    hash_of(gateway->seq, message.hash);
    char *text = must(amm_checkin_encode(&message, len));
    amm_checkin_deinit(&message);
    return text;
}

static bool fail(struct worker *w, const char *why)
{
    w->tally.failed++;
    if (!w->tally.error[0]) {
        snprintf(w->tally.error, sizeof w->tally.error, "%.190s", why);
    }
    return false;
}

/* True if the server has taken the check-in as it was. */
static bool judge(struct worker *w, struct slot *slot)
{
    struct amm_checkin_answer answer;
    struct amm_refusal refusal;
    struct gateway *gateway = slot->gateway;
    if (slot->status != 200) {
        return fail(w, slot->answer);
    }
    bool good =
        amm_checkin_answer_decode(&answer, amm_view(slot->answer, slot->answer_len), &refusal) &&
        answer.seq == gateway->seq && !answer.full && answer.refused.n == 0;
    amm_checkin_answer_deinit(&answer);
    if (!good) {
        return fail(w, slot->answer);
    }
    hash_of(gateway->seq, gateway->hash);
    return true;
}

/* ---- connections ---- */

static struct amm_http_tls *tls_of(struct gateway *gateway)
{
    char error[256];
    const struct amm_http_tls_settings settings = {.is_client = true,
                                                   .certificate = gateway->certificate,
                                                   .key = gateway->key,
                                                   .ca = load.ca,
                                                   .lean_hello = true}; /* as acemanager */
    if (!gateway->tls) {
        gateway->tls = amm_http_tls_new(&settings, error, sizeof error);
    }
    if (!gateway->tls) {
        die("tls", error);
    }
    return gateway->tls;
}

static void connect_slot(struct worker *w, struct slot *slot)
{
    struct gateway *gateway = slot->gateway;
    const struct amm_http_client_settings settings = {.address = load.server,
                                                      .host = load.host,
                                                      .server_name = "amm-manager",
                                                      .tls = tls_of(gateway)};
    slot->client = must(amm_http_client_new(&settings, amm_now()));
    if (w->phase->kind == RESUMED && gateway->session) {
        amm_http_client_resume(slot->client, gateway->session);
    }
    slot->in = slot->out = 0;
}

static void watch(struct worker *w, struct slot *slot)
{
    int fd = amm_http_client_fd(slot->client);
    unsigned interest = amm_http_client_interest(slot->client);
    uint64_t tag = (uint64_t)(slot - w->slots);
    if (fd != slot->fd) {
        if (fd >= 0 && !amm_loop_add(w->loop, fd, interest, tag)) {
            die("loop", "a descriptor cannot be watched");
        }
        slot->fd = fd;
    } else if (fd >= 0 && interest != slot->interest) {
        amm_loop_change(w->loop, fd, interest, tag);
    }
    slot->interest = interest;
}

static void disconnect_slot(struct worker *w, struct slot *slot)
{
    if (slot->fd >= 0) {
        amm_loop_remove(w->loop, slot->fd);
        slot->fd = -1;
    }
    slot->client = amm_http_client_free(slot->client);
}

/* Begins the next check-in on a slot, if there is one left. */
static void begin(struct worker *w, struct slot *slot)
{
    static const char fields[] = "Content-Type: application/json\r\n";
    enum kind kind = w->phase->kind;
    size_t len;
    if (w->left == 0) {
        return;
    }
    w->left--;
    w->busy++;
    if (kind != KEPT || !slot->gateway) {
        slot->gateway = &w->gateways[w->next++ % w->n_gateways];
    }
    slot->gateway->seq++;
    slot->since = amm_now().mono;
    slot->answer_len = 0;
    if (!slot->client) {
        connect_slot(w, slot);
    }
    char *body = body_of(slot->gateway, kind == FIRST, &len);
    if (!amm_http_client_request(slot->client, amm_view_str("POST"), amm_view_str("/checkin"),
                                 amm_view_str(fields), amm_view(body, len))) {
        die("request", "cannot be made");
    }
    w->tally.body += len;
    free(body);
}

static void count_bytes(struct worker *w, struct slot *slot)
{
    uint64_t in, out;
    amm_http_client_bytes(slot->client, &in, &out);
    w->tally.in += in - slot->in;
    w->tally.out += out - slot->out;
    w->tally.answer += slot->answer_len;
    slot->in = in;
    slot->out = out;
}

static void end(struct worker *w, struct slot *slot, const struct amm_http_event *event)
{
    struct gateway *gateway = slot->gateway;
    bool keeps = w->phase->kind == KEPT && event->keep_alive;
    slot->answer[slot->answer_len] = '\0';
    w->busy--;
    if (event->kind == AMM_HTTP_EVENT_FAILED) {
        fail(w, event->error);
        keeps = false;
    } else if (judge(w, slot)) {
        w->tally.done++;
        w->tally.resumed += amm_http_client_resumed(slot->client);
        w->latency[w->n_latency++] = (float)(amm_now().mono - slot->since) / AMM_MILLISECOND;
    }
    count_bytes(w, slot);
    if (!keeps) {
        struct amm_http_session *session = amm_http_client_session(slot->client);
        if (session) {
            amm_http_session_free(gateway->session);
            gateway->session = session;
        }
        disconnect_slot(w, slot);
    }
}

static void step(struct worker *w, struct slot *slot)
{
    while (slot->client) {
        struct amm_http_event event;
        amm_http_client_step(slot->client, amm_now(), &event);
        switch (event.kind) {
        case AMM_HTTP_EVENT_KEY:
        case AMM_HTTP_EVENT_INTERIM:
        case AMM_HTTP_EVENT_UPGRADED: /* not asked for */
        case AMM_HTTP_EVENT_NONE:
            watch(w, slot);
            return;
        case AMM_HTTP_EVENT_HEAD:
            slot->status = event.response->status;
            break;
        case AMM_HTTP_EVENT_BODY:
            if (slot->answer_len + event.content.len < sizeof slot->answer) {
                memcpy(slot->answer + slot->answer_len, event.content.data, event.content.len);
                slot->answer_len += event.content.len;
            }
            break;
        case AMM_HTTP_EVENT_DONE:
        case AMM_HTTP_EVENT_FAILED:
            end(w, slot, &event);
            begin(w, slot);
            break;
        }
    }
}

static void *work(void *context)
{
    struct worker *w = context;
    struct amm_ready ready[AMM_LOOP_READY];
    for (unsigned i = 0; i < w->n_slots; i++) {
        begin(w, &w->slots[i]);
        step(w, &w->slots[i]);
    }
    while (w->busy > 0) {
        unsigned n = amm_loop_wait(w->loop, amm_time_after(amm_now().mono, TICK), ready);
        for (unsigned i = 0; i < n; i++) {
            step(w, &w->slots[ready[i].tag]);
        }
        for (unsigned i = 0; n == 0 && i < w->n_slots; i++) {
            step(w, &w->slots[i]); /* its deadlines */
        }
    }
    for (unsigned i = 0; i < w->n_slots; i++) {
        disconnect_slot(w, &w->slots[i]);
    }
    return NULL;
}

/* ---- phases ---- */

/* Of all threads of the server, in seconds. */
static double server_cpu(void)
{
    char path[300];
    double sum = 0;
    snprintf(path, sizeof path, "/proc/%ld/task", load.pid);
    DIR *folder = load.pid > 0 ? opendir(path) : NULL;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        unsigned long long ran;
        snprintf(path, sizeof path, "/proc/%ld/task/%s/schedstat", load.pid, entry->d_name);
        FILE *file = entry->d_name[0] != '.' ? fopen(path, "r") : NULL;
        if (file && fscanf(file, "%llu", &ran) == 1) {
            sum += (double)ran / 1e9;
        }
        if (file) {
            fclose(file);
        }
    }
    if (folder) {
        closedir(folder);
    }
    return sum;
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void take(struct tally *sum, const struct tally *one)
{
    sum->done += one->done;
    sum->failed += one->failed;
    sum->resumed += one->resumed;
    sum->in += one->in;
    sum->out += one->out;
    sum->body += one->body;
    sum->answer += one->answer;
    if (!sum->error[0]) {
        memcpy(sum->error, one->error, sizeof sum->error);
    }
}

static void print(const struct phase *phase, const struct tally *t, const float *latency,
                  double wall, double cpu)
{
    double n = t->done > 0 ? (double)t->done : 1, all = (double)(t->done + t->failed);
    json_t *line = json_pack(
        "{s:s, s:I, s:I, s:I, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:s}",
        "kind", kind_names[phase->kind], "checkins", (json_int_t)t->done, "failed",
        (json_int_t)t->failed, "resumed", (json_int_t)t->resumed, "connections",
        (int)phase->connections, "seconds", wall, "server_cpu_s", cpu, "per_cpu_s",
        cpu > 0 ? n / cpu : 0, "per_s", n / wall, "bytes_up", (double)t->out / all, "bytes_down",
        (double)t->in / all, "body_bytes", (double)t->body / all, "answer_bytes",
        (double)t->answer / all, "p50_ms", latency[(size_t)(n * 0.5)], "p95_ms",
        latency[(size_t)(n * 0.95)], "p99_ms", latency[(size_t)(n * 0.99)], "error", t->error);
    json_dumpf(line, stdout, JSON_COMPACT);
    putchar('\n');
    fflush(stdout);
    json_decref(line);
}

static void prepare(struct worker *w, const struct phase *phase, unsigned i)
{
    unsigned n = load.n_threads, gateways = phase->gateways;
    unsigned first = (unsigned)((uint64_t)gateways * i / n);
    *w = (struct worker){.phase = phase, .gateways = load.gateways + first};
    w->n_gateways = (unsigned)((uint64_t)gateways * (i + 1) / n) - first;
    w->n_slots = (phase->connections + n - 1 - i) / n;
    w->left = (phase->checkins + n - 1 - i) / n;
    w->slots = must(calloc(w->n_slots + 1, sizeof *w->slots));
    w->latency = must(calloc(w->left + 1, sizeof *w->latency));
    w->loop = must(amm_loop_new());
    if (w->n_slots > w->n_gateways) {
        die("phase", "more connections than gateways");
    }
    for (unsigned k = 0; k < w->n_slots; k++) {
        w->slots[k].fd = -1;
    }
}

static bool run(const struct phase *phase)
{
    struct worker workers[THREADS_MAX];
    struct tally sum = {0};
    size_t n = 0;
    for (unsigned i = 0; i < load.n_threads; i++) {
        prepare(&workers[i], phase, i);
    }
    double cpu = server_cpu();
    amm_time since = amm_now().mono;
    for (unsigned i = 0; i < load.n_threads; i++) {
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
            die("start", "no thread");
        }
    }
    for (unsigned i = 0; i < load.n_threads; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    double wall = (double)(amm_now().mono - since) / AMM_SECOND;
    cpu = server_cpu() - cpu;
    float *latency = must(calloc(phase->checkins + load.n_threads, sizeof *latency));
    for (unsigned i = 0; i < load.n_threads; i++) {
        struct worker *w = &workers[i];
        take(&sum, &w->tally);
        memcpy(latency + n, w->latency, w->n_latency * sizeof *latency);
        n += w->n_latency;
        free(w->latency);
        free(w->slots);
        amm_loop_free(w->loop);
    }
    qsort(latency, n, sizeof *latency, by_size);
    print(phase, &sum, latency, wall, cpu);
    free(latency);
    return sum.failed == 0;
}

/* ---- start ---- */

static char *read_text(const char *path, size_t limit)
{
    struct amm_span text;
    char error[256];
    if (!amm_file_read(path, limit, &text, error, sizeof error)) {
        die("file", error);
    }
    return (char *)text.data;
}

/* Cuts the text behind `end` and moves on. */
static char *cut(char **at, const char *end)
{
    char *start = *at, *found = strstr(start, end);
    if (!found) {
        die("gateways", "the file is cut off");
    }
    found += strlen(end);
    *at = *found ? found + 1 : found;
    *found = '\0';
    return start;
}

/* Check-ins of an earlier run had lower numbers. */
static void read_gateways(const char *path, unsigned long skipped)
{
    char *at = read_text(path, FILE_MAX);
    uint64_t seq = (uint64_t)time(NULL) << 8;
    load.gateways = must(calloc(GATEWAYS_MAX, sizeof *load.gateways));
    for (; *at && skipped > 0; skipped--) {
        cut(&at, "-----END CERTIFICATE-----");
    }
    while (*at && load.n_gateways < GATEWAYS_MAX) {
        struct gateway *gateway = &load.gateways[load.n_gateways++];
        *gateway = (struct gateway){.number = (uint32_t)strtoul(at, &at, 10), .seq = seq};
        at++;
        gateway->key = cut(&at, "-----END PRIVATE KEY-----");
        gateway->certificate = cut(&at, "-----END CERTIFICATE-----");
    }
}

static void read_phase(const char *text, struct phase *phase)
{
    char name[16] = "";
    phase->gateways = load.n_gateways;
    if (sscanf(text, "%15[a-z]:%lu:%u:%u", name, &phase->checkins, &phase->connections,
               &phase->gateways) < 3 ||
        phase->connections == 0 || phase->gateways > load.n_gateways) {
        die(text, "a phase is KIND:CHECK-INS:CONNECTIONS[:GATEWAYS]");
    }
    phase->kind = FIRST;
    while (phase->kind < KINDS && strcmp(kind_names[phase->kind], name) != 0) {
        phase->kind++;
    }
    if (phase->kind == KINDS) {
        die(text, "a kind is first, full, resumed or kept");
    }
}

static void start(int argc, char **argv)
{
    static const struct option options[] = {{"server", required_argument, NULL, 's'},
                                            {"ca", required_argument, NULL, 'c'},
                                            {"gateways", required_argument, NULL, 'g'},
                                            {"pid", required_argument, NULL, 'p'},
                                            {"skip", required_argument, NULL, 'k'},
                                            {"threads", required_argument, NULL, 't'},
                                            {0}};
    const char *gateways = NULL;
    unsigned long skipped = 0;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 's') {
            snprintf(load.host, sizeof load.host, "%s", optarg);
        } else if (option == 'c') {
            load.ca = read_text(optarg, 65536);
        } else if (option == 'g') {
            gateways = optarg;
        } else if (option == 'k') {
            skipped = strtoul(optarg, NULL, 10);
        } else if (option == 'p') {
            load.pid = strtol(optarg, NULL, 10);
        } else if (option == 't') {
            load.n_threads = (unsigned)strtoul(optarg, NULL, 10);
        } else {
            exit(2);
        }
    }
    if (!load.ca || !gateways || !amm_address_parse(&load.server, load.host, 0) ||
        load.n_threads < 1 || load.n_threads > THREADS_MAX) {
        die("usage",
            "--server ADDRESS:PORT --ca FILE --gateways FILE [--skip N] [--pid PID] [--threads N] "
            "KIND:CHECK-INS:CONNECTIONS[:GATEWAYS]...");
    }
    read_gateways(gateways, skipped);
}

int main(int argc, char **argv)
{
    bool good = true;
    struct rlimit files;
    start(argc, argv);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    for (int i = optind; i < argc; i++) {
        struct phase phase;
        read_phase(argv[i], &phase);
        good = run(&phase) && good;
    }
    return good ? 0 : 1;
}
