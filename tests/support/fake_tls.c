#include "support/fake_tls.h"

#include "base/siphash.h"

#include <stdio.h>
#include <stdlib.h>

/* Record: type(1) length(2) body. Application body: number(8) checksum(8) plaintext. */
enum { RECORD_ALERT = 21, RECORD_HANDSHAKE = 22, RECORD_DATA = 23 };
enum { HEAD = 3, DATA_HEAD = 16, RANDOM = 32, BUFFER_MAX = 1 << 16, RECORD_MAX = 16384 };

/* Handshake messages, each in one record. */
enum message { CLIENT_HELLO = 1, SERVER_FLIGHT, CLIENT_FLIGHT, SERVER_FINISHED };

struct amm_tls_context {
    struct amm_fake_tls_settings settings;
    char name[AMM_NAME_MAX + 1];
    struct amm_seeded_random random;
    enum amm_tls_failure refuse;
    struct amm_fake_tls_stats stats;
};

struct buffer {
    uint8_t *data;
    size_t len, room;
};

struct amm_tls {
    struct amm_tls_context *context;
    int64_t wall;
    enum amm_tls_state state;
    enum amm_tls_failure failure;
    char detail[64];
    bool started;
    enum message expected;
    struct buffer in, out;
    struct amm_siphash_key transcript; /* k0 is the running hash, k1 the key */
    struct amm_siphash_key secret;
    uint64_t sent, received; /* application records */
    struct amm_identity peer;
};

static bool append(struct buffer *buffer, const void *data, size_t len)
{
    if (len > BUFFER_MAX - buffer->len) {
        return false;
    }
    if (buffer->len + len > buffer->room) {
        size_t room = (buffer->len + len) * 2;
        uint8_t *bigger = realloc(buffer->data, room);
        if (!bigger) {
            return false;
        }
        buffer->data = bigger;
        buffer->room = room;
    }
    if (len > 0) {
        memcpy(buffer->data + buffer->len, data, len);
    }
    buffer->len += len;
    return true;
}

static void consume(struct buffer *buffer, size_t len)
{
    buffer->len -= len;
    if (buffer->len > 0) {
        memmove(buffer->data, buffer->data + len, buffer->len);
    }
}

static bool put_record(struct amm_tls *tls, uint8_t type, const void *body, size_t len)
{
    uint8_t head[HEAD] = {type};
    amm_store_u16(head + 1, (uint16_t)len);
    return append(&tls->out, head, sizeof head) && append(&tls->out, body, len);
}

static void fail(struct amm_tls *tls, enum amm_tls_failure failure, const char *detail)
{
    if (tls->state == AMM_TLS_FAILED) {
        return;
    }
    tls->state = AMM_TLS_FAILED;
    tls->failure = failure;
    snprintf(tls->detail, sizeof tls->detail, "%s", detail);
    if (failure != AMM_TLS_PEER_ALERT) {
        uint8_t alert = (uint8_t)failure;
        put_record(tls, RECORD_ALERT, &alert, 1);
    }
}

static void fail_stream(struct amm_tls *tls, const char *detail)
{
    tls->context->stats.stream_errors++;
    fail(tls, AMM_TLS_PROTOCOL, detail);
}

static void note_transcript(struct amm_tls *tls, struct amm_view message)
{
    tls->transcript.k0 = amm_siphash(&tls->transcript, message.data, message.len);
}

/* ---- handshake messages ---- */

static void write_certificate(struct amm_writer *w, const struct amm_tls_context *context)
{
    const struct amm_fake_tls_settings *own = &context->settings;
    struct amm_siphash_key salt = {own->serial, own->issuer};
    size_t len = strlen(context->name);
    amm_write_u8(w, (uint8_t)len);
    amm_write_bytes(w, context->name, len);
    amm_write_u8(w, (uint8_t)own->role);
    amm_write_u8(w, own->issuer);
    amm_write_u64(w, own->serial);
    amm_write_u64(w, (uint64_t)own->not_after);
    amm_write_u64(w, amm_siphash(&salt, context->name, len));
}

