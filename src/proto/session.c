#include "session.h"

#include "proto/engine.h"

#include <stdatomic.h>

size_t amm_session_table_size(uint32_t n)
{
    return sizeof(struct session_table) + (size_t)n * sizeof(struct amm_session);
}

struct session_table *amm_session_table(void *memory, uint32_t n)
{
    struct session_table *table = memory;
    if (table->magic == SESSION_MAGIC && table->layout == SESSION_LAYOUT &&
        table->record == sizeof(struct amm_session) && table->n == n) {
        return table;
    }
    amm_wipe(memory, amm_session_table_size(n));
    table->layout = SESSION_LAYOUT;
    table->record = sizeof(struct amm_session);
    table->n = n;
    atomic_signal_fence(memory_order_seq_cst);
    table->magic = SESSION_MAGIC;
    return table;
}

/* The process can be killed between any two instructions and the memory stays: only the order in
 * which this thread's stores are made matters, so a compiler fence is enough. */
void amm_session_open(struct amm_session *session)
{
    session->sequence |= 1;
    atomic_signal_fence(memory_order_seq_cst);
}

void amm_session_shut(struct amm_session *session)
{
    atomic_signal_fence(memory_order_seq_cst);
    session->sequence = (session->sequence | 1) + 1;
}

void amm_session_begin(struct session_table *table, struct amm_session *session)
{
    uint32_t sequence = session->sequence;
    *session = (struct amm_session){.sequence = sequence | 1};
    table->last_tag++;
    if (table->last_tag == 0) {
        table->last_tag = 1;
    }
    session->tag = table->last_tag;
    session->peer_id = AMM_NO_PEER_ID;
    session->renegotiate_at = AMM_NEVER;
    session->keys_expire = AMM_NEVER;
    session->state = SESSION_HANDSHAKE;
    amm_session_shut(session);
}

void amm_session_wipe(struct amm_session *session)
{
    uint32_t sequence = session->sequence;
    session->state = SESSION_FREE;
    atomic_signal_fence(memory_order_seq_cst);
    amm_wipe(session, sizeof *session);
    session->sequence = (sequence | 1) + 1;
}

bool amm_session_is_same_login(const struct amm_session *session,
                               const struct amm_identity *identity,
                               const uint8_t username[AMM_SHA256_LEN])
{
    return strcmp(session->identity.name, identity->name) == 0 &&
           memcmp(session->identity.key, identity->key, sizeof identity->key) == 0 &&
           memcmp(session->username, username, AMM_SHA256_LEN) == 0;
}
