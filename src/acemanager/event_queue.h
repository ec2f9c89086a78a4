/* Events that wait for the server, on disk: they survive a power cut, and the newest 10 000 are
 * kept.
 *
 * Append-only files ("events-00000001") of at most ACE_EVENTS_SEGMENT events, a line each, with a
 * checksum: one write and one sync for all events of a round of the loop, nothing is ever
 * rewritten, and a whole file is deleted when all of it is acknowledged. What is acknowledged
 * stands in a small record that is written once a check-in at most. A torn last line is cut off; a
 * rotten one in the middle is counted as lost.
 *
 * When the disk refuses, events stay in memory (ACE_EVENTS_HELD of them) and are written later. */
#pragma once

#include "domain/checkin.h"
#include "files.h"

#include <jansson.h>

enum {
    ACE_EVENTS_MAX = 10000,
    ACE_EVENTS_SEGMENT = 256,
    ACE_EVENTS_HELD = 256,
    ACE_EVENTS_LINE = 4096, /* bytes of a line */
};

struct ace_event_queue;

/* Opens or begins the queue in `folder` (borrowed as `files`). A folder that cannot be read gives
 * an empty queue with a sentence in `error`; "" if all is well. NULL: out of memory. */
struct ace_event_queue *ace_event_queue_open(const struct ace_files *files, const char *folder,
                                             char *error, size_t room);
struct ace_event_queue *ace_event_queue_free(struct ace_event_queue *queue);

/* When an event happened: by the wall clock if that is trusted, else by the time since the start,
 * to be put right when it is sent. */
struct ace_event_time {
    int64_t wall;
    bool is_trusted;
    uint32_t boot;  /* which start this is */
    int64_t uptime; /* seconds since it */
};

/* Adds an event; `data` (borrowed) may be NULL, and is left out if it is too large. It is on disk
 * after the next flush. `kind` and `text` are cleaned and cut. */
void ace_event_queue_add(struct ace_event_queue *queue, const struct ace_event_time *time,
                         const char *kind, const char *text, const json_t *data);

/* Writes what is held. False with a sentence if the disk refuses; the events stay. */
bool ace_event_queue_flush(struct ace_event_queue *queue, char *error, size_t room);

/* Copies up to `n` of the oldest events above `after` that are on disk, ids rising. How many; each
 * has its own reference to its data. */
size_t ace_event_queue_oldest(const struct ace_event_queue *queue, uint64_t after,
                              const struct ace_event_time *now, struct amm_checkin_event *out,
                              size_t n);

/* The newest `n`, newest first, acknowledged ones too as far as they are still there. */
size_t ace_event_queue_newest(const struct ace_event_queue *queue, const struct ace_event_time *now,
                              struct amm_checkin_event *out, size_t n);

/* The server has saved everything up to `id`: forget it. An id beyond ours is not believed. False
 * with a sentence if the disk refuses: then it may be sent again. */
bool ace_event_queue_acknowledge(struct ace_event_queue *queue, uint64_t id, char *error,
                                 size_t room);

uint64_t ace_event_queue_waiting(const struct ace_event_queue *queue);
/* Of these, how many can be told now: the others are not on disk yet. */
uint64_t ace_event_queue_ready(const struct ace_event_queue *queue);
uint64_t ace_event_queue_lost(const struct ace_event_queue *queue); /* since the first start */
uint64_t
ace_event_queue_last(const struct ace_event_queue *queue); /* id of the newest; 0: none yet */
