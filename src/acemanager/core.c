#include "core.h"

#include "core_parts.h"

#include "acemanager/pages.h"
#include "crypto/mac.h"
#include "io/clock.h"
#include "io/file.h"
#include "io/log.h"
#include "io/privilege.h"
#include "io/unix.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LOCK_TRIES = 200, REBOOT_AFTER = 2, LOW_DATA_INTERVAL = 14400, LABEL_MAX = 512 };

/* ---- small things that all files use ---- */

struct amm_now core_now(const struct ace_core *core)
{
    if (core->sets_clock) {
        return (struct amm_now){core->system.mono,
                                core->anchor.wall +
                                    (core->system.mono - core->anchor.mono) / AMM_SECOND};
    }
    return ace_clock_now(&core->clock, core->system);
}

int64_t core_uptime(const struct ace_core *core)
{
    return core->memory.boot_mono ? (core->system.mono - core->memory.boot_mono) / AMM_SECOND
                                  : core->facts.uptime;
}

struct ace_event_time core_event_time(const struct ace_core *core)
{
    return (struct ace_event_time){
        .wall = core_now(core).wall,
        .is_trusted = ace_clock_is_trusted(&core->clock),
        .boot = core->memory.boot,
        .uptime = core->system.mono / AMM_SECOND, /* any clock that does not jump */
    };
}

void core_path(const struct ace_core *core, const char *name, char out[ACE_PATH])
{
    snprintf(out, ACE_PATH, "%s/%s", core->config->folder, name);
}

void core_storage(struct ace_core *core, bool ok, const char *error)
{
    if (ok && core->storage_error[0]) {
        amm_log(AMM_LOG_INFO, "storage-good", amm_field_text("folder", core->config->folder));
        core->storage_error[0] = '\0';
    } else if (!ok && strcmp(core->storage_error, error) != 0) {
        amm_log(AMM_LOG_ERROR, "storage", amm_field_text("why", error));
        snprintf(core->storage_error, sizeof core->storage_error, "%.250s", error);
    }
}

void core_memory_changed(struct ace_core *core, amm_duration within)
{
    core->memory_due = amm_time_min(core->memory_due, core->system.mono + within);
}

bool core_memory_save(struct ace_core *core)
{
    char error[ACE_PATH + 96];
    bool ok = ace_memory_write(&core->memory, core->files, core->memory_path, error, sizeof error);
    core_storage(core, ok, error);
    core->memory_due = AMM_NEVER;
    return ok;
}

bool core_reboot(struct ace_core *core, const char *reason, char *error, size_t room)
{
    char former[ACE_REASON];
    snprintf(former, sizeof former, "%s", core->memory.next_reason);
    snprintf(core->memory.next_reason, sizeof core->memory.next_reason, "%s", reason);
    if (!core_memory_save(core)) {
        snprintf(error, room, "%s", core->storage_error);
        snprintf(core->memory.next_reason, sizeof core->memory.next_reason, "%s", former);
        return false;
    }
    amm_log(AMM_LOG_INFO, "reboot", amm_field_text("reason", reason));
    core->reboot_at = core->system.mono + REBOOT_AFTER * AMM_SECOND;
    return true;
}

/* ---- retries ---- */

void core_retry_reset(struct ace_core *core, struct core_retry *retry)
{
    *retry = (struct core_retry){.at = core->system.mono};
}

void core_retry_after(struct ace_core *core, struct core_retry *retry, uint32_t seconds)
{
    seconds = seconds > ACE_RETRY_LONGEST ? ACE_RETRY_LONGEST : seconds;
    retry->at = core->system.mono + (amm_duration)seconds * AMM_SECOND;
}

