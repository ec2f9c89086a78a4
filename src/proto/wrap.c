#include "wrap_context.h"

enum {
    REPLAY_FIELDS = 8, /* replay id and time */
    CRYPT_TAG = AMM_SHA256_LEN,
    CRYPT_KEY = 32,
    CRYPT_HEADER = AMM_CONTROL_HEADER + REPLAY_FIELDS, /* clear and authenticated */
    CRYPT_MIN = CRYPT_HEADER + CRYPT_TAG,
    REPLAY_WINDOW = 64,
};

const char *amm_wrap_mode_name(enum amm_wrap_mode mode)
{
    switch (mode) {
    case AMM_WRAP_NONE:
        return "none";
    case AMM_WRAP_AUTH:
        return "tls-auth";
    case AMM_WRAP_CRYPT:
        return "tls-crypt";
    case AMM_WRAP_CRYPT_V2:
        return "tls-crypt-v2";
    }
    return "?";
}

/* ---- time ---- */

struct amm_wrap_clock amm_wrap_clock(struct amm_now start)
{
    return (struct amm_wrap_clock){start.wall - start.mono / AMM_SECOND};
}

uint32_t amm_wrap_time(const struct amm_wrap_clock *clock, struct amm_now now)
{
    int64_t seconds = clock->offset + now.mono / AMM_SECOND;
    if (seconds < 1) {
        return 1; /* 0 means "nothing sent yet" */
    }
    return seconds > UINT32_MAX ? UINT32_MAX : (uint32_t)seconds;
}

/* ---- keys ---- */

/* A static key is two keys, A and B, of 64 cipher and 64 MAC bytes each (WRAP-2). */
static const uint8_t *cipher_half(const uint8_t *key, bool b)
{
    return key + (b ? 128 : 0);
}

static const uint8_t *hmac_half(const uint8_t *key, bool b)
{
    return cipher_half(key, b) + 64;
}

void amm_wrap_init_crypt(struct amm_wrap_context *context, const uint8_t key[AMM_STATIC_KEY],
                         enum amm_role role)
{
    bool sends_with_b = role == AMM_CLIENT;
    memset(context, 0, sizeof *context);
    context->mode = AMM_WRAP_CRYPT;
    memcpy(context->tx_cipher, cipher_half(key, sends_with_b), CRYPT_KEY);
    memcpy(context->rx_cipher, cipher_half(key, !sends_with_b), CRYPT_KEY);
    memcpy(context->tx_hmac, hmac_half(key, sends_with_b), CRYPT_KEY);
    memcpy(context->rx_hmac, hmac_half(key, !sends_with_b), CRYPT_KEY);
}

static void init_auth(struct amm_wrap_context *context, const struct amm_wrap_config *config)
{
    memset(context, 0, sizeof *context);
    context->mode = AMM_WRAP_AUTH;
    context->digest = (uint8_t)config->auth_digest;
    memcpy(context->tx_hmac, hmac_half(config->static_key, config->direction == AMM_DIRECTION_1),
           sizeof context->tx_hmac);
    memcpy(context->rx_hmac, hmac_half(config->static_key, config->direction == AMM_DIRECTION_0),
           sizeof context->rx_hmac);
}

void amm_wrap_init(struct amm_wrap_context *context, const struct amm_wrap_config *config,
                   enum amm_role role)
{
    switch (config->mode) {
    case AMM_WRAP_AUTH:
        init_auth(context, config);
        return;
    case AMM_WRAP_CRYPT:
        amm_wrap_init_crypt(context, config->static_key, role);
        return;
    case AMM_WRAP_CRYPT_V2:
        amm_wrap_init_crypt(context, config->static_key, role);
        context->tx_id = AMM_WRAP_V2_SIGNAL;
        return;
    case AMM_WRAP_NONE:
        break;
    }
    memset(context, 0, sizeof *context);
    context->mode = AMM_WRAP_NONE;
}

size_t amm_wrap_overhead(const struct amm_wrap_context *context)
{
    switch (context->mode) {
    case AMM_WRAP_AUTH:
        return REPLAY_FIELDS + amm_digest_len((enum amm_digest)context->digest);
    case AMM_WRAP_CRYPT:
        return REPLAY_FIELDS + CRYPT_TAG;
    default:
        return 0;
    }
}

/* ---- authentication: one function makes the tag for both directions ---- */

/* MAC over replay fields || byte0 || own session id || BODY (WRAP-4). */
static bool auth_tag(const struct amm_wrap_context *context, const uint8_t *key,
                     const uint8_t *header, const uint8_t *replay, struct amm_view body,
                     uint8_t tag[AMM_DIGEST_MAX])
{
    enum amm_digest digest = (enum amm_digest)context->digest;
    struct amm_view parts[] = {amm_view(replay, REPLAY_FIELDS),
                               amm_view(header, AMM_CONTROL_HEADER), body};
    return amm_hmac(digest, amm_view(key, amm_digest_len(digest)), parts, 3, tag);
}

