#include "ipc/proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define LABEL "abcdefghijklmnopqrstuvwxyz"

static const uint8_t types[] = {1, 2, 3, 4, 5, 6, 32, 33, 34, 35, 36, 37, 38};

static struct amm_address address(const char *text)
{
    struct amm_address out;
    assert_true(amm_address_parse(&out, text, 0));
    return out;
}

static struct amm_proxy_session session(void)
{
    return (struct amm_proxy_session){.label = LABEL,
                                      .kind = AMM_PROXY_PAGE,
                                      .role = AMM_PROXY_USER,
                                      .scheme = AMM_PROXY_HTTPS,
                                      .gateway = 7,
                                      .epoch = 0x0102030405060708,
                                      .serial = "GW0001",
                                      .tunnel = "gw-1@depot",
                                      .name = "Bj\xc3\xb6rn 1",
                                      .operator_name = "anna",
                                      .reason = "ticket 4711",
                                      .operator_address = address("192.0.2.7:5"),
                                      .address = address("10.4.32.7:9443"),
                                      .host = "192.168.13.31:9443",
                                      .relay = address("192.168.13.40:80"),
                                      .has_pin = 1,
                                      .pin = {1, 2},
                                      .credentials = AMM_PROXY_BASIC,
                                      .user = "u",
                                      .secret = "s",
                                      .has_ticket = 1,
                                      .ticket = {3},
                                      .ticket_until = 1800000030,
                                      .has_cookie = 1,
                                      .cookie = {4},
                                      .idle = 900,
                                      .last_at = 1800000000,
                                      .until = 1800028800,
                                      .view_only = 1};
}

static struct amm_proxy_message sample(uint8_t type)
{
    struct amm_proxy_message m = {.type = type};
    switch (type) {
    case AMM_PROXY_HELLO:
        m.hello = (struct amm_proxy_hello){.pid = 5,
                                           .secure = 1,
                                           .port = 8444,
                                           .domain = "gw.example.net",
                                           .has_assertion_key = 1,
                                           .assertion_key = {9}};
        break;
    case AMM_PROXY_SESSION:
        m.session = session();
        break;
    case AMM_PROXY_TICKET:
        m.ticket = (struct amm_proxy_ticket){LABEL, {5}, 1800000030};
        break;
    case AMM_PROXY_CLOSE:
    case AMM_PROXY_ENDED:
        m.ending = (struct amm_proxy_ending){LABEL, AMM_PROXY_END_LOGOUT};
        break;
    case AMM_PROXY_TEST:
        m.test = (struct amm_proxy_test){.id = 3,
                                         .address = address("10.4.32.7:9443"),
                                         .scheme = AMM_PROXY_HTTPS,
                                         .steps = AMM_PROXY_STEPS_ALL,
                                         .milliseconds = 1000,
                                         .host = "x"};
        break;
    case AMM_PROXY_ENTERED:
        m.entered = (struct amm_proxy_entered){LABEL, {6}, address("[2001:db8::1]:5"), 1800000001};
        break;
    case AMM_PROXY_KEY:
        m.key = (struct amm_proxy_key){LABEL, {7}, 1};
        break;
    case AMM_PROXY_REQUESTS_ARE:
        m.requests.n = 2;
        for (unsigned i = 0; i < 2; i++) {
            m.requests.list[i] = (struct amm_proxy_request){.label = LABEL,
                                                            .kind = AMM_PROXY_REQUEST_UPGRADE,
                                                            .status = 101,
                                                            .at = 1800000002,
                                                            .milliseconds = 12,
                                                            .bytes_in = 1,
                                                            .bytes_out = UINT64_MAX,
                                                            .method = "GET",
                                                            .path = "/a%20b"};
        }
        break;
    case AMM_PROXY_ACTIVE:
        m.active = (struct amm_proxy_active){LABEL, 1800000003};
        break;
    case AMM_PROXY_RESULT:
        m.result = (struct amm_proxy_result){
            .id = 3,
            .has_key = 1,
            .key = {8},
            .n = 1,
            .list[0] = {AMM_PROXY_STEP_MTU, AMM_PROXY_STEP_FAILED, 300, "nein \xe2\x80\x93 1200"}};
        break;
    default:
        break;
    }
    return m;
}

static void test_each_message_comes_back(void **state)
{
    (void)state;
    static uint8_t packet[AMM_PROXY_MAX], again[AMM_PROXY_MAX];
    static struct amm_proxy_message out;
    for (size_t i = 0; i < sizeof types; i++) {
        struct amm_proxy_message m = sample(types[i]);
        size_t len = amm_proxy_encode(&m, packet, sizeof packet);
        assert_true(len >= 4);
        assert_true(amm_proxy_decode(&out, amm_view(packet, len)));
        assert_int_equal(out.type, types[i]);
        assert_int_equal(amm_proxy_encode(&out, again, sizeof again), len);
        assert_memory_equal(packet, again, len);
        /* a byte less, a byte more, no room */
        assert_false(amm_proxy_decode(&out, amm_view(packet, len - 1)));
        packet[len] = 0;
        assert_false(amm_proxy_decode(&out, amm_view(packet, len + 1)));
        assert_int_equal(amm_proxy_encode(&m, again, len - 1), 0);
    }
    struct amm_proxy_message m = sample(AMM_PROXY_SESSION);
    size_t len = amm_proxy_encode(&m, packet, sizeof packet);
    assert_true(amm_proxy_decode(&out, amm_view(packet, len)));
    assert_string_equal(out.session.name, "Bj\xc3\xb6rn 1");
    assert_int_equal(out.session.epoch, 0x0102030405060708);
    assert_true(amm_address_equal(&out.session.relay, &m.session.relay));
}