static struct amm_identity read_certificate(struct amm_reader *r, uint8_t *role, uint8_t *issuer)
{
    struct amm_identity identity = {0};
    struct amm_view name = amm_read_bytes(r, amm_read_u8(r));
    if (name.len > AMM_NAME_MAX) {
        r->failed = true;
        return identity;
    }
    if (name.len > 0) {
        memcpy(identity.name, name.data, name.len);
    }
    *role = amm_read_u8(r);
    *issuer = amm_read_u8(r);
    uint64_t serial = amm_read_u64(r);
    identity.not_after = (int64_t)amm_read_u64(r);
    uint64_t key = amm_read_u64(r);
    memset(identity.issuer, *issuer, sizeof identity.issuer);
    for (unsigned i = 0; i < 8; i++) {
        identity.serial[19 - i] = (uint8_t)(serial >> 8 * i);
        identity.key[i] = (uint8_t)(key >> 8 * i);
        identity.certificate[i] = (uint8_t)((key ^ serial) >> 8 * i);
    }
    return identity;
}

/* kind(1) [random(32)] [certificate] padding check(8): the check covers all messages so far. */
static void send_message(struct amm_tls *tls, enum message kind, bool random, bool certificate,
                         size_t size)
{
    uint8_t body[RECORD_MAX] = {0};
    uint8_t fresh[RANDOM];
    struct amm_writer w = amm_writer(body, sizeof body - 8);
    amm_write_u8(&w, (uint8_t)kind);
    if (random) {
        struct amm_random source = amm_seeded_random(&tls->context->random);
        amm_random_fill(&source, fresh, sizeof fresh);
        amm_write_bytes(&w, fresh, sizeof fresh);
    }
    if (certificate) {
        write_certificate(&w, tls->context);
    }
    size_t len = amm_writer_len(&w);
    if (len + 8 + HEAD < size) {
        len = size - 8 - HEAD;
    }
    note_transcript(tls, amm_view(body, len));
    struct amm_writer tail = amm_writer(body + len, 8);
    amm_write_u64(&tail, tls->transcript.k0);
    put_record(tls, RECORD_HANDSHAKE, body, len + 8);
}

static bool identity_is_good(struct amm_tls *tls, uint8_t role, uint8_t issuer)
{
    const struct amm_fake_tls_settings *own = &tls->context->settings;
    if (tls->context->refuse != AMM_TLS_OK) {
        fail(tls, tls->context->refuse, "refused by the test");
    } else if (tls->peer.name[0] == 0) {
        fail(tls, AMM_TLS_NO_CERTIFICATE, "no certificate");
    } else if (issuer != own->issuer) {
        fail(tls, AMM_TLS_UNKNOWN_ISSUER, "unknown issuer");
    } else if (role == own->role) {
        fail(tls, AMM_TLS_WRONG_ROLE, "wrong role");
    } else if (tls->peer.not_after < tls->wall) {
        fail(tls, AMM_TLS_EXPIRED, "expired");
    }
    return tls->state != AMM_TLS_FAILED;
}

static void become_open(struct amm_tls *tls)
{
    tls->secret = (struct amm_siphash_key){tls->transcript.k0, ~tls->transcript.k0};
    tls->state = AMM_TLS_OPEN;
    tls->context->stats.finished++;
}

static void answer_message(struct amm_tls *tls, enum message kind)
{
    const struct amm_fake_tls_settings *own = &tls->context->settings;
    switch (kind) {
    case CLIENT_HELLO:
        send_message(tls, SERVER_FLIGHT, true, true, own->server_flight);
        tls->expected = CLIENT_FLIGHT;
        break;
    case SERVER_FLIGHT:
        send_message(tls, CLIENT_FLIGHT, true, true, own->client_flight);
        tls->expected = SERVER_FINISHED;
        if (!own->two_round_trips) {
            become_open(tls);
        }
        break;
    case CLIENT_FLIGHT:
        if (own->two_round_trips) {
            send_message(tls, SERVER_FINISHED, false, false, 80);
        }
        become_open(tls);
        break;
    case SERVER_FINISHED:
        become_open(tls);
        break;
    }
}