/* MAC over the clear header || BODY (WRAP-5). */
static bool crypt_tag(const uint8_t *key, const uint8_t *header, struct amm_view body,
                      uint8_t tag[CRYPT_TAG])
{
    struct amm_view parts[] = {amm_view(header, CRYPT_HEADER), body};
    return amm_hmac(AMM_SHA256, amm_view(key, CRYPT_KEY), parts, 2, tag);
}

/* ---- opening ---- */

/* An authenticated but not yet decoded packet. */
struct opened {
    uint32_t replay_id, time;
    struct amm_view body;
};

static bool open_auth(const struct amm_wrap_context *context, struct amm_view packet,
                      struct opened *out)
{
    size_t tag_len = amm_digest_len((enum amm_digest)context->digest);
    const uint8_t *wire_tag = packet.data + AMM_CONTROL_HEADER;
    const uint8_t *replay = wire_tag + tag_len;
    size_t clear = AMM_CONTROL_HEADER + tag_len + REPLAY_FIELDS;
    uint8_t tag[AMM_DIGEST_MAX];
    out->replay_id = amm_load_u32(replay);
    out->time = amm_load_u32(replay + 4);
    out->body = amm_view(packet.data + clear, packet.len - clear);
    return auth_tag(context, context->rx_hmac, packet.data, replay, out->body, tag) &&
           amm_equal_secret(tag, wire_tag, tag_len);
}

static bool open_crypt(const struct amm_wrap_context *context, struct amm_view packet,
                       uint8_t *scratch, struct opened *out)
{
    const uint8_t *wire_tag = packet.data + CRYPT_HEADER;
    size_t len = packet.len - CRYPT_MIN;
    uint8_t tag[CRYPT_TAG];
    out->replay_id = amm_load_u32(packet.data + AMM_CONTROL_HEADER);
    out->time = amm_load_u32(packet.data + AMM_CONTROL_HEADER + 4);
    out->body = amm_view(scratch, len);
    memcpy(scratch, packet.data + CRYPT_MIN, len);
    return amm_aes256_ctr(context->rx_cipher, wire_tag, scratch, len) &&
           crypt_tag(context->rx_hmac, packet.data, out->body, tag) &&
           amm_equal_secret(tag, wire_tag, CRYPT_TAG);
}

/* First the length and the tag; nothing else of the packet is believed before. */
static bool authenticate(const struct amm_wrap_context *context, struct amm_view packet,
                         struct amm_span scratch, struct opened *out, enum amm_drop *why)
{
    /* At least one byte of BODY: a tag over nothing is nobody's packet. */
    if (packet.len <= AMM_CONTROL_HEADER + amm_wrap_overhead(context)) {
        *why = AMM_DROP_CONTROL_SHORT;
        return false;
    }
    if (scratch.len < packet.len) {
        *why = AMM_DROP_CONTROL_OVERSIZE;
        return false;
    }
    *why = AMM_DROP_WRAP_AUTH;
    switch (context->mode) {
    case AMM_WRAP_NONE:
        *out = (struct opened){
            .body = amm_view(packet.data + AMM_CONTROL_HEADER, packet.len - AMM_CONTROL_HEADER)};
        return true;
    case AMM_WRAP_AUTH:
        return open_auth(context, packet, out);
    case AMM_WRAP_CRYPT:
        return open_crypt(context, packet, scratch.data, out);
    default:
        return false;
    }
}

/* WRAP-7: a later time opens a new window, an earlier one is refused. */
static bool replay_accept(struct amm_wrap_context *context, uint32_t id, uint32_t time)
{
    if (id == 0 || time < context->rx_time) {
        return false;
    }
    if (time > context->rx_time) {
        context->rx_time = time;
        context->rx_top = id;
        context->rx_seen = 1;
        return true;
    }
    if (id > context->rx_top) {
        uint32_t ahead = id - context->rx_top;
        context->rx_seen = ahead < REPLAY_WINDOW ? context->rx_seen << ahead | 1 : 1;
        context->rx_top = id;
        return true;
    }
    uint32_t behind = context->rx_top - id;
    if (behind >= REPLAY_WINDOW || (context->rx_seen >> behind & 1) != 0) {
        return false;
    }
    context->rx_seen |= (uint64_t)1 << behind;
    return true;
}

