/* Operations of the server and their results (GP-49): each is done once, whatever is lost on the
 * way.
 *
 * An operation is on disk as running before it begins and with its result when it has ended; its
 * result goes with every check-in until that is acknowledged, and again if the server asks again.
 * The last ACE_OPERATIONS are remembered. Outcomes of desired settings ("settings-8") are kept the
 * same way. */
#pragma once

#include "domain/checkin.h"
#include "files.h"

enum { ACE_OPERATIONS = AMM_CHECKIN_RESULTS };

struct ace_operation {
    char id[AMM_CHECKIN_ID];
    char kind[AMM_CHECKIN_KIND];
    enum amm_operation_state state;
    char text[AMM_CHECKIN_TEXT];
    json_t *data;     /* object with the result; NULL: none */
    uint32_t boot;    /* start at which it began */
    uint64_t version; /* grows with each change that the server must hear of */
    bool is_heard;
};

struct ace_operations;

/* A damaged file gives an empty list with a sentence in `error` ("" if all is well). NULL: out of
 * memory. */
struct ace_operations *ace_operations_open(const struct ace_files *files, const char *path,
                                           char *error, size_t room);
struct ace_operations *ace_operations_free(struct ace_operations *operations);

/* NULL if it is not known. */
const struct ace_operation *ace_operations_find(const struct ace_operations *operations,
                                                const char *id);

/* Remembers a new one as running, on disk. False with a sentence: the disk, or too many are
 * running; then it must not be done (the server sends it again). */
bool ace_operations_begin(struct ace_operations *operations, const char *id, const char *kind,
                          uint32_t boot, char *error, size_t room);

/* How it ended, or where it is; `data` is taken over, may be NULL. A disk that refuses is no reason
 * not to tell the server: false with a sentence, and the result is in memory. */
bool ace_operations_end(struct ace_operations *operations, const char *id,
                        enum amm_operation_state state, const char *text, json_t *data, char *error,
                        size_t room);

/* The server asks for one that is known: its result goes out again. */
void ace_operations_again(struct ace_operations *operations, const char *id);

/* Runs through those that are running; NULL at the end. Begin with NULL. */
const struct ace_operation *ace_operations_running(const struct ace_operations *operations,
                                                   const struct ace_operation *after);

/* What the server must hear; each has its own reference to its data. `*mark` for
 * ace_operations_heard. */
size_t ace_operations_results(const struct ace_operations *operations,
                              struct amm_checkin_result out[AMM_CHECKIN_RESULTS], uint64_t *mark);
void ace_operations_heard(struct ace_operations *operations, uint64_t mark);
