#!/usr/bin/env python3
"""Turns comparisons around, one at a time, and expects the tests to notice.

The comparisons are those that keep strangers out: the handshake cookie, the control-channel wrap, the replay
windows, the data channel's authentication and the inner checks; those that frame HTTP messages; those that say who
gets a certificate and whose time is taken; who may do what in the manager; and those of ACEmanager's pages. Each mutant is built in a scratch copy of
the tree. First the tests named beside it run, which is quick; a mutant that they let live must be caught by the whole
unit and golden suites. Exit status 1 if one survives, does not compile, or is no longer in the source.

    mutate.py [-k WORD] [-l] [--scratch DIR]

-k: only mutants whose file or text contains WORD; -l: list them. The scratch directory is kept if it is given.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TEST_SECONDS = 60  # a mutant may loop for ever; that is noticed, too

DATA = "tests/unit/data/test_"
PROTO = "tests/unit/proto/test_"
HTTP = "tests/unit/http/test_http_"
CRYPTO = "tests/unit/crypto/test_"
CAD = "tests/unit/cad/test_cad_"
MANAGER = "tests/unit/manager/test_manager_"
WEB = "tests/unit/acemanager/test_acemanager_web_"

# (file, programs that should notice, [(text, replacement)]); the text stands in the file exactly once.
TABLE = [
    ("src/data/replay.c", [DATA + "replay"], [
        ("first != last", "first == last"),
        ("64 - bit < left", "64 - bit > left"),
        ("n == 64 ?", "n != 64 ?"),
        ("&= ~mask", "&= mask"),
        ("id > replay->highest", "id < replay->highest"),
        ("id > replay->highest", "id >= replay->highest"),
        ("id - before >= AMM_REPLAY_WINDOW", "id - before < AMM_REPLAY_WINDOW"),
        ("if (id == 0)", "if (id != 0)"),
        ("if (id == 0)", "if (0)"),
        ("replay->highest - id >= AMM_REPLAY_WINDOW", "replay->highest - id < AMM_REPLAY_WINDOW"),
        ("replay->highest - id >= AMM_REPLAY_WINDOW", "replay->highest - id > AMM_REPLAY_WINDOW"),
        ("if (*word & bit)", "if (!(*word & bit))"),
        ("if (*word & bit)", "if (0)"),
    ]),
    ("src/data/plane_packet.c", [DATA + "plane_open", DATA + "plane_keys", DATA + "plane_inner",
                                 DATA + "plane_timer", DATA + "plane_lanes", DATA + "plane_adopt"], [
        ("datagram.len > 0 ?", "datagram.len == 0 ?"),
        ("datagram.len <= header", "datagram.len > header"),
        ("datagram.len <= header", "datagram.len < header"),
        ("op != OP_DATA_V2 && (", "op == OP_DATA_V2 && ("),
        ("op != OP_DATA_V1 ||", "op == OP_DATA_V1 ||"),
        ("op != OP_DATA_V1 || plane->config.role == AMM_SERVER", "op != OP_DATA_V1"),
        ("out->aad = op == OP_DATA_V2", "out->aad = op != OP_DATA_V2"),
        ("peer->state != AMM_PEER_LIVE || peer->exit_wanted ||", "peer->exit_wanted ||"),
        ("peer->state != AMM_PEER_LIVE || peer->exit_wanted ||", "peer->state != AMM_PEER_LIVE ||"),
        ("peer->peer_id != peer_id", "peer->peer_id == peer_id"),
        ("peer->peer_id != peer_id", "false"),
        ("key->rx_failed > FAILED_MAX", "key->rx_failed <= FAILED_MAX"),
        ("key->rx_failed > FAILED_MAX", "key->rx_failed >= FAILED_MAX"),
        ("if (!amm_aead_open(", "if (amm_aead_open("),
        ("return AMM_DROP_DATA_AUTH;", "return AMM_DROP_COUNT;"),
        ("return amm_replay_check(&key->replay, amm_load_u32(parts->packet_id));", "return AMM_DROP_COUNT;"),
        ("if (!newest || path->transport", "if (newest || path->transport"),
        ("if (!newest || path->transport", "if (path->transport"),
        ("|| path->transport != AMM_UDP ||", "|| path->transport == AMM_UDP ||"),
        ("|| path->transport != AMM_UDP ||", "||"),
        ("peer->path.transport != AMM_UDP ||", "peer->path.transport == AMM_UDP ||"),
        ("peer->path.transport != AMM_UDP ||", ""),
        ("now.mono - peer->moved < AMM_SECOND", "now.mono - peer->moved >= AMM_SECOND"),
        ("now.mono - peer->moved < AMM_SECOND", "now.mono - peer->moved <= AMM_SECOND"),
        ("inner.data[0] >> 4 != 2 || inner.len", "inner.data[0] >> 4 == 2 || inner.len"),
        ("inner.len < AMM_MESSAGE_MAGIC)", "inner.len >= AMM_MESSAGE_MAGIC)"),
        ("amm_message_ping, AMM_MESSAGE_MAGIC) == 0", "amm_message_ping, AMM_MESSAGE_MAGIC) != 0"),
        ("return inner.len == AMM_MESSAGE_MAGIC", "return inner.len != AMM_MESSAGE_MAGIC"),
        ("amm_message_occ, AMM_MESSAGE_MAGIC) != 0", "amm_message_occ, AMM_MESSAGE_MAGIC) == 0"),
        ("== AMM_MESSAGE_EXIT)", "!= AMM_MESSAGE_EXIT)"),
        ("if (!amm_path_equal(path, &peer->path))", "if (amm_path_equal(path, &peer->path))"),
        ("if (key->state == AMM_KEY_RECEIVE) {", "if (key->state != AMM_KEY_RECEIVE) {"),
        ("plane->config.role == AMM_SERVER\n            ?", "plane->config.role != AMM_SERVER\n            ?"),
        ("reason != AMM_DROP_COUNT) {\n        drop_inner", "reason == AMM_DROP_COUNT) {\n        drop_inner"),
        ("reason != AMM_DROP_COUNT) {\n        amm_drop", "reason == AMM_DROP_COUNT) {\n        amm_drop"),
        ("key->state == AMM_KEY_RECEIVE || is_message", "key->state != AMM_KEY_RECEIVE || is_message"),
        ("key->replay.highest > highest", "key->replay.highest <= highest"),
        ("key->replay.highest > highest", "key->replay.highest >= highest"),
        ("slot == 0 || slot > plane->n_slots", "slot > plane->n_slots"),
        ("slot % plane->config.n_workers != plane->config.worker",
         "slot % plane->config.n_workers == plane->config.worker"),
        ("lane == NO_LANE ||", "lane != NO_LANE ||"),
        ("key->tx_next >= TX_ID_END", "key->tx_next > TX_ID_END"),
        ("key->tx_next >= TX_ID_END", "key->tx_next < TX_ID_END"),
        ("key->tx_blocks >= GCM_BLOCKS_MAX", "key->tx_blocks < GCM_BLOCKS_MAX"),
        ("key->tx_blocks >= GCM_BLOCKS_MAX", "key->tx_blocks > GCM_BLOCKS_MAX"),
        ("&& amm_key_is_gcm(key)", "&& !amm_key_is_gcm(key)"),
        ("key->tx_next >= key->tx_reserved", "key->tx_next < key->tx_reserved"),
        ("key->tx_next >= key->tx_reserved", "key->tx_next > key->tx_reserved"),
        ("left < TX_RESERVE ?", "left > TX_RESERVE ?"),
        ("inner.len > plane->config.mtu", "inner.len >= plane->config.mtu"),
        ("inner.len > plane->config.mtu", "inner.len <= plane->config.mtu"),
    ]),
    ("src/data/plane_keys.c", [DATA + "plane_keys", DATA + "plane_lanes", DATA + "plane_adopt"], [
        ("key->state != AMM_KEY_EMPTY && key->key_id == key_id", "key->state == AMM_KEY_EMPTY && key->key_id == key_id"),
        ("&& key->key_id == key_id && now < key->dies", "&& now < key->dies"),
        ("now < key->dies", "now <= key->dies"),
        ("now < key->dies", "now > key->dies"),
        ("b->order > a->order ? b", "b->order < a->order ? b"),
        ("return sending->key_id == key_id ? NULL : other", "return sending->key_id != key_id ? NULL : other"),
        ("a->order <= b->order ? a : b", "a->order > b->order ? a : b"),
        ("sibling != NULL && amm_peer_is_newer(peer, sibling)", "sibling != NULL"),
        ("amm_peer_is_newer(peer, sibling)", "!amm_peer_is_newer(peer, sibling)"),
        ("older->order < sending->order", "older->order >= sending->order"),
        ("older->order < sending->order", "older->order <= sending->order"),
        ("key->tx_next >= plane->config.spend_ids", "key->tx_next < plane->config.spend_ids"),
        ("key->tx_next >= plane->config.spend_ids", "key->tx_next > plane->config.spend_ids"),
        ("key->rx_failed > FAILED_WORN", "key->rx_failed >= FAILED_WORN"),
        ("key->rx_failed > FAILED_WORN", "key->rx_failed <= FAILED_WORN"),
        ("key->tx_blocks >= GCM_BLOCKS_WORN", "key->tx_blocks < GCM_BLOCKS_WORN"),
        ("key->rx_blocks >= GCM_BLOCKS_WORN", "key->rx_blocks < GCM_BLOCKS_WORN"),
        ("worn && !key->worn &&", "worn &&"),
        ("key->tx.cipher != AMM_CIPHER_CHACHA20_POLY1305", "key->tx.cipher == AMM_CIPHER_CHACHA20_POLY1305"),
    ]),
    ("src/data/plane.c", [DATA + "plane_open", DATA + "plane_lanes", DATA + "plane_adopt"], [
        ("ahead % AMM_GENERATIONS <= AMM_GENERATIONS / 2", "ahead % AMM_GENERATIONS > AMM_GENERATIONS / 2"),
        ("(peer->sequence & 1) == 0 &&", "(peer->sequence & 1) != 0 &&"),
        ("(peer->sequence & 1) == 0 && peer->state", "peer->state"),
        ("peer->peer_id) == peer)", "peer->peer_id) != peer)"),
        ("key->tx_next = key->tx_reserved;", "key->tx_next += 0;"),
        ("amm_peer_sending_key(newer) == NULL", "amm_peer_sending_key(newer) != NULL"),
        ("!= plane->config.worker) {\n        amm_drop", "== plane->config.worker) {\n        amm_drop"),
    ]),
    ("src/data/plane_command.c", [DATA + "plane_lanes", DATA + "plane_keys"], [
        ("a->index == b->index &&", "a->index != b->index &&"),
        ("&& a->tag == b->tag", ""),
        ("peer->peer_id == command->peer_id &&", ""),
        ("amm_cipher_key_len(command->keys.cipher) == 0 ||", ""),
        ("command->keys.key_id <= 7", "command->keys.key_id <= 8"),
        ("command->inner_ip ==", "command->inner_ip !="),
    ]),
    ("src/data/inner.c", [DATA + "plane_inner"], [
        ("p[0] >> 4 != 4", "p[0] >> 4 == 4"),
        ("p[0] >> 4 == 6 ?", "p[0] >> 4 != 6 ?"),
        ("inner->len < AMM_IP_HEADER", "inner->len >= AMM_IP_HEADER"),
        ("header < AMM_IP_HEADER ||", "header > AMM_IP_HEADER ||"),
        ("|| total < header ||", "||"),
        ("total > inner->len", "total >= inner->len"),
        ("total > inner->len", "false"),
        ("total > largest", "total >= largest"),
        ("total > largest", "total <= largest"),
        ("config->published[i] == 0", "config->published[i] != 0"),
        ("config->published[i] == port", "config->published[i] != port"),
        ("== AMM_PROTOCOL_ICMP", "!= AMM_PROTOCOL_ICMP"),
        ("== AMM_PROTOCOL_TCP", "!= AMM_PROTOCOL_TCP"),
        ("left < AMM_ICMP_HEADER", "left > AMM_ICMP_HEADER"),
        ("left < AMM_TCP_HEADER", "left > AMM_TCP_HEADER"),
        ("(AMM_TCP_SYN | AMM_TCP_ACK)) == AMM_TCP_SYN", "(AMM_TCP_SYN | AMM_TCP_ACK)) != AMM_TCP_SYN"),
        ("(AMM_TCP_SYN | AMM_TCP_ACK)) == AMM_TCP_SYN", "AMM_TCP_SYN) == AMM_TCP_SYN"),
        ("!opens ||", "opens ||"),
        ("& AMM_IP_FRAGMENT_BITS)", "& 0x1fff)"),
        ("!= own", "== own"),
        ("!= server", "== server"),
        ("AMM_IP_DESTINATION) == own", "AMM_IP_DESTINATION) != own"),
    ]),
    ("src/data/pool.c", [DATA + "pool"], [
        ("slot == 0 || slot > amm_pool_slots(pool)", "slot > amm_pool_slots(pool)"),
        ("slot == 0 || slot > amm_pool_slots(pool)", "slot == 0 || slot >= amm_pool_slots(pool)"),
        ("(offset & 3) != 2", "(offset & 3) == 0"),
        ("slot <= amm_pool_slots(pool) ? slot", "slot < amm_pool_slots(pool) ? slot"),
        ("pool.prefix < 16", "pool.prefix < 15"),
        ("~amm_pool_mask(&pool)) != 0", "~amm_pool_mask(&pool)) == 0"),
        ("prefix_a < prefix_b", "prefix_a > prefix_b"),
    ]),
    ("src/data/coalesce.c", [DATA + "coalesce"], [
        ("amm_checksum(amm_view(ip, AMM_IP_HEADER), 0) == 0xffff", "true"),
        ("amm_checksum(amm_view(tcp, len), amm_ip_pseudo_sum(ip, len)) == 0xffff", "true"),
        ("== flow->next_sequence", "!= flow->next_sequence"),
        ("s->payload <= flow->segment", "true"),
        ("<= AMM_IP_MAX &&", "<= AMM_IP_MAX + 4000 &&"),
        ("flow->open = false; /* what", "flow->open = true; /* what"),
    ]),
    ("src/base/bytes.c", ["tests/unit/base/test_bytes"], [
        ("return difference == 0", "return difference != 0"),
        ("(size_t)(r->end - r->at) < len", "(size_t)(r->end - r->at) <= len"),
        ("(size_t)(w->end - w->at) < len", "(size_t)(w->end - w->at) <= len"),
    ]),
    ("src/proto/cookie.c", [PROTO + "cookie"], [
        ("hash == 0 ? 1 : hash", "hash != 0 ? 1 : hash"),
        ("age < ACCEPTED_SLOTS", "age <= ACCEPTED_SLOTS"),
        ("age < ACCEPTED_SLOTS", "age < ACCEPTED_SLOTS - 1"),
        ("current - age", "current + age"),
        ("ok |= amm_equal_secret(", "ok |= !amm_equal_secret("),
        ("amm_write_u64(&w, (uint64_t)slot);", "amm_write_u64(&w, 0);"),
        ("amm_write_u64(&w, claim->client_sid);", "amm_write_u64(&w, 0);"),
        ("amm_write_u64(&w, claim->wkc);", "amm_write_u64(&w, 0);"),
        ("write_address(&w, &claim->path->remote);", "write_address(&w, &claim->path->local);"),
        ("write_address(&w, &claim->path->local);", "write_address(&w, &claim->path->remote);"),
        ("amm_write_u16(w, address->port);", "amm_write_u16(w, 0);"),
        ("amm_write_u8(&w, claim->path->port_index);", "amm_write_u8(&w, 0);"),
    ]),
    ("src/proto/wrap.c", [PROTO + "wrap", "tests/golden/test_wrap"], [
        ("amm_equal_secret(tag, wire_tag, tag_len)", "!amm_equal_secret(tag, wire_tag, tag_len)"),
        ("amm_equal_secret(tag, wire_tag, tag_len)", "true"),
        ("amm_equal_secret(tag, wire_tag, CRYPT_TAG)", "!amm_equal_secret(tag, wire_tag, CRYPT_TAG)"),
        ("amm_equal_secret(tag, wire_tag, CRYPT_TAG)", "true"),
        ("packet.len <= AMM_CONTROL_HEADER + amm_wrap_overhead(context)",
         "packet.len > AMM_CONTROL_HEADER + amm_wrap_overhead(context)"),
        ("packet.len <= AMM_CONTROL_HEADER + amm_wrap_overhead(context)",
         "packet.len < AMM_CONTROL_HEADER + amm_wrap_overhead(context)"),
        ("id == 0 || time < context->rx_time", "time < context->rx_time"),
        ("time < context->rx_time", "time <= context->rx_time"),
        ("time < context->rx_time", "time > context->rx_time"),
        ("if (time > context->rx_time)", "if (time < context->rx_time)"),
        ("id > context->rx_top", "id >= context->rx_top"),
        ("id > context->rx_top", "id < context->rx_top"),
        ("ahead < REPLAY_WINDOW ?", "ahead >= REPLAY_WINDOW ?"),
        ("behind >= REPLAY_WINDOW", "behind >= REPLAY_WINDOW - 1"),
        ("behind >= REPLAY_WINDOW", "behind < REPLAY_WINDOW"),
        ("(context->rx_seen >> behind & 1) != 0", "(context->rx_seen >> behind & 1) == 0"),
        ("!replay_accept(context, opened.replay_id, opened.time)",
         "replay_accept(context, opened.replay_id, opened.time)"),
        ("!replay_accept(context, opened.replay_id, opened.time)", "false"),
        ("scratch.len < packet.len", "false"),
        ("len > AMM_WKC_MAX || len > tail.len", "len > AMM_WKC_MAX || len > packet.len"),
        ("amm_equal_secret(tag, wkc.data, CRYPT_TAG)", "true"),
        ("amm_equal_secret(tag, wkc.data, CRYPT_TAG)", "!amm_equal_secret(tag, wkc.data, CRYPT_TAG)"),
        ("amm_load_u16(len_field) != wkc.len", "false"),
        ("if (wkc.len < AMM_WKC_MIN ||", "if ("),
        ("info->made >= wall - config->v2_max_age", "info->made < wall - config->v2_max_age"),
        ("time > context->tx_time ? time : context->tx_time + 1", "time"),
        ("context->tx_id++;", "context->tx_id += 0;"),
        ("seal_under(context, 1, time", "seal_under(context, context->tx_id + 2, time"),
    ]),
    ("src/proto/wire.c", [PROTO + "wire"], [
        ("if (out->own_sid == 0)", "if (out->own_sid != 0)"),
        ("if (out->own_sid == 0)", "if (false)"),
        ("if (out->n_acks > AMM_ACKS_MAX)", "if (out->n_acks > AMM_ACKS_MAX + 1)"),
        ("out->n_acks > 0 ? out->peer_sid == 0 : is_ack", "out->n_acks == 0 && is_ack"),
        ("out->n_acks > 0 ? out->peer_sid == 0 : is_ack", "out->n_acks > 0 && out->peer_sid == 0"),
        ("|| amm_reader_left(&r) == 0", ""),
    ]),
    ("src/proto/reliable.c", [PROTO + "reliable"], [
        ("id - r->numbers.next_rx >= AMM_RECEIVE_WINDOW", "id - r->numbers.next_rx > AMM_RECEIVE_WINDOW"),
        ("|| payload.len > AMM_MESSAGE_RX_MAX", ""),
        ("|| payload.len > AMM_MESSAGE_MAX", ""),
        ("m->id == id && m->transmissions > 0", "m->id == id"),
        ("m->transmissions != 1 ||", ""),
        ("++m->later_acks >= FAST_RESEND_ACKS", "++m->later_acks >= FAST_RESEND_ACKS - 1"),
    ]),
    ("src/proto/limiter.c", [PROTO + "limiter"], [
        ("(amm_limiter_knows(limiter, prefix) || amm_limiter_knows(limiter, bucket))", "true"),
        ("limiter->general -= limiter->general_interval;", ""),
        ("uint32_t reserved = config->total / 4;", "uint32_t reserved = 0;"),
        ("if (set[i].full < victim->full)", "if (set[i].full > victim->full)"),
        ("<= now + BURST", "<= now + 2 * BURST"),
    ]),
    ("src/proto/key_method.c", [PROTO + "key_method"], [
        ("len > max", "false"),
        ("zero != 0 ||", ""),
        ("(method & 15) != KEY_METHOD", "false"),
        ("memchr(text.data, 0, len) != text.data + len - 1", "false"),
    ]),
    ("src/proto/keys.c", [PROTO + "keys"], [
        ("is_all_zero(tx, len) ||", ""),
        ("const uint8_t *tx = role == AMM_CLIENT", "const uint8_t *tx = role != AMM_CLIENT"),
        ("!ok || is_all_zero(out, AMM_STATIC_KEY)", "!ok"),
    ]),
    ("src/proto/text.c", [PROTO + "text"], [
        ("if (!is_good_record(*rest))", "if (!is_good_record(*rest) && false)"),
        ("c >= 0x20 && c <= 0x7e", "c >= 0x20"),
    ]),
    ("src/proto/push.c", [PROTO + "push"], [
        ("mask < UINT32_MAX << (32 - ROUTE_PREFIX_MIN) ||", ""),
        ("++reader->n_parts > AMM_PUSH_PARTS", "false"),
        ("if (taken == IGNORED) {", "if (false) {"),
        ("if (info->ncp && push->cipher", "if (push->cipher"),
        ("(info->iv_proto & AMM_IV_DATA_V2) != 0 &&", ""),
        ("net == 127 ||", ""),
    ]),
    ("src/proto/admission.c", [PROTO + "engine_admission", PROTO + "engine_join"], [
        ("if (!amm_cookie_check(", "if (amm_cookie_check("),
        ("if (!amm_cookie_check(", "if (0 && !amm_cookie_check("),
        ("if (control->acks[i] > 1) {", "if (control->acks[i] > 2) {"),
        ("return control->message_id <= 1;", "return true;"),
        ("if (control->n_acks == 0) {", "if (control->n_acks != 0) {"),
        ("control->opcode == AMM_OP_CONTROL_V1 && control->message_id == 1", "control->opcode == AMM_OP_CONTROL_V1"),
        ("if (!amm_limiter_take(", "if (0 && !amm_limiter_take("),
        ("!amm_wkc_is_fresh(", "0 && !amm_wkc_is_fresh("),
        ("session->wrap.tx_id = 1;", "session->wrap.tx_id = 0;"),
        ("return n < SAME_SID_MAX;", "return n <= SAME_SID_MAX;"),
        ("if (control->message_id != 0) {", "if (0) {"),
    ]),
    ("src/proto/input.c", [PROTO + "engine_admission", PROTO + "engine_life", PROTO + "client"], [
        ("control->n_acks > 0 && control->peer_sid != session->own_sid", "0"),
        ("session->state == SESSION_ESTABLISHED;", "true;"),
        ("session->state == SESSION_ESTABLISHED;", "false;"),
        ("if (amm_chains_first(&engine->by_sid, peek->own_sid) != AMM_CHAIN_END) {", "if (0) {"),
        ("!amm_address_equal(&session->path.remote, &path->remote)", "0"),
        ("amm_chains_first(&engine->by_link, path->link) != AMM_CHAIN_END", "0"),
    ]),
    ("src/proto/session.c", [PROTO + "engine_life"], [
        ("memcmp(session->identity.key, identity->key, sizeof identity->key) == 0",
         "memcmp(session->identity.key, identity->key, 0) == 0"),
        ("memcmp(session->username, username, AMM_SHA256_LEN) == 0", "memcmp(session->username, username, 0) == 0"),
        ("table->layout == SESSION_LAYOUT &&", ""),
    ]),
    ("src/proto/engine.c", [PROTO + "engine_life"], [
        ("(session->sequence & 1) == 0", "true"),
        ("amm_wrap_resume(&session->wrap, time);", ""),
        ("amm_wrap_resume(&session->dynamic, time);", ""),
        ("session->state == SESSION_ESTABLISHED && is_whole", "is_whole"),
    ]),
    ("src/proto/handshake_server.c", [PROTO + "engine_life"], [
        ("if (!amm_session_is_same_login(", "if (0 && !amm_session_is_same_login("),
        ("amm_engine_plane(engine, session, AMM_PLANE_REMOVE);", ""),
        ("if (command->accept) {", "if (true) {"),
    ]),
    ("src/proto/handshake_client.c", [PROTO + "client"], [
        ("control->peer_sid != session->own_sid", "false"),
    ]),
    ("src/proto/renegotiation.c", [PROTO + "engine_life"], [
        ("now.mono - session->last_soft_reset >= engine->config.renegotiate_min", "now.mono > 0"),
        ("session->keys_expire = AMM_NEVER;", ""),
        ("if (session->keys_expire == AMM_NEVER) {", "if (0) {"),
    ]),
    ("src/proto/progress.c", [PROTO + "engine_admission"], [
        ("now.mono - n->progress < EVICT_IDLE", "now.mono < 0"),
    ]),
    ("src/proto/commands.c", [PROTO + "engine_life"], [
        ("session->tag == ref->tag ?", "ref->tag != 0 ?"),
        ("ref->thread != engine->config.thread ||", ""),
        ("if (n == NULL || n->step != STEP_VERDICT) {", "if (n == NULL) {"),
    ]),
    ("src/http/codec/scan.c", [HTTP + "request", HTTP + "response"], [
        ("bytes.len >= AMM_HTTP_HEAD_MAX", "bytes.len > AMM_HTTP_HEAD_MAX"),
        ("if (!scan->tolerant) {", "if (scan->tolerant) {"),
        ("if (!scan->tolerant) {", "if (false) {"),
        ("if (scan->at[1] != '\\n') {", "if (false) {"),
        ("text.len > 0 && text.len <= 18", "text.len <= 18"),
        ("text.len > 0 && text.len <= 18", "text.len > 0 && text.len <= 19"),
        ("text.len > 0 && text.len <= 18", "text.len > 0"),
    ]),
    ("src/http/codec/fields.c", [HTTP + "request", HTTP + "response"], [
        ("while (scan->tolerant && name->len > 0", "while (name->len > 0"),
        ("*scan->at != ':' || name->len == 0", "*scan->at != ':'"),
        ("if (http_is_blank(*scan->at)) {", "if (false) {"),
        ("fields->n == AMM_HTTP_FIELDS_MAX", "fields->n == AMM_HTTP_FIELDS_MAX - 1"),
        ("*before == '\\t' || *behind", "*behind"),
        ("*before == '\\t' || *behind == '\\t'", "*before == '\\t'"),
        ("(value.data[0] != '0' || value.len == 1) &&", "true &&"),
        ("!first && value != *length", "false"),
        ("lengths > 0 ? RULE_LENGTH_TWICE : strict", "strict"),
        ("codings > 0 ? RULE_CODING_TWICE : good", "good"),
        ("good ? RULE_NONE : RULE_CODING_UNKNOWN", "RULE_NONE"),
        ("lengths > 0 && codings > 0 ?", "false ?"),
        ("codings > 0   ? AMM_HTTP_CHUNKED", "codings > 1   ? AMM_HTTP_CHUNKED"),
    ]),
    ("src/http/codec/request.c", [HTTP + "request"], [
        ("scan->at - start < AMM_HTTP_METHOD_MAX", "scan->at - start <= AMM_HTTP_METHOD_MAX"),
        ("|| *start == '-'", ""),
        ("digit < 0 || nul", "digit < 0"),
        ("digit < 0 || nul", "nul"),
        ("byte == '%' && !target->in_query", "byte == '%'"),
        ("scan->at - start == AMM_HTTP_TARGET_MAX", "scan->at - start > AMM_HTTP_TARGET_MAX"),
        ("if (target.left > 0) {", "if (false) {"),
        ("dots == 1 || dots == 2", "dots == 2"),
        ("dots == 1 || dots == 2", "dots == 1"),
        ("has_dots(out->path) ?", "false ?"),
        ("if (*minor > 1) {", "if (*minor > 2) {"),
        ("port <= UINT16_MAX", "true"),
        ("at == host.len || at == 1", "at == host.len"),
        ("out->minor >= 1 ? RULE_HOST_MISSING", "false ? RULE_HOST_MISSING"),
        ("hosts > 1", "hosts > 2"),
        ("has_twins(&out->fields) ?", "false ?"),
        ("if (connection.names) {", "if (false) {"),
        ("body && is_bodiless(out->method)", "false"),
        ("!connection.close && (", "("),
        ("(out->minor >= 1 || connection.keep_alive)", "true"),
        ("if (out->minor == 0) {", "if (false) {"),
        ("out->upgrade && body ?", "false ?"),
        ("out->framing == AMM_HTTP_CHUNKED && out->minor == 0 ?", "false ?"),
    ]),
    ("src/http/codec/response.c", [HTTP + "response"], [
        ("success && amm_view_equal", "false && amm_view_equal"),
        ("out->keep_alive = !announced;", "out->keep_alive = true;"),
        ("out->keep_alive &= !announced;", ""),
        ("out->status != 304 && ", ""),
        ("&& !amm_view_equal(method, amm_view_str(\"HEAD\"))", ""),
        ("out->keep_alive &= out->framing != AMM_HTTP_TO_END;", ""),
        ("out->keep_alive &= out->framing != AMM_HTTP_CHUNKED || out->minor >= 1;", ""),
        ("out->keep_alive = false;", ""),
    ]),
    ("src/http/codec/body.c", [HTTP + "request", HTTP + "response"], [
        ("body->left > (uint64_t)INT64_MAX >> 4", "false"),
        ("body->left > (uint64_t)INT64_MAX >> 4", "body->left > UINT64_MAX >> 4"),
        ("body->line <= 16, SIZE", "body->line <= 17, SIZE"),
        ("if (body->state == SIZE_FIRST) {", "if (false) {"),
        ("body->tolerant && http_is_blank", "http_is_blank"),
        ("byte == '\\n' && !wants_lf", "false"),
        ("body->line > AMM_HTTP_TRAILERS_MAX ?", "false ?"),
        ("body->line > AMM_HTTP_CHUNK_LINE_MAX && byte", "false && byte"),
        ("go(body, byte == '\\r', CONTENT_LF, RULE_CHUNK_END)", "go(body, true, CONTENT_LF, RULE_CHUNK_END)"),
        ("go(body, byte == '\\n', SIZE_FIRST, RULE_CHUNK_END)", "go(body, true, SIZE_FIRST, RULE_CHUNK_END)"),
    ]),
    ("src/http/codec/write.c", [HTTP + "write"], [
        ("w->failed |= !http_all_in(&http_value_class, value);", ""),
        ("name.len == 0 || !http_all_in(&http_token_class, name)", "name.len == 0"),
        ("target.len == 0 || !http_all_in(&http_query_class, target)", "target.len == 0"),
        ("method.len == 0 || !http_all_in(&http_method_class, method)", "method.len == 0"),
        ("w->failed |= len == 0;", ""),
    ]),
    ("src/http/codec/target.c", [HTTP + "target"], [
        ("byte >= ' ' && byte != 0x7f", "true"),
        ("byte >= 0xc2 && byte <= 0xf4", "byte >= 0xc0 && byte <= 0xf4"),
        ("byte >= 0xc2 && byte <= 0xf4", "byte >= 0xc2"),
        ("byte == 0xe0 ? 0xa0", "byte == 0xe0 ? 0x80"),
        ("byte == 0xed ? 0x9f", "byte == 0xed ? 0xbf"),
        ("byte == 0xf0 ? 0x90", "byte == 0xf0 ? 0x80"),
        ("byte == 0xf4 ? 0x8f", "byte == 0xf4 ? 0xbf"),
        ("good = good && utf8.left == 0;", ""),
        ("byte != '/' && !http_in", "!http_in"),
        ("byte != '/' && !http_in(&http_unreserved_class, byte)", "byte != '/'"),
        ("if (before.data[i] >= 'a') {", "if (false) {"),
        ("segment.len == 0 ||", ""),
        ("byte == 0 || byte", "byte"),
    ]),
    ("src/http/codec/range.c", [HTTP + "target"], [
        ("from.len > 0 && a > b", "false"),
        ("if (a >= size) {", "if (a > size) {"),
        ("*last = b < size ?", "*last = b <= size ?"),
        ("b < size ? size - b : 0", "size - b"),
    ]),
    ("src/http/tls_verify.c", [HTTP + "tls"], [
        ("expected->has_key_pin && !amm_equal_secret", "expected->has_key_pin && amm_equal_secret"),
        ("expected->has_key_pin && !amm_equal_secret(key, expected->key_pin, sizeof key)", "false"),
        ("(!amm_equal_secret(end->ca_key, expected->ca_pin, sizeof end->ca_key) ||", "(false ||"),
        ("X509_check_ca(ca) != 1", "false"),
        ("&& end->expected->has_key_pin && !end->expected->has_ca_pin", "&& end->expected->has_key_pin"),
        ("if (!end->expected->has_ca_pin) {", "if (false) {"),
        ("amm_ssl_check_role(chain, rules, &end->verdict) && check_server_name(chain, end)", "true"),
        ("&& check_server_name(chain, end)", ""),
        ("if (end->context->has_trust) {", "if (!end->context->has_trust) {"),
    ]),
    ("src/http/tls_client.c", [HTTP + "tls"], [
        ("session->context == end->context &&", ""),
        ("&& strcmp(session->name, expected->name) == 0", ""),
        ("!expected->has_key_pin ||", "true ||"),
        ("!expected->has_ca_pin ||", "true ||"),
    ]),
    ("src/http/tls.c", [HTTP + "tls"], [
        ("text[len + 1] = settings->expired_clients;", "text[len + 1] = 0;"),
        ("amm_sha256(amm_view(text, len + 2), hash)", "amm_sha256(amm_view(text + len, 2), hash)"),
        ("must ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0", "0"),
        ("resumed ? end->from_has_identity", "resumed ? true"),
    ]),
    ("src/http/tls_sessions.c", [HTTP + "sessions"], [
        ("sessions->fresh < sessions->n", "sessions->fresh <= sessions->n"),
        ("drop(sessions, sessions->oldest);", "drop(sessions, sessions->newest);"),
        ("if (before->from != NONE) {", "if (false) {"),
        ("if (before->to != NONE) {", "if (false) {"),
        ("from == NONE || from == at", "from == NONE"),
    ]),
    ("src/http/server.c", [HTTP + "server", HTTP + "limits"], [
        ("now >> 32 != ref.generation", "false"),
        ("slot_generation(server, ref.connection) == ref.generation", "true"),
        ("(uint32_t)now + n > AMM_HTTP_BEHIND", "false"),
    ]),
    ("src/http/server_listen.c", [HTTP + "limits"], [
        ("return n >= server->settings.per_prefix;", "return n > server->settings.per_prefix;"),
        ("return n >= server->settings.per_prefix;", "return false;"),
        ("connection_close(server, server->connections[server->idle_oldest]);",
         "connection_close(server, server->connections[server->idle_newest]);"),
        ("!connection->stream_ended;", "true;"),
    ]),
    ("src/http/server_input.c", [HTTP + "server", HTTP + "limits"], [
        ("request->length > connection->body_limit", "false"),
        ("content.len > connection->body_limit - connection->content_len", "false"),
        ("bodies > server->settings.body_memory", "false"),
        ("connection->in_len == connection->head_len) {\n        output_continue", "true) {\n        output_continue"),
        ("if (connection->is_idle) {", "if (true) {"),
    ]),
    ("src/http/server_connection.c", [HTTP + "server", HTTP + "limits"], [
        ("amm_time_min(latest, amm_time_after(from, earned))", "latest"),
        ("amm_time_min(latest, amm_time_after(from, earned))", "amm_time_after(from, earned)"),
    ]),
    ("src/crypto/ssl_verify.c", [HTTP + "tls"], [
        ("X509_STORE_CTX_get_error_depth(chain) == 0 &&", ""),
        ("error == X509_V_ERR_CERT_HAS_EXPIRED ||", "true ||"),
        ("if (rules->any_date) {", "if (true) {"),
        ("if (rules->any_leaf_date) {", "if (true) {"),
    ]),
    ("src/crypto/csr.c", [CRYPTO + "csr"], [
        ("amm_reader_done(&r) && amm_reader_done(&request)", "amm_reader_done(&request)"),
        ("!signature.failed && unused_bits == 0 &&", "!signature.failed &&"),
        ("request.key.len != AMM_P256_KEY", "request.key.len == AMM_P256_KEY"),
        ("is_our_algorithm && is_signed_by(&request, parsed)", "is_our_algorithm"),
        ("is_our_algorithm && is_signed_by(&request, parsed)", "is_signed_by(&request, parsed)"),
    ]),
    ("src/crypto/der.c", [CRYPTO + "csr", CRYPTO + "est"], [
        ("amm_read_u8(r) != tag", "amm_read_u8(r) == tag"),
        ("length < LONG_FORM || length >> 8 * (n - 1) == 0", "length < LONG_FORM"),
    ]),
    ("src/crypto/est.c", [CRYPTO + "est"], [
        ("amm_reader_done(&inner) && !has_signers", "amm_reader_done(&inner)"),
        ("amm_reader_done(&r) && amm_reader_done(&info)", "amm_reader_done(&info)"),
        ("memcmp(hash, pin, sizeof hash) == 0", "memcmp(hash, pin, sizeof hash) != 0"),
        ("++n <= AMM_EST_CERTIFICATES_MAX", "++n < AMM_EST_CERTIFICATES_MAX"),
    ]),
    ("src/crypto/signed_time.c", [CRYPTO + "signed_time"], [
        ("X509_verify(certificate, X509_get0_pubkey(authority)) == 1", "1"),
        ("len != strlen(AMM_CLAIM_NAME) ||", ""),
        ("X509_get_extended_key_usage(certificate) != XKU_TIMESTAMP ||", ""),
        ("claim->wall < floor", "claim->wall <= floor"),
        ("claim->wall < floor", "0"),
        ("claim->wall >= from &&", ""),
        ("claim->wall <= until", "1"),
    ]),
    ("src/cad/service.c", [CAD + "service"], [
        ("issue->days > days_of(issue->kind)", "0"),
        ("issue->days > days_of(issue->kind)", "issue->days >= days_of(issue->kind) + 2"),
        ("if (!cad_name_ok(issue->name))", "if (0)"),
        ("name[0] != '.' && name[0] != '-' &&", ""),
        ("memcmp(entry->key_hash, key_hash, sizeof entry->key_hash) != 0", "0"),
        ("entry->kind != issue->kind || strcmp", "strcmp"),
        ("if (cad_record_is_revoked(service->record, entry->serial))", "if (0)"),
        ("if (cad_record_is_revoked(service->record, issue->renews))", "if (0)"),
        ("strcmp(former->name, issue->name) != 0)", "0)"),
        ("service->next = from + service->interval;", ""),
        ("end < authority->not_after ? end :", "end > authority->not_after ? end :"),
    ]),
    ("src/cad/record.c", [CAD + "record"], [
        ("memcmp(record->buffer + HEAD + len, digest, CHECKSUM) == 0", "1"),
        ("record->is_dirty = at < size;", "record->is_dirty = false;"),
        ("if (found <= 0 && is_torn_end(record, at, size))", "if (found <= 0)"),
    ]),
    ("src/acemanager/web_guard.c", [WEB + "guard", WEB + "pages"], [
        ("!is_ip(amm_view(host.data + 1, end - 1), AF_INET6)", "false"),
        ("} else if (!is_ip(name, AF_INET) &&", "} else if (is_ip(name, AF_INET) &&"),
        ("name.len == 9 && ends_with(name, \"localhost\")", "ends_with(name, \"localhost\")"),
        ("is_port(amm_view(host.data + end + 1, host.len - end - 1))", "true"),
        ("site.data && !amm_http_is(site, \"same-origin\")", "false"),
        ("origin.len == skip + request->host.len &&", "origin.len >= skip + request->host.len &&"),
        ("memcmp(origin.data, scheme, skip) == 0 &&", ""),
        ("request->host.len) == 0;", "request->host.len) == 0 || true;"),
        ("\"navigate\") &&", "\"navigate\") ||"),
        ("pair.len > len && memcmp(pair.data, name, len) == 0 &&", "pair.len > len &&"),
    ]),
    ("src/acemanager/web_serve.c", [WEB + "pages"], [
        ("if (!web_host_ok(request->host))", "if (false)"),
        ("if (!is_get(request) && !is_post(request))", "if (false)"),
        ("? !web_may_read(request) :", "? false :"),
        (": !web_may_change(request))", ": false)"),
        ("if (!is_form(call->request))", "if (false)"),
        ("if (route->own_csrf)", "if (true)"),
        ("!web_session_csrf_ok(call->session, csrf)", "false"),
        ("if (route->least != WEB_NOBODY && !call->session)", "if (false)"),
        ("call->session->role < route->least", "false"),
        ("call->session->role < route->least", "call->session->role <= route->least"),
        ("\"x-refresh\") == 0", "\"x-refresh\") >= 0"),
        ("is_post(request) ? WEB_FORM_MAX : 0", "WEB_FORM_MAX"),
    ]),
    ("src/acemanager/web_session.c", [WEB + "guard", WEB + "pages"], [
        ("mono - session->used > sessions->idle", "false"),
        ("mono - session->opened.mono > WEB_SESSION_HOURS", "false && WEB_SESSION_HOURS"),
        ("!amm_equal_secret(hash, session->token_hash, sizeof hash)", "false"),
        ("session->used = by_person ? mono", "session->used = true ? mono"),
        ("&& &sessions->at[i] != but", ""),
        ("amm_equal_secret(text, session->csrf, WEB_TOKEN_TEXT - 1)", "true"),
    ]),
    ("src/acemanager/web_limit.c", [WEB + "guard", WEB + "pages"], [
        ("entry->wrong >= WEB_LIMIT_FREE", "entry->wrong > WEB_LIMIT_FREE"),
        ("entry->wrong >= WEB_LIMIT_FREE", "false"),
        ("limit->together >= WEB_LIMIT_TOGETHER", "false"),
        ("doublings < 9 ?", "doublings < 40 ?"),
        ("mono - entry->last > WEB_LIMIT_FORGET", "mono - entry->last > 0 * WEB_LIMIT_FORGET"),
    ]),
    ("src/acemanager/web_login.c", [WEB + "pages"], [
        ("return amm_equal_secret(typed, csrf, WEB_TOKEN_TEXT);", "return true;"),
        ("if (!login_form_ok(call, job.login_token))", "if (false)"),
        ("    if (!job->is_right) {\n        tell_wrong(call, job);\n        show_form", "    if (false) {\n        tell_wrong(call, job);\n        show_form"),
        ("    if (!job->is_right) {\n        tell_wrong(call, job);\n        show_password", "    if (false) {\n        tell_wrong(call, job);\n        show_password"),
        ("number != call->session->number &&", ""),
        ("pages->accounts.at[call->session->role].hash);", "pages->accounts.at[job.role].hash);"),
        ("(objection = web_password_objection(job->new_password)) != NULL", "false"),
        ("strcmp(job->new_password, again) != 0", "false"),
    ]),
    ("src/acemanager/web_account.c", [WEB + "account"], [
        ("return is_right && is_account;", "return is_account;"),
        ("seen == (1u << WEB_USER | 1u << WEB_VIEWER)", "true"),
        ("0600, error, room);\n    amm_wipe", "0644, error, room);\n    amm_wipe"),
        ("amm_writer_len(&w)), 0600,", "amm_writer_len(&w)), 0644,"),
    ]),
    ("src/acemanager/web_template.c", [WEB + "template"], [
        ("case '&':\n        return \"&amp;\";", "case '&':\n        return NULL;"),
        ("case '<':\n        return \"&lt;\";", "case '<':\n        return NULL;"),
        ("case '>':\n        return \"&gt;\";", "case '>':\n        return NULL;"),
        ("return \"&quot;\";", "return NULL;"),
        ("return \"&#39;\";", "return NULL;"),
        ("job->partials == PARTIALS", "false"),
        ("job->scope.n == DEPTH", "false"),
        ("len > WEB_TEXT_MAX - text->len", "false"),
    ]),
    ("src/manager/access.c", [MANAGER + "matrix"], [
        ("binding->role >= least", "binding->role > least"),
        ("binding->role >= least", "true"),
        ("(binding->role != ROLE_SYSTEM_ADMIN || (binding->tenant == 0 && binding->group == 0))", "true"),
        ("if (binding->tenant == 0) {", "if (binding->tenant != 0) {"),
        ("object->tenant != binding->tenant", "false"),
        ("if (binding->group == 0) {", "if (true) {"),
        ("branch != NULL && group != NULL &&", "group != NULL &&"),
        ("fleet_group_within(group, branch)", "fleet_group_within(branch, group)"),
        ("|| !binding_allows(fleet, &actor->scope, least, object)", ""),
        ("actor->kind == ACTOR_NOBODY || !role_reaches(&actor->scope, least)", "actor->kind == ACTOR_NOBODY"),
    ]),
    ("src/manager/job.c", [MANAGER + "matrix", MANAGER + "login"], [
        ("route->action != ACCESS_OPEN && job->actor.kind == ACTOR_NOBODY", "false"),
        ("!(route->flags & ROUTE_PASSWORD)) {", "false) {"),
        ("if (access_allows_somewhere(&job->actor, route->action)) {", "if (true) {"),
        ("return job_demand(job, route->action, &job->object, NULL);", "return true;"),
        ("if (job_allows(job, ACCESS_VIEW, object)) {", "if (true) {"),
        ("!directory_actor_again(m, &job->actor)", "false"),
    ]),
    ("src/manager/authenticate.c", [MANAGER + "login"], [
        ("site.data != NULL && !amm_http_is(site, \"same-origin\") &&", "site.data != NULL && amm_http_is(site, \"cross-site\") &&"),
        ("!(is_read && amm_http_is(site, \"none\"))", "!amm_http_is(site, \"none\")"),
        ("origin.data == NULL || origin_is_ours", "true || origin_is_ours"),
        ("return false; /* \"null\", too */", "return true;"),
        ("job_header(job, \"x-amm-request\").data == NULL", "false"),
        ("if (!comes_from_here(job)) {", "if (by_cookie && !comes_from_here(job)) {"),
        ("token == NULL || !directory_token_actor(job->m, token, &job->actor)", "token == NULL"),
        ("login == NULL || !directory_login_actor(job->m, login, &job->actor)", "login == NULL"),
        ("if (job->uid == 0) {", "if (true) {"),
        ("unsigned wait = limits_take(m->limits, key, &bad_credentials, m->now.mono);", "unsigned wait = 0 * (unsigned)key;"),
    ]),
    ("src/manager/api_login.c", [MANAGER + "login"], [
        ("attempt->is_right && user != NULL", "user != NULL"),
        ("!user->disabled &&", "true &&"),
        ("name, user, true), &account_here, now)", "name, user, true), &account_anywhere, now)"),
        ("if (user == NULL || !attempt->is_right ||", "if (user == NULL ||"),
        ("limits_take(limits, key_of_prefix(job), &prefix, now)", "0"),
        ("login->user != job->actor.user || job->actor.user == 0", "job->actor.user == 0"),
    ]),
    ("src/manager/api_users.c", [MANAGER + "login"], [
        ("covers = access_covers(job->m->fleet, &job->actor, &user->bindings[i].what);", "covers = true;"),
        ("if (!access_covers(job->m->fleet, &job->actor, out)) {", "if (false) {"),
        ("exists && (binding->tenant == 0 || job_allows(job, ACCESS_VIEW, &object))", "exists"),
        ("if (!had_one || directory_has_system_admin(job->m->directory)) {", "if (true) {"),
        ("out->role == ROLE_SYSTEM_ADMIN && (out->tenant != 0 || out->group != 0)", "false"),
    ]),
    ("src/manager/api_tokens.c", [MANAGER + "login"], [
        ("user == NULL || job->actor.kind != ACTOR_LOGIN", "user == NULL"),
        ("token->user == job->actor.user || job_allows(job, ACCESS_ADMIN, &object)", "true"),
    ]),
    ("src/manager/directory.c", [MANAGER + "login"], [
        ("m->now.mono < login->dies_at && m->now.mono < idle", "m->now.mono < login->dies_at"),
        ("m->now.mono < login->dies_at && m->now.mono < idle", "m->now.mono < idle"),
        ("token->expires_at != 0 && m->now.wall >=", "token->expires_at != 0 && m->now.wall <"),
        ("out->scope = token->scope;", "out->scope = everything;"),
    ]),
    ("src/manager/audit_chain.c", [MANAGER + "core"], [
        ("add_number(digest, row->tenant)", "true"),
        ("add_number(digest, (int64_t)row->text[i].len)", "true"),
    ]),
    ("src/manager/core.c", [MANAGER + "core"], [
        ("notes_undo(m, &core->undo, core->undo_mark);", ""),
        ("notes_cut(&core->after, core->after_mark);", ""),
        ("notes_undo(m, &core->undo, 0);", ""),
        ("    amm_store_back(m->store);\n", ""),
    ]),
    ("src/manager/checkin_rules.c", [MANAGER + "checkin_rules"], [
        ("v.is_clone = boot < last->boot;", "v.is_clone = boot > last->boot;"),
        ("v.is_clone = message->digest != last->digest;", "v.is_clone = false;"),
        ("boot > last->boot || stale", "stale"),
        ("stale >= CHECKIN_STALE_MAX", "false"),
        ("v.age = CHECKIN_OLD;", "v.age = CHECKIN_NEW;"),
        ("v.age = CHECKIN_REPEAT;", "v.age = CHECKIN_NEW;"),
        ("message->seq > last->seq", "message->seq >= last->seq"),
    ]),
    ("src/manager/checkin.c", [MANAGER + "checkin", MANAGER + "checkin_lossy"], [
        ("event->id > gateway->events_seen &&", "true &&"),
        ("strcmp(message->base, gateway->hash) != 0", "false"),
        ("if (revision != gateway->revision) {", "if (false) {"),
        ("age != CHECKIN_NEW || take_new", "take_new"),
        ("age != CHECKIN_OLD && strcmp", "age == CHECKIN_NEW && strcmp"),
        ('json_object_del(message->stats, "ManagementTunnel-IPAddress");', ""),
        ("*quarantined = gateway->access == FLEET_QUARANTINED;", ""),
    ]),
    ("src/manager/checkin_service.c", [MANAGER + "fleet_api"], [
        ("if (!job->client) {", "if (false) {"),
        ("if (!fleet_gateway_is_admitted(gateway)) {", "if (false) {"),
        ("if (paid - now > CHECKIN_BURST) {", "if (false) {"),
    ]),
    ("src/manager/operations.c", [MANAGER + "checkin", MANAGER + "fleet_api"], [
        ("operation.gateway_id == gateway->id && operation.ended_at == 0", "operation.ended_at == 0"),
        ("operation.gateway_id == gateway->id && operation.ended_at == 0", "operation.gateway_id == gateway->id"),
        ("operation->state != OPERATION_QUEUED", "false"),
        ("open[i].expires_at > now", "true"),
    ]),
    ("src/manager/parameters.c", [MANAGER + "checkin", MANAGER + "fleet"], [
        ("server_may && desired && at > desired->at", "server_may && desired && at >= desired->at"),
        ("server_may && desired && at > desired->at", "server_may && desired && true"),
        ("!desired->local && fleet_desired", "fleet_desired"),
        ("at = at > now ? now : at;", ""),
        ("gateway->revision == gateway->revision_failed", "false"),
        ("if (!amm_msci_may_set(out->msci, AMM_MSCI_FROM_SERVER, text)) {", "if (false) {"),
    ]),
    ("src/manager/fleet_module.c", [MANAGER + "fleet_api"], [
        ("job_allows(job, ACCESS_VIEW, &place) ? mark : 0", "mark"),
    ]),
    ("src/manager/gateway_routes.c", [MANAGER + "fleet_api"], [
        ("if (!job_demand(job, ACCESS_OPERATE, &place, \"group\")) {", "if (false) {"),
        ("!job_allows(job, ACCESS_VIEW, &place)) {", "false) {"),
    ]),
    ("src/manager/operation_routes.c", [MANAGER + "fleet_api"], [
        ("if (!job_demand(job, action, &place, NULL)) {", "if (false) {"),
        ("strcmp(job_text(job, \"confirm\", \"\"), gateway->name) != 0", "false"),
        ("gateway && gateway->group->mark == mark &&", "gateway &&"),
    ]),
    ("src/manager/event_routes.c", [MANAGER + "fleet_api"], [
        ("gateway && gateway->group->mark == mark &&", "gateway &&"),
    ]),
    ("src/manager/fleet_gateway.c", [MANAGER + "fleet", MANAGER + "checkin"], [
        ("if (group->tenant != gateway->group->tenant) {", "if (false) {"),
        ("!other || other == but ||", "true ||"),
        ("tenant->gateways_max != 0 && tenant->n_gateways >= tenant->gateways_max", "false"),
    ]),
]


def run(command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def copy_tree(scratch):
    """Writes only what differs, with a new date: the objects there may be those of a mutant."""
    listed = subprocess.check_output(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
    for name in listed.decode().split("\0"):
        source = os.path.join(ROOT, name)
        if name and os.path.isfile(source):
            target = os.path.join(scratch, "tree", name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if not os.path.isfile(target) or read(target) != read(source):
                shutil.copyfile(source, target)
                shutil.copymode(source, target)


class Scratch:
    def __init__(self, path):
        self.tree = os.path.join(path, "tree")
        self.build = os.path.join(path, "build")
        copy_tree(path)
        if not os.path.exists(os.path.join(self.build, "build.ninja")):
            self.must(["meson", "setup", self.build, self.tree, "-Dtests=true", "-Dbuildtype=debug", "-Dwerror=false"])

    def must(self, command):
        result = run(command)
        if result.returncode != 0:
            sys.exit(result.stdout[-4000:] + "\nmutate: " + " ".join(command) + " failed")

    def compile(self, programs):
        return run(["ninja", "-j2", "-C", self.build] + programs)

    def passes(self, program):
        try:
            return run([os.path.join(self.build, program)], timeout=TEST_SECONDS).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def suites_pass(self):
        return run(["meson", "test", "-C", self.build, "--suite", "unit", "--suite", "golden",
                    "--no-rebuild"]).returncode == 0


def try_mutant(scratch, path, programs, text, replacement):
    """'caught', or what is wrong."""
    where = os.path.join(scratch.tree, path)
    with open(where, encoding="utf-8") as f:
        source = f.read()
    if source.count(text) != 1:
        return "the text stands %d times in the file: mend the table" % source.count(text)
    try:
        with open(where, "w", encoding="utf-8") as f:
            f.write(source.replace(text, replacement))
        built = scratch.compile(programs)
        if built.returncode != 0:
            return "does not compile\n" + built.stdout[-1500:]
        if not all(scratch.passes(program) for program in programs):
            return "caught"
        built = scratch.compile([])
        if built.returncode != 0:
            return "does not compile\n" + built.stdout[-1500:]
        return "SURVIVED" if scratch.suites_pass() else "caught"
    finally:
        with open(where, "w", encoding="utf-8") as f:
            f.write(source)


def chosen(word):
    for path, programs, mutations in TABLE:
        for text, replacement in mutations:
            if word in path or word in text:
                yield path, programs, text, replacement


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", default="", metavar="WORD")
    parser.add_argument("-l", action="store_true")
    parser.add_argument("--scratch", metavar="DIR")
    options = parser.parse_args()
    mutants = list(chosen(options.k))
    if options.l:
        for path, _, text, replacement in mutants:
            print("%s: %r -> %r" % (path, text, replacement))
        return 0
    directory = os.path.abspath(options.scratch) if options.scratch else tempfile.mkdtemp(prefix="amm-mutate-")
    bad = 0
    try:
        os.makedirs(directory, exist_ok=True)
        scratch = Scratch(directory)
        programs = sorted({program for _, some, _, _ in mutants for program in some})
        scratch.must(["ninja", "-j2", "-C", scratch.build] + programs)
        for program in programs:
            if not scratch.passes(program):
                sys.exit("mutate: %s fails without any mutation" % program)
        for path, some, text, replacement in mutants:
            verdict = try_mutant(scratch, path, some, text, replacement)
            if verdict != "caught":
                bad += 1
                print("%s: %r -> %r: %s" % (path, text, replacement, verdict), flush=True)
    finally:
        if not options.scratch:
            shutil.rmtree(directory, ignore_errors=True)
    print("%d mutants, %d caught, %d not" % (len(mutants), len(mutants) - bad, bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
