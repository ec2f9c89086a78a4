/* What the files of the imports share. Fleet thread. */
#pragma once

#include "fleet.h"
#include "manager/access.h"
#include "manager/imports.h"
#include "manager/manager.h"
#include "manager/places.h"
#include "sheet/stream.h"

#include <jansson.h>

enum {
    IMPORTS_READING = 4,   /* sheets that are read at once */
    IMPORTS_KEPT = 200,    /* of a tenant */
    IMPORT_FILENAME = 128, /* bytes */
    IMPORT_HEADER = 64,    /* bytes that are kept of a heading */
    IMPORT_TEXT = 400,
    IMPORT_UNDO = 30 * 86400, /* seconds */
    IMPORT_STAGE_WAIT = 600,  /* seconds in which a gateway must be back */
};

enum import_state { /* numbers are stored */
                    IMPORT_READING,
                    IMPORT_MAPPING,
                    IMPORT_READY,
                    IMPORT_APPLYING,
                    IMPORT_APPLIED,
                    IMPORT_HELD,
                    IMPORT_UNDONE,
                    IMPORT_FAILED,
                    IMPORT_STATES,
};
const char *import_state_name(enum import_state state);

enum import_phase { /* numbers are stored: what is under way */
                    PHASE_NONE,
                    PHASE_READ,
                    PHASE_JUDGE,
                    PHASE_ROWS,
                    PHASE_MOVES,
                    PHASE_UNDO, /* rows; their moves follow as PHASE_MOVES */
                    PHASE_DROP, /* removed piece by piece */
                    PHASES,
};
const char *import_phase_name(enum import_phase phase);

enum import_option {
    OPTION_ONLY_GOOD = 1,
    OPTION_CREATE = 2,
    OPTION_APPLY = 4,     /* go on with applying once it is judged */
    OPTION_UNDOING = 8,   /* what is done is undone again */
    OPTION_ROLLBACK = 16, /* all rows or none, and one could not be done */
};

enum import_verdict {
    VERDICT_NONE,
    VERDICT_CHANGE,
    VERDICT_NEW,
    VERDICT_SAME,
    VERDICT_CHECK,
    VERDICT_BAD,
    VERDICTS
};
const char *import_verdict_name(enum import_verdict verdict);

enum row_state {
    ROW_IDLE,
    ROW_TODO,
    ROW_APPLIED,
    ROW_FAILED,
    ROW_UNDO,
    ROW_UNDONE,
    ROW_CONFLICT,
    ROW_STATES
};
const char *import_row_state_name(enum row_state state);

enum row_move { MOVE_NONE, MOVE_WAITING, MOVE_NEXT, MOVE_ORDERED, MOVE_BACK, MOVE_FAILED, MOVES };
const char *import_move_name(enum row_move move);

/* What a column means: a number of a parameter, or one of these. */
enum import_target {
    TARGET_IGNORE = 0,
    TARGET_SERIAL = -1,
    TARGET_NAME = -2,
    TARGET_GROUP = -3,
    TARGET_NOTE = -4,
    TARGET_KIND = -5,
};

struct import_column {
    uint16_t column; /* of the sheet, from 0 */
    bool sure;
    int32_t target; /* enum import_target, or an MSCIID */
    char header[IMPORT_HEADER + 1];
};

struct import_port {
    uint16_t port;
    uint32_t now;         /* the tenant's places */
    uint32_t in, out;     /* by this sheet */
    uint32_t limit, left; /* of all tenants together */
};

struct import_reader; /* imports_read.c: a sheet that is being read */
struct import_seen;   /* imports_judge.c: gateways that rows have named so far */

struct import {
    struct import *next;
    int64_t id, tenant, group; /* group 0: the whole tenant */
    char filename[IMPORT_FILENAME + 1], actor_name[ACTOR_NAME_MAX];
    int64_t created_at, changed_at, undo_until;
    enum import_state state;
    enum import_phase phase;
    unsigned options; /* enum import_option */
    uint32_t stage;   /* of the moves; 0: not begun */
    char text[IMPORT_TEXT];
    uint16_t n_columns;
    struct import_column *columns; /* malloc'd */
    size_t n_ports;
    struct import_port ports[PLACES_PORTS_MAX];

    /* in memory only */
    struct actor actor; /* whose rights count while it is judged; kind NOBODY after a restart */
    uint32_t n_rows, verdicts[VERDICTS], rows[ROW_STATES], moves[MOVES];
    uint32_t done, of;   /* progress of the phase */
    uint32_t cursor;     /* of PHASE_JUDGE and PHASE_DROP: last row that is done */
    unsigned in_flight;  /* steps that are queued */
    uint32_t failed_row; /* could not be done: the next step says so */
    char failed_text[IMPORT_TEXT];
    struct import_reader *reader;
    struct import_seen *seen;
    struct manager_timer timer; /* moves, retries */
    int64_t stage_at;           /* wall seconds: when the stage began; 0: before a restart */
    uint32_t stage_ordered, stage_blocked;
    amm_time told_at; /* monotonic: of the last event about it */
};

