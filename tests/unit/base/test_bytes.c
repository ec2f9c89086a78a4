/* base/bytes: the reader and the writer never leave their window, and a failure stays. */
#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void a_reader_reads_big_endian_numbers_in_order(void **state)
{
    (void)state;
    static const uint8_t wire[] = {1, 2, 3, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18};
    struct amm_reader r = amm_reader(amm_view(wire, sizeof wire));
    assert_int_equal(amm_read_u8(&r), 1);
    assert_int_equal(amm_read_u16(&r), 0x0203);
    assert_int_equal(amm_read_u32(&r), 0x0708090a);
    assert_int_equal(amm_read_u64(&r), 0x0b0c0d0e0f101112);
    assert_true(amm_reader_done(&r));
}

static void a_read_past_the_end_fails_for_good_and_gives_zero(void **state)
{
    (void)state;
    static const uint8_t wire[] = {0xff, 0xff, 0xff};
    struct amm_reader r = amm_reader(amm_view(wire, sizeof wire));
    assert_int_equal(amm_read_u32(&r), 0);
    assert_true(r.failed);
    assert_int_equal(amm_read_u8(&r), 0); /* though a byte would be there */
    assert_int_equal(amm_reader_left(&r), 0);
    assert_false(amm_reader_done(&r));
}

static void a_reader_with_bytes_left_is_not_done(void **state)
{
    (void)state;
    struct amm_reader r = amm_reader(amm_view("ab", 2));
    amm_read_u8(&r);
    assert_false(amm_reader_done(&r));
    assert_int_equal(amm_reader_left(&r), 1);
}

static void views_copies_and_the_rest_are_exact(void **state)
{
    (void)state;
    uint8_t copy[4] = {9, 9, 9, 9};
    struct amm_reader r = amm_reader(amm_view_str("abcdefgh"));
    assert_true(amm_view_equal(amm_read_bytes(&r, 3), amm_view_str("abc")));
    amm_read_copy(&r, copy, 2);
    assert_memory_equal(copy, "de\t\t", 4);
    assert_true(amm_view_equal(amm_read_rest(&r), amm_view_str("fgh")));
    assert_true(amm_reader_done(&r));
    amm_read_copy(&r, copy, 4);
    static const uint8_t zeros[4];
    assert_memory_equal(copy, zeros, 4);
    assert_null(amm_read_bytes(&r, 1).data);
}

static void an_impossible_length_does_not_wrap_around(void **state)
{
    (void)state;
    struct amm_reader r = amm_reader(amm_view_str("abc"));
    assert_null(amm_read_bytes(&r, SIZE_MAX).data);
    assert_true(r.failed);
}

static void an_empty_view_can_be_read(void **state)
{
    (void)state;
    struct amm_reader r = amm_reader(amm_view(NULL, 0));
    assert_true(amm_reader_done(&r));
    assert_int_equal(amm_read_rest(&r).len, 0);
    assert_int_equal(amm_read_u8(&r), 0);
    assert_true(r.failed);
}

static void what_is_written_can_be_read(void **state)
{
    (void)state;
    uint8_t buffer[64];
    struct amm_writer w = amm_writer(buffer, sizeof buffer);
    amm_write_u8(&w, 1);
    amm_write_u16(&w, 0x0203);
    amm_write_u32(&w, 0x0708090a);
    amm_write_u64(&w, 0x0b0c0d0e0f101112);
    amm_write_str(&w, "hi");
    amm_write_view(&w, amm_view("!", 1));
    amm_write_text(&w, "%d,%s", 7, "x");
    static const uint8_t expected[] = {1,  2,  3,  7,  8,   9,   10,  11,  12,  13, 14,
                                       15, 16, 17, 18, 'h', 'i', '!', '7', ',', 'x'};
    assert_int_equal(amm_writer_len(&w), sizeof expected);
    assert_memory_equal(buffer, expected, sizeof expected);
}

static void a_writer_that_is_full_writes_nothing_more(void **state)
{
    (void)state;
    uint8_t buffer[4] = {0, 0, 0, 0xaa};
    struct amm_writer w = amm_writer(buffer, 3);
    amm_write_u16(&w, 0x1111);
    amm_write_u16(&w, 0x2222);
    assert_true(w.failed);
    assert_int_equal(amm_writer_len(&w), 0);
    assert_int_equal(amm_writer_room(&w), 0);
    amm_write_u8(&w, 0x33); /* would fit */
    static const uint8_t expected[] = {0x11, 0x11, 0, 0xaa};
    assert_memory_equal(buffer, expected, sizeof expected);
    assert_null(amm_write_gap(&w, 0));
}

