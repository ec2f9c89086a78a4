/* Files, programs, unix sockets, the loop, users: what the daemons use of the system. */
#include "io/clock.h"
#include "io/file.h"
#include "io/loop.h"
#include "io/netns.h"
#include "io/owner.h"
#include "io/privilege.h"
#include "io/spawn.h"
#include "io/tcp.h"
#include "io/unix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char error[512], folder[] = "/tmp/amm-unit-XXXXXX", path[128];

static const char *in_folder(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    const char *const argv[] = {"rm", "-r", folder, NULL};
    return !amm_spawn(argv, amm_view("", 0), error, sizeof error);
}

/* ---- files ---- */

static void a_file_is_replaced_whole_with_its_mode(void **state)
{
    (void)state;
    struct amm_span text;
    struct stat info;
    assert_true(amm_file_write(in_folder("a"), amm_view_str("one"), 0600, error, sizeof error));
    assert_true(
        amm_file_write(in_folder("a"), amm_view_str("two, longer"), 0640, error, sizeof error));
    assert_true(amm_file_read(in_folder("a"), 100, &text, error, sizeof error));
    assert_string_equal((const char *)text.data, "two, longer");
    assert_int_equal(text.len, 11);
    free(text.data);
    assert_int_equal(stat(in_folder("a"), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);
}

static void files_that_cannot_be_read_are_named(void **state)
{
    (void)state;
    struct amm_span text;
    assert_false(amm_file_read(in_folder("none"), 100, &text, error, sizeof error));
    assert_non_null(strstr(error, "/none: No such file or directory"));
    assert_false(amm_file_read(folder, 100, &text, error, sizeof error));
    assert_non_null(strstr(error, "not a regular file"));
    assert_true(amm_file_write(in_folder("big"), amm_view_str("12345"), 0600, error, sizeof error));
    assert_false(amm_file_read(in_folder("big"), 4, &text, error, sizeof error));
    assert_non_null(strstr(error, "larger than 4 bytes"));
    assert_true(amm_file_read(in_folder("big"), 5, &text, error, sizeof error));
    free(text.data);
    assert_false(
        amm_file_write(in_folder("no/such"), amm_view_str("x"), 0600, error, sizeof error));
    assert_non_null(strstr(error, "No such file"));
}

static void folders_are_made_with_those_above(void **state)
{
    (void)state;
    struct stat info;
    assert_true(amm_directory_make(in_folder("x/y/z"), 0700, error, sizeof error));
    assert_true(amm_directory_make(in_folder("x/y/z"), 0700, error, sizeof error));
    assert_int_equal(stat(in_folder("x/y/z"), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    assert_true(amm_file_write(in_folder("file"), amm_view_str(""), 0600, error, sizeof error));
    assert_false(amm_directory_make(in_folder("file"), 0700, error, sizeof error));

    char real[128];
    snprintf(real, sizeof real, "%s", in_folder("x"));
    assert_true(amm_directory_give(real, getuid(), getgid(), error, sizeof error));
    assert_int_equal(symlink(real, in_folder("link")), 0);
    assert_false(amm_directory_give(in_folder("link"), getuid(), getgid(), error, sizeof error));
    assert_non_null(strstr(error, "link"));
    assert_int_equal(unlink(in_folder("link")), 0);
}

/* ---- programs ---- */

static void a_program_gets_its_input_and_its_failure_is_told(void **state)
{
    (void)state;
    const char *const compare[] = {"grep", "-q", "^needle$", NULL};
    assert_true(amm_spawn(compare, amm_view_str("hay\nneedle\n"), error, sizeof error));
    assert_false(amm_spawn(compare, amm_view_str("hay\n"), error, sizeof error));
    assert_string_equal(error, "grep: exit code 1: ");
    const char *const complain[] = {"ls", "/no/such/file", NULL};
    assert_false(amm_spawn(complain, amm_view("", 0), error, sizeof error));
    assert_non_null(strstr(error, "No such file or directory"));
    const char *const missing[] = {"amm-no-such-program", NULL};
    assert_false(amm_spawn(missing, amm_view("", 0), error, sizeof error));
    assert_non_null(strstr(error, "exit code 127: cannot start"));
}

static void arguments_are_not_read_by_a_shell(void **state)
{
    (void)state;
    const char *const argv[] = {"test", "$(echo x)", "=", "x", NULL};
    assert_false(amm_spawn(argv, amm_view("", 0), error, sizeof error));
}

/* ---- unix sockets ---- */

static void packets_keep_their_borders_and_carry_descriptors(void **state)
{
    (void)state;
    int ends[2], got[2];
    uint8_t buffer[64];
    size_t len, n = 2;
    assert_true(amm_unix_pair(ends));
    struct amm_span room = {buffer, sizeof buffer};
    assert_int_equal(amm_unix_receive(ends[1], room, &len, got, &n), AMM_UNIX_AGAIN);
    assert_int_equal(amm_unix_send(ends[0], amm_view("abc", 3), (int[]){0, 1}, 2), AMM_UNIX_OK);
    assert_int_equal(amm_unix_send(ends[0], amm_view("d", 1), NULL, 0), AMM_UNIX_OK);
    n = 2;
    assert_int_equal(amm_unix_receive(ends[1], room, &len, got, &n), AMM_UNIX_OK);
    assert_int_equal(len, 3);
    assert_int_equal(n, 2);
    close(got[0]);
    close(got[1]);
    n = 2;
    assert_int_equal(amm_unix_receive(ends[1], room, &len, got, &n), AMM_UNIX_OK);
    assert_int_equal(len, 1);
    assert_int_equal(n, 0);
    close(ends[0]);
    n = 2;
    assert_int_equal(amm_unix_receive(ends[1], room, &len, got, &n), AMM_UNIX_CLOSED);
    close(ends[1]);
}

static unsigned open_descriptors(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 256; fd++) {
        struct stat info;
        n += fstat(fd, &info) == 0 ? 1 : 0;
    }
    return n;
}

static void descriptors_that_nobody_wants_are_closed(void **state)
{
    (void)state;
    int ends[2], got[1];
    uint8_t buffer[4];
    size_t len, n = 1;
    assert_true(amm_unix_pair(ends));
    unsigned before = open_descriptors();
    assert_int_equal(amm_unix_send(ends[0], amm_view("ab", 2), (int[]){0, 1, 2}, 3), AMM_UNIX_OK);
    assert_int_equal(amm_unix_receive(ends[1], (struct amm_span){buffer, 4}, &len, NULL, NULL),
                     AMM_UNIX_OK);
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(amm_unix_send(ends[0], amm_view("ab", 2), (int[]){0, 1, 2}, 3), AMM_UNIX_OK);
    assert_int_equal(amm_unix_receive(ends[1], (struct amm_span){buffer, 4}, &len, got, &n),
                     AMM_UNIX_OK);
    assert_int_equal(n, 1);
    close(got[0]);
    assert_int_equal(open_descriptors(), before);
    n = 1;
    assert_int_equal(amm_unix_send(ends[0], amm_view("too long", 8), (int[]){0}, 1), AMM_UNIX_OK);
    assert_int_equal(amm_unix_receive(ends[1], (struct amm_span){buffer, 4}, &len, got, &n),
                     AMM_UNIX_CLOSED);
    assert_int_equal(open_descriptors(), before);
    close(ends[0]);
    close(ends[1]);
}

static void a_socket_file_is_replaced_only_when_nobody_serves_it(void **state)
{
    (void)state;
    struct amm_unix_peer peer;
    struct stat info;
    int first = amm_unix_listen(in_folder("s"), 0660, (gid_t)-1, error, sizeof error);
    assert_true(first >= 0);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0660);
    assert_int_equal(amm_unix_listen(path, 0660, (gid_t)-1, error, sizeof error), -1);
    assert_non_null(strstr(error, "another process serves this socket"));
    int client = amm_unix_connect(path, error, sizeof error);
    assert_true(client >= 0);
    assert_true(amm_unix_peer(client, &peer));
    assert_int_equal(peer.pid, getpid());
    close(client);
    close(first);
    assert_int_equal(amm_unix_connect(path, error, sizeof error), -1);
    int second = amm_unix_listen(path, 0660, (gid_t)-1, error, sizeof error);
    assert_true(second >= 0);
    close(second);
    assert_true(
        amm_file_write(in_folder("plain"), amm_view_str("mine"), 0600, error, sizeof error));
    assert_int_equal(amm_unix_listen(path, 0660, (gid_t)-1, error, sizeof error), -1);
    assert_int_equal(access(path, F_OK), 0);
}

/* ---- the loop ---- */

static void the_loop_tells_what_is_ready(void **state)
{
    (void)state;
    struct amm_ready ready[AMM_LOOP_READY];
    struct amm_loop *loop = amm_loop_new();
    int ends[2];
    assert_non_null(loop);
    assert_true(amm_unix_pair(ends));
    assert_true(amm_loop_add(loop, ends[0], AMM_READ, 42));
    assert_int_equal(amm_loop_wait(loop, 0, ready), 0);
    assert_int_equal(amm_unix_send(ends[1], amm_view("x", 1), NULL, 0), AMM_UNIX_OK);
    assert_int_equal(amm_loop_wait(loop, AMM_NEVER, ready), 1);
    assert_true(ready[0].tag == 42 && ready[0].readable && !ready[0].writable);
    assert_true(amm_loop_change(loop, ends[0], AMM_WRITE, 43));
    assert_int_equal(amm_loop_wait(loop, AMM_NEVER, ready), 1);
    assert_true(ready[0].tag == 43 && ready[0].writable && !ready[0].readable);
    close(ends[1]);
    assert_int_equal(amm_loop_wait(loop, AMM_NEVER, ready), 1);
    assert_true(ready[0].closed);
    amm_loop_remove(loop, ends[0]);
    assert_int_equal(amm_loop_wait(loop, 0, ready), 0);
    close(ends[0]);
    amm_loop_free(loop);
}

/* ---- names ---- */

static void users_are_found_by_name_or_number(void **state)
{
    (void)state;
    struct amm_user user;
    assert_true(amm_user_find("root", &user, error, sizeof error));
    assert_int_equal(user.uid, 0);
    assert_true(amm_user_find("61234", &user, error, sizeof error));
    assert_int_equal(user.uid, 61234);
    assert_int_equal(user.gid, 61234);
    assert_false(amm_user_find("amm-no-such-user", &user, error, sizeof error));
    assert_non_null(strstr(error, "does not exist"));
    assert_false(amm_user_find("", &user, error, sizeof error));
}

static void names_of_namespaces_cannot_be_paths(void **state)
{
    (void)state;
    static const char *const bad[] = {"", ".", "..", "a/b", "-x", "a b", "\xc3\xa4"};
    assert_true(amm_netns_name_ok("amm-1.x_Y"));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(amm_netns_name_ok(bad[i]));
    }
}

