/* The log of remote visits: who came through the server, from where, to what, until when. Kept in
 * memory and on disk (a file in the core's folder), the newest WEB_VISITS of them. Owner: the
 * core's thread. */
#pragma once

#include "base/time.h"
#include "domain/assertion.h"
#include "domain/relay.h"
#include "web_session.h"

enum { WEB_VISITS = 64 };

struct web_visit {
    uint32_t number; /* 0: free */
    struct web_visitor who;
    char target[AMM_RELAY_TARGET]; /* of the relay; "": these pages */
    int64_t since, last, until;    /* wall seconds; until 0: still there */
    enum web_end end;
    uint32_t connections; /* of the relay, so far */
    uint64_t in, out;     /* bytes relayed to the target, and from it */
};

struct web_visits {
    char path[512];
    uint32_t last_number;
    size_t n;
    struct web_visit at[WEB_VISITS]; /* oldest first */
    amm_time due;                    /* when it is written; AMM_NEVER: it is on disk */
    char error[160];                 /* why it could not be written; "" */
};

/* Reads it; what was not ended then has ended with the program. A file that makes no sense is
 * begun anew. */
void web_visits_open(struct web_visits *visits, const char *folder);

/* A new one, on disk soon; its number. `target` as in struct web_visit. */
uint32_t web_visits_begin(struct web_visits *visits, const struct web_visitor *who,
                          const char *target, struct amm_now now);

/* The one with that number, for changes; NULL: it had to make room. Call web_visits_touch after. */
struct web_visit *web_visits_find(struct web_visits *visits, uint32_t number);

/* Something was asked; on disk within some minutes. */
void web_visits_touch(struct web_visits *visits, uint32_t number, struct amm_now now);
void web_visits_end(struct web_visits *visits, uint32_t number, enum web_end why,
                    struct amm_now now);

/* Writes what is due. */
void web_visits_step(struct web_visits *visits, amm_time mono);
