/* Heads and chunk lines, written so that no value can end its line. */
#include "scan.h"

void amm_http_write_request_line(struct amm_writer *w, struct amm_view method,
                                 struct amm_view target)
{
    w->failed |= method.len == 0 || !http_all_in(&http_method_class, method);
    w->failed |= target.len == 0 || !http_all_in(&http_query_class, target);
    amm_write_view(w, method);
    amm_write_u8(w, ' ');
    amm_write_view(w, target);
    amm_write_str(w, " HTTP/1.1\r\n");
}

void amm_http_write_status(struct amm_writer *w, int status)
{
    w->failed |= status < 100 || status > 999;
    amm_write_text(w, "HTTP/1.1 %d %s\r\n", status, amm_http_status_text(status));
}

void amm_http_write_field_view(struct amm_writer *w, struct amm_view name, struct amm_view value)
{
    w->failed |= name.len == 0 || !http_all_in(&http_token_class, name);
    w->failed |= !http_all_in(&http_value_class, value);
    amm_write_view(w, name);
    amm_write_str(w, ": ");
    amm_write_view(w, value);
    amm_write_str(w, "\r\n");
}

void amm_http_write_field(struct amm_writer *w, const char *name, struct amm_view value)
{
    amm_http_write_field_view(w, amm_view_str(name), value);
}

void amm_http_write_number(struct amm_writer *w, const char *name, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    amm_http_write_field(w, name, amm_view(digits + at, sizeof digits - at));
}

void amm_http_write_end(struct amm_writer *w)
{
    amm_write_str(w, "\r\n");
}

void amm_http_write_chunk(struct amm_writer *w, size_t len)
{
    w->failed |= len == 0; /* would end the body */
    amm_write_text(w, "%zx\r\n", len);
}
