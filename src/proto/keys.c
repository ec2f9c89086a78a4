#include "keys.h"

/* The 256 bytes that both sides derive (KEY-6): the client sends with the first half, the server
 * with the second; each half is 64 cipher bytes and 64 MAC bytes, of which AEAD takes its implicit
 * IV. */
enum { KEY2 = 256, KEY2_HALF = 128, KEY2_MAC = 64, MASTER = 48, IMPLICIT_IV = 8 };

static bool is_all_zero(const uint8_t *bytes, size_t len)
{
    uint8_t any = 0;
    for (size_t i = 0; i < len; i++) {
        any |= bytes[i];
    }
    return any == 0;
}

static bool take_keys(struct amm_data_keys *out, const uint8_t key2[KEY2], enum amm_role role,
                      enum amm_cipher cipher, uint8_t key_id)
{
    size_t len = amm_cipher_key_len(cipher);
    const uint8_t *client = key2, *server = key2 + KEY2_HALF;
    const uint8_t *tx = role == AMM_CLIENT ? client : server;
    const uint8_t *rx = role == AMM_CLIENT ? server : client;
    if (cipher == AMM_CIPHER_NONE || is_all_zero(tx, len) || is_all_zero(rx, len)) {
        return false;
    }
    out->cipher = (uint8_t)cipher;
    out->key_id = key_id;
    memcpy(out->tx_key, tx, len);
    memcpy(out->rx_key, rx, len);
    memcpy(out->tx_iv, tx + KEY2_MAC, IMPLICIT_IV);
    memcpy(out->rx_iv, rx + KEY2_MAC, IMPLICIT_IV);
    return true;
}

bool amm_keys_from_exporter(struct amm_data_keys *out, const struct amm_tls_ops *ops,
                            struct amm_tls *tls, enum amm_role role, enum amm_cipher cipher,
                            uint8_t key_id)
{
    uint8_t key2[KEY2];
    memset(out, 0, sizeof *out);
    bool ok = ops->export_key(tls, "EXPORTER-OpenVPN-datakeys", key2, sizeof key2) &&
              take_keys(out, key2, role, cipher, key_id);
    amm_wipe(key2, sizeof key2);
    return ok;
}

/* PRF(secret, label || a || b || session ids), the last only where `exchange` is given (KEY-7). */
static bool expand(struct amm_view secret, const char *label, const uint8_t *a, const uint8_t *b,
                   const struct amm_key_exchange *exchange, uint8_t *out, size_t len)
{
    uint8_t seed[32 + 2 * AMM_RANDOM + 2 * 8];
    struct amm_writer w = amm_writer(seed, sizeof seed);
    amm_write_str(&w, label);
    amm_write_bytes(&w, a, AMM_RANDOM);
    amm_write_bytes(&w, b, AMM_RANDOM);
    if (exchange) {
        amm_write_u64(&w, exchange->client_sid);
        amm_write_u64(&w, exchange->server_sid);
    }
    bool ok = !w.failed && amm_tls1_prf(secret, amm_view(seed, amm_writer_len(&w)), out, len);
    amm_wipe(seed, sizeof seed);
    return ok;
}

bool amm_keys_from_prf(struct amm_data_keys *out, const struct amm_key_exchange *exchange,
                       enum amm_role role, enum amm_cipher cipher, uint8_t key_id)
{
    const struct amm_key_source *client = &exchange->client, *server = &exchange->server;
    uint8_t master[MASTER], key2[KEY2];
    memset(out, 0, sizeof *out);
    bool ok = expand(amm_view(client->pre_master, AMM_PRE_MASTER), "OpenVPN master secret",
                     client->random1, server->random1, NULL, master, sizeof master) &&
              expand(amm_view(master, sizeof master), "OpenVPN key expansion", client->random2,
                     server->random2, exchange, key2, sizeof key2) &&
              take_keys(out, key2, role, cipher, key_id);
    amm_wipe(master, sizeof master);
    amm_wipe(key2, sizeof key2);
    return ok;
}

bool amm_keys_dynamic(uint8_t out[AMM_STATIC_KEY], const struct amm_tls_ops *ops,
                      struct amm_tls *tls, const uint8_t *original)
{
    bool ok = ops->export_key(tls, "EXPORTER-OpenVPN-dynamic-tls-crypt", out, AMM_STATIC_KEY);
    for (size_t i = 0; ok && original && i < AMM_STATIC_KEY; i++) {
        out[i] ^= original[i];
    }
    if (!ok || is_all_zero(out, AMM_STATIC_KEY)) {
        amm_wipe(out, AMM_STATIC_KEY);
        return false;
    }
    return true;
}
