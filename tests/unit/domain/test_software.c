#include "domain/software.h"

#include "base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint8_t id[8] = {1, 2, 3, 4, 5, 6, 7, 0xab};
static const uint8_t other[8] = {9};
static const uint8_t bytes[64] = {42};

static struct amm_manifest some(void)
{
    struct amm_manifest manifest = {.kind = AMM_SOFTWARE_SYSTEM,
                                    .name = "amm-os",
                                    .version = "4.17.1.3",
                                    .n_models = 2,
                                    .models = {"Virtual", "MP70"},
                                    .architecture = "x86_64",
                                    .counter = 12,
                                    .length = 50331648,
                                    .created = 1795000000,
                                    .expires = 1826000000};
    memset(manifest.sha512, 0x5a, sizeof manifest.sha512);
    return manifest;
}

/* A signed manifest; its length. */
static size_t package(char out[AMM_SOFTWARE_HEAD], const struct amm_manifest *manifest)
{
    memset(out, 0, AMM_SOFTWARE_HEAD);
    size_t len = amm_manifest_write(manifest, out, AMM_SOFTWARE_HEAD);
    assert_int_not_equal(len, 0);
    return len + amm_statement_sign_line(id, bytes, out + len, AMM_SOFTWARE_HEAD - len);
}

static bool parses(struct amm_view text, struct amm_manifest *out, struct amm_statement *statement,
                   char *error)
{
    error[0] = '\0';
    return amm_manifest_parse(out, statement, text, error);
}

static void what_is_written_is_read(void **state)
{
    char text[AMM_SOFTWARE_HEAD], error[AMM_STATEMENT_ERROR];
    struct amm_manifest manifest = some(), read;
    struct amm_statement statement;
    (void)state;
    for (int i = 0; i < 4; i++) {
        memset(manifest.from, 0, sizeof manifest.from);
        strcpy(manifest.from, i & 1 ? "4.15" : "");
        manifest.is_development = (i & 2) != 0;
        size_t len = package(text, &manifest);
        assert_true(parses(amm_view(text, AMM_SOFTWARE_HEAD), &read, &statement, error));
        assert_memory_equal(&read, &manifest, sizeof read);
        assert_int_equal(statement.n, 1);
        assert_int_equal(amm_statement_signature_of(&statement, id), 0);
        assert_int_equal(amm_statement_signature_of(&statement, other), -1);
        assert_memory_equal(statement.signature[0].bytes, bytes, sizeof bytes);
        assert_ptr_equal(statement.text.data, text);
        assert_memory_equal(text + statement.text.len, "signature: ", 11);
        assert_true(parses(amm_view(text, len), &read, &statement, error)); /* without zeros */
    }
}

/* Whatever byte is changed, the manifest is refused or its signed text is another one. */
static void no_byte_can_be_changed(void **state)
{
    char text[AMM_SOFTWARE_HEAD], error[AMM_STATEMENT_ERROR];
    struct amm_manifest manifest = some(), read;
    struct amm_statement statement;
    (void)state;
    size_t len = package(text, &manifest);
    char *signed_text = strndup(text, len);
    for (size_t i = 0; i < len; i++) {
        for (unsigned c = 0; c < 256; c += 5) {
            char was = text[i];
            text[i] = (char)c;
            if (c != (unsigned char)was && parses(amm_view(text, len), &read, &statement, error)) {
                assert_false(memcmp(text, signed_text, statement.text.len) == 0 &&
                             memcmp(statement.signature[0].bytes, bytes, sizeof bytes) == 0 &&
                             memcmp(statement.signature[0].key_id, id, sizeof id) == 0);
            }
            text[i] = was;
        }
    }
    for (size_t cut = 0; cut < len; cut++) {
        assert_false(parses(amm_view(text, cut), &read, &statement, error));
        assert_int_not_equal(error[0], '\0');
    }
    free(signed_text);
}

static void refused(const char *from, const char *to, const char *why)
{
    char text[AMM_SOFTWARE_HEAD], bent[AMM_SOFTWARE_HEAD + 1024], error[AMM_STATEMENT_ERROR];
    struct amm_manifest manifest = some(), read;
    struct amm_statement statement;
    package(text, &manifest);
    const char *found = strstr(text, from);
    assert_non_null(found);
    snprintf(bent, sizeof bent, "%.*s%s%s", (int)(found - text), text, to, found + strlen(from));
    assert_false(parses(amm_view_str(bent), &read, &statement, error));
    if (!strstr(error, why)) {
        fail_msg("%s -> %s: %s", from, to, error);
    }
}

