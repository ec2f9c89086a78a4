#include "web.h"

#include "web_assets.h"

#include <stdio.h>
#include <stdlib.h>

/* Scripts, styles and pictures are files of ours; nothing inline, nothing from elsewhere, no
 * frames. Referrer-Policy must not be no-referrer: then forms would come with "Origin: null". */
static const struct {
    const char *name, *value;
} security_fields[] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
     "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for "
     "'script'; "
     "trusted-types acemanager"},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "same-origin"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"},
};

void web_answer_field(struct web_call *call, const char *name, const char *value)
{
    amm_http_write_field(&call->fields, name, amm_view_str(value));
}

void web_answer_begin(struct web_call *call)
{
    call->status = 200;
    call->fields = amm_writer(call->field_bytes, sizeof call->field_bytes);
    for (size_t i = 0; i < sizeof security_fields / sizeof *security_fields; i++) {
        web_answer_field(call, security_fields[i].name, security_fields[i].value);
    }
}

void web_answer_cookie(struct web_call *call, const char *name, const char *value)
{
    char text[256];
    snprintf(text, sizeof text, "%s=%s; Path=/; Secure; HttpOnly; SameSite=Strict%s", name, value,
             value[0] ? "" : "; Max-Age=0");
    web_answer_field(call, "Set-Cookie", text);
    amm_wipe(text, sizeof text);
}

void web_answer_view(struct web_call *call, int status, const char *template_name, json_t *view)
{
    call->status = status;
    call->type = "text/html; charset=utf-8";
    if (!view ||
        !web_template_render(&call->body, amm_view_str(template_name), view, web_asset_template)) {
        web_text_deinit(&call->body);
        web_text_add(&call->body, amm_view_str("out of memory\n"));
        call->status = 503;
        call->type = "text/plain; charset=utf-8";
    }
    json_decref(view);
}

void web_answer_redirect(struct web_call *call, const char *path)
{
    call->status = 303;
    web_answer_field(call, "Location", path);
}

void web_answer_error(struct web_call *call, int status, const char *heading, const char *text)
{
    web_answer_view(call, status, "error",
                    json_pack("{ss ss s[s] s{ss ss}}", "title", heading, "heading", heading,
                              "paragraphs", text, "link", "path", "status", "label",
                              "Open ACEmanager"));
}

void web_answer_send(struct web_call *call)
{
    if (!call->later) {
        if (call->type != NULL && strncmp(call->type, "text/html", 9) == 0) {
            web_answer_field(call, "Cache-Control", "no-store");
        }
        struct amm_http_reply reply = {
            .status = call->fields.failed ? 500 : call->status,
            .content_type = call->type,
            .fields = amm_view(call->field_bytes, amm_writer_len(&call->fields)),
            .body = amm_view(call->body.data, call->body.len),
        };
        call->pages->send(call->pages, call->ref, &reply);
    }
    web_text_deinit(&call->body);
    amm_wipe(call->field_bytes, sizeof call->field_bytes);
    amm_wipe(call->fresh_token, sizeof call->fresh_token);
}

bool web_form(const struct web_call *call, const char *name, char *out, size_t room)
{
    return call->form.len > 0 && amm_http_query(call->form, name, out, room);
}