void core_retry_failed(struct ace_core *core, struct core_retry *retry)
{
    amm_duration most = ACE_CHECKIN_FIRST_WAIT;
    for (unsigned i = 0; i < retry->failures && most < CORE_RETRY_LONGEST; i++) {
        most *= 2;
    }
    most = (most < CORE_RETRY_LONGEST ? most : CORE_RETRY_LONGEST) * AMM_SECOND;
    retry->failures++;
    retry->at = core->system.mono + AMM_SECOND +
                (amm_duration)amm_random_below(&core->random, (uint64_t)most);
}

/* ---- parameters ---- */

static uint32_t interval_of(const struct ace_core *core)
{
    int64_t interval = ace_parameters_number(core->parameters, AMM_MSCI_CHECK_IN_INTERVAL);
    bool is_low = ace_parameters_number(core->parameters, AMM_MSCI_LOW_DATA) != 0;
    return is_low && interval < LOW_DATA_INTERVAL ? LOW_DATA_INTERVAL : (uint32_t)interval;
}

static void note_texts(const struct ace_core *core, uint64_t out[3])
{
    static const uint32_t ids[] = {AMM_MSCI_NTP_SERVERS, AMM_MSCI_ENROLMENT_TOKEN,
                                   AMM_MSCI_KEEP_ALIVE};
    for (size_t i = 0; i < 3; i++) {
        out[i] = ace_checksum(amm_view_str(ace_parameters_text(core->parameters, ids[i])));
    }
    out[0] += (uint64_t)ace_parameters_number(core->parameters, AMM_MSCI_NTP);
}

void core_parameters_changed(struct ace_core *core)
{
    uint64_t now[3];
    note_texts(core, now);
    core->generation = ace_parameters_generation(core->parameters);
    ace_checkins_interval(core->checkins, interval_of(core), core->system.mono);
    core_server_read(core);
    if (now[0] != core->noted[0]) {
        core_time_parameters(core);
    }
    if (now[1] != core->noted[1]) {
        core_retry_reset(core, &core->enrol); /* another token: tried at once */
    }
    core->tunnel_generation += now[2] != core->noted[2];
    memcpy(core->noted, now, sizeof now);
    core->changed = true;
}

/* ---- start ---- */

/* "URL TOKEN" or "TOKEN" in the label's file, for a gateway that has neither certificate nor token.
 */
static void read_label(struct ace_core *core)
{
    struct amm_span text;
    char error[ACE_PATH + 96];
    if (!core->config->label[0] || core->identity.certificate ||
        ace_parameters_text(core->parameters, AMM_MSCI_ENROLMENT_TOKEN)[0] ||
        access(core->config->label, F_OK) != 0) {
        return;
    }
    if (!amm_file_read(core->config->label, LABEL_MAX, &text, error, sizeof error)) {
        amm_log(AMM_LOG_WARNING, "label", amm_field_text("why", error));
        return;
    }
    char *rest = NULL;
    for (char *word = strtok_r((char *)text.data, " \t\r\n", &rest); word;
         word = strtok_r(NULL, " \t\r\n", &rest)) {
        uint32_t id =
            strncmp(word, "https:", 6) == 0 ? AMM_MSCI_SERVER_URL : AMM_MSCI_ENROLMENT_TOKEN;
        if (!ace_parameters_put(core->parameters, id, word, core_now(core).wall, "label", error,
                                sizeof error)) {
            amm_log(AMM_LOG_WARNING, "label", amm_field_text("why", error));
        }
    }
    amm_wipe(text.data, text.len);
    free(text.data);
}

/* One core at a time: one whose helper was killed ends by itself, but not in the same moment. */
static bool lock_folder(struct ace_core *core, char *error, size_t room)
{
    char path[ACE_PATH];
    const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
    core_path(core, "lock", path);
    core->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (core->lock < 0 && (errno == ENOSPC || errno == EROFS)) {
        return true; /* better two cores than none */
    }
    for (unsigned i = 0; core->lock >= 0 && i < LOCK_TRIES; i++) {
        if (flock(core->lock, LOCK_EX | LOCK_NB) == 0) {
            return true;
        }
        nanosleep(&pause, NULL);
    }
    snprintf(error, room, "%.150s: %s", path,
             core->lock < 0 ? strerror(errno) : "another acemanager uses this folder");
    return false;
}