static void take_handshake(struct amm_tls *tls, struct amm_view body)
{
    if (tls->state != AMM_TLS_HANDSHAKE || body.len < 9 || body.data[0] != tls->expected) {
        fail_stream(tls, "unexpected handshake message");
        return;
    }
    enum message kind = tls->expected;
    struct amm_reader tail = amm_reader(amm_view(body.data + body.len - 8, 8));
    note_transcript(tls, amm_view(body.data, body.len - 8));
    if (amm_read_u64(&tail) != tls->transcript.k0) {
        fail_stream(tls, "handshake check does not match");
        return;
    }
    if (kind == SERVER_FLIGHT || kind == CLIENT_FLIGHT) {
        struct amm_reader r = amm_reader(body);
        uint8_t role = 0;
        uint8_t issuer = 0;
        amm_read_bytes(&r, 1 + RANDOM);
        tls->peer = read_certificate(&r, &role, &issuer);
        if (r.failed) {
            fail_stream(tls, "certificate malformed");
            return;
        }
        if (!identity_is_good(tls, role, issuer)) {
            return;
        }
    }
    answer_message(tls, kind);
}

/* The whole record at the front of the input, or an empty view. */
static struct amm_view front_record(struct amm_tls *tls, uint8_t *type)
{
    if (tls->in.len < HEAD) {
        return amm_view(NULL, 0);
    }
    size_t len = amm_load_u16(tls->in.data + 1);
    *type = tls->in.data[0];
    if (len == 0 || len > RECORD_MAX || *type < RECORD_ALERT || *type > RECORD_DATA) {
        fail_stream(tls, "record malformed");
        return amm_view(NULL, 0);
    }
    if (tls->in.len < HEAD + len) {
        return amm_view(NULL, 0);
    }
    return amm_view(tls->in.data + HEAD, len);
}

/* ---- the table ---- */

static struct amm_tls *fake_open(struct amm_tls_context *context, int64_t wall)
{
    struct amm_tls *tls = calloc(1, sizeof *tls);
    if (!tls) {
        return NULL;
    }
    tls->context = context;
    tls->wall = wall;
    tls->expected = context->settings.role == AMM_SERVER ? CLIENT_HELLO : SERVER_FLIGHT;
    tls->transcript.k1 = 0x616d6d;
    context->stats.live++;
    return tls;
}

static struct amm_tls *fake_close(struct amm_tls *tls)
{
    if (tls) {
        tls->context->stats.live--;
        free(tls->in.data);
        free(tls->out.data);
        amm_wipe(tls, sizeof *tls);
        free(tls);
    }
    return NULL;
}

static void fake_feed(struct amm_tls *tls, struct amm_view bytes)
{
    if (tls->state != AMM_TLS_FAILED && !append(&tls->in, bytes.data, bytes.len)) {
        fail(tls, AMM_TLS_TOO_BIG, "input too big");
    }
}

static void take_alert(struct amm_tls *tls, struct amm_view body)
{
    char detail[64];
    tls->context->stats.alerts++;
    snprintf(detail, sizeof detail, "alert %u", body.data[0]);
    fail(tls, AMM_TLS_PEER_ALERT, detail);
}

static enum amm_tls_state fake_step(struct amm_tls *tls)
{
    if (!tls->started && tls->context->settings.role == AMM_CLIENT) {
        send_message(tls, CLIENT_HELLO, true, false, tls->context->settings.hello_len);
    }
    tls->started = true;
    while (tls->state != AMM_TLS_FAILED) {
        uint8_t type = 0;
        struct amm_view body = front_record(tls, &type);
        if (!body.data || (type == RECORD_DATA && tls->state == AMM_TLS_OPEN)) {
            break;
        }
        if (type == RECORD_ALERT) {
            take_alert(tls, body);
        } else if (type == RECORD_HANDSHAKE) {
            take_handshake(tls, body);
        } else {
            fail_stream(tls, "data before the handshake is done");
        }
        consume(&tls->in, HEAD + body.len);
    }
    return tls->state;
}

static size_t fake_drain(struct amm_tls *tls, uint8_t *out, size_t room)
{
    size_t len = tls->out.len < room ? tls->out.len : room;
    if (len > 0) {
        memcpy(out, tls->out.data, len);
        consume(&tls->out, len);
    }
    return len;
}

/* Both directions hash with the same key; the role of the sender keeps them apart. */
static uint64_t data_check(const struct amm_tls *tls, enum amm_role sender, uint64_t number,
                           struct amm_view plain)
{
    struct amm_siphash_key key = {tls->secret.k0 ^ (uint64_t)sender, tls->secret.k1 ^ number};
    return amm_siphash(&key, plain.data, plain.len);
}

