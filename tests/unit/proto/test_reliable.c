#include "reliable.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define MS AMM_MILLISECOND

static struct amm_reliable r;
static struct amm_message m;

static int setup(void **state)
{
    (void)state;
    amm_reliable_init(&r, 0, 0, AMM_SECOND);
    return 0;
}

static bool send(amm_time now, const char *text)
{
    return amm_reliable_send(&r, now, 4, amm_view_str(text));
}

/* The id that is sent at `now`, or -1. */
static int sent_at(amm_time now)
{
    return amm_reliable_next_to_send(&r, now, &m) ? (int)m.id : -1;
}

static enum amm_receipt receive(uint32_t id)
{
    uint8_t byte = (uint8_t)id;
    return amm_reliable_receive(&r, id, 4, amm_view(&byte, 1));
}

static int delivered(void)
{
    if (!amm_reliable_next_delivery(&r, &m)) {
        return -1;
    }
    assert_int_equal(m.payload.data[0], (uint8_t)m.id);
    return (int)m.id;
}

static void six_messages_are_in_flight_and_no_more(void **state)
{
    (void)state;
    assert_int_equal(amm_reliable_room(&r), 6);
    for (int i = 0; i < 6; i++) {
        assert_true(send(0, "x"));
    }
    assert_int_equal(amm_reliable_room(&r), 0);
    assert_false(send(0, "x"));
    for (int i = 0; i < 6; i++) {
        assert_int_equal(sent_at(0), i);
    }
    assert_int_equal(sent_at(0), -1);
}

static void a_hole_at_the_start_keeps_the_window_shut(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        send(0, "x");
        sent_at(0);
    }
    for (uint32_t id = 1; id < 6; id++) {
        assert_true(amm_reliable_ack(&r, 1, id));
    }
    assert_int_equal(amm_reliable_room(&r), 0);
    assert_true(amm_reliable_ack(&r, 1, 0));
    assert_int_equal(amm_reliable_room(&r), 6);
    assert_true(amm_reliable_is_idle(&r));
    assert_true(amm_reliable_deadline(&r) == AMM_NEVER);
}

static void a_message_too_long_is_refused_and_the_longest_goes(void **state)
{
    static uint8_t bytes[AMM_MESSAGE_MAX + 1];
    (void)state;
    assert_false(amm_reliable_send(&r, 0, 4, amm_view(bytes, sizeof bytes)));
    assert_true(amm_reliable_send(&r, 0, 3, amm_view(bytes, AMM_MESSAGE_MAX)));
    assert_int_equal(sent_at(0), 0);
    assert_int_equal(m.opcode, 3);
    assert_int_equal(m.payload.len, AMM_MESSAGE_MAX);
}

static void timeouts_double_up_to_eight_seconds(void **state)
{
    static const int gaps[] = {1, 2, 4, 8, 8, 8};
    amm_time now = 0;
    (void)state;
    send(0, "x");
    assert_int_equal(sent_at(0), 0);
    for (size_t i = 0; i < sizeof gaps / sizeof gaps[0]; i++) {
        now += gaps[i] * AMM_SECOND;
        assert_true(amm_reliable_deadline(&r) == now);
        assert_int_equal(sent_at(now - 1), -1);
        assert_int_equal(sent_at(now), 0);
    }
}

static void an_acknowledged_message_is_not_sent_again(void **state)
{
    (void)state;
    send(0, "x");
    sent_at(0);
    assert_true(amm_reliable_ack(&r, MS, 0));
    assert_false(amm_reliable_ack(&r, MS, 0));  /* again */
    assert_false(amm_reliable_ack(&r, MS, 77)); /* never sent */
    assert_int_equal(sent_at(100 * AMM_SECOND), -1);
}

static void what_was_never_sent_cannot_be_acknowledged(void **state)
{
    (void)state;
    send(0, "x");
    assert_false(amm_reliable_ack(&r, 0, 0));
    assert_int_equal(sent_at(0), 0);
}

static void three_later_acks_send_a_lost_message_at_once_but_once_a_round_trip(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        send(0, "x");
        sent_at(0);
    }
    amm_reliable_ack(&r, 50 * MS, 1);
    amm_reliable_ack(&r, 50 * MS, 2);
    assert_int_equal(sent_at(50 * MS), -1); /* two may be reordering */
    amm_reliable_ack(&r, 50 * MS, 3);
    assert_int_equal(sent_at(50 * MS), 0);
    amm_reliable_ack(&r, 51 * MS, 4);
    amm_reliable_ack(&r, 51 * MS, 5);
    assert_int_equal(sent_at(60 * MS), -1);
}

static void a_fast_resend_waits_for_a_round_trip(void **state)
{
    (void)state;
    send(0, "x");
    sent_at(0);
    for (int i = 1; i < 5; i++) {
        send(0, "x");
    }
    assert_int_equal(sent_at(0), 1);
    amm_reliable_ack(&r, 200 * MS, 1); /* the round trip is 200 ms */
    while (sent_at(210 * MS) >= 0) {
    }
    assert_int_equal(sent_at(AMM_SECOND), 0); /* by its timer */
    for (uint32_t id = 2; id < 5; id++) {
        amm_reliable_ack(&r, 1100 * MS, id);
    }
    assert_int_equal(sent_at(1100 * MS), -1);
    assert_true(amm_reliable_deadline(&r) > 1100 * MS && amm_reliable_deadline(&r) <= 1900 * MS);
    assert_int_equal(sent_at(1900 * MS), 0);
}

