/* Rows on a pipe: whole, in any pieces; a sender that does not keep to the form. */
#include "sheet/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static bool count(void *context, const struct amm_sheet_row *row)
{
    assert_true(row->n > 0);
    ++*(unsigned *)context;
    return true;
}

/* What is sent for a file. */
static size_t sent(const char *file, uint8_t *out, size_t room)
{
    int fd = memfd_create("rows", MFD_CLOEXEC);
    assert_true(amm_sheet_send(amm_view_str(file), fd));
    ssize_t got = pread(fd, out, room, 0);
    close(fd);
    assert_true(got > 0 && (size_t)got < room);
    return (size_t)got;
}

static void pieces_of_any_size(void **state)
{
    (void)state;
    uint8_t bytes[512];
    size_t len = sent("a,b\n1,2\n3,4\n", bytes, sizeof bytes);
    for (size_t piece = 1; piece <= len; piece++) {
        struct amm_sheet_receiver receiver = {0};
        unsigned rows = 0;
        struct amm_sheet_sink sink = {count, &rows};
        for (size_t at = 0; at < len; at += piece) {
            size_t n = len - at < piece ? len - at : piece;
            assert_int_equal(amm_sheet_receive(&receiver, amm_view(bytes + at, n), &sink),
                             at + n < len);
        }
        assert_true(receiver.is_over);
        assert_string_equal(receiver.error, "");
        assert_int_equal(rows, 3);
        amm_sheet_receiver_deinit(&receiver);
    }
}

static void a_refusal_comes_through(void **state)
{
    (void)state;
    uint8_t bytes[1024];
    size_t len = sent("a,\"b", bytes, sizeof bytes);
    struct amm_sheet_receiver receiver = {0};
    unsigned rows = 0;
    struct amm_sheet_sink sink = {count, &rows};
    assert_false(amm_sheet_receive(&receiver, amm_view(bytes, len), &sink));
    assert_non_null(strstr(receiver.error, "does not end on its line"));
    amm_sheet_receiver_deinit(&receiver);
}

/* Each byte changed to each of a few others: never a row out of form, never a byte too far. */
static void nonsense_is_noticed(void **state)
{
    (void)state;
    static const uint8_t others[] = {0, 1, 0x7f, 0x80, 0xff, 'R', 'E', 'F'};
    uint8_t bytes[512], copy[512];
    size_t len = sent("a,b\n1,2\n", bytes, sizeof bytes);
    for (size_t i = 0; i < len * sizeof others; i++) {
        struct amm_sheet_receiver receiver = {0};
        unsigned rows = 0;
        struct amm_sheet_sink sink = {count, &rows};
        memcpy(copy, bytes, len);
        copy[i / sizeof others] = others[i % sizeof others];
        amm_sheet_receive(&receiver, amm_view(copy, len), &sink);
        amm_sheet_receiver_deinit(&receiver);
    }
    static const uint8_t rows_in_disorder[] = "R\0\0\0\x0c\0\0\0\2\0\1\0\0\0\0\1x"
                                              "R\0\0\0\x0c\0\0\0\2\0\1\0\0\0\0\1x";
    struct amm_sheet_receiver receiver = {0};
    unsigned rows = 0;
    struct amm_sheet_sink sink = {count, &rows};
    assert_false(amm_sheet_receive(&receiver,
                                   amm_view(rows_in_disorder, sizeof rows_in_disorder - 1), &sink));
    assert_non_null(strstr(receiver.error, "nonsense"));
    assert_int_equal(rows, 1);
    amm_sheet_receiver_deinit(&receiver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_of_any_size),
        cmocka_unit_test(a_refusal_comes_through),
        cmocka_unit_test(nonsense_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
