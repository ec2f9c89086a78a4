#include "settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

void amm_settings_init(struct amm_settings *settings)
{
    *settings = (struct amm_settings){
        .digest = AMM_SHA1,
        .ciphers = {AMM_CIPHER_AES_256_GCM, AMM_CIPHER_AES_128_GCM, AMM_CIPHER_CHACHA20_POLY1305},
        .mtu = 1400,
        .answer_timeout = 10,
        .hand_window = 60,
    };
}

void amm_settings_deinit(struct amm_settings *settings)
{
    for (size_t i = 0; i < AMM_MATERIAL_COUNT; i++) {
        struct amm_material *m = &settings->materials[i];
        if (m->text) {
            amm_wipe(m->text, m->len);
            free(m->text);
        }
        *m = (struct amm_material){0};
    }
}

bool amm_material_set(struct amm_material *material, struct amm_view text)
{
    if (material->text || text.len > AMM_MATERIAL_MAX ||
        (text.len > 0 && memchr(text.data, 0, text.len))) {
        return false;
    }
    material->text = malloc(text.len + 1);
    if (!material->text) {
        return false;
    }
    if (text.len > 0) {
        memcpy(material->text, text.data, text.len);
    }
    material->text[text.len] = '\0';
    material->len = text.len;
    return true;
}

static bool is_word(struct amm_view word, const char *name)
{
    return word.len == strlen(name) && strncasecmp((const char *)word.data, name, word.len) == 0;
}

bool amm_transport_parse(struct amm_view word, uint8_t *transport, uint8_t *family)
{
    static const struct {
        const char *name;
        uint8_t transport, family;
    } names[] = {
        {"udp", AMM_UDP, AMM_FAMILY_NONE},         {"udp4", AMM_UDP, AMM_FAMILY_IPV4},
        {"udp6", AMM_UDP, AMM_FAMILY_IPV6},        {"tcp", AMM_TCP, AMM_FAMILY_NONE},
        {"tcp4", AMM_TCP, AMM_FAMILY_IPV4},        {"tcp6", AMM_TCP, AMM_FAMILY_IPV6},
        {"tcp-client", AMM_TCP, AMM_FAMILY_NONE},  {"tcp4-client", AMM_TCP, AMM_FAMILY_IPV4},
        {"tcp6-client", AMM_TCP, AMM_FAMILY_IPV6},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (is_word(word, names[i].name)) {
            *transport = names[i].transport;
            *family = names[i].family;
            return true;
        }
    }
    return false;
}

static bool has_cipher(const uint8_t ciphers[3], unsigned n, uint8_t cipher)
{
    for (unsigned i = 0; i < n; i++) {
        if (ciphers[i] == cipher) {
            return true;
        }
    }
    return false;
}

unsigned amm_ciphers_parse(uint8_t ciphers[3], struct amm_view list, char *unknown, size_t room)
{
    uint8_t found[3] = {AMM_CIPHER_NONE, AMM_CIPHER_NONE, AMM_CIPHER_NONE};
    unsigned n = 0;
    size_t used = 0;
    if (room > 0) {
        unknown[0] = '\0';
    }
    for (size_t at = 0; at < list.len;) {
        size_t end = at;
        while (end < list.len && list.data[end] != ':') {
            end++;
        }
        struct amm_view name = amm_view(list.data + at, end - at);
        at = end + 1;
        if (name.len > 0 && name.data[0] == '?') { /* "?NAME": optional */
            name.data++;
            name.len--;
        }
        enum amm_cipher cipher = amm_cipher_find(name);
        if (cipher != AMM_CIPHER_NONE && !has_cipher(found, n, (uint8_t)cipher)) {
            found[n++] = (uint8_t)cipher;
        } else if (cipher == AMM_CIPHER_NONE && name.len > 0 && used + name.len + 3 < room) {
            if (used > 0) {
                used += (size_t)snprintf(unknown + used, room - used, ", ");
            }
            amm_text_clean(unknown + used, name.len + 1, name);
            used += name.len;
        }
    }
    if (n > 0) {
        memcpy(ciphers, found, sizeof found);
    }
    return n;
}

bool amm_route_allowed(const struct amm_route *route)
{
    static const struct amm_route ranges[] = {
        {0x0A000000, 0xFF000000}, /* 10/8 */
        {0xAC100000, 0xFFF00000}, /* 172.16/12 */
        {0xC0A80000, 0xFFFF0000}, /* 192.168/16 */
        {0x64400000, 0xFFC00000}, /* 100.64/10 */
    };
    uint32_t host_bits = ~route->mask;
    if ((host_bits & (host_bits + 1)) != 0 || (route->network & host_bits) != 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if ((route->mask & ranges[i].mask) == ranges[i].mask &&
            (route->network & ranges[i].mask) == ranges[i].network) {
            return true;
        }
    }
    return false;
}
