#include "words.h"

#include "base/address.h"

bool amm_words_cut(struct amm_view *rest, char separator, struct amm_view *piece)
{
    if (rest->len == 0) {
        *piece = amm_view(NULL, 0);
        return false;
    }
    const uint8_t *at = memchr(rest->data, separator, rest->len);
    size_t len = at ? (size_t)(at - rest->data) : rest->len;
    size_t eaten = at ? len + 1 : len;
    *piece = amm_view(rest->data, len);
    *rest = amm_view(rest->data + eaten, rest->len - eaten);
    return true;
}

bool amm_words_is(struct amm_view text, const char *word)
{
    return amm_view_equal(text, amm_view_str(word));
}

bool amm_words_skip(struct amm_view *text, const char *prefix)
{
    size_t len = strlen(prefix);
    if (text->len < len || memcmp(text->data, prefix, len) != 0) {
        return false;
    }
    *text = amm_view(text->data + len, text->len - len);
    return true;
}

bool amm_words_number(struct amm_view text, uint32_t max, uint32_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(text.data[i] - '0');
        if (value > max) {
            return false;
        }
    }
    *out = (uint32_t)value;
    return text.len > 0;
}

bool amm_words_ipv4(struct amm_view text, uint32_t *out)
{
    char name[AMM_IPV4_TEXT];
    if (text.len == 0 || text.len >= sizeof name) {
        return false;
    }
    memcpy(name, text.data, text.len);
    name[text.len] = 0;
    return amm_ipv4_parse(out, name);
}
