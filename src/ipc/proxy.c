#include "ipc/proxy.h"

#include "walk.h"

enum { HEADER = 4 };

static void fail(struct walk *walk)
{
    if (walk->w) {
        walk->w->failed = true;
    } else {
        walk->r->failed = true;
    }
}

/* A number between `first` and `last`, both included. */
static void walk_within(struct walk *walk, uint8_t *value, uint8_t first, uint8_t last)
{
    walk_u8(walk, value);
    if (*value < first || *value > last) {
        fail(walk);
    }
}

static void walk_flag(struct walk *walk, uint8_t *flag)
{
    walk_within(walk, flag, 0, 1);
}

static void walk_label(struct walk *walk, char label[AMM_PROXY_LABEL + 1])
{
    walk_bytes(walk, label, AMM_PROXY_LABEL);
    label[AMM_PROXY_LABEL] = '\0';
    if (!amm_proxy_label_ok(amm_view(label, AMM_PROXY_LABEL))) {
        fail(walk);
    }
}

/* A flag, and the hash behind it if it is set. */
static void walk_hash(struct walk *walk, uint8_t *has, uint8_t hash[AMM_PROXY_HASH])
{
    walk_flag(walk, has);
    if (*has) {
        walk_bytes(walk, hash, AMM_PROXY_HASH);
    }
}

