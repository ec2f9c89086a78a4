/* web_account.h, web_hasher.h, and the key of web_door.h: files of a first start, and passwords. */
#include "web_account.h"
#include "web_door.h"
#include "web_hasher.h"

#include "io/clock.h"
#include "io/file.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static struct amm_random fixed;

static int new_folder(void **state)
{
    (void)state;
    fixed = amm_kernel_random();
    snprintf(folder, sizeof folder, "/tmp/amm-accounts-XXXXXX");
    return mkdtemp(folder) ? 0 : 1;
}

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {ACE_PAGES_LABEL, ACE_PAGES_ACCOUNTS, "page-tls.pem"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        unlink(path_of(names[i]));
    }
    return rmdir(folder);
}

/* The file as text, to be freed; NULL if it is not there. */
static char *text_of(const char *name)
{
    struct amm_span file;
    char error[256];
    return amm_file_read(path_of(name), 8192, &file, error, sizeof error) ? (char *)file.data
                                                                          : NULL;
}

static void first_password(char out[WEB_FIRST])
{
    char *label = text_of(ACE_PAGES_LABEL);
    assert_non_null(label);
    const char *at = strstr(label, "password: ");
    assert_non_null(at);
    snprintf(out, WEB_FIRST, "%.14s", at + 10);
    free(label);
}

static bool open_accounts(struct web_accounts *accounts)
{
    char error[256] = "";
    return web_accounts_open(accounts, folder, "A1B2", &fixed, error, sizeof error);
}

