#include "ipc/cad.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint8_t types[] = {1, 2, 3, 4, 5, 6, 7, 8, 32, 33, 34, 35, 36, 37, 38, 39};

static struct amm_cad_message sample(uint8_t type)
{
    struct amm_cad_message m = {.type = type, .id = 0x0102030405060708};
    switch (type) {
    case AMM_CAD_TIME:
        memset(m.nonce, 7, sizeof m.nonce);
        break;
    case AMM_CAD_ISSUE:
        m.issue = (struct amm_cad_issue){.approval = {1, 2},
                                         .kind = AMM_CAD_PROFILE,
                                         .days = 90,
                                         .name = "gw-1@depot",
                                         .key = {0x30, 0x59},
                                         .renews = {[19] = 9}};
        break;
    case AMM_CAD_REVOKE:
        m.revoke = (struct amm_cad_revocation){{[0] = 5}, AMM_CAD_GATEWAY, -3};
        break;
    case AMM_CAD_AUTHORITIES:
        m.which = AMM_CAD_TUNNEL_CERTIFICATE;
        break;
    case AMM_CAD_WRAP:
        m.which = AMM_CAD_TLS_CRYPT_V2;
        break;
    case AMM_CAD_STATE:
        m.state = (struct amm_cad_state){1, 2, 3, 4, 5};
        break;
    case AMM_CAD_SIGNED_TIME:
        m.signed_time = (struct amm_cad_signed_time){1800000000, {1, 2, 3}};
        break;
    case AMM_CAD_ISSUED:
        m.issued = (struct amm_cad_issued){{1}, {2}, 3, 4, "-----BEGIN\nx\n"};
        break;
    case AMM_CAD_REVOKED:
        m.revoked.n = AMM_CAD_REVOKED_MAX;
        for (int i = 0; i < AMM_CAD_REVOKED_MAX; i++) {
            m.revoked.list[i] = (struct amm_cad_revocation){{(uint8_t)i}, AMM_CAD_PROFILE, i};
        }
        break;
    case AMM_CAD_PART:
    case AMM_CAD_TEXT_IS:
        memset(m.text, 'a', sizeof m.text - 1);
        m.text[100] = '\n';
        break;
    case AMM_CAD_FAILED:
        m.failed = (struct amm_cad_failed){AMM_CAD_BUSY, 30, "too many"};
        break;
    default:
        break;
    }
    return m;
}

static size_t encode(const struct amm_cad_message *m, uint8_t packet[AMM_CAD_MAX])
{
    size_t len = amm_cad_encode(m, packet, AMM_CAD_MAX);
    assert_true(len >= 12);
    return len;
}

static void every_message_comes_back_as_it_was(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof types; i++) {
        struct amm_cad_message m = sample(types[i]), back;
        uint8_t packet[AMM_CAD_MAX], again[AMM_CAD_MAX];
        size_t len = encode(&m, packet);
        memset(&back, 0xff, sizeof back);
        assert_true(amm_cad_decode(&back, amm_view(packet, len)));
        assert_true(back.id == m.id);
        assert_int_equal(encode(&back, again), len);
        assert_memory_equal(packet, again, len);
    }
}

static void fields_land_where_they_belong(void **state)
{
    (void)state;
    struct amm_cad_message m = sample(AMM_CAD_ISSUE), back;
    uint8_t packet[AMM_CAD_MAX];
    assert_true(amm_cad_decode(&back, amm_view(packet, encode(&m, packet))));
    assert_memory_equal(&back.issue, &m.issue, sizeof back.issue);
    m = sample(AMM_CAD_REVOKED);
    assert_true(amm_cad_decode(&back, amm_view(packet, encode(&m, packet))));
    assert_int_equal(back.revoked.n, AMM_CAD_REVOKED_MAX);
    assert_true(back.revoked.list[AMM_CAD_REVOKED_MAX - 1].at == AMM_CAD_REVOKED_MAX - 1);
    m = sample(AMM_CAD_FAILED);
    assert_true(amm_cad_decode(&back, amm_view(packet, encode(&m, packet))));
    assert_int_equal(back.failed.retry, 30);
    assert_string_equal(back.failed.words, "too many");
}

static void a_byte_too_few_or_too_many_is_an_error(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof types; i++) {
        struct amm_cad_message m = sample(types[i]), back;
        uint8_t packet[AMM_CAD_MAX + 1] = {0};
        size_t len = encode(&m, packet);
        for (size_t cut = 0; cut < len; cut++) {
            assert_false(amm_cad_decode(&back, amm_view(packet, cut)));
        }
        assert_false(amm_cad_decode(&back, amm_view(packet, len + 1)));
        /* Not even when the length says so. */
        amm_store_u16(packet + 2, (uint16_t)(len + 1 - 12));
        assert_false(amm_cad_decode(&back, amm_view(packet, len + 1)));
    }
}

static void values_out_of_range_are_errors(void **state)
{
    (void)state;
    struct amm_cad_message back;
    uint8_t packet[AMM_CAD_MAX];
    static const struct {
        uint8_t type;
        size_t at;
        uint8_t value;
    } bad[] = {
        {AMM_CAD_STATUS, 0, AMM_CAD_VERSION + 1},
        {AMM_CAD_STATUS, 1, 0},
        {AMM_CAD_STATUS, 1, 9},
        {AMM_CAD_STATUS, 1, 40},
        {AMM_CAD_ISSUE, 12 + 16, 0}, /* kind */
        {AMM_CAD_ISSUE, 12 + 16, 3},
        {AMM_CAD_ISSUE, 12 + 21, '\n'}, /* in the name */
        {AMM_CAD_ISSUE, 12 + 21, 0},
        {AMM_CAD_REVOKE, 12 + 20, 9},
        {AMM_CAD_AUTHORITIES, 12, 0},
        {AMM_CAD_AUTHORITIES, 12, 6},
        {AMM_CAD_WRAP, 12, 4},
        {AMM_CAD_REVOKED, 12, 1}, /* 384 of them */
        {AMM_CAD_TEXT_IS, 14, 0x1b},
        {AMM_CAD_FAILED, 12, 6},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct amm_cad_message m = sample(bad[i].type);
        size_t len = encode(&m, packet);
        packet[bad[i].at] = bad[i].value;
        if (amm_cad_decode(&back, amm_view(packet, len))) {
            fail_msg("case %zu was taken", i);
        }
    }
}

static void what_does_not_fit_is_not_written(void **state)
{
    (void)state;
    uint8_t packet[AMM_CAD_MAX];
    struct amm_cad_message m = sample(AMM_CAD_ISSUE);
    size_t len = encode(&m, packet);
    assert_int_equal(amm_cad_encode(&m, packet, len - 1), 0);
    m = sample(AMM_CAD_REVOKED);
    m.revoked.n++;
    assert_int_equal(amm_cad_encode(&m, packet, sizeof packet), 0);
    m.type = 0;
    assert_int_equal(amm_cad_encode(&m, packet, sizeof packet), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_comes_back_as_it_was),
        cmocka_unit_test(fields_land_where_they_belong),
        cmocka_unit_test(a_byte_too_few_or_too_many_is_an_error),
        cmocka_unit_test(values_out_of_range_are_errors),
        cmocka_unit_test(what_does_not_fit_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