bool amm_wrap_open_stateless(const struct amm_wrap_context *context, struct amm_view packet,
                             struct amm_span scratch, struct amm_unwrapped *out, enum amm_drop *why)
{
    struct opened opened;
    if (!amm_control_peek(&out->control, packet, why) ||
        !authenticate(context, packet, scratch, &opened, why)) {
        return false;
    }
    out->replay_id = opened.replay_id;
    out->time = opened.time;
    return amm_control_decode(&out->control, opened.body, why);
}

bool amm_wrap_open(struct amm_wrap_context *context, struct amm_view packet,
                   struct amm_span scratch, struct amm_unwrapped *out, enum amm_drop *why)
{
    struct opened opened;
    if (!amm_control_peek(&out->control, packet, why) ||
        !authenticate(context, packet, scratch, &opened, why)) {
        return false;
    }
    if (context->mode != AMM_WRAP_NONE && !replay_accept(context, opened.replay_id, opened.time)) {
        *why = AMM_DROP_WRAP_REPLAY;
        return false;
    }
    out->replay_id = opened.replay_id;
    out->time = opened.time;
    return amm_control_decode(&out->control, opened.body, why);
}

/* ---- sealing ---- */

static size_t seal_auth(const struct amm_wrap_context *context, uint32_t id, uint32_t time,
                        const struct amm_control *control, struct amm_writer *w)
{
    size_t tag_len = amm_digest_len((enum amm_digest)context->digest);
    uint8_t tag[AMM_DIGEST_MAX];
    uint8_t *wire_tag = amm_write_gap(w, tag_len);
    uint8_t *replay = w->at;
    amm_write_u32(w, id);
    amm_write_u32(w, time);
    uint8_t *body = w->at;
    amm_control_encode(w, control);
    if (w->failed || !auth_tag(context, context->tx_hmac, w->start, replay,
                               amm_view(body, (size_t)(w->at - body)), tag)) {
        return 0;
    }
    memcpy(wire_tag, tag, tag_len);
    return amm_writer_len(w);
}

static size_t seal_crypt(const struct amm_wrap_context *context, uint32_t id, uint32_t time,
                         const struct amm_control *control, struct amm_writer *w)
{
    amm_write_u32(w, id);
    amm_write_u32(w, time);
    uint8_t *tag = amm_write_gap(w, CRYPT_TAG);
    uint8_t *body = w->at;
    amm_control_encode(w, control);
    if (w->failed) {
        return 0;
    }
    size_t len = (size_t)(w->at - body);
    if (!crypt_tag(context->tx_hmac, w->start, amm_view(body, len), tag) ||
        !amm_aes256_ctr(context->tx_cipher, tag, body, len)) {
        return 0;
    }
    return amm_writer_len(w);
}

static size_t seal_under(const struct amm_wrap_context *context, uint32_t id, uint32_t time,
                         const struct amm_control *control, struct amm_span out)
{
    struct amm_writer w = amm_writer(out.data, out.len);
    size_t len = 0;
    amm_write_u8(&w, amm_byte0((enum amm_opcode)control->opcode, control->key_id));
    amm_write_u64(&w, control->own_sid);
    switch (context->mode) {
    case AMM_WRAP_NONE:
        amm_control_encode(&w, control);
        len = amm_writer_len(&w);
        break;
    case AMM_WRAP_AUTH:
        len = seal_auth(context, id, time, control, &w);
        break;
    case AMM_WRAP_CRYPT:
        len = seal_crypt(context, id, time, control, &w);
        break;
    default:
        break;
    }
    if (len == 0) {
        return 0;
    }
    if (amm_opcode_has_wkc(control->opcode)) {
        amm_write_view(&w, control->wkc);
    }
    return amm_writer_len(&w);
}

size_t amm_wrap_seal(struct amm_wrap_context *context, uint32_t time,
                     const struct amm_control *control, struct amm_span out)
{
    if (context->tx_time == 0) {
        context->tx_time = time;
    } else if (context->tx_id == UINT32_MAX) {
        amm_wrap_resume(context, time);
    }
    context->tx_id++;
    return seal_under(context, context->tx_id, context->tx_time, control, out);
}

size_t amm_wrap_seal_stateless(const struct amm_wrap_context *context, uint32_t time,
                               const struct amm_control *control, struct amm_span out)
{
    return seal_under(context, 1, time, control, out);
}

void amm_wrap_resume(struct amm_wrap_context *context, uint32_t time)
{
    context->tx_time = time > context->tx_time ? time : context->tx_time + 1;
    context->tx_id = 0;
}

/* ---- tls-crypt-v2 client keys ---- */