static void assert_no_session(struct amm_proxy_session bad)
{
    static uint8_t packet[AMM_PROXY_MAX];
    struct amm_proxy_message m = {.type = AMM_PROXY_SESSION, .session = bad};
    assert_int_equal(amm_proxy_encode(&m, packet, sizeof packet), 0);
}

/* What makes no sense is not sent, and would not be taken. */
static void test_ranges(void **state)
{
    (void)state;
    struct amm_proxy_session s;
#define BAD(change) (s = session(), change, assert_no_session(s))
    BAD(s.label[3] = 'A');
    BAD(s.label[3] = '1');
    BAD(s.label[25] = '\0');
    BAD(s.kind = 0);
    BAD(s.kind = 3);
    BAD(s.role = 0);
    BAD(s.scheme = 3);
    BAD(s.epoch = 0);
    BAD(s.idle = 0);
    BAD(s.idle = 86401);
    BAD(s.view_only = 2);
    BAD(s.credentials = 3);
    BAD(s.address.port = 0);
    BAD(s.address.family = AMM_FAMILY_NONE);
    BAD(s.has_pin = 2);
    BAD(strcpy(s.name, "a\nb"));
    BAD(strcpy(s.operator_name, "a\x7f"));
    BAD(strcpy(s.reason, "\xff"
                         "a"));
    BAD(strcpy(s.secret, "\xc0\xaf"
                         "a"));
    BAD(strcpy(s.user, "\xed\xa0\x80"));
#undef BAD
    struct amm_proxy_message m = sample(AMM_PROXY_REQUESTS_ARE);
    static uint8_t packet[AMM_PROXY_MAX];
    m.requests.n = 0;
    assert_int_equal(amm_proxy_encode(&m, packet, sizeof packet), 0);
    m.requests.n = AMM_PROXY_REQUESTS + 1;
    assert_int_equal(amm_proxy_encode(&m, packet, sizeof packet), 0);
    m = (struct amm_proxy_message){.type = 7};
    assert_int_equal(amm_proxy_encode(&m, packet, sizeof packet), 0);
    m = sample(AMM_PROXY_TEST);
    m.test.milliseconds = 10001;
    assert_int_equal(amm_proxy_encode(&m, packet, sizeof packet), 0);
}

static void test_the_largest_fit(void **state)
{
    (void)state;
    static uint8_t packet[AMM_PROXY_MAX];
    struct amm_proxy_message m = {.type = AMM_PROXY_REQUESTS_ARE};
    m.requests.n = AMM_PROXY_REQUESTS;
    for (unsigned i = 0; i < AMM_PROXY_REQUESTS; i++) {
        struct amm_proxy_request *r = &m.requests.list[i];
        memcpy(r->label, LABEL, sizeof LABEL);
        r->kind = AMM_PROXY_REQUEST_PAGE;
        memset(r->path, 'x', sizeof r->path - 1);
        memset(r->method, 'M', sizeof r->method - 1);
    }
    assert_true(amm_proxy_encode(&m, packet, sizeof packet) > 0);
    m = sample(AMM_PROXY_SESSION);
    memset(m.session.secret, 's', sizeof m.session.secret - 1);
    memset(m.session.host, 'h', sizeof m.session.host - 1);
    memset(m.session.reason, 'r', sizeof m.session.reason - 1);
    assert_true(amm_proxy_encode(&m, packet, sizeof packet) > 0);
}

/* A long text ends with a whole character. */
static void test_cut(void **state)
{
    (void)state;
    static uint8_t packet[AMM_PROXY_MAX];
    struct amm_proxy_message m = sample(AMM_PROXY_RESULT), out;
    memset(m.result.list[0].text, 'x', sizeof m.result.list[0].text);
    memcpy(m.result.list[0].text + sizeof m.result.list[0].text - 2, "\xc3\xb6", 2);
    size_t len = amm_proxy_encode(&m, packet, sizeof packet);
    assert_true(len > 0 && amm_proxy_decode(&out, amm_view(packet, len)));
    assert_int_equal(strlen(out.result.list[0].text), sizeof m.result.list[0].text - 2);
}

static void test_labels(void **state)
{
    (void)state;
    char label[AMM_PROXY_LABEL + 1];
    uint8_t random[16];
    memset(random, 0, sizeof random);
    amm_proxy_label(random, label);
    assert_string_equal(label, "aaaaaaaaaaaaaaaaaaaaaaaaaa");
    memset(random, 0xff, sizeof random);
    amm_proxy_label(random, label);
    assert_string_equal(label, "7777777777777777777777777"
                               "4");
    for (unsigned i = 0; i < 16; i++) {
        random[i] = (uint8_t)(i * 37 + 11);
    }
    amm_proxy_label(random, label); /* as `base32 | tr A-Z a-z` says */
    assert_string_equal(label, "bmyfk6u7ytuq4m2ypwrmp3argy");
    assert_true(amm_proxy_label_ok(amm_view_str(label)));
    assert_false(amm_proxy_label_ok(amm_view(label, 25)));
}

static void test_words(void **state)
{
    (void)state;
    for (int i = AMM_PROXY_END_IDLE; i <= AMM_PROXY_END_LAST; i++) {
        assert_true(strlen(amm_proxy_end_name(i)) > 3 && strlen(amm_proxy_end_words(i)) > 10);
    }
    assert_string_equal(amm_proxy_end_name(0), "unknown");
    assert_string_equal(amm_proxy_end_name(99), "unknown");
    assert_string_equal(amm_proxy_step_name(AMM_PROXY_STEP_LAST), "mtu");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_message_comes_back),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_the_largest_fit),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