static bool open_files(struct ace_core *core)
{
    char path[ACE_PATH], boot_id[ACE_BOOT_ID];
    char memory[ACE_PATH + 96] = "", parameters[ACE_PATH + 96], events[ACE_PATH + 96],
                           operations[ACE_PATH + 96], identity[ACE_PATH + 96];
    core_path(core, "memory", core->memory_path);
    ace_memory_read(&core->memory, core->memory_path, memory, sizeof memory);
    ace_boot_id(boot_id);
    bool is_start = ace_memory_start(&core->memory, boot_id, core->system.mono);
    core_path(core, "parameters", path);
    core->parameters =
        ace_parameters_open(core->files, path, core->memory.boot, parameters, sizeof parameters);
    core->events = ace_event_queue_open(core->files, core->config->folder, events, sizeof events);
    core_path(core, "operations", path);
    core->operations = ace_operations_open(core->files, path, operations, sizeof operations);
    ace_identity_open(&core->identity, core->files, core->config->folder, identity,
                      sizeof identity);
    if (!core->parameters || !core->events || !core->operations) {
        return false;
    }
    if (is_start) {
        core_memory_save(core);
        ace_event(core, "boot", core->memory.reason, NULL);
    } else {
        ace_event(core, "software-started", "acemanager was started anew", NULL);
    }
    const char *const complaints[] = {memory, parameters, events, operations, identity};
    for (size_t i = 0; i < sizeof complaints / sizeof complaints[0]; i++) {
        if (complaints[i][0]) {
            amm_log(AMM_LOG_ERROR, "storage", amm_field_text("why", complaints[i]));
            ace_event(core, "storage", complaints[i], NULL);
        }
    }
    return true;
}

/* Addresses and links come and go: the kernel says when to look. */
static int open_netlink(void)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK,
                                  .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR |
                                               RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static bool open_loop(struct ace_core *core)
{
    char error[256];
    core->loop = amm_loop_new();
    core->signals = open_signals();
    core->netlink = open_netlink();
    if (!core->loop || core->signals < 0 ||
        !amm_loop_add(core->loop, core->signals, AMM_READ, CORE_TAG_SIGNAL) ||
        !amm_loop_add(core->loop, core->helper, AMM_READ, CORE_TAG_HELPER)) {
        return false;
    }
    if (core->netlink >= 0) {
        amm_loop_add(core->loop, core->netlink, AMM_READ, CORE_TAG_NETLINK);
    }
    if (core->config->state_socket[0]) {
        core->state_socket =
            amm_unix_listen(core->config->state_socket, 0660, (gid_t)-1, error, sizeof error);
        if (core->state_socket < 0) {
            amm_log(AMM_LOG_WARNING, "state-socket", amm_field_text("why", error));
        } else {
            amm_loop_add(core->loop, core->state_socket, AMM_READ, CORE_TAG_STATE);
        }
    }
    core->exchange = ace_exchange_new(core->loop, CORE_TAG_EXCHANGE_LOOKUP, CORE_TAG_EXCHANGE);
    core->ntp = ace_ntp_new(core->loop, core->random, CORE_TAG_NTP_LOOKUP, CORE_TAG_NTP);
    return core->exchange && core->ntp;
}

static void take_notices(struct ace_core *core)
{
    struct ace_notice notice;
    enum ace_helper_result result;
    while ((result = ace_helper_receive(core->helper, &notice)) == ACE_HELPER_OK) {
        bool is_clock = notice.kind == ACE_NOTICE_CLOCK_SET ||
                        (notice.kind == ACE_NOTICE_REFUSED && notice.slot == ACE_ORDER_CLOCK);
        if (is_clock) {
            core_time_notice(core, &notice);
        } else if (notice.kind == ACE_NOTICE_REFUSED && notice.slot == ACE_ORDER_REBOOT) {
            amm_log(AMM_LOG_ERROR, "reboot", amm_field_text("why", notice.text));
            ace_event(core, "reboot-failed", notice.text, NULL);
        } else {
            ace_tunnel_notice(&core->tunnel, core_now(core), &notice);
        }
    }
    core->is_over = core->is_over || result == ACE_HELPER_GONE;
}