static void the_owner_of_a_port_is_named(void **state)
{
    (void)state;
    char owner[64], mine[32];
    struct amm_address local = {.ip = {127, 0, 0, 1}, .family = AMM_FAMILY_IPV4}, bound;
    int fd = amm_tcp_listen(&local, false, error, sizeof error);
    assert_true(fd >= 0);
    assert_int_equal(amm_tcp_connect_result(fd, &bound), 0);
    assert_true(amm_port_owner(true, bound.port, owner, sizeof owner));
    snprintf(mine, sizeof mine, "(pid %d)", getpid());
    assert_non_null(strstr(owner, mine));
    close(fd);
    assert_false(amm_port_owner(true, bound.port, owner, sizeof owner));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_replaced_whole_with_its_mode),
        cmocka_unit_test(files_that_cannot_be_read_are_named),
        cmocka_unit_test(folders_are_made_with_those_above),
        cmocka_unit_test(a_program_gets_its_input_and_its_failure_is_told),
        cmocka_unit_test(arguments_are_not_read_by_a_shell),
        cmocka_unit_test(packets_keep_their_borders_and_carry_descriptors),
        cmocka_unit_test(descriptors_that_nobody_wants_are_closed),
        cmocka_unit_test(a_socket_file_is_replaced_only_when_nobody_serves_it),
        cmocka_unit_test(the_loop_tells_what_is_ready),
        cmocka_unit_test(users_are_found_by_name_or_number),
        cmocka_unit_test(names_of_namespaces_cannot_be_paths),
        cmocka_unit_test(the_owner_of_a_port_is_named),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