static void what_is_out_of_form_is_refused(void **state)
{
    (void)state;
    refused("AMM-SOFTWARE 1", "AMM-SOFTWARE 2", "begin");
    refused("AMM-SOFTWARE 1\n", "AMM-SOFTWARE 1\r\n", "begin");
    refused("kind: system", "kind: rootkit", "line 2");
    refused("name: amm-os\n", "", "line 3");
    refused("name: amm-os", "name: amm os", "line 3");
    refused("name: amm-os", "name: ../../etc", "line 3");
    refused("version: 4.17.1.3", "version: new", "line 4");
    refused("models: Virtual MP70", "models: Virtual  MP70", "line 5");
    refused("models: Virtual MP70", "models: ", "line 5");
    refused("models: Virtual MP70", "models: a b c d e f g h i j k l m n o p q", "line 5");
    refused("counter: 12", "counter: 012", "line 7");
    refused("counter: 12", "counter: -1", "line 7");
    refused("counter: 12", "counter: 4294967296", "line 7");
    refused("counter: 12", "counter: 12 ", "line 7");
    refused("length: 50331648", "length: 0", "line 9");
    refused("length: 50331648", "length: 99999999999999999999999", "line 9");
    refused("sha512: 5a", "sha512: 5A", "line 10");
    refused("sha512: 5a", "sha512: ", "line 10");
    refused("expires: 1826000000", "expires: 1794999999", "expires before");
    refused("channel: release", "channel: beta", "line 13");
    refused("channel: release\n", "channel: release\nextra: 1\n", "line 14");
    refused("signature: ", "signed: ", "line 14");
    refused("0102030405", "010203040", "line 14");
}

static void more_than_a_statement_is_refused(void **state)
{
    char text[AMM_SOFTWARE_HEAD], error[AMM_STATEMENT_ERROR];
    struct amm_manifest manifest = some(), read;
    struct amm_statement statement;
    (void)state;
    size_t len = package(text, &manifest);
    text[AMM_SOFTWARE_HEAD - 1] = 'x';
    assert_false(parses(amm_view(text, AMM_SOFTWARE_HEAD), &read, &statement, error));
    assert_non_null(strstr(error, "follows"));
    text[AMM_SOFTWARE_HEAD - 1] = '\0';
    len += amm_statement_sign_line(other, bytes, text + len, AMM_SOFTWARE_HEAD - len);
    assert_true(parses(amm_view(text, AMM_SOFTWARE_HEAD), &read, &statement, error));
    assert_int_equal(amm_statement_signature_of(&statement, other), 1);
    amm_statement_sign_line(other, bytes, text + len, AMM_SOFTWARE_HEAD - len);
    assert_false(parses(amm_view(text, AMM_SOFTWARE_HEAD), &read, &statement, error)); /* three */
    size_t bare = amm_manifest_write(&manifest, text, sizeof text);
    assert_false(parses(amm_view(text, bare), &read, &statement, error));
    assert_non_null(strstr(error, "not signed"));
}

/* What the parser would refuse is not written. */
static void a_bad_manifest_is_not_written(void **state)
{
    char text[AMM_SOFTWARE_HEAD];
    struct amm_manifest manifest = some();
    (void)state;
    strcpy(manifest.name, "a b");
    assert_int_equal(amm_manifest_write(&manifest, text, sizeof text), 0);
    manifest = some();
    manifest.length = 0;
    assert_int_equal(amm_manifest_write(&manifest, text, sizeof text), 0);
    manifest = some();
    manifest.n_models = 0;
    assert_int_equal(amm_manifest_write(&manifest, text, sizeof text), 0);
    manifest = some();
    manifest.expires = manifest.created;
    assert_int_equal(amm_manifest_write(&manifest, text, sizeof text), 0);
    manifest = some();
    assert_int_equal(amm_manifest_write(&manifest, text, 40), 0); /* no room */
}

static void successors_and_permits(void **state)
{
    char text[1024], error[AMM_STATEMENT_ERROR];
    struct amm_statement statement;
    struct amm_successor successor = {.key = {7}, .from = 1795000000, .comment = "key of 2027"}, s;
    struct amm_permit permit = {.serial = "VGW-0001",
                                .name = "amm-os",
                                .version = "4.16",
                                .counter = 9,
                                .expires = 1795003600},
                      p;
    (void)state;
    size_t len = amm_successor_write(&successor, text, sizeof text);
    len += amm_statement_sign_line(id, bytes, text + len, sizeof text - len);
    assert_true(amm_successor_parse(&s, &statement, amm_view(text, len), error));
    assert_memory_equal(&s, &successor, sizeof s);
    assert_false(amm_permit_parse(&p, &statement, amm_view(text, len), error)); /* another kind */

    len = amm_permit_write(&permit, text, sizeof text);
    len += amm_statement_sign_line(id, bytes, text + len, sizeof text - len);
    assert_true(amm_permit_parse(&p, &statement, amm_view(text, len), error));
    assert_memory_equal(&p, &permit, sizeof p);
    strcpy(permit.serial, "");
    assert_int_equal(amm_permit_write(&permit, text, sizeof text), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(no_byte_can_be_changed),
        cmocka_unit_test(what_is_out_of_form_is_refused),
        cmocka_unit_test(more_than_a_statement_is_refused),
        cmocka_unit_test(a_bad_manifest_is_not_written),
        cmocka_unit_test(successors_and_permits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
