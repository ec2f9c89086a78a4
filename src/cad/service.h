/* What amm-cad answers: policy, signing, the record. No sockets; one thread.
 *
 * ammd is treated as taken over. Whatever it asks, no certificate leaves but a gateway's or a
 * connection file's, of a P-256 key, with a gateway's name, for at most the time of its kind, one
 * for an approval, and not more in a minute than the configuration allows. */
#pragma once

#include "base/time.h"
#include "cad/material.h"
#include "cad/record.h"
#include "ipc/cad.h"

struct cad_service;

/* Borrows material and record. NULL: out of memory. */
struct cad_service *cad_service_new(const struct cad_material *material, struct cad_record *record,
                                    uint32_t per_minute);
struct cad_service *cad_service_free(struct cad_service *service);

/* Answers a request that has one answer: all but LISTS and REVOCATIONS, for which the answer is
 * FAILED here. */
void cad_service_answer(struct cad_service *service, const struct amm_cad_message *request,
                        struct amm_now now, struct amm_cad_message *answer);

/* The lists of all CAs as PEM text, malloc'd; signed anew when something was revoked since, or
 * after a day. NULL with a sentence. */
char *cad_service_lists(struct cad_service *service, struct amm_now now, char error[CAD_ERROR]);

/* A name that a certificate may have: 1 to 64 letters, digits, '-', '_', '.', with at most one '@'
 * that is neither first nor last; not starting with '.' or '-', and none of the server's own. */
bool cad_name_ok(const char *name);
