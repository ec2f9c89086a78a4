#include "cad/record.h"
#include "folder.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define NOW INT64_C(1800000000)
#define DAY INT64_C(86400)

static char folder[96], path[PATH_MAX];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/state/deep", test_folder);
    snprintf(path, sizeof path, "%s/%s", folder, CAD_RECORD_FILE);
    unlink(path);
    return 0;
}

static struct cad_record *open_at(int64_t now)
{
    char error[CAD_RECORD_ERROR] = "";
    struct cad_record *record = cad_record_open(folder, now, error);
    if (!record) {
        fail_msg("%s", error);
    }
    return record;
}

static const char *refusal(void)
{
    static char error[CAD_RECORD_ERROR];
    assert_null(cad_record_open(folder, NOW, error));
    return error;
}

static struct cad_issued_entry entry_of(uint32_t number, int64_t until)
{
    struct cad_issued_entry entry = {
        .kind = AMM_CAD_GATEWAY, .not_before = NOW, .not_after = until, .issuer = {9}};
    amm_store_u32(entry.approval, number);
    amm_store_u32(entry.serial + 4, number);
    amm_store_u32(entry.key_hash, number);
    snprintf(entry.name, sizeof entry.name, "gw-%u", number);
    return entry;
}

static void issue(struct cad_record *record, uint32_t number, int64_t until)
{
    char error[CAD_RECORD_ERROR] = "", certificate[64];
    struct cad_issued_entry entry = entry_of(number, until);
    snprintf(certificate, sizeof certificate, "certificate of %u\n", number);
    if (!cad_record_issue(record, &entry, certificate, error)) {
        fail_msg("%s", error);
    }
}

static void withdraw(struct cad_record *record, uint32_t number)
{
    char error[CAD_RECORD_ERROR] = "";
    struct amm_cad_revocation revocation = {.kind = AMM_CAD_GATEWAY, .at = NOW + number};
    amm_store_u32(revocation.serial + 4, number);
    if (!cad_record_revoke(record, &revocation, error)) {
        fail_msg("%s", error);
    }
}

static void has(const struct cad_record *record, uint32_t number, bool is_revoked)
{
    char certificate[AMM_CAD_TEXT], wanted[64];
    struct cad_issued_entry entry = entry_of(number, 0);
    const struct cad_issued_entry *found = cad_record_by_approval(record, entry.approval);
    assert_non_null(found);
    assert_ptr_equal(found, cad_record_by_serial(record, entry.serial));
    assert_string_equal(found->name, entry.name);
    assert_memory_equal(found->key_hash, entry.key_hash, sizeof entry.key_hash);
    assert_int_equal(found->issuer[0], 9);
    assert_true(cad_record_certificate(record, found, certificate));
    snprintf(wanted, sizeof wanted, "certificate of %u\n", number);
    assert_string_equal(certificate, wanted);
    assert_true(cad_record_is_revoked(record, entry.serial) == is_revoked);
}

static void has_not(const struct cad_record *record, uint32_t number)
{
    struct cad_issued_entry entry = entry_of(number, 0);
    assert_null(cad_record_by_approval(record, entry.approval));
    assert_null(cad_record_by_serial(record, entry.serial));
}

static void everything_is_there_after_a_restart(void **state)
{
    (void)state;
    enum { MANY = 2000 };
    struct cad_record *record = open_at(NOW);
    for (uint32_t i = 1; i <= MANY; i++) {
        issue(record, i, NOW + DAY);
        if (i % 3 == 0) {
            withdraw(record, i);
        }
    }
    for (int round = 0; round < 2; round++) {
        assert_int_equal(cad_record_issued(record), MANY);
        assert_int_equal(cad_record_revoked(record), MANY / 3);
        assert_true(cad_record_revocation(record, 0)->at == NOW + 3);
        for (uint32_t i = 1; i <= MANY; i++) {
            has(record, i, i % 3 == 0);
        }
        has_not(record, MANY + 1);
        cad_record_close(record);
        record = open_at(NOW);
    }
    cad_record_close(record);
}

static void only_one_process_keeps_a_record(void **state)
{
    (void)state;
    struct cad_record *record = open_at(NOW);
    assert_non_null(strstr(refusal(), "another amm-cad"));
    cad_record_close(record);
}

static void what_is_revoked_twice_stands_once(void **state)
{
    (void)state;
    struct cad_record *record = open_at(NOW);
    withdraw(record, 5);
    struct stat before, after;
    assert_int_equal(stat(path, &before), 0);
    withdraw(record, 5);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    assert_int_equal(cad_record_revoked(record), 1);
    cad_record_close(record);
}

/* The file cut at each byte behind its first entry: what was whole is there, what was not is as if
 * it had never been, and the next entry is good. */
