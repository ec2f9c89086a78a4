/* Rows of remote sessions, and of what was asked in them. */
#include "manager/remote_parts.h"

static void copy_bytes(uint8_t out[AMM_PROXY_HASH], bool *has, struct amm_view from)
{
    *has = from.len == AMM_PROXY_HASH;
    if (*has) {
        memcpy(out, from.data, from.len);
    }
}

void remote_session_of_row(const struct amm_rows *rows, struct remote_session *out)
{
    *out = (struct remote_session){
        .id = amm_rows_number(rows, 0),
        .tenant = amm_rows_number(rows, 2),
        .gateway = amm_rows_number(rows, 3),
        .kind = (uint8_t)amm_rows_number(rows, 5),
        .role = (uint8_t)amm_rows_number(rows, 6),
        .actor_kind = (uint8_t)amm_rows_number(rows, 7),
        .user = amm_rows_number(rows, 8),
        .credential = amm_rows_number(rows, 9),
        .opened_at = amm_rows_number(rows, 14),
        .until = amm_rows_number(rows, 15),
        .epoch = (uint64_t)amm_rows_number(rows, 16),
        .inner_ip = (uint32_t)amm_rows_number(rows, 17),
        .port = (uint16_t)amm_rows_number(rows, 18),
        .scheme = (uint8_t)amm_rows_number(rows, 19),
        .ready_at = amm_rows_number(rows, 20),
        .entered_at = amm_rows_number(rows, 22),
        .last_at = amm_rows_number(rows, 24),
        .requests = (uint64_t)amm_rows_number(rows, 25),
        .bytes_in = (uint64_t)amm_rows_number(rows, 26),
        .bytes_out = (uint64_t)amm_rows_number(rows, 27),
        .noted = (uint64_t)amm_rows_number(rows, 28),
        .ended_at = amm_rows_number(rows, 29),
        .end = (unsigned)amm_rows_number(rows, 30),
    };
    amm_rows_text(rows, 1, out->label, sizeof out->label);
    amm_rows_text(rows, 4, out->gateway_name, sizeof out->gateway_name);
    amm_rows_text(rows, 10, out->operator_name, sizeof out->operator_name);
    amm_rows_text(rows, 11, out->opened_from, sizeof out->opened_from);
    amm_rows_text(rows, 12, out->reason, sizeof out->reason);
    amm_rows_text(rows, 13, out->forward, sizeof out->forward);
    copy_bytes(out->cookie, &out->has_cookie, amm_rows_view(rows, 21));
    amm_rows_text(rows, 23, out->entered_from, sizeof out->entered_from);
}

enum amm_store_result remote_session_insert(struct manager *m, struct remote_session *session)
{
    return amm_store_number(
        m->store, AMM_SQL_REMOTE_ADD,
        AMM_WITH(
            amm_text(session->label), amm_number(session->tenant), amm_number(session->gateway),
            amm_text(session->gateway_name), amm_number(session->kind), amm_number(session->role),
            amm_number(session->actor_kind), amm_number(session->user),
            amm_number(session->credential), amm_text(session->operator_name),
            amm_text(session->opened_from), amm_text(session->reason), amm_text(session->forward),
            amm_number(session->opened_at), amm_number(session->until),
            amm_number((int64_t)session->epoch), amm_number(session->inner_ip),
            amm_number(session->port), amm_number(session->scheme), amm_number(session->ready_at)),
        &session->id);
}

enum amm_store_result remote_session_save(struct manager *m, const struct remote_session *session)
{
    struct amm_value cookie =
        session->has_cookie ? amm_blob(session->cookie, sizeof session->cookie) : amm_null();
    return amm_store_run(
        m->store, AMM_SQL_REMOTE_SAVE,
        AMM_WITH(amm_number((int64_t)session->epoch), amm_number(session->inner_ip),
                 amm_number(session->port), amm_number(session->scheme),
                 amm_number(session->ready_at), cookie, amm_number(session->entered_at),
                 amm_text(session->entered_from), amm_number(session->last_at),
                 amm_number((int64_t)session->requests), amm_number((int64_t)session->bytes_in),
                 amm_number((int64_t)session->bytes_out), amm_number((int64_t)session->noted),
                 amm_number(session->ended_at), amm_number(session->end), amm_number(session->id)));
}

/* Of a long remote session the oldest rows go, some at once. */
enum amm_store_result remote_request_insert(struct manager *m, const struct remote_session *session,
                                            uint64_t n, const struct amm_proxy_request *request)
{
    enum { CUT_AT_ONCE = 500 };
    enum amm_store_result result = amm_store_run(
        m->store, AMM_SQL_REMOTE_REQUEST_ADD,
        AMM_WITH(amm_number(session->id), amm_number((int64_t)n), amm_number(request->at),
                 amm_number(request->kind), amm_text(request->method), amm_text(request->path),
                 amm_number(request->status), amm_number(request->milliseconds),
                 amm_number((int64_t)request->bytes_in), amm_number((int64_t)request->bytes_out)));
    if (result == AMM_STORE_OK && n > REMOTE_REQUESTS_KEPT && n % CUT_AT_ONCE == 0) {
        result = amm_store_run(
            m->store, AMM_SQL_REMOTE_REQUEST_CUT,
            AMM_WITH(amm_number(session->id), amm_number((int64_t)(n - REMOTE_REQUESTS_KEPT))));
    }
    return result;
}
