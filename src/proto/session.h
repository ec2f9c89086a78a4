/* A control session as a flat record in state memory: what must outlive the process for a tunnel to
 * go on (ARCHITECTURE.md, "Memory that outlives a process"). No pointers, fixed widths, a layout
 * version in front of the table.
 *
 * `sequence` is odd while fields that belong together are changed; a new process that finds it odd
 * drops that one session. The owner is the engine's thread. */
#pragma once

#include "crypto/identity.h"
#include "data/peer.h"
#include "reliable.h"
#include "wrap_context.h"

enum session_state {
    SESSION_FREE = 0,
    SESSION_HANDSHAKE = 1, /* until PUSH_REPLY is acknowledged; a new process drops it */
    SESSION_ESTABLISHED = 2,
};

enum session_flags {
    SESSION_EXPORTER = 1,  /* data keys come from the TLS exporter, for every key id */
    SESSION_DYNAMIC = 2,   /* key ids above 0 are wrapped with `dynamic` */
    SESSION_INSTALLED = 4, /* the data plane knows the peer */
    SESSION_FINISHED = 8,  /* `finished` counts the messages of `key_id`, whose TLS is gone */
    SESSION_DATA_V1 = 16,  /* client: no peer id was pushed */
    SESSION_CC_EXIT = 32,  /* client: the server wants goodbyes on the control channel */
};

struct amm_session {
    uint32_t sequence;
    uint32_t tag; /* struct amm_session_ref */
    uint8_t state;
    uint8_t flags;
    uint8_t cipher;      /* enum amm_cipher, for the life of the session */
    uint8_t key_id;      /* of the newest keys that are in use */
    uint8_t last_key_id; /* of the newest negotiation, finished or not */
    uint8_t reserved[3];
    uint32_t peer_id;
    uint32_t iv_proto; /* of the client */
    uint64_t own_sid, peer_sid;
    struct amm_path path;
    struct amm_reliable_numbers finished;
    amm_time renegotiate_at;  /* when this side starts, or AMM_NEVER */
    amm_time last_soft_reset; /* taken from the peer; 0 none */
    amm_time keys_expire; /* end of the keys in use, after a renewal has failed; else AMM_NEVER */
    struct amm_identity identity; /* locked at the first login */
    uint8_t username[AMM_SHA256_LEN];
    struct amm_wrap_context wrap, dynamic;
};

_Static_assert(sizeof(struct amm_session) <= 900, "what is kept per idle session");

enum { SESSION_LAYOUT = 1 };
#define SESSION_MAGIC UINT64_C(0x616d6d2d73657373) /* "amm-sess" */

struct session_table {
    uint64_t magic;
    uint32_t layout, record; /* SESSION_LAYOUT, sizeof(struct amm_session) */
    uint32_t n;
    uint32_t last_tag;
    struct amm_session sessions[];
};

/* The table in `memory`; made empty if what stands there is not a table of this layout and size. */
struct session_table *amm_session_table(void *memory, uint32_t n);

/* Makes `session` a new one under a tag of its own. Everything else is zero. */
void amm_session_begin(struct session_table *table, struct amm_session *session);

/* Wipes the record: it holds wrap keys. */
void amm_session_wipe(struct amm_session *session);

/* Around changes of fields that belong together. */
void amm_session_open(struct amm_session *session);
void amm_session_shut(struct amm_session *session);

/* Same key, same name, same user name: what may renegotiate. */
bool amm_session_is_same_login(const struct amm_session *session,
                               const struct amm_identity *identity,
                               const uint8_t username[AMM_SHA256_LEN]);

static inline bool amm_session_has(const struct amm_session *session, enum session_flags flag)
{
    return (session->flags & flag) != 0;
}

static inline void amm_session_set(struct amm_session *session, enum session_flags flag)
{
    session->flags = (uint8_t)(session->flags | flag);
}

static inline void amm_session_clear(struct amm_session *session, enum session_flags flag)
{
    session->flags = (uint8_t)(session->flags & ~flag);
}
