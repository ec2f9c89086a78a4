#include "checkins.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is in a body, or what the server has. */
struct said {
    json_t *stats, *parameters;
    char hash[AMM_CHECKIN_HASH];
    bool has_boot;
    enum amm_clock_source clock;
    int64_t revision;
    char tunnel[AMM_CHECKIN_HASH];
    uint64_t change_mark, result_mark;
};

struct ace_checkins {
    struct amm_random random;
    uint64_t seq; /* used last */
    enum ace_checkin_state state;
    amm_time due, begun;
    amm_time not_before; /* a retry slot */
    bool again_soon;     /* something happened while one was under way */

    char *body; /* not answered yet */
    size_t body_len;
    struct said sent, acknowledged;
    bool has_acknowledged;

    uint32_t interval, ordered; /* seconds; 0: the server has not ordered any */
    unsigned failures;          /* in a row */
    bool was_full;              /* the last one was, and the server wanted a full one again */
    char error[AMM_CHECKIN_TEXT];
    struct amm_checkin_answer answer;
};

static void said_release(struct said *said)
{
    json_decref(said->stats);
    json_decref(said->parameters);
    *said = (struct said){0};
}

static void body_drop(struct ace_checkins *c)
{
    free(c->body);
    c->body = NULL;
    said_release(&c->sent);
}

struct ace_checkins *ace_checkins_new(struct amm_random random, uint64_t seq, uint32_t interval,
                                      amm_time now)
{
    struct ace_checkins *c = calloc(1, sizeof *c);
    if (c) {
        c->random = random;
        c->seq = seq;
        c->interval = interval;
        c->state = ACE_CHECKIN_IDLE;
        c->due = now;
        c->begun = now - ACE_CHECKIN_SPACING * AMM_SECOND;
        c->not_before = now;
    }
    return c;
}

struct ace_checkins *ace_checkins_free(struct ace_checkins *c)
{
    if (c) {
        body_drop(c);
        said_release(&c->acknowledged);
        amm_checkin_answer_deinit(&c->answer);
        free(c);
    }
    return NULL;
}

/* ---- when ---- */

uint32_t ace_checkins_every(const struct ace_checkins *c)
{
    return c->ordered ? c->ordered : c->interval;
}

amm_time ace_checkins_deadline(const struct ace_checkins *c)
{
    return c->state == ACE_CHECKIN_TRYING ? AMM_NEVER : c->due;
}

static amm_duration jitter(struct ace_checkins *c, amm_duration most)
{
    return most > 0 ? (amm_duration)amm_random_below(&c->random, (uint64_t)most) : 0;
}

/* The interval, moved by up to a tenth. */
static void wait_interval(struct ace_checkins *c, amm_time now, uint32_t seconds)
{
    amm_duration tenth = (amm_duration)seconds * AMM_SECOND / 10;
    c->due = now + (amm_duration)seconds * AMM_SECOND - tenth + jitter(c, 2 * tenth);
}

static amm_time spaced(const struct ace_checkins *c, amm_time now)
{
    amm_time at = c->begun + ACE_CHECKIN_SPACING * AMM_SECOND;
    return at > now ? at : now;
}

static void due_at(struct ace_checkins *c, amm_time at)
{
    if (c->state == ACE_CHECKIN_TRYING) {
        c->again_soon = true;
    } else if (at < c->due) {
        c->due = at;
    }
}

void ace_checkins_soon(struct ace_checkins *c, amm_time now)
{
    amm_time at = spaced(c, now);
    if (c->state != ACE_CHECKIN_REFUSED) {
        due_at(c, at > c->not_before ? at : c->not_before);
    }
}

void ace_checkins_now(struct ace_checkins *c, amm_time now)
{
    due_at(c, spaced(c, now));
}

void ace_checkins_interval(struct ace_checkins *c, uint32_t interval, amm_time now)
{
    bool is_shorter = interval < c->interval;
    c->interval = interval;
    if (is_shorter && c->state == ACE_CHECKIN_IDLE && !c->ordered &&
        c->due > now + (amm_duration)interval * AMM_SECOND) {
        wait_interval(c, now, interval);
    }
}

/* Full jitter: a fleet that lost its server does not come back as one wave. */
static void back_off(struct ace_checkins *c, amm_time now)
{
    amm_duration most = (amm_duration)ace_checkins_every(c) * AMM_SECOND;
    amm_duration wait = ACE_CHECKIN_FIRST_WAIT * AMM_SECOND;
    for (unsigned i = 0; i < c->failures && wait < most; i++) {
        wait *= 2;
    }
    c->failures++;
    c->due = now + jitter(c, wait < most ? wait : most);
    c->due = c->due > spaced(c, now) ? c->due : spaced(c, now);
    c->not_before = c->due; /* news of the gateway do not shorten it; a person may */
}