/* ---- imports.c ---- */

struct import *import_find(struct manager *m, int64_t id);
struct import *import_first(struct manager *m);
struct import *import_add(struct manager *m, const struct import *what); /* NULL: store said no */
void import_gone(struct manager *m, int64_t id); /* its removal is durable */
/* Writes what is stored of it; the model follows if the unit is rolled back. False: the store. */
bool import_save(struct manager *m, struct import *import);
/* The same with another state; `text` NULL: as it is. */
bool import_turn(struct manager *m, struct import *import, enum import_state state,
                 enum import_phase phase, const char *text);
void import_count(struct manager *m, struct import *import); /* reads the counters */
json_t *import_to_json(struct manager *m, const struct import *import);
/* An event for browsers; at most four a second unless `now`. */
void import_tell(struct manager *m, struct import *import, bool now);
int import_helper(void); /* the socket to amm-sheet; -1: it does not run */

/* ---- imports_read.c ---- */

bool import_read(struct manager *m, struct import *import, struct amm_view file, char *error,
                 size_t room);
void import_read_drop(struct manager *m, struct import *import);
unsigned import_reading(struct manager *m);

/* ---- imports_map.c ---- */

/* Guesses from the row of headings. False: out of memory. */
bool import_guess(struct import *import, const struct amm_sheet_row *headings);
/* All that is used was recognised for sure, and it names gateways. */
bool import_is_sure(const struct import *import);
const char *import_target_name(int32_t target, char out[16]);  /* "10034", "group" */
const char *import_target_title(int32_t target, char out[16]); /* "10034", "Group" */
json_t *import_columns_to_json(const struct import *import);
char *import_columns_to_text(const struct import *import); /* for the store; malloc'd */
bool import_columns_of_text(struct import *import, const char *text);
/* {"columns": [{"column", "target"}]}: what is not named stays. */
bool import_map(struct import *import, const json_t *columns, struct fleet_error *error);
const struct import_column *import_column_of(const struct import *import, int32_t target);

/* ---- imports_judge.c ---- */

/* What a row would do. */
struct import_plan {
    enum import_verdict verdict;
    struct fleet_gateway *gateway; /* NULL: there is none yet, or none at all */
    struct fleet_group *group;     /* to go there; NULL: stays */
    char name[FLEET_NAME_MAX + 1], serial[FLEET_SERIAL_MAX + 1]; /* of a new one */
    const char *note;                                            /* NULL: stays; else in `texts` */
    bool sets_serial, sets_kind;
    enum fleet_kind kind;
    json_t *values; /* by MSCIID; NULL: none */
    uint32_t port;  /* 10034 that it would have; 0: stays */
    bool is_move;   /* ... as a move; else `values` has it */
    json_t *cells;  /* what would change, and what is wrong */
    char text[IMPORT_TEXT];
    char texts[1100];
};
/* `actor` NULL: rights were judged before. False: out of memory. */
bool import_plan(struct manager *m, const struct import *import, const struct actor *actor,
                 const struct amm_sheet_row *row, struct import_plan *plan);
/* Somebody is on its page: a move would cut the remote session off. */
bool import_is_visited(struct manager *m, const struct fleet_gateway *gateway);
void import_plan_deinit(struct import_plan *plan);

/* ---- imports_check.c ---- */

/* Judges all rows, from the first. */
bool import_check_begin(struct manager *m, struct import *import, const struct actor *actor);
void import_check_step(struct manager *m, struct import *import);
void import_check_drop(struct import *import);
uint32_t import_places_of(struct manager *m, int64_t tenant, uint32_t port);

/* ---- imports_steps.c ---- */

/* Queues steps of its phase, as long as there is something to do. */
void import_go(struct manager *m, struct import *import);

enum step { STEP_DONE, STEP_NONE, STEP_FAILED, STEP_STORE };

/* ---- imports_apply.c ---- */

bool import_apply_begin(struct manager *m, struct import *import);
bool import_undo_begin(struct manager *m, struct import *import);
/* The next row; STEP_FAILED: failed_row and failed_text say which, and why. */
enum step import_apply_step(struct manager *m, struct import *import);
enum step import_undo_step(struct manager *m, struct import *import);
bool import_step_failed(struct manager *m, struct import *import); /* writes it down */
/* False, for STEP_FAILED or (a store that refuses) STEP_STORE. */
enum step import_refused(struct import *import, uint32_t row, const char *text, int status);
const char *import_by(const struct import *import, char out[ACTOR_NAME_MAX + 40]);
void import_rows_end(struct manager *m, struct import *import); /* STEP_NONE */

/* ---- imports_moves.c ---- */

enum step import_moves_step(struct manager *m, struct import *import); /* orders the next one */
void import_moves_look(struct manager *m, struct import *import);      /* once a second */
bool import_move_failed(struct manager *m, struct import *import);
