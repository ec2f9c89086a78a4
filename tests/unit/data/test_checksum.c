/* data/offload: the checksum, against the sum by the book. */
#include "data/offload.h"

#include "base/random.h"
#include "support/packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void the_example_of_rfc_1071_comes_out(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    assert_int_equal(amm_checksum(amm_view(bytes, sizeof bytes), 0), 0xddf2);
    assert_int_equal(amm_checksum(amm_view(NULL, 0), 0x12345), 0x2346);
}

static void every_length_and_alignment_agrees_with_the_book(void **state)
{
    (void)state;
    struct amm_seeded_random seeded;
    amm_seeded_random_init(&seeded, 1);
    struct amm_random random = amm_seeded_random(&seeded);
    uint8_t *data = malloc(70000);
    amm_random_fill(&random, data, 70000);
    for (size_t len = 0; len < 300; len++) {
        for (size_t offset = 0; offset < 17; offset++) {
            uint32_t start = (uint32_t)amm_random_below(&random, 0x40000);
            assert_int_equal(amm_checksum(amm_view(data + offset, len), start),
                             packet_sum(data + offset, len, start));
        }
    }
    memset(data, 0xff, 70000); /* the largest sums */
    for (size_t len = 65400; len < 65536; len++) {
        assert_int_equal(amm_checksum(amm_view(data, len), 0), packet_sum(data, len, 0));
    }
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_rfc_1071_comes_out),
        cmocka_unit_test(every_length_and_alignment_agrees_with_the_book),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
