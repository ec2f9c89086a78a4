/* What the files of the data plane share. Slots of the table are numbered 0..n_slots, records (two
 * lanes of a slot) by `slot * 2 + lane`; a worker numbers the records that are its own densely
 * ("local"). */
#pragma once

#include "base/wheel.h"
#include "data/plane.h"

enum { LANES = 2, NO_LANE = LANES };

/* Why a record stands in the output queue. */
enum { DUE_PING = 1, DUE_EXIT = 2, DUE_QUEUED = 4 };

/* DATA-4 */
#define GCM_BLOCKS_MAX ((UINT64_C(1) << 36) - 1)
#define GCM_BLOCKS_WORN ((UINT64_C(1) << 36) / 8 * 7)
#define FAILED_WORN (UINT64_C(1) << 35)
#define FAILED_MAX (UINT64_C(1) << 36)
#define TX_ID_END UINT32_MAX /* never used: an id must not wrap */
enum { TX_RESERVE = 65536 };

struct amm_plane {
    struct amm_plane_config config;
    struct amm_peer *table;
    uint32_t n_slots;
    struct amm_aead *aead;
    struct amm_drops *drops;
    struct amm_wheel *wheel; /* by local record */
    amm_time started;        /* silence before this is ours, not the peer's */
    uint32_t server_ip;      /* 0 in a client */
    uint32_t live;

    uint8_t *active;    /* by local slot: the lane that is routed to, or NO_LANE */
    uint8_t *due;       /* by local record */
    uint32_t *due_next; /* by local record: the output queue */
    uint32_t due_head, due_tail;

    struct amm_plane_note *notes; /* ring */
    uint32_t n_notes_max, note_first, n_notes;
};

/* ---- plane.c: records, lanes, notes ---- */

/* Where a peer of this id lives, whoever is there now; NULL and a drop counted if it cannot be
 * ours. */
struct amm_peer *amm_plane_place(struct amm_plane *plane, uint32_t peer_id);
uint32_t amm_plane_local(const struct amm_plane *plane, const struct amm_peer *peer);
struct amm_peer *amm_plane_record(const struct amm_plane *plane, uint32_t local);

/* The other lane of the peer's slot, if a peer lives there. */
struct amm_peer *amm_plane_sibling(const struct amm_plane *plane, const struct amm_peer *peer);

/* True if session `a` of a gateway is newer than `b`. */
bool amm_peer_is_newer(const struct amm_peer *a, const struct amm_peer *b);

/* Room for notes that packets and timers cause; the rest of the ring is kept for the answers to
 * commands. */
bool amm_plane_can_note(const struct amm_plane *plane, uint32_t n);
struct amm_plane_note *amm_plane_note(struct amm_plane *plane, enum amm_plane_note_kind kind,
                                      const struct amm_peer *peer, uint8_t key_id);

/* Wipes the record and its keys; routing falls back to the sibling. */
void amm_plane_drop_peer(struct amm_plane *plane, struct amm_peer *peer);

/* ---- plane_keys.c ---- */

/* Between these two a record may be inconsistent: `sequence` is odd. */
void amm_peer_change(struct amm_peer *peer);
void amm_peer_settle(struct amm_peer *peer);

/* The newest key that may seal, or NULL. */
struct amm_key_slot *amm_peer_sending_key(struct amm_peer *peer);

/* The key that opens packets of `key_id`, or NULL. */
struct amm_key_slot *amm_peer_key(struct amm_peer *peer, uint8_t key_id, amm_time now);

/* Installs keys for receiving; false if their id is the one that is being sent with. Keys that are
 * installed already stay as they are: starting their packet ids again would repeat nonces. */
bool amm_plane_install(struct amm_plane *plane, struct amm_peer *peer,
                       const struct amm_data_keys *keys);
void amm_plane_wipe_key(struct amm_plane *plane, struct amm_key_slot *key);

/* Numbers that no key of this process had before. */
void amm_plane_new_serials(struct amm_key_slot *key);

/* Sends with `key` if no newer key does, sets the end of the one it replaces, and makes the peer
 * the one that its gateway's packets go to; an older sibling is dropped. At most one note. */
void amm_plane_promote(struct amm_plane *plane, struct amm_now now, struct amm_peer *peer,
                       struct amm_key_slot *key);

/* AES-GCM, whose keys wear out by the amount of data. */
bool amm_key_is_gcm(const struct amm_key_slot *key);

/* Gives NOTE_WORN once per key. */
void amm_plane_note_wear(struct amm_plane *plane, const struct amm_peer *peer,
                         struct amm_key_slot *key);

/* ---- plane_timer.c ---- */

void amm_plane_arm(struct amm_plane *plane, const struct amm_peer *peer, amm_time now);
void amm_plane_make_due(struct amm_plane *plane, const struct amm_peer *peer, uint8_t why);

/* ---- plane_packet.c ---- */

/* Seals out[AMM_DATA_OVERHEAD .. + len] in place; {NULL, 0} if it was dropped and counted. */
struct amm_span amm_plane_seal_payload(struct amm_plane *plane, struct amm_now now,
                                       struct amm_peer *peer, uint8_t *out, size_t len);
