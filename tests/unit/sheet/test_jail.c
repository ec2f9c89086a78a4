/* The cage of amm-sheet: what a child may not do, and that sheets come through it. */
#include "book.h"
#include "sheet/jail.h"
#include "sheet/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Ends of a child that does this in the cage. */
static int in_cage(void (*act)(void))
{
    pid_t child = fork();
    if (child == 0) {
        char error[128];
        if (!amm_sheet_jail(NULL, error, sizeof error)) {
            _exit(99);
        }
        act();
        _exit(7);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void nothing(void)
{
}

static void open_file(void)
{
    _exit(open("/etc/passwd", O_RDONLY) < 0 ? 8 : 7);
}

static void make_socket(void)
{
    _exit(socket(AF_INET, SOCK_STREAM, 0) < 0 ? 8 : 7);
}

static void fork_again(void)
{
    _exit(fork() < 0 ? 8 : 7);
}

static void take_memory(void)
{
    _exit(mmap(NULL, (size_t)AMM_SHEET_MEMORY + 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1,
               0) == MAP_FAILED
              ? 8
              : 7);
}

static bool was_stopped(int status)
{
    return WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 8);
}

static void a_child_may_do_next_to_nothing(void **state)
{
    (void)state;
    int status = in_cage(nothing);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
#ifdef __SANITIZE_ADDRESS__
    (void)make_socket, (void)fork_again, (void)take_memory; /* no filter in such builds */
    assert_true(was_stopped(in_cage(open_file)));
#else
    assert_true(was_stopped(in_cage(open_file)));
    assert_true(was_stopped(in_cage(make_socket)));
    assert_true(was_stopped(in_cage(fork_again)));
    assert_true(was_stopped(in_cage(take_memory)));
#endif
}

static bool count(void *context, const struct amm_sheet_row *row)
{
    (void)row;
    ++*(unsigned *)context;
    return true;
}

/* Has a file read by amm-sheet; its rows. */
static unsigned read_by(int server, const void *data, size_t len, char *error)
{
    int file = memfd_create("sheet", MFD_CLOEXEC);
    assert_int_equal(write(file, data, len), (ssize_t)len);
    int rows = amm_sheet_ask(server, file, error, AMM_SHEET_ERROR);
    close(file);
    assert_true(rows >= 0);
    struct amm_sheet_receiver receiver = {0};
    unsigned n = 0;
    struct amm_sheet_sink sink = {count, &n};
    uint8_t piece[4096];
    for (bool goes_on = true; goes_on;) {
        struct pollfd wait = {.fd = rows, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, 30000), 1);
        ssize_t got = read(rows, piece, sizeof piece);
        assert_true(got > 0);
        goes_on = amm_sheet_receive(&receiver, amm_view(piece, (size_t)got), &sink);
    }
    assert_true(receiver.is_over);
    snprintf(error, AMM_SHEET_ERROR, "%s", receiver.error);
    amm_sheet_receiver_deinit(&receiver);
    close(rows);
    return n;
}

static void sheets_come_through(void **state)
{
    (void)state;
    char error[AMM_SHEET_ERROR];
    int server = amm_sheet_start(AMM_SHEET_PROGRAM, error, sizeof error);
    assert_true(server >= 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(read_by(server, "a,b\n1,2\n", 8, error), 2);
        assert_string_equal(error, "");
        struct amm_span file = book("<row><c><v>1</v></c></row>", NULL, NULL);
        assert_int_equal(read_by(server, file.data, file.len, error), 1);
        assert_string_equal(error, "");
        free(file.data);
        assert_int_equal(read_by(server, "a,\"b", 4, error), 0);
        assert_non_null(strstr(error, "quote"));
        assert_int_equal(read_by(server, "PK\3\4nonsense", 12, error), 0);
        assert_non_null(strstr(error, "damaged"));
    }
    close(server);
    assert_int_equal(amm_sheet_start("/no/such/program", error, sizeof error), -1);
    assert_non_null(strstr(error, "/no/such/program"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_child_may_do_next_to_nothing),
                                       cmocka_unit_test(sheets_come_through)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
