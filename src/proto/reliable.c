#include "reliable.h"

#define LONGEST_TIMEOUT (8 * AMM_SECOND)

enum { FAST_RESEND_ACKS = 3 };

/* a comes before b in the 32-bit circle of ids. */
static bool is_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

void amm_reliable_init(struct amm_reliable *r, uint32_t next_tx, uint32_t next_rx,
                       amm_duration first_timeout)
{
    memset(r, 0, sizeof *r);
    r->numbers.next_tx = next_tx;
    r->numbers.next_rx = next_rx;
    r->first_timeout = first_timeout;
}

/* ---- sending ---- */

static uint32_t lowest_unacked(const struct amm_reliable *r)
{
    uint32_t lowest = r->numbers.next_tx;
    for (unsigned i = 0; i < AMM_SEND_WINDOW; i++) {
        if (r->out[i].used && is_before(r->out[i].id, lowest)) {
            lowest = r->out[i].id;
        }
    }
    return lowest;
}

unsigned amm_reliable_room(const struct amm_reliable *r)
{
    return AMM_SEND_WINDOW - (r->numbers.next_tx - lowest_unacked(r));
}

bool amm_reliable_send(struct amm_reliable *r, amm_time now, uint8_t opcode,
                       struct amm_view payload)
{
    if (amm_reliable_room(r) == 0 || payload.len > AMM_MESSAGE_MAX) {
        return false;
    }
    struct amm_sent_message *m = r->out;
    while (m->used) {
        m++; /* there is a free one: the window is no wider than the array */
    }
    m->due = now;
    m->sent = now;
    m->timeout = r->first_timeout;
    m->id = r->numbers.next_tx++;
    m->len = (uint16_t)payload.len;
    m->opcode = opcode;
    m->later_acks = 0;
    m->transmissions = 0;
    m->used = true;
    if (payload.len > 0) {
        memcpy(m->data, payload.data, payload.len);
    }
    return true;
}

/* The unacknowledged message of lowest id among those due at `now`. */
static struct amm_sent_message *find_due(struct amm_reliable *r, amm_time now)
{
    struct amm_sent_message *found = NULL;
    for (unsigned i = 0; i < AMM_SEND_WINDOW; i++) {
        struct amm_sent_message *m = &r->out[i];
        if (m->used && m->due <= now && (!found || is_before(m->id, found->id))) {
            found = m;
        }
    }
    return found;
}

bool amm_reliable_next_to_send(struct amm_reliable *r, amm_time now, struct amm_message *out)
{
    struct amm_sent_message *m = find_due(r, now);
    if (!m) {
        return false;
    }
    m->sent = now;
    m->due = amm_time_after(now, m->timeout);
    m->timeout = m->timeout >= LONGEST_TIMEOUT / 2 ? LONGEST_TIMEOUT : m->timeout * 2;
    m->later_acks = 0;
    if (m->transmissions < UINT16_MAX) {
        m->transmissions++;
    }
    *out = (struct amm_message){m->id, m->opcode, amm_view(m->data, m->len)};
    return true;
}

/* Only messages that went out once measure the round trip: an answer to one of two cannot be told
 * apart. */
static void measure_round_trip(struct amm_reliable *r, const struct amm_sent_message *m,
                               amm_time now)
{
    if (m->transmissions != 1 || now < m->sent) {
        return;
    }
    amm_duration sample = now - m->sent;
    r->rtt = r->rtt == 0 ? sample : (7 * r->rtt + sample) / 8;
}

/* REL-6: three later messages have arrived, so this one is lost; but not twice within a round trip.
 */
static void hurry_older_messages(struct amm_reliable *r, uint32_t acked)
{
    for (unsigned i = 0; i < AMM_SEND_WINDOW; i++) {
        struct amm_sent_message *m = &r->out[i];
        if (!m->used || m->transmissions == 0 || !is_before(m->id, acked)) {
            continue;
        }
        if (++m->later_acks >= FAST_RESEND_ACKS) {
            m->due = amm_time_min(m->due, amm_time_after(m->sent, r->rtt));
        }
    }
}

bool amm_reliable_ack(struct amm_reliable *r, amm_time now, uint32_t id)
{
    for (unsigned i = 0; i < AMM_SEND_WINDOW; i++) {
        struct amm_sent_message *m = &r->out[i];
        if (m->used && m->id == id && m->transmissions > 0) {
            measure_round_trip(r, m, now);
            m->used = false;
            hurry_older_messages(r, id);
            return true;
        }
    }
    return false;
}