/* Bytes of the UTF-8 character at the start of `text`; 0 if it is none, or a control character. */
static size_t character(struct amm_view text)
{
    uint8_t first = text.data[0];
    if (first < 0x80) {
        return first >= ' ' && first != 0x7f;
    }
    size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || len > text.len) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((text.data[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    uint8_t second = text.data[1];
    bool is_odd = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
                  (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f) ||
                  (first == 0xc2 && second < 0xa0);
    return is_odd ? 0 : len;
}

/* UTF-8 of people: cut at a whole character when it is written; a text that has control characters
 * or is no UTF-8 fails in both directions. */
static void walk_words(struct walk *walk, char *text, size_t room)
{
    size_t len;
    if (walk->w) {
        len = (size_t)amm_text_part(text, room - 1);
        amm_write_u16(walk->w, (uint16_t)len);
        amm_write_bytes(walk->w, text, len);
    } else {
        len = amm_read_u16(walk->r);
        memset(text, 0, room);
        if (len >= room) {
            fail(walk);
            return;
        }
        amm_read_copy(walk->r, text, len);
        if (strnlen(text, len) != len) {
            fail(walk);
        }
    }
    struct amm_view left = amm_view(text, len);
    while (left.len > 0) {
        size_t bytes = character(left);
        if (bytes == 0) {
            fail(walk);
            return;
        }
        left = amm_view(left.data + bytes, left.len - bytes);
    }
}

/* A target: it has an address and a port. */
static void walk_target(struct walk *walk, struct amm_address *address)
{
    walk_address(walk, address);
    if (address->family == AMM_FAMILY_NONE || address->port == 0) {
        fail(walk);
    }
}

static void walk_hello(struct walk *walk, struct amm_proxy_hello *hello)
{
    walk_u32(walk, &hello->pid);
    walk_flag(walk, &hello->secure);
    walk_u16(walk, &hello->port);
    walk_string(walk, hello->domain, sizeof hello->domain);
    walk_hash(walk, &hello->has_assertion_key, hello->assertion_key);
}

static void walk_session_secrets(struct walk *walk, struct amm_proxy_session *session)
{
    walk_hash(walk, &session->has_pin, session->pin);
    walk_within(walk, &session->credentials, AMM_PROXY_NO_CREDENTIALS, AMM_PROXY_BASIC);
    walk_words(walk, session->user, sizeof session->user);
    walk_words(walk, session->secret, sizeof session->secret);
    walk_hash(walk, &session->has_ticket, session->ticket);
    walk_time(walk, &session->ticket_until);
    walk_hash(walk, &session->has_cookie, session->cookie);
}

static void walk_session(struct walk *walk, struct amm_proxy_session *session)
{
    walk_label(walk, session->label);
    walk_within(walk, &session->kind, AMM_PROXY_PAGE, AMM_PROXY_FORWARD);
    walk_within(walk, &session->role, AMM_PROXY_VIEWER, AMM_PROXY_USER);
    walk_within(walk, &session->scheme, AMM_PROXY_HTTP, AMM_PROXY_HTTPS);
    walk_u64(walk, &session->gateway);
    walk_u64(walk, &session->epoch);
    walk_string(walk, session->serial, sizeof session->serial);
    walk_string(walk, session->tunnel, sizeof session->tunnel);
    walk_words(walk, session->name, sizeof session->name);
    walk_words(walk, session->operator_name, sizeof session->operator_name);
    walk_words(walk, session->reason, sizeof session->reason);
    walk_address(walk, &session->operator_address);
    walk_target(walk, &session->address);
    walk_string(walk, session->host, sizeof session->host);
    walk_address(walk, &session->relay);
    walk_session_secrets(walk, session);
    walk_u32(walk, &session->idle);
    walk_time(walk, &session->last_at);
    walk_time(walk, &session->until);
    walk_flag(walk, &session->view_only);
    if (session->epoch == 0 || session->idle == 0 || session->idle > 86400) {
        fail(walk);
    }
}

static void walk_ticket(struct walk *walk, struct amm_proxy_ticket *ticket)
{
    walk_label(walk, ticket->label);
    walk_bytes(walk, ticket->hash, sizeof ticket->hash);
    walk_time(walk, &ticket->until);
}

static void walk_ending(struct walk *walk, struct amm_proxy_ending *ending)
{
    walk_label(walk, ending->label);
    walk_within(walk, &ending->reason, AMM_PROXY_END_IDLE, AMM_PROXY_END_LAST);
}

static void walk_test(struct walk *walk, struct amm_proxy_test *test)
{
    walk_u64(walk, &test->id);
    walk_target(walk, &test->address);
    walk_within(walk, &test->scheme, AMM_PROXY_HTTP, AMM_PROXY_HTTPS);
    walk_within(walk, &test->steps, 1, AMM_PROXY_STEPS_ALL);
    walk_u32(walk, &test->milliseconds);
    walk_string(walk, test->host, sizeof test->host);
    walk_hash(walk, &test->has_pin, test->pin);
    if (test->milliseconds < 100 || test->milliseconds > 10000) {
        fail(walk);
    }
}

static void walk_entered(struct walk *walk, struct amm_proxy_entered *entered)
{
    walk_label(walk, entered->label);
    walk_bytes(walk, entered->cookie, sizeof entered->cookie);
    walk_address(walk, &entered->remote);
    walk_time(walk, &entered->at);
}

static void walk_key(struct walk *walk, struct amm_proxy_key *key)
{
    walk_label(walk, key->label);
    walk_bytes(walk, key->sha256, sizeof key->sha256);
    walk_flag(walk, &key->changed);
}

static void walk_request(struct walk *walk, struct amm_proxy_request *request)
{
    walk_label(walk, request->label);
    walk_within(walk, &request->kind, AMM_PROXY_REQUEST_PAGE, AMM_PROXY_REQUEST_FORWARD);
    walk_u16(walk, &request->status);
    walk_time(walk, &request->at);
    walk_u32(walk, &request->milliseconds);
    walk_u64(walk, &request->bytes_in);
    walk_u64(walk, &request->bytes_out);
    walk_string(walk, request->method, sizeof request->method);
    walk_string(walk, request->path, sizeof request->path);
}

static void walk_requests(struct walk *walk, struct amm_proxy_requests *requests)
{
    walk_u16(walk, &requests->n);
    if (requests->n == 0 || requests->n > AMM_PROXY_REQUESTS) {
        requests->n = 0;
        fail(walk);
    }
    for (uint16_t i = 0; i < requests->n; i++) {
        walk_request(walk, &requests->list[i]);
    }
}

static void walk_result(struct walk *walk, struct amm_proxy_result *result)
{
    walk_u64(walk, &result->id);
    walk_hash(walk, &result->has_key, result->key);
    walk_u8(walk, &result->n);
    if (result->n > AMM_PROXY_STEPS) {
        result->n = 0;
        fail(walk);
    }
    for (uint8_t i = 0; i < result->n; i++) {
        struct amm_proxy_step_result *step = &result->list[i];
        walk_within(walk, &step->step, AMM_PROXY_STEP_PING, AMM_PROXY_STEP_LAST);
        walk_within(walk, &step->verdict, AMM_PROXY_STEP_OK, AMM_PROXY_STEP_SKIPPED);
        walk_u32(walk, &step->milliseconds);
        walk_words(walk, step->text, sizeof step->text);
    }
}

/* False for a type that does not exist. */
static bool walk_body(struct walk *walk, struct amm_proxy_message *message)
{
    switch ((enum amm_proxy_type)message->type) {
    case AMM_PROXY_WELCOME:
    case AMM_PROXY_SYNCED:
        return true;
    case AMM_PROXY_SESSION:
        walk_session(walk, &message->session);
        return true;
    case AMM_PROXY_TICKET:
        walk_ticket(walk, &message->ticket);
        return true;
    case AMM_PROXY_CLOSE:
    case AMM_PROXY_ENDED:
        walk_ending(walk, &message->ending);
        return true;
    case AMM_PROXY_TEST:
        walk_test(walk, &message->test);
        return true;
    case AMM_PROXY_HELLO:
        walk_hello(walk, &message->hello);
        return true;
    case AMM_PROXY_ENTERED:
        walk_entered(walk, &message->entered);
        return true;
    case AMM_PROXY_KEY:
        walk_key(walk, &message->key);
        return true;
    case AMM_PROXY_REQUESTS_ARE:
        walk_requests(walk, &message->requests);
        return true;
    case AMM_PROXY_ACTIVE:
        walk_label(walk, message->active.label);
        walk_time(walk, &message->active.at);
        return true;
    case AMM_PROXY_RESULT:
        walk_result(walk, &message->result);
        return true;
    }
    return false;
}

size_t amm_proxy_encode(const struct amm_proxy_message *message, uint8_t *out, size_t room)
{
    struct amm_writer w = amm_writer(out, room < AMM_PROXY_MAX ? room : AMM_PROXY_MAX);
    amm_write_u8(&w, AMM_PROXY_VERSION);
    amm_write_u8(&w, message->type);
    uint8_t *length = amm_write_gap(&w, 2);
    struct amm_proxy_message copy = *message; /* the walk could change it */
    bool ok = walk_body(&(struct walk){.w = &w}, &copy) && amm_writer_len(&w) > 0;
    amm_wipe(&copy, sizeof copy);
    if (!ok) {
        return 0;
    }
    amm_store_u16(length, (uint16_t)(amm_writer_len(&w) - HEADER));
    return amm_writer_len(&w);
}

bool amm_proxy_decode(struct amm_proxy_message *out, struct amm_view packet)
{
    struct amm_reader r = amm_reader(packet);
    memset(out, 0, sizeof *out);
    uint8_t version = amm_read_u8(&r);
    out->type = amm_read_u8(&r);
    uint16_t length = amm_read_u16(&r);
    return packet.len <= AMM_PROXY_MAX && version == AMM_PROXY_VERSION &&
           length == amm_reader_left(&r) && walk_body(&(struct walk){.r = &r}, out) &&
           amm_reader_done(&r);
}

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

bool amm_proxy_label_ok(struct amm_view text)
{
    if (text.len != AMM_PROXY_LABEL) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\0' || !strchr(alphabet, text.data[i])) {
            return false;
        }
    }
    return true;
}