static void an_entry_that_was_cut_off_is_taken_away(void **state)
{
    (void)state;
    struct cad_record *record = open_at(NOW);
    struct stat one, two;
    issue(record, 1, NOW + DAY);
    assert_int_equal(stat(path, &one), 0);
    issue(record, 2, NOW + DAY);
    assert_int_equal(stat(path, &two), 0);
    cad_record_close(record);
    for (off_t cut = two.st_size - 1; cut >= one.st_size; cut--) {
        assert_int_equal(truncate(path, cut), 0);
        record = open_at(NOW);
        has(record, 1, false);
        has_not(record, 2);
        cad_record_close(record);
    }
    /* What is left of it goes before the next entry comes, which may be shorter. */
    record = open_at(NOW);
    issue(record, 2, NOW + DAY);
    cad_record_close(record);
    assert_int_equal(truncate(path, two.st_size - 1), 0);
    record = open_at(NOW);
    withdraw(record, 1);
    cad_record_close(record);
    struct stat after;
    assert_int_equal(stat(path, &after), 0);
    assert_true(after.st_size < two.st_size - 1 && after.st_size > one.st_size);
    record = open_at(NOW);
    has(record, 1, true);
    has_not(record, 2);
    cad_record_close(record);

    /* Blocks that were given to the file but not written. */
    assert_int_equal(truncate(path, two.st_size + 100000), 0);
    record = open_at(NOW);
    issue(record, 3, NOW + DAY);
    cad_record_close(record);
    record = open_at(NOW);
    has(record, 1, true);
    has(record, 3, false);
    assert_int_equal(cad_record_issued(record), 2);
    cad_record_close(record);
}

static void a_damaged_entry_is_an_error_and_nothing_is_changed(void **state)
{
    (void)state;
    struct cad_record *record = open_at(NOW);
    struct stat one, three;
    issue(record, 1, NOW + DAY);
    assert_int_equal(stat(path, &one), 0);
    issue(record, 2, NOW + DAY);
    withdraw(record, 2);
    cad_record_close(record);
    for (off_t at = 17; at < one.st_size; at += 7) {
        int fd = open(path, O_RDWR);
        uint8_t byte;
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        assert_non_null(strstr(refusal(), "damaged at byte 17"));
        byte ^= 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        close(fd);
    }
    assert_int_equal(stat(path, &three), 0);
    record = open_at(NOW);
    has(record, 2, true);
    cad_record_close(record);
    assert_true(three.st_size > one.st_size);
}

static void another_kind_of_file_is_refused(void **state)
{
    (void)state;
    cad_record_close(open_at(NOW));
    int fd = open(path, O_RDWR | O_TRUNC);
    assert_int_equal(write(fd, "something else of some length", 29), 29);
    close(fd);
    assert_non_null(strstr(refusal(), "not a record of amm-cad"));
}

static void a_full_disk_loses_nothing_and_is_over_when_there_is_room(void **state)
{
    (void)state;
    struct cad_record *record = open_at(NOW);
    struct stat before, after;
    struct rlimit limit, small;
    char error[CAD_RECORD_ERROR] = "";
    struct cad_issued_entry entry = entry_of(2, NOW + DAY);
    issue(record, 1, NOW + DAY);
    assert_int_equal(stat(path, &before), 0);
    getrlimit(RLIMIT_FSIZE, &limit);
    small = limit;
    small.rlim_cur = (rlim_t)before.st_size + 40; /* in the middle of an entry */
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    assert_false(cad_record_issue(record, &entry, "text", error));
    setrlimit(RLIMIT_FSIZE, &limit);
    assert_non_null(strstr(error, "cannot be written"));
    has_not(record, 2);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    issue(record, 2, NOW + DAY);
    cad_record_close(record);
    record = open_at(NOW);
    has(record, 1, false);
    has(record, 2, false);
    cad_record_close(record);
}

static void what_is_over_is_forgotten_but_never_a_revocation(void **state)
{
    (void)state;
    struct cad_record *record = open_at(NOW);
    for (uint32_t i = 1; i <= 10; i++) {
        issue(record, i, i <= 5 ? NOW + DAY : NOW + 500 * DAY);
    }
    withdraw(record, 1);
    withdraw(record, 6);
    struct stat before, after;
    assert_int_equal(stat(path, &before), 0);
    cad_record_close(record);
    record = open_at(NOW + 400 * DAY);
    assert_int_equal(cad_record_issued(record), 10);
    cad_record_close(record);
    record = open_at(NOW + 402 * DAY);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(cad_record_issued(record), 5);
        assert_int_equal(cad_record_revoked(record), 2);
        has_not(record, 1);
        has(record, 6, true);
        has(record, 10, false);
        assert_true(cad_record_is_revoked(record, entry_of(1, 0).serial));
        cad_record_close(record);
        record = open_at(NOW);
    }
    assert_int_equal(stat(path, &after), 0);
    assert_true(after.st_size < before.st_size);
    issue(record, 11, NOW);
    cad_record_close(record);
    record = open_at(NOW);
    has(record, 11, false);
    cad_record_close(record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(everything_is_there_after_a_restart, set_up),
        cmocka_unit_test_setup(only_one_process_keeps_a_record, set_up),
        cmocka_unit_test_setup(what_is_revoked_twice_stands_once, set_up),
        cmocka_unit_test_setup(an_entry_that_was_cut_off_is_taken_away, set_up),
        cmocka_unit_test_setup(a_damaged_entry_is_an_error_and_nothing_is_changed, set_up),
        cmocka_unit_test_setup(another_kind_of_file_is_refused, set_up),
        cmocka_unit_test_setup(a_full_disk_loses_nothing_and_is_over_when_there_is_room, set_up),
        cmocka_unit_test_setup(what_is_over_is_forgotten_but_never_a_revocation, set_up),
    };
    return cmocka_run_group_tests(tests, folder_set_up, folder_tear_down);
}