bool amm_reliable_is_idle(const struct amm_reliable *r)
{
    return lowest_unacked(r) == r->numbers.next_tx;
}

amm_time amm_reliable_deadline(const struct amm_reliable *r)
{
    amm_time deadline = AMM_NEVER;
    for (unsigned i = 0; i < AMM_SEND_WINDOW; i++) {
        if (r->out[i].used) {
            deadline = amm_time_min(deadline, r->out[i].due);
        }
    }
    return deadline;
}

/* ---- acknowledgements ---- */

/* Puts `id` in front of the recent ones, fresh; drops the oldest if there are eight. */
static void note_ack(struct amm_reliable_numbers *numbers, uint32_t id)
{
    unsigned at = 0;
    while (at < numbers->n_recent && numbers->recent[at] != id) {
        at++;
    }
    if (at == numbers->n_recent) {
        if (numbers->n_recent < AMM_RECENT_ACKS) {
            numbers->n_recent++;
        } else {
            at = AMM_RECENT_ACKS - 1;
        }
    }
    /* Entries before `at` move up by one, with their fresh bits; those behind stay. */
    unsigned moved = (1u << at) - 1;
    unsigned behind = ~((1u << (at + 1)) - 1);
    memmove(&numbers->recent[1], &numbers->recent[0], at * sizeof numbers->recent[0]);
    numbers->recent[0] = id;
    numbers->fresh = (uint8_t)((numbers->fresh & behind) | (numbers->fresh & moved) << 1 | 1);
}

bool amm_acks_waiting(const struct amm_reliable_numbers *numbers)
{
    return numbers->fresh != 0;
}

uint8_t amm_acks_take(struct amm_reliable_numbers *numbers, uint32_t *acks, unsigned limit)
{
    unsigned n_recent = numbers->n_recent < AMM_RECENT_ACKS ? numbers->n_recent : AMM_RECENT_ACKS;
    uint8_t fresh = numbers->fresh;
    uint8_t n = 0;
    for (int want_fresh = 1; want_fresh >= 0; want_fresh--) {
        for (unsigned i = 0; i < n_recent && n < limit; i++) {
            if ((fresh >> i & 1) == want_fresh) {
                acks[n++] = numbers->recent[i];
                numbers->fresh &= (uint8_t) ~(1u << i);
            }
        }
    }
    return n;
}

bool amm_numbers_discard(struct amm_reliable_numbers *numbers, uint32_t id)
{
    if (!is_before(id, numbers->next_rx + AMM_RECEIVE_WINDOW)) {
        return false;
    }
    /* What is skipped here would be discarded too. */
    if (!is_before(id, numbers->next_rx)) {
        numbers->next_rx = id + 1;
    }
    note_ack(numbers, id);
    return true;
}

/* ---- receiving ---- */

enum amm_receipt amm_reliable_receive(struct amm_reliable *r, uint32_t id, uint8_t opcode,
                                      struct amm_view payload)
{
    if (is_before(id, r->numbers.next_rx)) {
        note_ack(&r->numbers, id);
        return AMM_RECEIPT_DUPLICATE;
    }
    struct amm_received_message *m = &r->in[id % AMM_RECEIVE_WINDOW];
    if (id - r->numbers.next_rx >= AMM_RECEIVE_WINDOW || payload.len > AMM_MESSAGE_RX_MAX) {
        return AMM_RECEIPT_REFUSED;
    }
    note_ack(&r->numbers, id);
    if (m->used) {
        return AMM_RECEIPT_DUPLICATE;
    }
    m->used = true;
    m->opcode = opcode;
    m->len = (uint16_t)payload.len;
    if (payload.len > 0) {
        memcpy(m->data, payload.data, payload.len);
    }
    return AMM_RECEIPT_STORED;
}

bool amm_reliable_next_delivery(struct amm_reliable *r, struct amm_message *out)
{
    struct amm_received_message *m = &r->in[r->numbers.next_rx % AMM_RECEIVE_WINDOW];
    if (!m->used) {
        return false;
    }
    m->used = false;
    *out = (struct amm_message){r->numbers.next_rx++, m->opcode, amm_view(m->data, m->len)};
    return true;
}
