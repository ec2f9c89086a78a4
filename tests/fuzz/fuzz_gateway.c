/* What a gateway reads that others may have written: NTP answers, the modem's file, its own files
 * after a bad flash, messages between its processes. The first byte picks the reader. */
#include "event_queue.h"
#include "facts.h"
#include "helper.h"
#include "memory.h"
#include "operations.h"
#include "parameters.h"
#include "sntp.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[128], path[ACE_PATH], error[ACE_PATH + 256];

static void remove_folder(void)
{
    static const char *const names[] = {"record",           "record.old",
                                        "record.new",       "events.state",
                                        "events.state.old", "events-0000000000000001"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void make_folder(void)
{
    if (!folder[0]) {
        snprintf(folder, sizeof folder, "/dev/shm/amm-fuzz-%d", (int)getpid());
        mkdir(folder, 0700);
        atexit(remove_folder);
    }
}

static void sntp(struct amm_view bytes)
{
    struct ace_sntp_answer answer;
    const struct ace_sntp_times times = {0, 100};
    const char *why = NULL;
    if (!ace_sntp_parse(&answer, bytes, 0, &times, 1793491200, &why)) {
        if (!why) {
            abort();
        }
    } else if (answer.stratum < 1 || answer.stratum > 15 || answer.delay_ms > 5000) {
        abort();
    }
}

static void modem(struct amm_view bytes)
{
    struct ace_facts facts;
    const char *name;
    json_t *value;
    if (!ace_facts_init(&facts)) {
        return;
    }
    ace_facts_modem_parse(&facts, bytes, 0, 0, error, sizeof error);
    json_object_foreach(facts.stats, name, value)
    {
        if (amm_stat_objection(name, value)) {
            abort();
        }
    }
    ace_facts_deinit(&facts);
}

static void write_plain(const char *name, struct amm_view bytes)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || !ace_files_write_all(&ace_files_system, fd, bytes)) {
        abort();
    }
    close(fd);
}

static void events(struct amm_view bytes)
{
    struct amm_checkin_event out[16];
    const struct ace_event_time now = {1793500000, true, 1, 10};
    make_folder();
    write_plain("events-0000000000000001", bytes);
    struct ace_event_queue *queue =
        ace_event_queue_open(&ace_files_system, folder, error, sizeof error);
    size_t n = ace_event_queue_oldest(queue, 0, &now, out, 16);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && out[i].id <= out[i - 1].id) {
            abort();
        }
        json_decref(out[i].data);
    }
    n = ace_event_queue_newest(queue, &now, out, 16);
    for (size_t i = 0; i < n; i++) {
        json_decref(out[i].data);
    }
    ace_event_queue_free(queue);
}

/* Behind the checksum: an older or newer release wrote it, or a program with a bug. */
static void records(struct amm_view bytes, unsigned which)
{
    struct ace_memory memory;
    make_folder();
    snprintf(path, sizeof path, "%s/record", folder);
    unlink(path);
    if (which == 0) {
        write_plain("record", bytes);
    } else if (!ace_record_write(&ace_files_system, path, bytes, error, sizeof error)) {
        abort();
    }
    ace_memory_read(&memory, path, error, sizeof error);
    struct ace_parameters *parameters =
        ace_parameters_open(&ace_files_system, path, 2, error, sizeof error);
    json_decref(ace_parameters_reported(parameters));
    ace_parameters_free(parameters);
    ace_operations_free(ace_operations_open(&ace_files_system, path, error, sizeof error));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ace_order order;
    struct ace_notice notice;
    if (size == 0) {
        return 0;
    }
    struct amm_view bytes = amm_view(data + 1, size - 1);
    json_object_seed(1);
    switch (data[0] % 6) {
    case 0:
        sntp(bytes);
        break;
    case 1:
        modem(bytes);
        break;
    case 2:
        events(bytes);
        break;
    case 3:
        records(bytes, 0);
        break;
    case 4:
        records(bytes, 1);
        break;
    default:
        ace_order_decode(&order, bytes);
        ace_notice_decode(&notice, bytes);
        break;
    }
    return 0;
}
