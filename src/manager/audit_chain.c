#include "manager/audit_chain.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

enum { PIECE = 1000 };

static bool add_number(EVP_MD_CTX *digest, int64_t number)
{
    uint8_t bytes[8];
    struct amm_writer w = amm_writer(bytes, sizeof bytes);
    amm_write_u64(&w, (uint64_t)number);
    return EVP_DigestUpdate(digest, bytes, sizeof bytes) == 1;
}

bool audit_row_hash(const uint8_t before[AUDIT_HASH], const struct audit_row *row,
                    uint8_t out[AUDIT_HASH])
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool ok = digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
              EVP_DigestUpdate(digest, before, AUDIT_HASH) == 1 && add_number(digest, row->id) &&
              add_number(digest, row->at) && add_number(digest, row->tenant);
    for (unsigned i = 0; ok && i < AUDIT_TEXTS; i++) {
        ok = add_number(digest, (int64_t)row->text[i].len) &&
             EVP_DigestUpdate(digest, row->text[i].data, row->text[i].len) == 1;
    }
    ok = ok && EVP_DigestFinal_ex(digest, out, NULL) == 1;
    EVP_MD_CTX_free(digest);
    return ok;
}

void audit_row_read(const struct amm_rows *rows, struct audit_row *out, struct amm_view *stored)
{
    out->id = amm_rows_number(rows, 0);
    out->at = amm_rows_number(rows, 1);
    out->tenant = amm_rows_number(rows, 2);
    for (unsigned i = 0; i < AUDIT_TEXTS; i++) {
        out->text[i] = amm_rows_view(rows, 3 + i);
    }
    *stored = amm_rows_view(rows, 3 + AUDIT_TEXTS);
}

/* One piece; false at the end or at the first row that does not fit. */
static bool verify_piece(struct amm_store *store, struct audit_check *check)
{
    struct amm_rows *rows =
        amm_store_query(store, AMM_SQL_AUDIT_FROM,
                        AMM_WITH(amm_number(check->before + check->rows), amm_number(PIECE)));
    int64_t n = 0;
    while (check->broken_at == 0 && amm_rows_next(rows)) {
        struct audit_row row;
        struct amm_view stored;
        uint8_t hash[AUDIT_HASH];
        audit_row_read(rows, &row, &stored);
        if (row.id != check->before + check->rows + 1 || !audit_row_hash(check->hash, &row, hash) ||
            !amm_view_equal(stored, amm_view(hash, sizeof hash))) {
            check->broken_at = check->before + check->rows + 1;
            break;
        }
        memcpy(check->hash, hash, sizeof hash);
        check->rows++;
        n++;
    }
    if (amm_rows_end(rows) != AMM_STORE_OK) {
        snprintf(check->error, sizeof check->error, "%s", amm_store_error(store));
        return false;
    }
    return check->broken_at == 0 && n == PIECE;
}

/* ---- where it begins ---- */

static const char start_name[] = "audit-start"; /* "17:<hash>" in meta */

bool audit_start_note(struct amm_store *store, int64_t id, const uint8_t hash[AUDIT_HASH])
{
    char text[24 + 2 * AUDIT_HASH + 2], hex[2 * AUDIT_HASH + 1];
    amm_hex(hex, amm_view(hash, AUDIT_HASH));
    snprintf(text, sizeof text, "%lld:%s", (long long)id, hex);
    return amm_store_run(store, AMM_SQL_META_SET, AMM_WITH(amm_text(start_name), amm_text(text))) ==
           AMM_STORE_OK;
}

/* Whoever can write here can also make the whole chain anew: what tells is the hash of a later
 * entry that stands in the log and in backups. */
static void read_start(struct amm_store *store, struct audit_check *check)
{
    struct amm_rows *rows =
        amm_store_query(store, AMM_SQL_META_GET, AMM_WITH(amm_text(start_name)));
    char text[24 + 2 * AUDIT_HASH + 2] = "", *colon;
    if (amm_rows_next(rows)) {
        amm_rows_text(rows, 0, text, sizeof text);
    }
    amm_rows_end(rows);
    check->before = strtoll(text, &colon, 10);
    if (check->before <= 0 || *colon != ':' || !amm_unhex(check->hash, AUDIT_HASH, colon + 1)) {
        check->before = 0;
        memset(check->hash, 0, AUDIT_HASH);
    }
}

void audit_verify(struct amm_store *store, struct audit_check *out)
{
    *out = (struct audit_check){0};
    read_start(store, out);
    while (verify_piece(store, out)) {
    }
    out->is_whole = out->broken_at == 0 && out->error[0] == '\0';
}
