#include "ipc/cad.h"
#include "walk.h"

enum { HEADER = 12 };

static void walk_kind(struct walk *walk, uint8_t *kind)
{
    walk_u8(walk, kind);
    if (walk->r && *kind != AMM_CAD_GATEWAY && *kind != AMM_CAD_PROFILE) {
        walk->r->failed = true;
    }
}

static void walk_which(struct walk *walk, uint8_t *which, uint8_t last)
{
    walk_u8(walk, which);
    if (walk->r && (*which < 1 || *which > last)) {
        walk->r->failed = true;
    }
}

static void walk_issue(struct walk *walk, struct amm_cad_issue *issue)
{
    walk_bytes(walk, issue->approval, sizeof issue->approval);
    walk_kind(walk, &issue->kind);
    walk_u16(walk, &issue->days);
    walk_string(walk, issue->name, sizeof issue->name);
    walk_bytes(walk, issue->key, sizeof issue->key);
    walk_bytes(walk, issue->renews, sizeof issue->renews);
}

static void walk_issued(struct walk *walk, struct amm_cad_issued *issued)
{
    walk_bytes(walk, issued->serial, sizeof issued->serial);
    walk_bytes(walk, issued->issuer, sizeof issued->issuer);
    walk_time(walk, &issued->not_before);
    walk_time(walk, &issued->not_after);
    walk_text(walk, issued->certificate, sizeof issued->certificate);
}

static void walk_revocation(struct walk *walk, struct amm_cad_revocation *revocation)
{
    walk_bytes(walk, revocation->serial, sizeof revocation->serial);
    walk_kind(walk, &revocation->kind);
    walk_time(walk, &revocation->at);
}

static void walk_state(struct walk *walk, struct amm_cad_state *state)
{
    walk_u64(walk, &state->list_number);
    walk_u64(walk, &state->issued);
    walk_u64(walk, &state->revoked);
    walk_time(walk, &state->list_until);
    walk_time(walk, &state->authority_until);
}

static void walk_revoked(struct walk *walk, struct amm_cad_revoked *revoked)
{
    walk_u16(walk, &revoked->n);
    if (revoked->n > AMM_CAD_REVOKED_MAX) {
        revoked->n = 0;
        if (walk->w) {
            walk->w->failed = true;
        } else {
            walk->r->failed = true;
        }
    }
    for (uint16_t i = 0; i < revoked->n; i++) {
        walk_revocation(walk, &revoked->list[i]);
    }
}

static void walk_failed(struct walk *walk, struct amm_cad_failed *failed)
{
    walk_which(walk, &failed->reason, AMM_CAD_BROKEN);
    walk_u32(walk, &failed->retry);
    walk_string(walk, failed->words, sizeof failed->words);
}

/* False for a type that does not exist. */
static bool walk_body(struct walk *walk, struct amm_cad_message *message)
{
    switch ((enum amm_cad_type)message->type) {
    case AMM_CAD_STATUS:
    case AMM_CAD_LISTS:
    case AMM_CAD_REVOCATIONS:
    case AMM_CAD_DONE:
        return true;
    case AMM_CAD_TIME:
        walk_bytes(walk, message->nonce, sizeof message->nonce);
        return true;
    case AMM_CAD_ISSUE:
        walk_issue(walk, &message->issue);
        return true;
    case AMM_CAD_REVOKE:
        walk_revocation(walk, &message->revoke);
        return true;
    case AMM_CAD_AUTHORITIES:
        walk_which(walk, &message->which, AMM_CAD_TUNNEL_CERTIFICATE);
        return true;
    case AMM_CAD_WRAP:
        walk_which(walk, &message->which, AMM_CAD_TLS_CRYPT_V2);
        return true;
    case AMM_CAD_STATE:
        walk_state(walk, &message->state);
        return true;
    case AMM_CAD_SIGNED_TIME:
        walk_time(walk, &message->signed_time.wall);
        walk_bytes(walk, message->signed_time.signature, sizeof message->signed_time.signature);
        return true;
    case AMM_CAD_ISSUED:
        walk_issued(walk, &message->issued);
        return true;
    case AMM_CAD_PART:
    case AMM_CAD_TEXT_IS:
        walk_text(walk, message->text, sizeof message->text);
        return true;
    case AMM_CAD_REVOKED:
        walk_revoked(walk, &message->revoked);
        return true;
    case AMM_CAD_FAILED:
        walk_failed(walk, &message->failed);
        return true;
    }
    return false;
}

size_t amm_cad_encode(const struct amm_cad_message *message, uint8_t *out, size_t room)
{
    struct amm_writer w = amm_writer(out, room < AMM_CAD_MAX ? room : AMM_CAD_MAX);
    amm_write_u8(&w, AMM_CAD_VERSION);
    amm_write_u8(&w, message->type);
    uint8_t *length = amm_write_gap(&w, 2);
    amm_write_u64(&w, message->id);
    struct amm_cad_message copy = *message; /* the walk could change it */
    bool ok = walk_body(&(struct walk){.w = &w}, &copy) && amm_writer_len(&w) > 0;
    amm_wipe(&copy, sizeof copy);
    if (!ok) {
        return 0;
    }
    amm_store_u16(length, (uint16_t)(amm_writer_len(&w) - HEADER));
    return amm_writer_len(&w);
}

bool amm_cad_decode(struct amm_cad_message *out, struct amm_view packet)
{
    struct amm_reader r = amm_reader(packet);
    *out = (struct amm_cad_message){0};
    uint8_t version = amm_read_u8(&r);
    out->type = amm_read_u8(&r);
    uint16_t length = amm_read_u16(&r);
    out->id = amm_read_u64(&r);
    return packet.len <= AMM_CAD_MAX && version == AMM_CAD_VERSION &&
           length == amm_reader_left(&r) && walk_body(&(struct walk){.r = &r}, out) &&
           amm_reader_done(&r);
}

const char *amm_cad_failure_name(enum amm_cad_failure failure)
{
    switch (failure) {
    case AMM_CAD_REFUSED:
        return "refused";
    case AMM_CAD_CONFLICT:
        return "conflict";
    case AMM_CAD_REVOKED_BEFORE:
        return "revoked";
    case AMM_CAD_BUSY:
        return "busy";
    case AMM_CAD_BROKEN:
        return "broken";
    }
    return "unknown";
}
