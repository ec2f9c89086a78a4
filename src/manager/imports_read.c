/* Reading: the rows of a sheet as they come from amm-sheet, saved as they come. */
#include "imports_parts.h"

#include "sheet/jail.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PIECE = 65536, ROW_BYTES = 6 + AMM_SHEET_COLUMNS * 5 + AMM_SHEET_LINE };
#define PATIENCE (60 * AMM_SECOND) /* behind the child's own 10 s of CPU */

struct import_reader {
    int64_t import;
    int fd;
    struct manager_watch watch;
    struct manager_timer timer;
    struct amm_sheet_receiver receiver;
    uint8_t piece[PIECE];
    uint8_t row[ROW_BYTES];
};

/* For the sink, which knows no more. */
struct sink {
    struct manager *m;
    struct import *import;
    bool store_failed;
};

void import_read_drop(struct manager *m, struct import *import)
{
    struct import_reader *reader = import->reader;
    if (reader == NULL) {
        return;
    }
    import->reader = NULL;
    manager_timer_set(m, &reader->timer, AMM_NEVER);
    manager_watch_remove(m, &reader->watch);
    close(reader->fd);
    amm_sheet_receiver_deinit(&reader->receiver);
    free(reader);
}

unsigned import_reading(struct manager *m)
{
    unsigned n = 0;
    for (const struct import *import = import_first(m); import != NULL; import = import->next) {
        n += import->reader != NULL;
    }
    return n;
}

/* The first row is that of the headings; all others are kept. */
static bool take_row(void *context, const struct amm_sheet_row *row)
{
    struct sink *sink = context;
    struct import *import = sink->import;
    struct import_reader *reader = import->reader;
    struct amm_writer w = amm_writer(reader->row, sizeof reader->row);
    if (reader->receiver.rows == 1) {
        sink->store_failed = !import_guess(import, row);
        return !sink->store_failed;
    }
    if (!amm_sheet_row_encode(&w, row)) {
        return false;
    }
    sink->store_failed =
        amm_store_run(sink->m->store, AMM_SQL_IMPORT_ROW_ADD,
                      AMM_WITH(amm_number(import->id), amm_number(row->number),
                               amm_blob(reader->row, amm_writer_len(&w)))) != AMM_STORE_OK;
    return !sink->store_failed;
}

static void fail(struct manager *m, struct import *import, const char *text)
{
    import_read_drop(m, import);
    import_turn(m, import, IMPORT_FAILED, PHASE_NONE, text);
}

static void end(struct manager *m, struct import *import)
{
    char text[AMM_SHEET_ERROR];
    uint32_t rows = import->reader->receiver.rows;
    snprintf(text, sizeof text, "%s", import->reader->receiver.error);
    if (text[0] == '\0' && rows < 2) {
        snprintf(text, sizeof text, "The sheet has no rows below its headings.");
    }
    if (text[0] != '\0') {
        fail(m, import, text);
        return;
    }
    import_read_drop(m, import);
    if (!import_is_sure(import)) {
        import_turn(m, import, IMPORT_MAPPING, PHASE_NONE,
                    import_column_of(import, TARGET_SERIAL) || import_column_of(import, TARGET_NAME)
                        ? "Check what the columns mean."
                        : "No column names the gateways: which has serial numbers, or names?");
        return;
    }
    struct actor actor = import->actor;
    if (import_check_begin(m, import, &actor)) {
        import_go(m, import);
    }
}

/* The unit fails, and what this piece brought is lost: so is the import. */
static void give_up(struct manager *m, void *context)
{
    struct import *import = import_find(m, (int64_t)(intptr_t)context);
    if (import != NULL && import->phase == PHASE_READ) {
        fail(m, import, "The server could not save the sheet. Upload it again later.");
    }
}

/* The unit or its commit is undone, but its bytes have left the pipe. */
static void piece_lost(struct manager *m, void *data)
{
    int64_t id = *(int64_t *)data;
    struct import *import = import_find(m, id);
    if (import != NULL) {
        import_read_drop(m, import);
        manager_post(m, give_up, (void *)(intptr_t)id);
    }
}

static void ready(struct manager *m, struct manager_watch *watch, const struct amm_ready *event)
{
    struct import_reader *reader = watch->context;
    struct import *import = import_find(m, reader->import);
    struct sink sink = {m, import, false};
    struct amm_sheet_sink rows = {take_row, &sink};
    (void)event;
    manager_undo(m, piece_lost, &reader->import, sizeof reader->import);
    ssize_t got = read(reader->fd, reader->piece, sizeof reader->piece);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        fail(m, import,
             "The sheet takes more memory or time to read than is allowed (256 MiB, 10 s). Delete "
             "what is not needed, or split it.");
        return;
    }
    bool goes_on =
        amm_sheet_receive(&reader->receiver, amm_view(reader->piece, (size_t)got), &rows);
    import->done = reader->receiver.rows;
    if (sink.store_failed) {
        manager_fail(m);
    } else if (!goes_on) {
        end(m, import);
    } else {
        import_tell(m, import, false);
    }
}

static void too_late(struct manager *m, struct manager_timer *timer)
{
    struct import_reader *reader = timer->context;
    struct import *import = import_find(m, reader->import);
    fail(m, import, "The sheet could not be read in time. Try again, or split it.");
}

/* In memory: the child gets a descriptor, no path. */
static int file_of(struct amm_view bytes)
{
    int fd = memfd_create("sheet", MFD_CLOEXEC);
    for (size_t done = 0; fd >= 0 && done < bytes.len;) {
        ssize_t put = write(fd, bytes.data + done, bytes.len - done);
        if (put <= 0) {
            close(fd);
            return -1;
        }
        done += (size_t)put;
    }
    return fd;
}

bool import_read(struct manager *m, struct import *import, struct amm_view file, char *error,
                 size_t room)
{
    if (import_helper() < 0) {
        snprintf(error, room, "amm-sheet, which reads sheets, does not run: see ammd's log.");
        return false;
    }
    struct import_reader *reader = calloc(1, sizeof *reader);
    int in = reader != NULL ? file_of(file) : -1;
    if (in < 0) {
        snprintf(error, room, "There is no memory for the sheet now.");
        free(reader);
        return false;
    }
    reader->import = import->id;
    reader->fd = amm_sheet_ask(import_helper(), in, error, room);
    close(in);
    reader->watch = (struct manager_watch){.ready = ready, .context = reader, .fd = reader->fd};
    if (reader->fd < 0 || !manager_watch_add(m, &reader->watch, AMM_READ)) {
        if (reader->fd >= 0) {
            snprintf(error, room, "There are no descriptors for the sheet now.");
            close(reader->fd);
        }
        free(reader);
        return false;
    }
    reader->timer = (struct manager_timer){.fire = too_late, .context = reader};
    manager_timer_set(m, &reader->timer, amm_time_after(m->now.mono, PATIENCE));
    import->reader = reader;
    return true;
}
