#include "negotiation.h"

#include "wire.h"

#include <stdlib.h>

struct negotiation *amm_negotiation_new(const struct amm_random *random)
{
    struct negotiation *n = calloc(1, sizeof *n);
    if (n == NULL) {
        return NULL;
    }
    /* One half of `exchange` is ours and the other is overwritten by what the peer sends; filling
     * both saves the question which. */
    amm_random_fill(random, &n->exchange.client, sizeof n->exchange.client);
    amm_random_fill(random, &n->exchange.server, sizeof n->exchange.server);
    n->act_at = AMM_NEVER;
    n->give_up = AMM_NEVER;
    amm_push_reader_init(&n->pushed);
    return n;
}

static void forget_partial(struct negotiation *n)
{
    if (n->partial != NULL) {
        amm_wipe(n->partial, AMM_KEY_METHOD_MAX);
        free(n->partial);
        n->partial = NULL;
        n->partial_len = 0;
    }
}

struct negotiation *amm_negotiation_free(struct negotiation *n, const struct amm_tls_ops *tls)
{
    if (n != NULL) {
        tls->close(n->tls);
        forget_partial(n);
        amm_wipe(n, sizeof *n);
        free(n);
    }
    return NULL;
}

bool amm_negotiation_feed(struct negotiation *n, const struct amm_tls_ops *tls)
{
    struct amm_message message;
    while (amm_reliable_next_delivery(&n->reliable, &message)) {
        if (message.id == 0) {
            /* The reset of either kind; the only message that is not TLS. */
            if (n->step == STEP_RESET) {
                n->step = STEP_KEYS;
            }
        } else if (message.payload.len > 0 && !n->tls_failed) {
            tls->feed(n->tls, message.payload);
        }
    }
    if (n->tls_failed || n->step == STEP_RESET) {
        return true;
    }
    if (tls->step(n->tls) == AMM_TLS_FAILED) {
        n->tls_failed = true;
        return false;
    }
    return true;
}

void amm_negotiation_drain(struct negotiation *n, const struct amm_tls_ops *tls, amm_time now,
                           size_t chunk, size_t first_chunk)
{
    uint8_t bytes[AMM_MESSAGE_MAX];
    if (n->step == STEP_RESET) {
        return;
    }
    while (amm_reliable_room(&n->reliable) > 0) {
        bool is_first = n->resend_wkc && n->reliable.numbers.next_tx == 1;
        size_t len = tls->drain(n->tls, bytes, is_first ? first_chunk : chunk);
        if (len == 0) {
            return;
        }
        uint8_t opcode = is_first ? AMM_OP_CONTROL_WKC_V1 : AMM_OP_CONTROL_V1;
        amm_reliable_send(&n->reliable, now, opcode, amm_view(bytes, len));
    }
}

bool amm_negotiation_is_quiet(const struct negotiation *n)
{
    return amm_reliable_is_idle(&n->reliable);
}

enum amm_tls_state amm_negotiation_tls_state(struct negotiation *n, const struct amm_tls_ops *tls)
{
    if (n->tls_failed) {
        return AMM_TLS_FAILED;
    }
    return n->step == STEP_RESET ? AMM_TLS_HANDSHAKE : tls->step(n->tls);
}

enum amm_parse amm_negotiation_key_method(struct negotiation *n, enum amm_role sender,
                                          struct amm_view record, struct amm_key_method *out)
{
    struct amm_view bytes = record;
    if (n->partial != NULL) {
        if (record.len > AMM_KEY_METHOD_MAX - n->partial_len) {
            return AMM_PARSE_BAD;
        }
        memcpy(n->partial + n->partial_len, record.data, record.len);
        n->partial_len += record.len;
        bytes = amm_view(n->partial, n->partial_len);
    }
    enum amm_parse parse = amm_key_method_decode(out, sender, bytes);
    if (parse == AMM_PARSE_MORE && n->partial == NULL) {
        n->partial = malloc(AMM_KEY_METHOD_MAX);
        if (n->partial == NULL || record.len > AMM_KEY_METHOD_MAX) {
            return AMM_PARSE_BAD;
        }
        memcpy(n->partial, record.data, record.len);
        n->partial_len = record.len;
    }
    return parse;
}