enum {
    WKC_LEN_FIELD = 2,
    WKC_TEXT_MAX = AMM_WKC_MAX - CRYPT_TAG - WKC_LEN_FIELD, /* Kc and metadata */
    WKC_META_TIME = 1,
    WKC_META_TIME_LEN = 1 + 8,
};

static bool wkc_tag(const uint8_t *server_key, const uint8_t *len_field, struct amm_view text,
                    uint8_t tag[CRYPT_TAG])
{
    struct amm_view parts[] = {amm_view(len_field, WKC_LEN_FIELD), text};
    return amm_hmac(AMM_SHA256, amm_view(server_key + 64, CRYPT_KEY), parts, 2, tag);
}

bool amm_wkc_make(const uint8_t server_key[AMM_V2_SERVER_KEY], const uint8_t kc[AMM_STATIC_KEY],
                  int64_t wall, uint8_t wkc[AMM_WKC_MAX], size_t *wkc_len)
{
    struct amm_writer w = amm_writer(wkc, AMM_WKC_MAX);
    uint8_t *tag = amm_write_gap(&w, CRYPT_TAG);
    uint8_t *text = w.at;
    amm_write_bytes(&w, kc, AMM_STATIC_KEY);
    amm_write_u8(&w, WKC_META_TIME);
    amm_write_u64(&w, (uint64_t)wall);
    size_t text_len = (size_t)(w.at - text);
    uint8_t *len_field = w.at;
    amm_write_u16(&w, (uint16_t)(CRYPT_TAG + text_len + WKC_LEN_FIELD));
    *wkc_len = amm_writer_len(&w);
    return wkc_tag(server_key, len_field, amm_view(text, text_len), tag) &&
           amm_aes256_ctr(server_key, tag, text, text_len);
}

bool amm_wkc_split(struct amm_view packet, struct amm_view *front, struct amm_view *wkc,
                   enum amm_drop *why)
{
    *why = AMM_DROP_WKC_MALFORMED;
    if (packet.len < CRYPT_MIN + AMM_WKC_MIN) {
        return false;
    }
    /* The window is measured within what is left behind the whole header, so that no length field
     * can make it reach into the header (CVE-2026-35058). */
    struct amm_view tail = amm_view(packet.data + CRYPT_MIN, packet.len - CRYPT_MIN);
    size_t len = amm_load_u16(tail.data + tail.len - WKC_LEN_FIELD);
    if (len < AMM_WKC_MIN || len > AMM_WKC_MAX || len > tail.len) {
        return false;
    }
    *front = amm_view(packet.data, packet.len - len);
    *wkc = amm_view(packet.data + front->len, len);
    return true;
}

static struct amm_wkc_info read_metadata(struct amm_view metadata)
{
    struct amm_reader r = amm_reader(metadata);
    struct amm_wkc_info info = {0};
    if (amm_read_u8(&r) == WKC_META_TIME && metadata.len == WKC_META_TIME_LEN) {
        uint64_t made = amm_read_u64(&r);
        info.has_time = true;
        info.made = made > INT64_MAX ? INT64_MAX : (int64_t)made;
    }
    return info;
}

bool amm_wkc_open(const uint8_t server_key[AMM_V2_SERVER_KEY], struct amm_view wkc,
                  uint8_t kc[AMM_STATIC_KEY], struct amm_wkc_info *info, enum amm_drop *why)
{
    uint8_t text[WKC_TEXT_MAX], tag[CRYPT_TAG];
    *why = AMM_DROP_WKC_MALFORMED;
    if (wkc.len < AMM_WKC_MIN || wkc.len > AMM_WKC_MAX) {
        return false;
    }
    const uint8_t *len_field = wkc.data + wkc.len - WKC_LEN_FIELD;
    size_t text_len = wkc.len - CRYPT_TAG - WKC_LEN_FIELD;
    if (amm_load_u16(len_field) != wkc.len) {
        return false;
    }
    memcpy(text, wkc.data + CRYPT_TAG, text_len);
    bool ok = amm_aes256_ctr(server_key, wkc.data, text, text_len) &&
              wkc_tag(server_key, len_field, amm_view(text, text_len), tag) &&
              amm_equal_secret(tag, wkc.data, CRYPT_TAG);
    if (ok) {
        memcpy(kc, text, AMM_STATIC_KEY);
        *info = read_metadata(amm_view(text + AMM_STATIC_KEY, text_len - AMM_STATIC_KEY));
    }
    amm_wipe(text, sizeof text);
    *why = AMM_DROP_WKC_AUTH;
    return ok;
}

bool amm_wkc_is_fresh(const struct amm_wrap_config *config, const struct amm_wkc_info *info,
                      int64_t wall)
{
    return config->v2_max_age <= 0 || !info->has_time || info->made >= wall - config->v2_max_age;
}
