#include "domain/assertion.h"

#include "base/base64.h"
#include "crypto/mac.h"
#include "domain/relay.h"
#include "msci_syntax.h"

#include <inttypes.h>
#include <string.h>

enum {
    TEXT_MAX = 512, /* bytes of what is signed */
    LINES = 11,     /* at most */
    NUMBER = 18,    /* digits */
    EPOCH_TEXT = 16,
    NONCE_TEXT = 2 * AMM_ASSERTION_NONCE,
    SIGNATURE_TEXT = (AMM_SIGNATURE * 4 + 2) / 3,
};

static const struct {
    const char *first_line;
    unsigned lines;
} kinds[] = {
    [AMM_ASSERTION_SIGN_IN] = {"amm-assertion-1", 10},
    [AMM_ASSERTION_RELAY] = {"amm-relay-1", 11},
};

static const char *const roles[] = {
    [AMM_ASSERTION_VIEWER] = "viewer", [AMM_ASSERTION_USER] = "user"};

static const struct {
    const char *name, *words;
} verdicts[] = {
    [AMM_ASSERTION_OK] = {"ok", "in order"},
    [AMM_ASSERTION_NO_KEY] =
        {"no-key",
         "this gateway has not learned the server's key yet; its next check-in brings it"},
    [AMM_ASSERTION_MALFORMED] = {"malformed", "this is no assertion of that kind"},
    [AMM_ASSERTION_BAD_SIGNATURE] = {"bad-signature",
                                     "the assertion is not signed with the server's key; if that "
                                     "was changed, the next check-in "
                                     "brings the new one"},
    [AMM_ASSERTION_OTHER_SERIAL] = {"other-serial", "the assertion is for another gateway"},
    [AMM_ASSERTION_OLD_EPOCH] =
        {"old-epoch", "the assertion is for another tunnel than the one that is up; open "
                      "the page anew"},
    [AMM_ASSERTION_NOT_YET] =
        {"not-yet", "the assertion is of a later time; compare the clocks of gateway and "
                    "server"},
    [AMM_ASSERTION_EXPIRED] =
        {"expired", "the assertion has expired; open the page anew, and compare the clocks "
                    "of gateway and server if that is of no help"},
    [AMM_ASSERTION_REPLAYED] = {"replayed", "the assertion was used already"},
    [AMM_ASSERTION_BUSY] = {"busy", "too many assertions at once; try again in half a minute"},
};

const char *amm_assertion_name(enum amm_assertion_verdict verdict)
{
    return verdicts[verdict].name;
}

const char *amm_assertion_words(enum amm_assertion_verdict verdict)
{
    return verdicts[verdict].words;
}

/* ---- forms ---- */

static bool is_label(struct amm_view text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    bool ok = text.len == AMM_ASSERTION_LABEL;
    for (size_t i = 0; ok && i < text.len; i++) {
        ok = text.data[i] != '\0' && strchr(letters, text.data[i]) != NULL;
    }
    return ok;
}

static bool is_serial(struct amm_view text)
{
    bool ok = text.len >= 1 && text.len <= AMM_NAME_MAX;
    for (size_t i = 0; ok && i < text.len; i++) {
        ok = text.data[i] > ' ' && text.data[i] < 0x7f;
    }
    return ok;
}

static bool is_person(struct amm_view text)
{
    return text.len >= 1 && text.len < AMM_ASSERTION_PERSON && msci_is_plain_text(text);
}

static bool is_in_time(const struct amm_assertion *a)
{
    return a->issued > 0 && a->expires > a->issued && a->expires - a->issued <= AMM_ASSERTION_LIFE;
}

/* The address alone, without brackets and port; "" for none. */
static void write_address(struct amm_writer *w, const struct amm_address *address)
{
    char text[AMM_ADDRESS_TEXT];
    if (address->family != AMM_FAMILY_NONE) {
        amm_address_text(address, text);
        size_t skip = text[0] == '[' ? 1 : 0;
        amm_write_text(w, "%.*s", (int)((size_t)(strrchr(text, ':') - text) - 2 * skip),
                       text + skip);
    }
}

/* ---- writing ---- */