static bool start(struct ace_core *core, char *error, size_t room)
{
    if (!lock_folder(core, error, room)) {
        return false;
    }
    core->system = amm_now();
    core->memory_due = core->reboot_at = AMM_NEVER;
    core_serial_read(core);
    if (!open_files(core) || !open_loop(core) || !ace_facts_init(&core->facts)) {
        return false;
    }
    core->checkins = ace_checkins_new(core->random, core->memory.seq, 900, core->system.mono);
    if (!core->checkins) {
        return false;
    }
    core_time_start(core);
    core_settings_read(core);
    core_tunnel_start(core);
    read_label(core);
    core_parameters_changed(core);
    core_operations_start(core);
    core_look(core);
    take_notices(core); /* ammers that outlived the core before */
    return true;
}

/* ---- loop ---- */

bool ace_core_attach(struct ace_core *core, const struct ace_part *part)
{
    if (core->n_parts == CORE_PARTS || !amm_loop_add(core->loop, part->fd(part->context), AMM_READ,
                                                     CORE_TAG_PART0 + core->n_parts)) {
        return false;
    }
    core->parts[core->n_parts++] = *part;
    return true;
}

struct amm_now ace_core_now(const struct ace_core *core)
{
    return core_now(core);
}

const char *ace_core_folder(const struct ace_core *core)
{
    return core->config->folder;
}

static void take_netlink(struct ace_core *core)
{
    char buffer[8192];
    while (recv(core->netlink, buffer, sizeof buffer, 0) > 0) {
    }
    /* Soon, not at once: changes come in bunches. */
    core->look_at = amm_time_min(core->look_at, core->system.mono + AMM_SECOND / 2);
}

static void take_ready(struct ace_core *core, uint64_t tag)
{
    switch (tag) {
    case CORE_TAG_SIGNAL:
        core->is_over = true;
        break;
    case CORE_TAG_HELPER:
        take_notices(core);
        break;
    case CORE_TAG_EXCHANGE:
    case CORE_TAG_EXCHANGE_LOOKUP:
        core_exchange(core);
        break;
    case CORE_TAG_NTP:
    case CORE_TAG_NTP_LOOKUP:
        break; /* core_time_step */
    case CORE_TAG_NETLINK:
        take_netlink(core);
        break;
    case CORE_TAG_STATE:
        core_status_answer(core);
        break;
    case CORE_TAG_AMMER0:
    case CORE_TAG_AMMER1:
        core_tunnel_ready(core, (unsigned)(tag - CORE_TAG_AMMER0));
        break;
    default:
        if (tag - CORE_TAG_PART0 < core->n_parts) {
            const struct ace_part *part = &core->parts[tag - CORE_TAG_PART0];
            part->step(part->context);
        }
        break;
    }
}

static void step_parts(struct ace_core *core)
{
    bool changed = core->changed;
    core->changed = false;
    for (size_t i = 0; i < core->n_parts; i++) {
        const struct ace_part *part = &core->parts[i];
        if (changed && part->changed) {
            part->changed(part->context);
        }
        if (core->system.mono >= part->deadline(part->context)) {
            part->step(part->context);
        }
    }
}