void amm_proxy_label(const uint8_t random[16], char out[AMM_PROXY_LABEL + 1])
{
    for (unsigned i = 0; i < AMM_PROXY_LABEL; i++) {
        unsigned bit = i * 5, byte = bit / 8;
        unsigned pair = (unsigned)random[byte] << 8 | (byte + 1 < 16 ? random[byte + 1] : 0);
        out[i] = alphabet[pair >> (11 - bit % 8) & 31];
    }
    out[AMM_PROXY_LABEL] = '\0';
}

static const struct {
    const char *name, *words;
} ends[AMM_PROXY_END_LAST + 1] = {
    [AMM_PROXY_END_IDLE] = {"idle", "Nothing was asked for a while."},
    [AMM_PROXY_END_LIFE] = {"life", "It had lasted as long as a remote session may."},
    [AMM_PROXY_END_LEFT] = {"left", "The operator ended it in the browser."},
    [AMM_PROXY_END_CLOSED] = {"closed", "It was ended in the console."},
    [AMM_PROXY_END_LOGOUT] = {"logout", "The operator signed out of the console."},
    [AMM_PROXY_END_RIGHTS] = {"rights", "The operator may no longer reach this gateway."},
    [AMM_PROXY_END_REMOVED] = {"removed", "The gateway was removed."},
    [AMM_PROXY_END_EPOCH] = {"tunnel", "The gateway's tunnel ended or was built anew."},
    [AMM_PROXY_END_GATEWAY] = {"gateway", "It was ended at the gateway."},
    [AMM_PROXY_END_UNUSED] = {"unused", "Nobody entered in time."},
    [AMM_PROXY_END_UNKNOWN] = {"unknown", "The server knew nothing of it any more."},
};

const char *amm_proxy_end_name(enum amm_proxy_end end)
{
    return (unsigned)end <= AMM_PROXY_END_LAST && ends[end].name ? ends[end].name : "unknown";
}

const char *amm_proxy_end_words(enum amm_proxy_end end)
{
    return (unsigned)end <= AMM_PROXY_END_LAST && ends[end].words
               ? ends[end].words
               : ends[AMM_PROXY_END_UNKNOWN].words;
}

const char *amm_proxy_step_name(enum amm_proxy_step step)
{
    static const char *const names[AMM_PROXY_STEP_LAST + 1] = {"ping", "tcp", "tls", "page", "mtu"};
    return (unsigned)step <= AMM_PROXY_STEP_LAST ? names[step] : "unknown";
}