static size_t write_text(const struct amm_assertion *a, uint8_t out[TEXT_MAX])
{
    char nonce[NONCE_TEXT + 1], target[AMM_RELAY_TARGET];
    struct amm_writer w = amm_writer(out, TEXT_MAX);
    amm_write_text(&w, "%s\n%s\n%016" PRIx64 "\n%s\n%s\n", kinds[a->kind].first_line, a->serial,
                   a->epoch, a->operator_name, roles[a->role]);
    write_address(&w, &a->operator_address);
    amm_hex(nonce, amm_view(a->nonce, sizeof a->nonce));
    amm_write_text(&w, "\n%s\n%" PRId64 "\n%" PRId64 "\n%s", a->label, a->issued, a->expires,
                   nonce);
    if (a->kind == AMM_ASSERTION_RELAY) {
        amm_write_text(&w, "\n%s", amm_relay_target_text(&a->target, target));
    }
    return amm_writer_len(&w);
}

static bool can_be_written(const struct amm_assertion *a)
{
    struct amm_address target;
    char text[AMM_RELAY_TARGET];
    return (a->kind == AMM_ASSERTION_SIGN_IN ||
            (a->kind == AMM_ASSERTION_RELAY &&
             amm_relay_target_parse(&target,
                                    amm_view_str(amm_relay_target_text(&a->target, text))))) &&
           (a->role == AMM_ASSERTION_VIEWER || a->role == AMM_ASSERTION_USER) && a->epoch != 0 &&
           is_serial(amm_view_str(a->serial)) && is_person(amm_view_str(a->operator_name)) &&
           is_label(amm_view_str(a->label)) && is_in_time(a);
}

size_t amm_assertion_write(const struct amm_assertion *assertion, const struct amm_signer *signer,
                           char *out, size_t room)
{
    uint8_t text[TEXT_MAX], signature[AMM_SIGNATURE];
    size_t len = can_be_written(assertion) ? write_text(assertion, text) : 0;
    if (len == 0 || !amm_sign(signer, amm_view(text, len), signature)) {
        return 0;
    }
    size_t at = amm_base64_encode(out, room, amm_view(text, len), AMM_BASE64_URL);
    if (at == 0 || room - at < SIGNATURE_TEXT + 2) {
        return 0;
    }
    out[at++] = '.';
    size_t more = amm_base64_encode(out + at, room - at, amm_view(signature, sizeof signature),
                                    AMM_BASE64_URL);
    return more > 0 ? at + more : 0;
}

/* ---- reading ---- */

static unsigned cut_lines(struct amm_view text, struct amm_view lines[LINES])
{
    unsigned n = 0;
    for (;;) {
        const uint8_t *end = text.len > 0 ? memchr(text.data, '\n', text.len) : NULL;
        size_t len = end ? (size_t)(end - text.data) : text.len;
        if (n == LINES) {
            return 0;
        }
        lines[n++] = amm_view(text.data, len);
        if (!end) {
            return n;
        }
        text = amm_view(end + 1, text.len - len - 1);
    }
}

static void copy(char *out, struct amm_view text)
{
    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
}

/* Lower-case hex digits only: one text for one value. */
static bool take_hex(struct amm_view text, uint8_t *out, size_t len)
{
    char hex[NONCE_TEXT + 1];
    if (text.len != 2 * len) {
        return false;
    }
    copy(hex, text);
    return strspn(hex, "0123456789abcdef") == text.len && amm_unhex(out, len, hex);
}

static bool take_epoch(struct amm_view text, uint64_t *out)
{
    uint8_t bytes[EPOCH_TEXT / 2];
    if (!take_hex(text, bytes, sizeof bytes)) {
        return false;
    }
    *out = (uint64_t)amm_load_u32(bytes) << 32 | amm_load_u32(bytes + 4);
    return *out != 0;
}

static bool take_role(struct amm_view text, enum amm_assertion_role *out)
{
    for (unsigned i = AMM_ASSERTION_VIEWER; i <= AMM_ASSERTION_USER; i++) {
        if (amm_view_equal(text, amm_view_str(roles[i]))) {
            *out = (enum amm_assertion_role)i;
            return true;
        }
    }
    return false;
}

static bool take_address(struct amm_view text, struct amm_address *out)
{
    char address[AMM_ADDRESS_TEXT];
    if (text.len == 0) {
        return true;
    }
    if (text.len >= sizeof address) {
        return false;
    }
    copy(address, text);
    bool ok = strspn(address, "0123456789abcdefABCDEF:.") == text.len &&
              amm_address_parse(out, address, 1) &&
              (out->family == AMM_FAMILY_IPV6) == (strchr(address, ':') != NULL);
    out->port = 0;
    return ok;
}