/* Everything that time or what has just come makes due. */
static void step(struct ace_core *core)
{
    char error[ACE_PATH + 96];
    core_time_step(core);
    if (core->system.mono >= core->look_at) {
        core_look(core);
    }
    core_tunnel_step(core);
    core_operations_step(core);
    if (core->asking != CORE_ASKS_NOTHING &&
        core->system.mono >= ace_exchange_deadline(core->exchange)) {
        core_exchange(core);
    }
    core_ask(core);
    step_parts(core);
    if (!ace_event_queue_flush(core->events, error, sizeof error)) {
        core_storage(core, false, error);
    }
    if (core->system.mono >= core->memory_due) {
        core_memory_save(core);
        if (core->storage_error[0]) {
            core_memory_changed(core, 600 * AMM_SECOND);
        }
    }
}

static amm_time next_deadline(const struct ace_core *core)
{
    const amm_time times[] = {
        core->look_at,           core->memory_due,           ace_ntp_deadline(core->ntp),
        core_ask_deadline(core), core_tunnel_deadline(core), core_operations_deadline(core)};
    amm_time at = core->changed ? core->system.mono : AMM_NEVER;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        at = amm_time_min(at, times[i]);
    }
    for (size_t i = 0; i < core->n_parts; i++) {
        at = amm_time_min(at, core->parts[i].deadline(core->parts[i].context));
    }
    return at;
}

static void run_loop(struct ace_core *core)
{
    struct amm_ready ready[AMM_LOOP_READY];
    while (!core->is_over) {
        step(core);
        unsigned n = amm_loop_wait(core->loop, next_deadline(core), ready);
        core->system = amm_now();
        for (unsigned i = 0; i < n; i++) {
            take_ready(core, ready[i].tag);
        }
    }
}

/* ---- end ---- */

static void finish(struct ace_core *core)
{
    if (core->memory_due != AMM_NEVER) {
        core_memory_save(core);
    }
    if (core->state_socket >= 0) {
        unlink(core->config->state_socket);
        close(core->state_socket);
    }
    amm_http_tls_unref(core->tls);
    ace_exchange_free(core->exchange);
    ace_ntp_free(core->ntp);
    ace_checkins_free(core->checkins);
    ace_parameters_free(core->parameters);
    ace_event_queue_free(core->events);
    ace_operations_free(core->operations);
    ace_identity_close(&core->identity);
    amm_tunnel_settings_deinit(&core->settings);
    ace_facts_deinit(&core->facts);
    json_decref(core->counters);
    if (core->netlink >= 0) {
        close(core->netlink);
    }
    if (core->signals >= 0) {
        close(core->signals);
    }
    amm_loop_free(core->loop);
    if (core->lock >= 0) {
        close(core->lock);
    }
    free(core);
}

static bool become_user(const struct ace_config *config, char *error, size_t room)
{
    struct amm_user user;
    if (!config->user[0] || geteuid() != 0) {
        amm_process_seal();
        return true;
    }
    /* 1172 may be a port below 1024. */
    return amm_user_find(config->user, &user, error, room) &&
           amm_privileges_drop_to(&user, UINT64_C(1) << CAP_NET_BIND_SERVICE, error, room);
}

int ace_core_main(const struct ace_config *config, int helper)
{
    char error[256] = "out of memory or descriptors";
    struct ace_core *core = calloc(1, sizeof *core);
    struct ace_pages *pages = NULL;
    if (!core) {
        return EXIT_FAILURE;
    }
    core->config = config;
    core->files = &ace_files_system;
    core->random = amm_system_random();
    core->helper = helper;
    core->signals = core->netlink = core->state_socket = core->lock = -1;
    bool ok = become_user(config, error, sizeof error) && start(core, error, sizeof error);
    if (ok && config->pages) {
        pages = ace_pages_new(core, error, sizeof error);
        ok = pages != NULL;
    }
    if (ok) {
        run_loop(core);
        char last[ACE_PATH + 96];
        ace_event_queue_flush(core->events, last, sizeof last);
    } else {
        fprintf(stderr, "acemanager: %s\n", error);
    }
    ace_pages_free(pages);
    finish(core);
    return ok ? ACE_EXIT_DONE : EXIT_FAILURE;
}