static void text_fits_without_its_nul(void **state)
{
    (void)state;
    char buffer[6] = "-----";
    struct amm_writer w = amm_writer(buffer, 5);
    amm_write_text(&w, "%05d", 42);
    assert_int_equal(amm_writer_len(&w), 5);
    assert_memory_equal(buffer, "00042", 6);
    amm_write_text(&w, "%s", "");
    assert_false(w.failed);
    amm_write_text(&w, "x");
    assert_true(w.failed);
}

static void secrets_are_compared_to_the_last_byte(void **state)
{
    (void)state;
    uint8_t a[32], b[32];
    memset(a, 7, sizeof a);
    memcpy(b, a, sizeof b);
    assert_true(amm_equal_secret(a, b, sizeof a));
    for (size_t i = 0; i < sizeof b; i++) {
        b[i] ^= 0x80;
        assert_false(amm_equal_secret(a, b, sizeof a));
        b[i] ^= 0x80;
    }
    assert_true(amm_equal_secret(a, b, 0));
}

static void wiping_leaves_zeros(void **state)
{
    (void)state;
    uint8_t key[16];
    static const uint8_t zeros[16];
    memset(key, 0x55, sizeof key);
    amm_wipe(key, sizeof key);
    assert_memory_equal(key, zeros, sizeof key);
    amm_wipe(NULL, 0);
}

static void views_of_different_length_differ(void **state)
{
    (void)state;
    assert_false(amm_view_equal(amm_view_str("ab"), amm_view_str("abc")));
    assert_false(amm_view_equal(amm_view_str("abd"), amm_view_str("abc")));
    assert_true(amm_view_equal(amm_view(NULL, 0), amm_view_str("")));
}

static void text_from_a_peer_is_made_harmless(void **state)
{
    (void)state;
    char out[8];
    amm_text_clean(out, sizeof out, amm_view("a\n\x1b\x7f\xff~ b", 8));
    assert_string_equal(out, "a____~ ");
    amm_text_clean(out, 1, amm_view_str("x"));
    assert_string_equal(out, "");
    amm_text_clean(NULL, 0, amm_view_str("x"));

    static const char euro[] = "a\xe2\x82\xac\xf0\x9f\x98\x80z";
    static const int whole[] = {0, 1, 1, 1, 4, 4, 4, 4, 8, 9, 9, 9};
    for (size_t most = 0; most < sizeof whole / sizeof whole[0]; most++) {
        assert_int_equal(amm_text_part(euro, most), whole[most]);
    }
    assert_int_equal(amm_text_part("\x80\x80\x80\x80\x80", 9), 5); /* never was any */
    assert_int_equal(amm_text_part("\xc3", 9), 0);
}

static void hex_goes_both_ways_and_refuses_other_characters(void **state)
{
    (void)state;
    uint8_t bytes[3];
    char text[7];
    assert_true(amm_unhex(bytes, 3, "00Fa9c"));
    amm_hex(text, amm_view(bytes, 3));
    assert_string_equal(text, "00fa9c");
    assert_false(amm_unhex(bytes, 3, "00fg9c"));
    assert_false(amm_unhex(bytes, 3, "00fa9"));
    assert_false(amm_unhex(bytes, 3, ""));
    assert_false(amm_unhex(bytes, 1, " 1"));
}

static void loads_and_stores_are_inverse(void **state)
{
    (void)state;
    uint8_t p[4];
    amm_store_u16(p, 0xfedc);
    assert_int_equal(p[0], 0xfe);
    assert_int_equal(amm_load_u16(p), 0xfedc);
    amm_store_u24(p, 0xfedcba);
    assert_int_equal(amm_load_u24(p), 0xfedcba);
    amm_store_u32(p, 0xfedcba98);
    assert_int_equal(amm_load_u32(p), 0xfedcba98);
    assert_int_equal(p[3], 0x98);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_reads_big_endian_numbers_in_order),
        cmocka_unit_test(a_read_past_the_end_fails_for_good_and_gives_zero),
        cmocka_unit_test(a_reader_with_bytes_left_is_not_done),
        cmocka_unit_test(views_copies_and_the_rest_are_exact),
        cmocka_unit_test(an_impossible_length_does_not_wrap_around),
        cmocka_unit_test(an_empty_view_can_be_read),
        cmocka_unit_test(what_is_written_can_be_read),
        cmocka_unit_test(a_writer_that_is_full_writes_nothing_more),
        cmocka_unit_test(text_fits_without_its_nul),
        cmocka_unit_test(secrets_are_compared_to_the_last_byte),
        cmocka_unit_test(wiping_leaves_zeros),
        cmocka_unit_test(views_of_different_length_differ),
        cmocka_unit_test(text_from_a_peer_is_made_harmless),
        cmocka_unit_test(hex_goes_both_ways_and_refuses_other_characters),
        cmocka_unit_test(loads_and_stores_are_inverse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
