#include "manager/password.h"

#include "io/clock.h"

#include <argon2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_hash_knows_its_password_and_no_other(void **state)
{
    struct amm_random random = amm_kernel_random();
    char first[PASSWORD_ENCODED_MAX], second[PASSWORD_ENCODED_MAX];
    (void)state;
    assert_true(password_hash("correct horse", &random, first));
    assert_true(password_hash("correct horse", &random, second));
    assert_string_not_equal(first, second); /* each has a salt of its own */
    assert_non_null(strstr(first, "$argon2id$v=19$m=19456,t=2,p=1$"));
    assert_true(password_verify("correct horse", first));
    assert_false(password_verify("correct horsf", first));
    assert_false(password_verify("", first));
    assert_false(password_verify("correct horse", ""));
    assert_false(password_verify("correct horse", "$argon2id$"));
}

/* Nothing that is refused before the work: it must take as long as a hash of somebody. */
static void the_decoy_costs_what_a_hash_costs(void **state)
{
    struct amm_random random = amm_kernel_random();
    char real[PASSWORD_ENCODED_MAX];
    (void)state;
    assert_true(password_hash("x", &random, real));
    assert_int_equal(argon2id_verify(password_decoy(), "x", 1), ARGON2_VERIFY_MISMATCH);
    size_t parameters = strlen("$argon2id$v=19$m=19456,t=2,p=1$");
    assert_memory_equal(password_decoy(), real, parameters);
}

static void passwords_that_are_none_are_refused(void **state)
{
    char reason[128], long_one[PASSWORD_MAX + 2];
    (void)state;
    memset(long_one, 'a', sizeof long_one - 1);
    long_one[1] = 'b';
    long_one[sizeof long_one - 1] = '\0';
    assert_false(password_is_fine("", "anna", reason, sizeof reason));
    assert_false(password_is_fine("short", "anna", reason, sizeof reason));
    assert_false(password_is_fine(long_one, "anna", reason, sizeof reason));
    assert_false(password_is_fine("aaaaaaaaaaaaaa", "anna", reason, sizeof reason));
    assert_false(password_is_fine("Administrator1", "administrator", reason, sizeof reason));
    assert_true(password_is_fine("a long password", "anna", reason, sizeof reason));
    long_one[PASSWORD_MAX] = '\0';
    assert_true(password_is_fine(long_one, "anna", reason, sizeof reason));
}

static void made_passwords_differ_and_are_fine(void **state)
{
    struct amm_random random = amm_kernel_random();
    char one[PASSWORD_GENERATED], other[PASSWORD_GENERATED], reason[128];
    (void)state;
    password_generate(&random, one);
    password_generate(&random, other);
    assert_string_not_equal(one, other);
    assert_int_equal(strlen(one), 19);
    assert_int_equal(one[4], '-');
    assert_true(password_is_fine(one, "admin", reason, sizeof reason));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hash_knows_its_password_and_no_other),
        cmocka_unit_test(the_decoy_costs_what_a_hash_costs),
        cmocka_unit_test(passwords_that_are_none_are_refused),
        cmocka_unit_test(made_passwords_differ_and_are_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
