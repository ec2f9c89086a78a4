/* What was issued and what was revoked: one file that is only ever added to.
 *
 * An entry is on the disk before the answer leaves, so that whatever exists can be revoked and
 * whatever was revoked stays so, also when the database of ammd is restored from an old backup.
 * Each entry carries a checksum; one that was cut off by a power cut at the end of the file is
 * taken away, a damaged one elsewhere is an error.
 *
 * At the start entries of certificates that ended more than CAD_KEEP_DAYS ago are left out of a new
 * file; revocations stay for ever. */
#pragma once

#include "ipc/cad.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CAD_RECORD_ERROR = 512, CAD_KEEP_DAYS = 400 };

#define CAD_RECORD_FILE "record"

struct cad_record;

struct cad_issued_entry {
    uint8_t approval[AMM_CAD_APPROVAL];
    uint8_t serial[AMM_CAD_SERIAL];
    uint8_t key_hash[32]; /* SHA-256 of the public key */
    uint8_t issuer[32];   /* the same of its CA */
    uint8_t kind;         /* enum amm_cad_kind */
    char name[AMM_NAME_MAX + 1];
    int64_t not_before, not_after;
    uint64_t at; /* private: where its certificate stands in the file */
};

/* Opens <folder>/record, makes folder and file if there are none, and holds it alone. NULL with a
 * sentence. */
struct cad_record *cad_record_open(const char *folder, int64_t now, char error[CAD_RECORD_ERROR]);
struct cad_record *cad_record_close(struct cad_record *record);

/* NULL: unknown. Good until the next entry is added. */
const struct cad_issued_entry *cad_record_by_approval(const struct cad_record *record,
                                                      const uint8_t approval[AMM_CAD_APPROVAL]);
const struct cad_issued_entry *cad_record_by_serial(const struct cad_record *record,
                                                    const uint8_t serial[AMM_CAD_SERIAL]);
bool cad_record_is_revoked(const struct cad_record *record, const uint8_t serial[AMM_CAD_SERIAL]);

/* The certificate of an entry; false if the disk cannot be read. */
bool cad_record_certificate(const struct cad_record *record, const struct cad_issued_entry *entry,
                            char out[AMM_CAD_TEXT]);

/* Each returns when the entry is durable; false with a sentence in `error` and nothing changed.
 * What was revoked already is true at once. */
bool cad_record_issue(struct cad_record *record, const struct cad_issued_entry *entry,
                      const char *certificate, char error[CAD_RECORD_ERROR]);
bool cad_record_revoke(struct cad_record *record, const struct amm_cad_revocation *revocation,
                       char error[CAD_RECORD_ERROR]);

size_t cad_record_issued(const struct cad_record *record);
size_t cad_record_revoked(const struct cad_record *record);

/* Revocation `i` of 0 .. revoked-1, in the order in which they came. */
const struct amm_cad_revocation *cad_record_revocation(const struct cad_record *record, size_t i);
