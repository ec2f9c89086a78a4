/* Everything that a peer says inside TLS: key exchange message, peer info, options, pushed replies
 * and control texts. The first byte chooses which. */
#include "key_method.h"
#include "proto/push.h"
#include "text.h"

#include <stdlib.h>

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void require_printable(struct amm_view text)
{
    for (size_t i = 0; i < text.len; i++) {
        require(text.data[i] >= 0x20 && text.data[i] <= 0x7e);
    }
}

static void require_string(const char *text, size_t room)
{
    size_t len = strnlen(text, room);
    require(len < room);
    require_printable(amm_view(text, len));
}

/* Parts are separated by line feeds. */
static void read_push(struct amm_view input)
{
    struct amm_push_reader reader;
    amm_push_reader_init(&reader);
    while (input.len > 0) {
        const uint8_t *end = memchr(input.data, '\n', input.len);
        size_t len = end ? (size_t)(end - input.data) : input.len;
        if (!amm_push_reader_add(&reader, amm_view(input.data, len))) {
            break;
        }
        size_t eaten = end ? len + 1 : len;
        input = amm_view(input.data + eaten, input.len - eaten);
    }
    require_string(reader.ignored, sizeof reader.ignored);
    require(reader.push.n_routes <= AMM_PUSH_ROUTES && reader.push.peer_id <= AMM_NO_PEER_ID);
    for (unsigned i = 0; i < reader.push.n_routes; i++) {
        require(reader.push.routes[i].mask >= 0xff000000);
        require((reader.push.routes[i].network & ~reader.push.routes[i].mask) == 0);
    }
}

/* A client may say of itself what it likes; what it is pushed fits and is read again by our own
 * client. */
static void push_to(struct amm_view peer_info)
{
    struct amm_push push = {.local = 0x0a800006,
                            .remote = 0x0a800005,
                            .flags = 7,
                            .cipher = AMM_CIPHER_AES_256_GCM,
                            .peer_id = 5,
                            .tun_mtu = 1400,
                            .ping = 10};
    struct amm_peer_info info;
    struct amm_push_reader reader;
    uint8_t part[256];
    size_t len;
    if (!amm_peer_info_parse(&info, peer_info)) {
        return;
    }
    require_string(info.version, sizeof info.version);
    require_string(info.platform, sizeof info.platform);
    amm_push_reader_init(&reader);
    for (unsigned i = 0;
         (len = amm_push_encode_within(&push, &info, i, (struct amm_span){part, sizeof part})) > 0;
         i++) {
        require(len <= sizeof part && part[len - 1] == 0);
        require_printable(amm_view(part, len - 1));
        require(amm_push_reader_add(&reader, amm_view(part, len - 1)));
    }
    require(reader.done && reader.push.local == push.local);
    require(reader.push.flags == amm_push_flags_allowed(push.flags, &info));
}

static void read_key_method(enum amm_role sender, struct amm_view input)
{
    static uint8_t again[AMM_KEY_METHOD_MAX];
    struct amm_key_method message, copy;
    if (amm_key_method_decode(&message, sender, input) != AMM_PARSE_DONE) {
        return;
    }
    require(message.options.len < AMM_OPTIONS_MAX && message.peer_info.len < AMM_PEER_INFO_MAX);
    size_t len = amm_key_method_encode(&message, sender, (struct amm_span){again, sizeof again});
    require(len > 0 &&
            amm_key_method_decode(&copy, sender, amm_view(again, len)) == AMM_PARSE_DONE);
    require(amm_view_equal(message.options, copy.options) &&
            amm_view_equal(message.username, copy.username));
    require(amm_view_equal(message.peer_info, copy.peer_info));
}

static void read_options(struct amm_view input)
{
    uint8_t answer[AMM_OPTIONS_MAX];
    struct amm_writer w = amm_writer(answer, sizeof answer);
    amm_occ_parse(input);
    amm_occ_answer(&w, input);
    require(amm_writer_len(&w) <= sizeof answer);
}

static void read_texts(struct amm_view record)
{
    struct amm_text text;
    size_t left = record.len;
    while (amm_text_next(&record, &text) == AMM_TEXT_TAKEN) {
        require(record.len < left);
        left = record.len;
        require_printable(text.message);
        require_printable(text.reason);
        require(text.kind == AMM_TEXT_AUTH_FAILED || !text.is_temporary);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct amm_view rest = amm_view(data + 1, size - 1);
    switch (data[0] % 6) {
    case 0:
        read_push(rest);
        break;
    case 1:
        push_to(rest);
        break;
    case 2:
        read_key_method(AMM_CLIENT, rest);
        break;
    case 3:
        read_key_method(AMM_SERVER, rest);
        break;
    case 4:
        read_options(rest);
        break;
    default:
        read_texts(rest);
        break;
    }
    return 0;
}
