#include "key_method.h"

#include "words.h"

enum { KEY_METHOD = 2 };

/* One length-prefixed text (KEY-2). Its length on the wire counts a NUL at the end; 0 and 1 both
 * mean absent. */
static enum amm_parse read_text(struct amm_reader *r, size_t max, struct amm_view *out)
{
    uint16_t len = amm_read_u16(r);
    *out = amm_view(NULL, 0);
    if (r->failed) {
        return AMM_PARSE_MORE;
    }
    if (len > max) {
        return AMM_PARSE_BAD;
    }
    struct amm_view text = amm_read_bytes(r, len);
    if (r->failed) {
        return AMM_PARSE_MORE;
    }
    if (len == 0) {
        return AMM_PARSE_DONE;
    }
    if (memchr(text.data, 0, len) != text.data + len - 1) {
        return AMM_PARSE_BAD; /* not terminated, or a NUL inside */
    }
    if (len > 1) {
        *out = amm_view(text.data, len - 1u);
    }
    return AMM_PARSE_DONE;
}

/* As read_text, for the fields that old peers leave out altogether. */
static enum amm_parse read_optional_text(struct amm_reader *r, size_t max, struct amm_view *out)
{
    if (amm_reader_done(r)) {
        *out = amm_view(NULL, 0);
        return AMM_PARSE_DONE;
    }
    return read_text(r, max, out);
}

static enum amm_parse read_texts(struct amm_key_method *out, struct amm_reader *r)
{
    enum amm_parse result = read_text(r, AMM_OPTIONS_MAX, &out->options);
    if (result == AMM_PARSE_DONE) {
        result = read_optional_text(r, AMM_CREDENTIAL_WIRE_MAX, &out->username);
    }
    if (result == AMM_PARSE_DONE) {
        result = read_optional_text(r, AMM_CREDENTIAL_WIRE_MAX, &out->password);
    }
    if (result == AMM_PARSE_DONE) {
        result = read_optional_text(r, AMM_PEER_INFO_MAX, &out->peer_info);
    }
    return result;
}

enum amm_parse amm_key_method_decode(struct amm_key_method *out, enum amm_role sender,
                                     struct amm_view bytes)
{
    struct amm_reader r = amm_reader(bytes);
    memset(out, 0, sizeof *out);
    uint32_t zero = amm_read_u32(&r);
    uint8_t method = amm_read_u8(&r);
    if (zero != 0 || (!r.failed && (method & 15) != KEY_METHOD)) {
        return AMM_PARSE_BAD;
    }
    if (sender == AMM_CLIENT) {
        amm_read_copy(&r, out->source.pre_master, AMM_PRE_MASTER);
    }
    amm_read_copy(&r, out->source.random1, AMM_RANDOM);
    amm_read_copy(&r, out->source.random2, AMM_RANDOM);
    enum amm_parse result = r.failed ? AMM_PARSE_MORE : read_texts(out, &r);
    if (result == AMM_PARSE_MORE && bytes.len >= AMM_KEY_METHOD_MAX) {
        result = AMM_PARSE_BAD;
    }
    if (result != AMM_PARSE_DONE) {
        amm_wipe(out, sizeof *out);
        return result;
    }
    out->credentials_too_long =
        out->username.len >= AMM_CREDENTIAL_MAX || out->password.len >= AMM_CREDENTIAL_MAX;
    return AMM_PARSE_DONE;
}

static void write_text(struct amm_writer *w, struct amm_view text)
{
    if (text.len == 0) {
        amm_write_u16(w, 0);
        return;
    }
    if (text.len >= UINT16_MAX) {
        w->failed = true;
        return;
    }
    amm_write_u16(w, (uint16_t)(text.len + 1));
    amm_write_view(w, text);
    amm_write_u8(w, 0);
}

size_t amm_key_method_encode(const struct amm_key_method *message, enum amm_role sender,
                             struct amm_span out)
{
    struct amm_writer w = amm_writer(out.data, out.len);
    amm_write_u32(&w, 0);
    amm_write_u8(&w, KEY_METHOD);
    if (sender == AMM_CLIENT) {
        amm_write_bytes(&w, message->source.pre_master, AMM_PRE_MASTER);
    }
    amm_write_bytes(&w, message->source.random1, AMM_RANDOM);
    amm_write_bytes(&w, message->source.random2, AMM_RANDOM);
    write_text(&w, message->options);
    write_text(&w, message->username);
    write_text(&w, message->password);
    write_text(&w, message->peer_info);
    return amm_writer_len(&w);
}

/* ---- options string ---- */

struct amm_occ amm_occ_parse(struct amm_view options)
{
    struct amm_occ occ = {0};
    struct amm_view token;
    while (amm_words_cut(&options, ',', &token)) {
        occ.compression |= amm_words_is(token, "comp-lzo");
        occ.fragment |= amm_words_is(token, "mtu-dynamic");
        if (amm_words_skip(&token, "cipher ")) {
            occ.cipher = (uint8_t)amm_cipher_find(token);
        }
    }
    return occ;
}

void amm_occ_client(struct amm_writer *w, const struct amm_wrap_config *wrap,
                    enum amm_transport transport, uint16_t tun_mtu)
{
    enum { LINK_OVERHEAD = 41 }; /* what stock clients announce for an AEAD cipher */
    bool is_auth = wrap->mode == AMM_WRAP_AUTH;
    const char *digest = "SHA1";
    if (is_auth && wrap->auth_digest != AMM_SHA1) {
        digest = wrap->auth_digest == AMM_SHA256 ? "SHA256" : "SHA512";
    }
    amm_write_text(w, "V4,dev-type tun,link-mtu %u,tun-mtu %u,proto %s,",
                   tun_mtu + (unsigned)LINK_OVERHEAD, (unsigned)tun_mtu,
                   transport == AMM_TCP ? "TCPv4_CLIENT" : "UDPv4");
    if (is_auth && wrap->direction != AMM_DIRECTION_BOTH) {
        amm_write_text(w, "keydir %u,", wrap->direction == AMM_DIRECTION_1 ? 1u : 0u);
    }
    amm_write_text(w, "auth %s,keysize 128,%skey-method 2,tls-client", digest,
                   is_auth ? "tls-auth," : "");
}

void amm_occ_answer(struct amm_writer *w, struct amm_view client)
{
    static const struct {
        const char *theirs, *ours;
    } turned[] = {
        {"tls-client", "tls-server"},
        {"keydir 0", "keydir 1"},
        {"keydir 1", "keydir 0"},
        {"proto TCPv4_CLIENT", "proto TCPv4_SERVER"},
    };
    struct amm_view token;
    const char *separator = "";
    while (amm_words_cut(&client, ',', &token)) {
        struct amm_view answer = token;
        for (size_t i = 0; i < sizeof turned / sizeof turned[0]; i++) {
            if (amm_words_is(token, turned[i].theirs)) {
                answer = amm_view_str(turned[i].ours);
            }
        }
        amm_write_str(w, separator);
        amm_write_view(w, answer);
        separator = ",";
    }
}