static bool take_lines(struct amm_assertion *out, const struct amm_view line[LINES])
{
    if (!is_serial(line[1]) || !is_person(line[3]) || !is_label(line[6])) {
        return false;
    }
    copy(out->serial, line[1]);
    copy(out->operator_name, line[3]);
    copy(out->label, line[6]);
    return take_epoch(line[2], &out->epoch) && take_role(line[4], &out->role) &&
           take_address(line[5], &out->operator_address) &&
           msci_whole_number(line[7], &out->issued) && msci_whole_number(line[8], &out->expires) &&
           is_in_time(out) && take_hex(line[9], out->nonce, sizeof out->nonce);
}

static bool read_text(struct amm_assertion *out, struct amm_view text, enum amm_assertion_kind kind)
{
    struct amm_view lines[LINES];
    struct amm_assertion a = {.kind = kind};
    unsigned n = cut_lines(text, lines);
    bool ok = n == kinds[kind].lines &&
              amm_view_equal(lines[0], amm_view_str(kinds[kind].first_line)) &&
              take_lines(&a, lines) &&
              (kind != AMM_ASSERTION_RELAY || amm_relay_target_parse(&a.target, lines[10]));
    if (ok) {
        *out = a;
    }
    return ok;
}

/* ---- verifying ---- */

struct parts {
    uint8_t text[TEXT_MAX], signature[AMM_SIGNATURE];
    size_t len;
};

static bool take_apart(struct parts *out, struct amm_view wire)
{
    size_t signature_len = 0;
    const uint8_t *dot =
        wire.len > 0 && wire.len < AMM_ASSERTION_MAX ? memchr(wire.data, '.', wire.len) : NULL;
    if (!dot) {
        return false;
    }
    size_t at = (size_t)(dot - wire.data);
    return amm_base64_decode(out->text, sizeof out->text, &out->len, amm_view(wire.data, at),
                             AMM_BASE64_URL) &&
           amm_base64_decode(out->signature, sizeof out->signature, &signature_len,
                             amm_view(dot + 1, wire.len - at - 1), AMM_BASE64_URL) &&
           signature_len == sizeof out->signature;
}

static enum amm_assertion_verdict remember(struct amm_assertion_seen *seen,
                                           const struct amm_assertion *a, int64_t now)
{
    size_t place = AMM_ASSERTION_SEEN;
    for (size_t i = 0; i < AMM_ASSERTION_SEEN; i++) {
        if (seen->at[i].until >= now && memcmp(seen->at[i].nonce, a->nonce, sizeof a->nonce) == 0) {
            return AMM_ASSERTION_REPLAYED;
        }
        place = seen->at[i].until < now ? i : place;
    }
    if (place == AMM_ASSERTION_SEEN) {
        return AMM_ASSERTION_BUSY; /* forgetting one would let it in again */
    }
    memcpy(seen->at[place].nonce, a->nonce, sizeof a->nonce);
    seen->at[place].until = a->expires + AMM_ASSERTION_SKEW;
    return AMM_ASSERTION_OK;
}

enum amm_assertion_verdict amm_assertion_verify(struct amm_assertion *out, struct amm_view text,
                                                const struct amm_assertion_rules *rules,
                                                struct amm_assertion_seen *seen)
{
    struct parts parts;
    *out = (struct amm_assertion){0};
    if (!rules->key) {
        return AMM_ASSERTION_NO_KEY;
    }
    if (!take_apart(&parts, text)) {
        return AMM_ASSERTION_MALFORMED;
    }
    if (!amm_signature_verify(rules->key, amm_view(parts.text, parts.len), parts.signature)) {
        return AMM_ASSERTION_BAD_SIGNATURE;
    }
    if (!read_text(out, amm_view(parts.text, parts.len), rules->kind)) {
        return AMM_ASSERTION_MALFORMED;
    }
    if (strcmp(out->serial, rules->serial) != 0) {
        return AMM_ASSERTION_OTHER_SERIAL;
    }
    if (rules->epoch == 0 || out->epoch != rules->epoch) {
        return AMM_ASSERTION_OLD_EPOCH;
    }
    if (out->issued > rules->now + AMM_ASSERTION_SKEW) {
        return AMM_ASSERTION_NOT_YET;
    }
    if (out->expires + AMM_ASSERTION_SKEW < rules->now) {
        return AMM_ASSERTION_EXPIRED;
    }
    return remember(seen, out, rules->now);
}

void amm_assertion_key_name(const uint8_t *key, char out[AMM_ASSERTION_KEY_NAME])
{
    uint8_t hash[AMM_SHA256_LEN];
    out[0] = '\0';
    if (key && amm_sha256(amm_view(key, AMM_SIGNATURE_KEY), hash)) {
        amm_hex(out, amm_view(hash, (AMM_ASSERTION_KEY_NAME - 1) / 2));
    }
}