static void wait_slot(struct ace_checkins *c, amm_time now, uint32_t seconds)
{
    seconds = seconds < 1 ? 1 : seconds > ACE_RETRY_LONGEST ? ACE_RETRY_LONGEST : seconds;
    c->due = now + (amm_duration)seconds * AMM_SECOND;
    c->not_before = c->due;
}

static void fail(struct ace_checkins *c, const char *why)
{
    c->state = ACE_CHECKIN_FAILING;
    snprintf(c->error, sizeof c->error, "%s", why);
}

/* ---- what ---- */

uint64_t ace_checkins_next_seq(const struct ace_checkins *c)
{
    return c->body ? 0 : c->seq + 1;
}

void ace_checkins_skip(struct ace_checkins *c, uint64_t seq)
{
    c->seq = seq > c->seq ? seq : c->seq;
}

static void take_report(struct ace_checkins *c, const struct ace_report *r)
{
    c->sent = (struct said){
        .stats = json_deep_copy(r->stats),
        .parameters = json_deep_copy(r->parameters),
        .has_boot = true,
        .clock = r->clock,
        .revision = r->revision,
        .change_mark = r->change_mark,
        .result_mark = r->result_mark,
    };
    snprintf(c->sent.tunnel, sizeof c->sent.tunnel, "%s", r->tunnel);
    amm_checkin_state_hash(r->stats, r->parameters, c->sent.hash);
}

/* Leaves out what the server has (GP-43). */
static void fill_head(const struct ace_checkins *c, const struct ace_report *r,
                      struct amm_checkin *out)
{
    const struct said *has = c->has_acknowledged ? &c->acknowledged : NULL;
    snprintf(out->base, sizeof out->base, "%s", has ? has->hash : "");
    snprintf(out->hash, sizeof out->hash, "%s", c->sent.hash);
    out->has_boot = out->has_uptime = !has || !has->has_boot;
    out->boot = r->boot;
    out->uptime = r->uptime;
    out->has_time = !has || has->clock != r->clock;
    out->time = r->time;
    out->clock = r->clock;
    out->has_revision = !has || has->revision != r->revision;
    out->revision = r->revision;
    out->has_tunnel = !has || strcmp(has->tunnel, r->tunnel) != 0;
    snprintf(out->tunnel, sizeof out->tunnel, "%s", r->tunnel);
    out->has_remote_key = r->remote_key && (!has || r->asks_remote_key);
    snprintf(out->remote_key, sizeof out->remote_key, "%s", r->remote_key ? r->remote_key : "");
}

static char *encode(const struct ace_checkins *c, const struct ace_report *r, size_t *len)
{
    bool no_stats = false, no_parameters = false;
    struct amm_checkin m = {
        .seq = c->seq,
        .changes = r->changes,
        .events = r->events,
        .results = r->results,
        .n_changes = r->n_changes,
        .n_events = r->n_events,
        .n_results = r->n_results,
    };
    const struct said *has = c->has_acknowledged ? &c->acknowledged : NULL;
    fill_head(c, r, &m);
    m.stats = amm_checkin_difference(has ? has->stats : NULL, c->sent.stats, &no_stats);
    m.parameters =
        amm_checkin_difference(has ? has->parameters : NULL, c->sent.parameters, &no_parameters);
    char *text = NULL;
    /* Events that do not fit go with the next one. */
    for (bool again = !no_stats && !no_parameters; again;) {
        free(text);
        text = amm_checkin_encode(&m, len);
        again = text && *len > AMM_CHECKIN_BODY_MAX && m.n_events > 0;
        m.n_events /= 2;
    }
    json_decref(m.stats);
    json_decref(m.parameters);
    return text;
}

const char *ace_checkins_begin(struct ace_checkins *c, amm_time now,
                               const struct ace_report *report, size_t *len)
{
    if (!c->body) {
        c->seq++;
        take_report(c, report);
        c->body = c->sent.stats && c->sent.parameters ? encode(c, report, &c->body_len) : NULL;
        if (!c->body) {
            said_release(&c->sent);
            fail(c, "out of memory");
            back_off(c, now);
            return NULL;
        }
    }
    c->state = ACE_CHECKIN_TRYING;
    c->begun = now;
    c->again_soon = false;
    *len = c->body_len;
    return c->body;
}

/* ---- answers ---- */