static void the_first_password_is_on_the_label_alone(void **state)
{
    (void)state;
    struct web_accounts accounts;
    struct stat info;
    char first[WEB_FIRST];
    assert_true(open_accounts(&accounts));
    first_password(first);
    assert_int_equal(strlen(first), 14);
    assert_true(accounts.at[WEB_USER].is_first);
    assert_true(web_password_right(first, accounts.at[WEB_USER].hash));
    assert_string_equal(accounts.at[WEB_VIEWER].hash, "");
    assert_int_equal(stat(path_of(ACE_PAGES_LABEL), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(stat(path_of(ACE_PAGES_ACCOUNTS), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    char *text = text_of(ACE_PAGES_ACCOUNTS);
    assert_null(strstr(text, first));
    free(text);
}

static void a_changed_password_lasts_and_a_reset_goes_back(void **state)
{
    (void)state;
    struct web_accounts accounts;
    char hash[WEB_HASH], error[256], first[WEB_FIRST];
    assert_true(open_accounts(&accounts));
    assert_true(web_password_hash("correct horse", &fixed, hash));
    assert_true(web_accounts_set(&accounts, WEB_USER, hash, error, sizeof error));
    assert_true(open_accounts(&accounts));
    assert_false(accounts.at[WEB_USER].is_first);
    assert_string_equal(accounts.at[WEB_USER].hash, hash);
    first_password(first);
    assert_int_equal(unlink(path_of(ACE_PAGES_ACCOUNTS)), 0); /* what a factory reset does */
    assert_true(open_accounts(&accounts));
    assert_true(web_password_right(first, accounts.at[WEB_USER].hash));
}

static void what_is_no_list_of_accounts_lets_nobody_in(void **state)
{
    (void)state;
    static const char *const broken[] = {"", "user changed x", "user changed x\nroot changed y\n",
                                         "\n\n", "user changed scrypt$1$1$1$a$b\n"};
    struct web_accounts accounts;
    char error[256];
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        assert_true(amm_file_write(path_of(ACE_PAGES_ACCOUNTS), amm_view_str(broken[i]), 0600,
                                   error, sizeof error));
        assert_false(web_accounts_open(&accounts, folder, "A1B2", &fixed, error, sizeof error));
        assert_non_null(strstr(error, "not a list of accounts"));
    }
}

static void a_folder_that_is_not_there_is_said(void **state)
{
    (void)state;
    struct web_accounts accounts;
    char error[256];
    assert_false(web_accounts_open(&accounts, "/nonexistent", "A1B2", &fixed, error, sizeof error));
    assert_non_null(strstr(error, "/nonexistent"));
}

static void a_save_that_fails_changes_nothing(void **state)
{
    (void)state;
    struct web_accounts accounts;
    char error[256], before[WEB_HASH], hash[WEB_HASH] = "scrypt$1$1$1$a$b";
    assert_true(amm_file_write(path_of(ACE_PAGES_ACCOUNTS),
                               amm_view_str("user label x\nviewer changed -\n"), 0600, error,
                               sizeof error));
    assert_true(open_accounts(&accounts));
    assert_string_equal(accounts.at[WEB_VIEWER].hash, "");
    snprintf(before, sizeof before, "%s", accounts.at[WEB_USER].hash);
    snprintf(accounts.path, sizeof accounts.path, "/nonexistent/accounts");
    assert_false(web_accounts_set(&accounts, WEB_USER, hash, error, sizeof error));
    assert_string_equal(accounts.at[WEB_USER].hash, before);
    assert_true(accounts.at[WEB_USER].is_first);
}

static void only_the_right_password_is_right(void **state)
{
    (void)state;
    char hash[WEB_HASH];
    static const char *const hashes[] = {
        "",
        "-",
        "scrypt",
        "scrypt$13$8$10$AAAA$BBBB",
        "scrypt$21$8$1$AAAAAAAAAAAAAAAAAAAAAA$x",
        "scrypt$13$8$10$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "plain",
        "scrypt$99$8$1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    assert_true(web_password_hash("correct horse", &fixed, hash));
    assert_true(web_password_right("correct horse", hash));
    assert_false(web_password_right("correct horsf", hash));
    assert_false(web_password_right(hash, hash)); /* a stolen hash is no password */
    for (size_t i = 0; i < sizeof hashes / sizeof hashes[0]; i++) {
        assert_false(web_password_right("plain", hashes[i]));
    }
}

static void weak_passwords_are_refused_in_words(void **state)
{
    (void)state;
    char longest[WEB_PASSWORD_MAX + 2];
    assert_non_null(web_password_objection(""));
    assert_non_null(web_password_objection("1234567"));
    assert_non_null(web_password_objection("aaaaaaaaaaaa"));
    assert_non_null(web_password_objection("PassWord"));
    assert_non_null(web_password_objection("12345678"));
    assert_null(web_password_objection("k7mq-2xhd-9vtr"));
    assert_null(web_password_objection("Пароль с пробелами"));
    memset(longest, 'a', sizeof longest);
    longest[0] = 'b';
    longest[WEB_PASSWORD_MAX + 1] = '\0';
    assert_non_null(web_password_objection(longest));
    longest[WEB_PASSWORD_MAX] = '\0';
    assert_null(web_password_objection(longest));
}

static struct web_hasher_job next_job(struct web_hasher *hasher)
{
    struct web_hasher_job job;
    while (!web_hasher_take(hasher, &job)) {
        struct pollfd ready = {.fd = web_hasher_fd(hasher), .events = POLLIN};
        assert_int_equal(poll(&ready, 1, 60000), 1);
    }
    return job;
}

static void jobs_are_done_in_order_and_bounded(void **state)
{
    (void)state;
    static const char cheap[] =
        "scrypt$1$1$1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    struct web_hasher *hasher = web_hasher_new(fixed);
    assert_non_null(hasher);
    struct web_hasher_job job = {.kind = WEB_LOGIN, .password = "secret!!"};
    snprintf(job.hash, sizeof job.hash, "%s", cheap);
    for (uint32_t i = 0; i < WEB_HASHER_JOBS; i++) {
        job.ref.connection = i;
        assert_true(web_hasher_submit(hasher, &job));
    }
    assert_false(web_hasher_submit(hasher, &job));
    for (uint32_t i = 0; i < WEB_HASHER_JOBS; i++) {
        struct web_hasher_job done = next_job(hasher);
        assert_int_equal(done.ref.connection, i);
        assert_false(done.is_right);
        assert_string_equal(done.password, "");
    }
    assert_true(web_hasher_submit(hasher, &job));
    assert_null(web_hasher_free(hasher)); /* with a job waiting */
}

static void the_key_is_made_once(void **state)
{
    (void)state;
    char *certificate, *key, *certificate2, *key2, warning[256];
    struct stat info;
    assert_true(web_door_key(folder, "acemanager", 1793500000, &certificate, &key, warning,
                             sizeof warning));
    assert_string_equal(warning, "");
    assert_int_equal(stat(path_of("page-tls.pem"), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_true(web_door_key(folder, "acemanager", 1793500000, &certificate2, &key2, warning,
                             sizeof warning));
    assert_string_equal(key, key2);
    assert_string_equal(certificate, certificate2);
    free(key2);
    free(certificate2);
    /* half a file is made anew */
    assert_true(amm_file_write(path_of("page-tls.pem"), amm_view_str(certificate), 0600, warning,
                               sizeof warning));
    assert_true(web_door_key(folder, "acemanager", 1793500000, &certificate2, &key2, warning,
                             sizeof warning));
    assert_string_not_equal(key, key2);
    free(key2);
    free(certificate2);
    /* a disk that cannot be written costs only the next start's key */
    assert_true(web_door_key("/nonexistent", "acemanager", 1793500000, &certificate2, &key2,
                             warning, sizeof warning));
    assert_string_not_equal(warning, "");
    free(key2);
    free(certificate2);
    free(key);
    free(certificate);
}

int main(void)
{
#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, new_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(the_first_password_is_on_the_label_alone),
        WITH_FOLDER(a_changed_password_lasts_and_a_reset_goes_back),
        WITH_FOLDER(what_is_no_list_of_accounts_lets_nobody_in),
        WITH_FOLDER(a_folder_that_is_not_there_is_said),
        WITH_FOLDER(a_save_that_fails_changes_nothing),
        WITH_FOLDER(only_the_right_password_is_right),
        WITH_FOLDER(weak_passwords_are_refused_in_words),
        WITH_FOLDER(jobs_are_done_in_order_and_bounded),
        WITH_FOLDER(the_key_is_made_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
