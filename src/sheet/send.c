/* The sender's half of the stream. */
#include "sheet/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { HEAD = 5, BUFFER = 65536 };

struct sender {
    int fd;
    uint32_t rows;
    size_t used;
    bool failed;
    uint8_t buffer[BUFFER + HEAD + AMM_SHEET_RECORD];
};

static bool flush(struct sender *sender)
{
    size_t done = 0;
    while (!sender->failed && done < sender->used) {
        ssize_t put = write(sender->fd, sender->buffer + done, sender->used - done);
        if (put > 0) {
            done += (size_t)put;
        } else if (errno != EINTR) {
            sender->failed = true;
        }
    }
    sender->used = 0;
    return !sender->failed;
}

static void head(struct sender *sender, uint8_t type, size_t len)
{
    uint8_t *at = sender->buffer + sender->used;
    at[0] = type;
    amm_store_u32(at + 1, (uint32_t)len);
    sender->used += HEAD + len;
}

static struct amm_writer body(struct sender *sender)
{
    uint8_t *at = sender->buffer + sender->used + HEAD;
    return amm_writer(at, (size_t)(sender->buffer + sizeof sender->buffer - at));
}

static bool send_row(void *context, const struct amm_sheet_row *row)
{
    struct sender *sender = context;
    struct amm_writer w = body(sender);
    if (!amm_sheet_row_encode(&w, row)) {
        return false; /* a reader that does not keep its limits */
    }
    head(sender, 'R', amm_writer_len(&w));
    sender->rows++;
    return sender->used < BUFFER || flush(sender);
}

bool amm_sheet_send(struct amm_view file, int fd)
{
    struct sender *sender = malloc(sizeof *sender);
    char error[AMM_SHEET_ERROR] = "";
    if (sender == NULL) {
        return false;
    }
    *sender = (struct sender){.fd = fd};
    struct amm_sheet_sink sink = {send_row, sender};
    bool ok = amm_sheet_read(file, &sink, error);
    struct amm_writer w = body(sender);
    if (ok) {
        amm_write_u32(&w, sender->rows);
    } else {
        amm_write_str(&w, error[0] != '\0' ? error : "The sheet could not be read.");
    }
    head(sender, ok ? 'E' : 'F', amm_writer_len(&w));
    ok = flush(sender);
    free(sender);
    return ok;
}