/* True once; twice in a row would be a server that never has enough. */
static bool repeat_in_full(struct ace_checkins *c, amm_time now)
{
    said_release(&c->acknowledged);
    c->has_acknowledged = false;
    c->state = ACE_CHECKIN_IDLE;
    if (c->was_full) {
        fail(c, "the server keeps asking for everything");
        back_off(c, now);
        return false;
    }
    c->was_full = true;
    c->due = now;
    return true;
}

static void acknowledge(struct ace_checkins *c, amm_time now, struct ace_outcome *out)
{
    said_release(&c->acknowledged);
    c->acknowledged = c->sent;
    c->sent = (struct said){0};
    c->has_acknowledged = true;
    c->was_full = false;
    c->failures = 0;
    c->error[0] = '\0';
    c->state = ACE_CHECKIN_IDLE;
    out->acknowledged = true;
    out->change_mark = c->acknowledged.change_mark;
    out->result_mark = c->acknowledged.result_mark;
    wait_interval(c, now, ace_checkins_every(c));
    if (c->again_soon) {
        ace_checkins_soon(c, now);
    }
}

static void take_answer(struct ace_checkins *c, amm_time now, struct amm_view body,
                        struct ace_outcome *out)
{
    struct amm_refusal error;
    char words[AMM_CHECKIN_TEXT];
    if (!amm_checkin_answer_decode(&c->answer, body, &error) || c->answer.seq < c->seq) {
        snprintf(words, sizeof words, "the server's answer cannot be read: %s %s", error.field,
                 c->answer.seq && c->answer.seq < c->seq ? "it belongs to another check-in"
                                                         : error.text);
        fail(c, words);
        back_off(c, now);
        return;
    }
    out->answer = &c->answer;
    c->ordered = c->answer.interval;
    c->not_before = now;
    if (c->answer.seq > c->seq) {
        /* It has a number of ours that we do not know: our memory is older than its. */
        c->seq = c->answer.seq;
        body_drop(c);
        repeat_in_full(c, now);
        return;
    }
    if (c->answer.full) {
        body_drop(c);
        repeat_in_full(c, now);
        return;
    }
    acknowledge(c, now, out);
    body_drop(c);
}

static void take_error(struct ace_checkins *c, amm_time now, int status, uint32_t retry_after,
                       struct amm_view body, struct ace_outcome *out)
{
    struct amm_error_answer error;
    char words[AMM_CHECKIN_TEXT];
    amm_error_answer_decode(&error, body);
    snprintf(words, sizeof words, "the server answers %d: %.180s", status,
             error.text[0] ? error.text : error.error);
    fail(c, words);
    if (status == 429 || status == 503) {
        if (retry_after > 0) {
            wait_slot(c, now, retry_after);
        } else {
            back_off(c, now);
        }
        return;
    }
    if (status >= 500) {
        back_off(c, now);
        return;
    }
    /* The same would be refused again: the next one is made anew, and says everything. */
    body_drop(c);
    said_release(&c->acknowledged);
    c->has_acknowledged = false;
    c->failures++;
    if (error.fatal) {
        c->state = ACE_CHECKIN_REFUSED;
        out->fatal = true;
        wait_interval(c, now, ACE_CHECKIN_LONGEST);
    } else {
        wait_interval(c, now, ace_checkins_every(c));
    }
}

void ace_checkins_answered(struct ace_checkins *c, amm_time now, int status, uint32_t retry_after,
                           struct amm_view body, struct ace_outcome *out)
{
    *out = (struct ace_outcome){0};
    amm_checkin_answer_deinit(&c->answer);
    if (status == 200) {
        take_answer(c, now, body, out);
    } else {
        take_error(c, now, status, retry_after, body, out);
    }
    snprintf(out->error, sizeof out->error, "%s", c->error);
}

void ace_checkins_failed(struct ace_checkins *c, amm_time now, const char *why)
{
    fail(c, why);
    back_off(c, now);
}

void ace_checkins_forget(struct ace_checkins *c, amm_time now)
{
    body_drop(c);
    said_release(&c->acknowledged);
    c->has_acknowledged = c->was_full = false;
    c->failures = 0;
    c->ordered = 0;
    c->error[0] = '\0';
    c->state = ACE_CHECKIN_IDLE;
    c->not_before = now;
    c->due = spaced(c, now);
}

enum ace_checkin_state ace_checkins_state(const struct ace_checkins *c)
{
    return c->state;
}

const char *ace_checkins_error(const struct ace_checkins *c)
{
    return c->error;
}

uint64_t ace_checkins_seq(const struct ace_checkins *c)
{
    return c->seq;
}