static size_t fake_read(struct amm_tls *tls, uint8_t *out, size_t room)
{
    uint8_t type = 0;
    struct amm_view body = amm_view(NULL, 0);
    if (tls->state == AMM_TLS_OPEN) {
        body = front_record(tls, &type);
    }
    if (!body.data || type != RECORD_DATA) {
        return 0;
    }
    enum amm_role sender = tls->context->settings.role == AMM_SERVER ? AMM_CLIENT : AMM_SERVER;
    struct amm_reader r = amm_reader(body);
    uint64_t number = amm_read_u64(&r);
    uint64_t check = amm_read_u64(&r);
    struct amm_view plain = amm_read_rest(&r);
    if (r.failed || number != tls->received || check != data_check(tls, sender, number, plain)) {
        fail_stream(tls, "record check does not match");
        return 0;
    }
    tls->received++;
    tls->context->stats.records++;
    if (plain.len > room) {
        fail(tls, AMM_TLS_TOO_BIG, "record larger than the reader");
        return 0;
    }
    if (plain.len > 0) {
        memcpy(out, plain.data, plain.len);
    }
    consume(&tls->in, HEAD + body.len);
    return plain.len;
}

static bool fake_write(struct amm_tls *tls, struct amm_view plain)
{
    if (tls->state != AMM_TLS_OPEN || plain.len == 0 || plain.len > RECORD_MAX - DATA_HEAD) {
        return false;
    }
    uint8_t body[RECORD_MAX];
    struct amm_writer w = amm_writer(body, sizeof body);
    amm_write_u64(&w, tls->sent);
    amm_write_u64(&w, data_check(tls, tls->context->settings.role, tls->sent, plain));
    amm_write_view(&w, plain);
    tls->sent++;
    return put_record(tls, RECORD_DATA, body, amm_writer_len(&w));
}

static bool fake_export(struct amm_tls *tls, const char *label, uint8_t *out, size_t len)
{
    if (tls->state != AMM_TLS_OPEN) {
        return false;
    }
    for (size_t at = 0; at < len; at += 8) {
        struct amm_siphash_key key = {tls->secret.k0 + at, tls->secret.k1};
        uint64_t block = amm_siphash(&key, label, strlen(label));
        memcpy(out + at, &block, len - at < 8 ? len - at : 8);
    }
    return true;
}

static const struct amm_identity *fake_identity(struct amm_tls *tls)
{
    return &tls->peer;
}

static enum amm_tls_failure fake_failure(struct amm_tls *tls, const char **detail)
{
    *detail = tls->detail;
    return tls->failure;
}

static const char *fake_version(struct amm_tls *tls)
{
    return tls->context->settings.two_round_trips ? "fake 1.2" : "fake 1.3";
}

const struct amm_tls_ops amm_tls_fake = {
    .open = fake_open,
    .close = fake_close,
    .feed = fake_feed,
    .step = fake_step,
    .drain = fake_drain,
    .read = fake_read,
    .write = fake_write,
    .export_key = fake_export,
    .identity = fake_identity,
    .failure = fake_failure,
    .version = fake_version,
};

/* ---- contexts ---- */

struct amm_tls_context *amm_fake_tls_context_new(const struct amm_fake_tls_settings *settings)
{
    struct amm_tls_context *context = calloc(1, sizeof *context);
    if (!context) {
        return NULL;
    }
    context->settings = *settings;
    struct amm_fake_tls_settings *own = &context->settings;
    own->not_after = own->not_after ? own->not_after : INT64_MAX;
    own->hello_len = own->hello_len ? own->hello_len : 280;
    own->server_flight = own->server_flight ? own->server_flight : 1200;
    own->client_flight = own->client_flight ? own->client_flight : 1000;
    amm_fake_tls_rename(context, settings->name, settings->serial);
    amm_seeded_random_init(&context->random, own->seed);
    return context;
}

struct amm_tls_context *amm_fake_tls_context_free(struct amm_tls_context *context)
{
    free(context);
    return NULL;
}

void amm_fake_tls_refuse(struct amm_tls_context *context, enum amm_tls_failure failure)
{
    context->refuse = failure;
}

void amm_fake_tls_rename(struct amm_tls_context *context, const char *name, uint64_t serial)
{
    snprintf(context->name, sizeof context->name, "%s", name ? name : "");
    context->settings.name = NULL;
    context->settings.serial = serial;
}

struct amm_fake_tls_stats amm_fake_tls_stats(const struct amm_tls_context *context)
{
    return context->stats;
}
