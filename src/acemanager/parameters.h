/* The parameters of the gateway (MSCI): what is in force, what waits for a reboot, who set it and
 * when, and which local changes the server has not heard of. One file, written as a whole before a
 * change is in force (files.h), so that it survives a power cut at any moment.
 *
 * Values that the gateway only reports (RSSI, temperature) are kept in memory. One thread. */
#pragma once

#include "acemanager/core.h"
#include "domain/checkin.h"
#include "domain/msci.h"
#include "files.h"

struct ace_parameters;

/* Reads the file; a damaged one falls back to the one before, or to defaults, and `error` says so
 * ("" if all is well). `boot` is which start this is: what was pending at an earlier start comes
 * into force now. NULL: out of memory. */
struct ace_parameters *ace_parameters_open(const struct ace_files *files, const char *path,
                                           uint32_t boot, char *error, size_t room);
struct ace_parameters *ace_parameters_free(struct ace_parameters *parameters);

bool ace_parameters_get(const struct ace_parameters *parameters, uint32_t id,
                        struct ace_parameter *out);
const char *ace_parameters_text(const struct ace_parameters *parameters, uint32_t id);
int64_t ace_parameters_number(const struct ace_parameters *parameters, uint32_t id);
unsigned ace_parameters_waiting(const struct ace_parameters *parameters); /* pending ones */

/* Grows whenever anything in force changes. */
uint64_t ace_parameters_generation(const struct ace_parameters *parameters);

/* A change on the gateway itself: as a whole or not at all. */
bool ace_parameters_change(struct ace_parameters *parameters, const struct ace_setting *settings,
                           size_t n, int64_t at, const char *by, struct ace_objection *objection);

/* What is pending comes into force. False with a sentence: the disk; then nothing changed. */
bool ace_parameters_activate(struct ace_parameters *parameters, char *error, size_t room);

/* Sets one value in force by the program itself (a move that failed goes back; a used token is
 * forgotten), past access rules; not a local change for the server. */
bool ace_parameters_put(struct ace_parameters *parameters, uint32_t id, const char *text,
                        int64_t at, const char *by, char *error, size_t room);

/* Desired settings of the server (GP-48). */
enum ace_desired {
    ACE_DESIRED_OLD,     /* not above what was taken or refused before: nothing to do */
    ACE_DESIRED_TAKEN,   /* on disk and in force */
    ACE_DESIRED_REFUSED, /* one value cannot be taken, so none was; on disk, said once */
    ACE_DESIRED_LATER,   /* the disk refused; asked again with the next answer */
};
/* `again`: also those that were taken or refused before (the operation apply-settings). */
enum ace_desired ace_parameters_take(struct ace_parameters *parameters, int64_t revision,
                                     const json_t *set, bool again, int64_t at, char *error,
                                     size_t room);
int64_t ace_parameters_revision(const struct ace_parameters *parameters); /* taken last */

/* Read-only values, from providers; "" takes one away. False if it does not fit the registry. */
bool ace_parameters_report(struct ace_parameters *parameters, uint32_t id, const char *text);

/* All that is in force, for a check-in (GP-45); secrets as {"set": true}. A new reference, NULL:
 * out of memory. */
json_t *ace_parameters_reported(const struct ace_parameters *parameters);

/* The oldest local changes that the server has not heard of, at most `n`; each with its own
 * reference to its value. `*last` is a mark for ace_parameters_heard. */
size_t ace_parameters_changes(const struct ace_parameters *parameters,
                              struct amm_checkin_change *out, size_t n, uint64_t *last);
void ace_parameters_heard(struct ace_parameters *parameters, uint64_t last);

/* Everything goes back to its default but the parameters in `keep[n]`. */
bool ace_parameters_reset(struct ace_parameters *parameters, const uint32_t *keep, size_t n,
                          char *error, size_t room);
