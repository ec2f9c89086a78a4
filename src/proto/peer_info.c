#include "proto/push.h"

#include "words.h"

/* Every variable has its line; the value goes to the end of it. */
static bool next_line(struct amm_view *rest, struct amm_view *name, struct amm_view *value)
{
    struct amm_view line;
    while (amm_words_cut(rest, '\n', &line)) {
        if (line.len > 0 && line.data[line.len - 1] == '\r') {
            line.len--;
        }
        *value = line;
        if (amm_words_cut(value, '=', name)) {
            return true;
        }
    }
    return false;
}

static void add_cipher(struct amm_peer_info *out, enum amm_cipher cipher)
{
    if (cipher != AMM_CIPHER_NONE && out->n_ciphers < sizeof out->ciphers) {
        out->ciphers[out->n_ciphers++] = (uint8_t)cipher;
    }
}

static void read_ciphers(struct amm_peer_info *out, struct amm_view list)
{
    struct amm_view name;
    while (amm_words_cut(&list, ':', &name)) {
        add_cipher(out, amm_cipher_find(name));
    }
}

static bool is_text(struct amm_view text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if ((c < 0x20 && c != '\t' && c != '\r' && c != '\n') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

bool amm_peer_info_parse(struct amm_peer_info *out, struct amm_view text)
{
    struct amm_view name, value;
    bool has_list = false;
    uint32_t number;
    memset(out, 0, sizeof *out);
    if (!is_text(text)) {
        return false;
    }
    while (next_line(&text, &name, &value)) {
        bool is_number = amm_words_number(value, UINT32_MAX, &number);
        if (amm_words_is(name, "IV_PROTO") && is_number) {
            out->iv_proto = number;
        } else if (amm_words_is(name, "IV_MTU") && is_number && number <= UINT16_MAX) {
            out->iv_mtu = (uint16_t)number;
        } else if (amm_words_is(name, "IV_NCP") && is_number && number >= 2) {
            out->ncp = 1;
        } else if (amm_words_is(name, "IV_CIPHERS") && !has_list) {
            out->ncp = 1;
            has_list = true;
            read_ciphers(out, value);
        } else if (amm_words_is(name, "IV_VER")) {
            amm_text_clean(out->version, sizeof out->version, value);
        } else if (amm_words_is(name, "IV_PLAT")) {
            amm_text_clean(out->platform, sizeof out->platform, value);
        }
    }
    if (out->ncp && !has_list) { /* 2.4: IV_NCP=2 alone means these two */
        add_cipher(out, AMM_CIPHER_AES_256_GCM);
        add_cipher(out, AMM_CIPHER_AES_128_GCM);
    }
    return true;
}

void amm_peer_info_write(struct amm_writer *w, const struct amm_peer_info *info)
{
    amm_write_text(w, "IV_VER=%.31s\nIV_PLAT=%.15s\nIV_TCPNL=1\nIV_PROTO=%u\n", info->version,
                   info->platform, info->iv_proto);
    if (info->iv_mtu != 0) {
        amm_write_text(w, "IV_MTU=%u\n", (unsigned)info->iv_mtu);
    }
    if (info->ncp) {
        amm_write_str(w, "IV_NCP=2\nIV_CIPHERS=");
        for (unsigned i = 0; i < info->n_ciphers && i < sizeof info->ciphers; i++) {
            amm_write_text(w, "%s%s", i > 0 ? ":" : "",
                           amm_cipher_name((enum amm_cipher)info->ciphers[i]));
        }
        amm_write_str(w, "\n");
    }
}
