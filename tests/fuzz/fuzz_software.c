/* Statements about software: what the parser takes is written again byte for byte, so there is one
 * text for one meaning; what it refuses, it refuses in words. */
#include "domain/software.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(const struct amm_statement *statement, const char *again, size_t len)
{
    if (len != statement->text.len || memcmp(again, statement->text.data, len) != 0) {
        abort();
    }
}

static void refused(const char error[AMM_STATEMENT_ERROR])
{
    if (strnlen(error, AMM_STATEMENT_ERROR) == AMM_STATEMENT_ERROR || error[0] == '\0' ||
        strpbrk(error, "\x1b\n\r")) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char again[AMM_SOFTWARE_HEAD], error[AMM_STATEMENT_ERROR] = "";
    struct amm_statement statement;
    struct amm_view text = amm_view(data, size);
    union {
        struct amm_manifest manifest;
        struct amm_successor successor;
        struct amm_permit permit;
    } is;
    if (amm_manifest_parse(&is.manifest, &statement, text, error)) {
        same(&statement, again, amm_manifest_write(&is.manifest, again, sizeof again));
    } else if (amm_successor_parse(&is.successor, &statement, text, error)) {
        same(&statement, again, amm_successor_write(&is.successor, again, sizeof again));
    } else if (amm_permit_parse(&is.permit, &statement, text, error)) {
        same(&statement, again, amm_permit_write(&is.permit, again, sizeof again));
    } else {
        refused(error);
    }
    return 0;
}