static void an_answer_to_one_of_two_transmissions_does_not_measure_the_round_trip(void **state)
{
    (void)state;
    send(0, "x");
    sent_at(0);
    sent_at(AMM_SECOND);
    amm_reliable_ack(&r, AMM_SECOND + MS, 0);
    assert_int_equal(r.rtt, 0);
    send(2 * AMM_SECOND, "y");
    sent_at(2 * AMM_SECOND);
    amm_reliable_ack(&r, 2 * AMM_SECOND + 80 * MS, 1);
    assert_int_equal(r.rtt, 80 * MS);
}

static void messages_are_delivered_once_and_in_order(void **state)
{
    (void)state;
    assert_int_equal(receive(2), AMM_RECEIPT_STORED);
    assert_int_equal(receive(1), AMM_RECEIPT_STORED);
    assert_int_equal(delivered(), -1);
    assert_int_equal(receive(0), AMM_RECEIPT_STORED);
    assert_int_equal(receive(1), AMM_RECEIPT_DUPLICATE);
    assert_int_equal(delivered(), 0);
    assert_int_equal(delivered(), 1);
    assert_int_equal(delivered(), 2);
    assert_int_equal(delivered(), -1);
    assert_int_equal(receive(2), AMM_RECEIPT_DUPLICATE);
}

static void ids_beyond_the_window_are_refused_without_an_ack(void **state)
{
    (void)state;
    assert_int_equal(receive(12), AMM_RECEIPT_REFUSED);
    assert_int_equal(receive(0x7fffffff), AMM_RECEIPT_REFUSED);
    assert_false(amm_acks_waiting(&r.numbers));
    for (uint32_t id = 0; id < 12; id++) {
        assert_int_equal(receive(id), AMM_RECEIPT_STORED);
    }
    assert_int_equal(receive(12), AMM_RECEIPT_REFUSED);
    assert_int_equal(delivered(), 0);
    assert_int_equal(receive(12), AMM_RECEIPT_STORED);
    for (int id = 1; id <= 12; id++) {
        assert_int_equal(delivered(), id);
    }
}

static void a_payload_longer_than_a_buffer_is_refused_without_an_ack(void **state)
{
    static uint8_t bytes[AMM_MESSAGE_RX_MAX + 1];
    (void)state;
    struct amm_view longest = amm_view(bytes, AMM_MESSAGE_RX_MAX);
    assert_int_equal(amm_reliable_receive(&r, 0, 4, amm_view(bytes, sizeof bytes)),
                     AMM_RECEIPT_REFUSED);
    assert_false(amm_acks_waiting(&r.numbers));
    assert_int_equal(amm_reliable_receive(&r, 0, 4, longest), AMM_RECEIPT_STORED);
}

static void an_empty_message_is_delivered_too(void **state)
{
    (void)state;
    assert_int_equal(amm_reliable_receive(&r, 0, 11, amm_view(NULL, 0)), AMM_RECEIPT_STORED);
    assert_true(amm_reliable_next_delivery(&r, &m));
    assert_int_equal(m.payload.len, 0);
    assert_int_equal(m.opcode, 11);
}

static void new_acks_go_first_and_old_ones_are_repeated(void **state)
{
    uint32_t acks[8];
    (void)state;
    for (uint32_t id = 0; id < 6; id++) {
        receive(id);
        delivered();
    }
    assert_true(amm_acks_waiting(&r.numbers));
    assert_int_equal(amm_acks_take(&r.numbers, acks, 4), 4);
    assert_memory_equal(acks, ((uint32_t[]){5, 4, 3, 2}), 16);
    assert_true(amm_acks_waiting(&r.numbers));
    receive(6);
    assert_int_equal(amm_acks_take(&r.numbers, acks, 8), 7);
    assert_memory_equal(acks, ((uint32_t[]){6, 1, 0, 5, 4, 3, 2}), 28);
    assert_false(amm_acks_waiting(&r.numbers));
    assert_int_equal(amm_acks_take(&r.numbers, acks, 4), 4);
    assert_memory_equal(acks, ((uint32_t[]){6, 5, 4, 3}), 16);
}

static void a_duplicate_is_acknowledged_again(void **state)
{
    uint32_t acks[8];
    (void)state;
    receive(0);
    delivered();
    amm_acks_take(&r.numbers, acks, 8);
    receive(0);
    assert_true(amm_acks_waiting(&r.numbers));
    assert_int_equal(amm_acks_take(&r.numbers, acks, 8), 1);
    assert_int_equal(acks[0], 0);
}

