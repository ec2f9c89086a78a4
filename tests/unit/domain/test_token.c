/* domain/token.h */
#include "domain/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct amm_token sample(void)
{
    struct amm_token token;
    for (unsigned i = 0; i < AMM_TOKEN_SECRET; i++) {
        token.secret[i] = (uint8_t)(i * 17 + 3);
    }
    for (unsigned i = 0; i < AMM_TOKEN_PIN; i++) {
        token.ca_pin[i] = (uint8_t)(255 - i * 7);
    }
    return token;
}

static void token_comes_back_as_it_went(void **state)
{
    (void)state;
    char text[AMM_TOKEN_TEXT];
    struct amm_token token = sample(), again;
    amm_token_format(text, &token);
    assert_int_equal(strlen(text), AMM_TOKEN_TEXT - 1);
    assert_true(amm_token_parse(&again, text));
    assert_memory_equal(&token, &again, sizeof token);
}

static void every_other_text_is_refused(void **state)
{
    (void)state;
    char text[AMM_TOKEN_TEXT];
    struct amm_token token = sample(), again;
    amm_token_format(text, &token);
    for (size_t i = 0; i < AMM_TOKEN_TEXT - 1; i++) {
        for (int c = 1; c < 256; c++) {
            char changed[AMM_TOKEN_TEXT];
            memcpy(changed, text, sizeof text);
            changed[i] = (char)c;
            if (amm_token_parse(&again, changed)) { /* then it is another token, and its text */
                char back[AMM_TOKEN_TEXT];
                amm_token_format(back, &again);
                assert_string_equal(back, changed);
            }
        }
    }
    text[AMM_TOKEN_TEXT - 2] = '\0';
    assert_false(amm_token_parse(&again, text));
    assert_false(amm_token_parse(&again, ""));
    assert_false(amm_token_parse(&again, "amm1."));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(token_comes_back_as_it_went),
        cmocka_unit_test(every_other_text_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
