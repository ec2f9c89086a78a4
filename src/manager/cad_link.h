/* The link to amm-cad: many requests under way, answers as they come, a new connection when one is
 * over. Nothing here blocks. Fleet thread. */
#pragma once

#include "ipc/cad.h"
#include "manager/manager.h"

#include <stdbool.h>
#include <stddef.h>

struct cad_link;

/* `answer` is good until it returns; NULL: the link was lost or amm-cad did not answer in time, and
 * whether it did what was asked is not known. The parts of LISTS and REVOCATIONS come one by one,
 * the last is DONE or FAILED. Called in the unit of the link's descriptor, which is not to fail:
 * who writes to the store does so in a unit of his own (job_resume, manager_post). */
typedef void (*cad_answer)(struct manager *m, void *context, const struct amm_cad_message *answer);

enum { CAD_LINK_REQUESTS = 4096 }; /* under way at most */

/* `up` is called when a new connection stands, before any request. Borrows `path`. NULL: out of
 * memory. */
struct cad_link *cad_link_new(struct manager *m, const char *path, void (*up)(struct manager *m));
struct cad_link *cad_link_free(struct cad_link *link); /* who waits is not told */

bool cad_link_is_up(const struct cad_link *link);
/* Why it is not, in words. */
const char *cad_link_error(const struct cad_link *link);

/* Copies the request (its id is set here). False: the link is down or too much is under way; the
 * caller answers 503. */
bool cad_link_ask(struct cad_link *link, const struct amm_cad_message *request, cad_answer answer,
                  void *context);