static void only_the_last_eight_acks_are_kept(void **state)
{
    uint32_t acks[8];
    (void)state;
    for (uint32_t id = 0; id < 12; id++) {
        receive(id);
    }
    assert_int_equal(amm_acks_take(&r.numbers, acks, 8), 8);
    assert_memory_equal(acks, ((uint32_t[]){11, 10, 9, 8, 7, 6, 5, 4}), 32);
    receive(7); /* moves to the front; the order of the others stays */
    assert_int_equal(amm_acks_take(&r.numbers, acks, 3), 3);
    assert_memory_equal(acks, ((uint32_t[]){7, 11, 10}), 12);
}

static void without_tls_messages_are_acknowledged_and_forgotten(void **state)
{
    struct amm_reliable_numbers numbers = {.next_tx = 4, .next_rx = 3};
    uint32_t acks[8];
    (void)state;
    assert_true(amm_numbers_discard(&numbers, 1)); /* repeated by the peer */
    assert_true(amm_numbers_discard(&numbers, 3));
    assert_int_equal(numbers.next_rx, 4);
    assert_false(amm_numbers_discard(&numbers, 16));
    assert_true(amm_numbers_discard(&numbers, 15));
    assert_int_equal(amm_acks_take(&numbers, acks, 8), 3);
    assert_memory_equal(acks, ((uint32_t[]){15, 3, 1}), 12);
}

/* Two ends over a channel that loses, doubles and reorders: everything arrives, once, in order. */
static void a_bad_channel_delivers_everything(void **state)
{
    static struct amm_reliable a, b;
    enum { TOTAL = 200, LIMIT = 100000 };
    uint32_t seed = 1, queued = 0, got = 0;
    uint32_t held[4] = {0};
    unsigned n_held = 0;
    amm_time now = 0;
    (void)state;
    amm_reliable_init(&a, 0, 0, AMM_SECOND);
    amm_reliable_init(&b, 0, 0, AMM_SECOND);
    for (int step = 0; got < TOTAL && step < LIMIT; step++, now += 10 * MS) {
        while (queued < TOTAL && amm_reliable_room(&a) > 0) {
            assert_true(amm_reliable_send(&a, now, 4, amm_view(&queued, sizeof queued)));
            queued++;
        }
        while (amm_reliable_next_to_send(&a, now, &m)) {
            seed = seed * 1664525 + 1013904223;
            if (seed >> 30 == 0 || n_held == 4) {
                continue; /* lost */
            }
            held[n_held++] = m.id;
        }
        seed = seed * 1664525 + 1013904223;
        if (n_held > 0) {
            uint32_t id = held[(seed >> 16) % n_held]; /* doubled if it is drawn again */
            amm_reliable_receive(&b, id, 4, amm_view(&id, sizeof id));
            if (seed >> 31 != 0) {
                held[(seed >> 16) % n_held] = held[n_held - 1];
                n_held--;
            }
        }
        while (amm_reliable_next_delivery(&b, &m)) {
            assert_int_equal(m.id, got);
            assert_memory_equal(m.payload.data, &got, sizeof got);
            got++;
        }
        uint32_t acks[8];
        uint8_t n = amm_acks_waiting(&b.numbers) ? amm_acks_take(&b.numbers, acks, 8) : 0;
        for (uint8_t i = 0; i < n && seed % 7 != 0; i++) {
            amm_reliable_ack(&a, now, acks[i]);
        }
    }
    assert_int_equal(got, TOTAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(six_messages_are_in_flight_and_no_more, setup),
        cmocka_unit_test_setup(a_hole_at_the_start_keeps_the_window_shut, setup),
        cmocka_unit_test_setup(a_message_too_long_is_refused_and_the_longest_goes, setup),
        cmocka_unit_test_setup(timeouts_double_up_to_eight_seconds, setup),
        cmocka_unit_test_setup(an_acknowledged_message_is_not_sent_again, setup),
        cmocka_unit_test_setup(what_was_never_sent_cannot_be_acknowledged, setup),
        cmocka_unit_test_setup(three_later_acks_send_a_lost_message_at_once_but_once_a_round_trip,
                               setup),
        cmocka_unit_test_setup(a_fast_resend_waits_for_a_round_trip, setup),
        cmocka_unit_test_setup(
            an_answer_to_one_of_two_transmissions_does_not_measure_the_round_trip, setup),
        cmocka_unit_test_setup(messages_are_delivered_once_and_in_order, setup),
        cmocka_unit_test_setup(ids_beyond_the_window_are_refused_without_an_ack, setup),
        cmocka_unit_test_setup(a_payload_longer_than_a_buffer_is_refused_without_an_ack, setup),
        cmocka_unit_test_setup(an_empty_message_is_delivered_too, setup),
        cmocka_unit_test_setup(new_acks_go_first_and_old_ones_are_repeated, setup),
        cmocka_unit_test_setup(a_duplicate_is_acknowledged_again, setup),
        cmocka_unit_test_setup(only_the_last_eight_acks_are_kept, setup),
        cmocka_unit_test_setup(without_tls_messages_are_acknowledged_and_forgotten, setup),
        cmocka_unit_test(a_bad_channel_delivers_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
