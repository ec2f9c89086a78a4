/* Rows of the enrolment's tables as structures. */
#include "manager/enrolment_parts.h"

static void copy_bytes(void *out, size_t len, struct amm_view from)
{
    memset(out, 0, len);
    if (from.len == len) {
        memcpy(out, from.data, len);
    }
}

/* ---- tokens ---- */

static void read_token(const struct amm_rows *rows, struct enrolment_token *out)
{
    *out = (struct enrolment_token){
        .id = amm_rows_number(rows, 0),
        .tenant = amm_rows_number(rows, 1),
        .group = amm_rows_number(rows, 2),
        .gateway = amm_rows_number(rows, 3),
        .created_at = amm_rows_number(rows, 5),
        .expires_at = amm_rows_number(rows, 7),
        .used_at = amm_rows_number(rows, 8),
        .revoked_at = amm_rows_number(rows, 10),
    };
    amm_rows_text(rows, 4, out->note, sizeof out->note);
    amm_rows_text(rows, 6, out->created_by, sizeof out->created_by);
    amm_rows_text(rows, 9, out->used_by, sizeof out->used_by);
}

enum amm_store_result
enrolment_tokens(struct manager *m, enum amm_statement statement, const struct amm_value *values,
                 size_t n, bool (*take)(void *context, const struct enrolment_token *token),
                 void *context)
{
    struct amm_rows *rows = amm_store_query(m->store, statement, values, n);
    struct enrolment_token token;
    bool more = true;
    while (more && amm_rows_next(rows)) {
        read_token(rows, &token);
        more = take(context, &token);
    }
    return amm_rows_end(rows);
}

/* ---- requests ---- */

static void read_request(const struct amm_rows *rows, struct enrolment_request *out)
{
    *out = (struct enrolment_request){
        .id = amm_rows_number(rows, 0),
        .tenant = amm_rows_number(rows, 1),
        .group = amm_rows_number(rows, 2),
        .gateway = amm_rows_number(rows, 3),
        .token = amm_rows_number(rows, 4),
        .state = (enum enrolment_state)amm_rows_number(rows, 8),
        .created_at = amm_rows_number(rows, 10),
        .decided_at = amm_rows_number(rows, 11),
    };
    amm_rows_text(rows, 5, out->serial, sizeof out->serial);
    copy_bytes(out->key, sizeof out->key, amm_rows_view(rows, 6));
    copy_bytes(out->approval, sizeof out->approval, amm_rows_view(rows, 7));
    amm_rows_text(rows, 9, out->remote, sizeof out->remote);
    amm_rows_text(rows, 12, out->decided_by, sizeof out->decided_by);
}

enum amm_store_result
enrolment_requests(struct manager *m, enum amm_statement statement, const struct amm_value *values,
                   size_t n, bool (*take)(void *context, const struct enrolment_request *request),
                   void *context)
{
    struct amm_rows *rows = amm_store_query(m->store, statement, values, n);
    struct enrolment_request request;
    bool more = true;
    while (more && amm_rows_next(rows)) {
        read_request(rows, &request);
        more = take(context, &request);
    }
    return amm_rows_end(rows);
}

/* ---- certificates ---- */

static void read_identity(const struct amm_rows *rows, struct enrolment_identity *out)
{
    *out = (struct enrolment_identity){
        .id = amm_rows_number(rows, 0),
        .tenant = amm_rows_number(rows, 1),
        .gateway = amm_rows_number(rows, 2),
        .kind = (uint8_t)amm_rows_number(rows, 3),
        .token = amm_rows_number(rows, 8),
        .not_before = amm_rows_number(rows, 9),
        .not_after = amm_rows_number(rows, 10),
        .created_at = amm_rows_number(rows, 11),
        .revoked_at = amm_rows_number(rows, 12),
    };
    copy_bytes(out->serial, sizeof out->serial, amm_rows_view(rows, 4));
    copy_bytes(out->issuer, sizeof out->issuer, amm_rows_view(rows, 5));
    copy_bytes(out->key_hash, sizeof out->key_hash, amm_rows_view(rows, 6));
    copy_bytes(out->approval, sizeof out->approval, amm_rows_view(rows, 7));
}

enum amm_store_result enrolment_identities(
    struct manager *m, enum amm_statement statement, const struct amm_value *values, size_t n,
    bool (*take)(void *context, const struct enrolment_identity *identity), void *context)
{
    struct amm_rows *rows = amm_store_query(m->store, statement, values, n);
    struct enrolment_identity identity;
    bool more = true;
    while (more && amm_rows_next(rows)) {
        read_identity(rows, &identity);
        more = take(context, &identity);
    }
    return amm_rows_end(rows);
}

/* ---- one of them ---- */

struct one {
    void *out;
    size_t len;
    bool found;
};

static bool keep(struct one *one, const void *row)
{
    memcpy(one->out, row, one->len);
    one->found = true;
    return false;
}

static bool keep_token(void *context, const struct enrolment_token *token)
{
    return keep(context, token);
}

static bool keep_request(void *context, const struct enrolment_request *request)
{
    return keep(context, request);
}

enum amm_store_result enrolment_token_one(struct manager *m, enum amm_statement statement,
                                          struct amm_value value, struct enrolment_token *out)
{
    struct one one = {out, sizeof *out, false};
    enum amm_store_result result = enrolment_tokens(m, statement, &value, 1, keep_token, &one);
    return result == AMM_STORE_OK && !one.found ? AMM_STORE_NONE : result;
}

enum amm_store_result enrolment_request_one(struct manager *m, enum amm_statement statement,
                                            struct amm_value value, struct enrolment_request *out)
{
    struct one one = {out, sizeof *out, false};
    enum amm_store_result result = enrolment_requests(m, statement, &value, 1, keep_request, &one);
    return result == AMM_STORE_OK && !one.found ? AMM_STORE_NONE : result;
}
