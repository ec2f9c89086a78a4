#include "domain/gateway_answers.h"

#include "base/base64.h"
#include "members.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MAX = 128 * 1024, PORT_LEAST = 1, CERTIFICATE_MAX = 8192, WRAP_KEY_MAX = 8192 };

/* ---- errors ---- */

bool amm_error_answer_decode(struct amm_error_answer *out, struct amm_view body)
{
    struct amm_refusal error;
    *out = (struct amm_error_answer){.error = "unknown"};
    json_t *object = object_load(body, ANSWER_MAX, &error);
    const char *names[] = {"error", "text", "field"};
    char *texts[] = {out->error, out->text, out->field};
    const size_t rooms[] = {sizeof out->error, sizeof out->text, sizeof out->field};
    for (size_t i = 0; i < 3; i++) {
        struct members m = {object, &error, object == NULL};
        take_text(&m, names[i], texts[i], rooms[i], OPTIONAL);
    }
    out->fatal = json_is_true(json_object_get(object, "fatal"));
    json_decref(object);
    return true;
}

char *amm_error_answer_encode(const struct amm_error_answer *answer, size_t *len)
{
    json_t *o = json_object();
    bool ok = put(o, "error", json_string(answer->error)) &&
              put(o, "text", json_string(answer->text)) &&
              (answer->field[0] == '\0' || put(o, "field", json_string(answer->field))) &&
              (!answer->fatal || put(o, "fatal", json_true()));
    return object_dump(o, ok, len);
}

/* ---- time ---- */

enum { SIGNATURE_TEXT = (AMM_TIME_ANSWER_SIGNATURE + 2) / 3 * 4 };

static bool take_signature(uint8_t out[AMM_TIME_ANSWER_SIGNATURE], const char *text)
{
    size_t len = 0;
    return amm_base64_decode(out, AMM_TIME_ANSWER_SIGNATURE, &len, amm_view_str(text),
                             AMM_BASE64) &&
           len == AMM_TIME_ANSWER_SIGNATURE;
}

bool amm_time_answer_decode(struct amm_time_answer *out, struct amm_view body,
                            struct amm_refusal *error)
{
    char nonce[2 * AMM_TIME_ANSWER_NONCE + 1] = "", signature[SIGNATURE_TEXT + 1] = "";
    *out = (struct amm_time_answer){0};
    json_t *object = object_load(body, ANSWER_MAX, error);
    struct members m = {object, error, object == NULL};
    take_whole(&m, "time", 0, JSON_WHOLE_MAX, REQUIRED, &out->time);
    take_text(&m, "nonce", nonce, sizeof nonce, REQUIRED);
    take_text(&m, "signature", signature, sizeof signature, REQUIRED);
    out->certificate = take_lines(&m, "certificate", CERTIFICATE_MAX);
    if (!m.failed && (strlen(nonce) != sizeof nonce - 1 ||
                      !amm_unhex(out->nonce, AMM_TIME_ANSWER_NONCE, nonce))) {
        member_fail(&m, "nonce", "not 32 hex digits");
    }
    if (!m.failed && !take_signature(out->signature, signature)) {
        member_fail(&m, "signature", "not 64 bytes in base64");
    }
    json_decref(object);
    return !m.failed;
}

void amm_time_answer_deinit(struct amm_time_answer *answer)
{
    free(answer->certificate);
    *answer = (struct amm_time_answer){0};
}

char *amm_time_answer_encode(const struct amm_time_answer *answer, size_t *len)
{
    char nonce[2 * AMM_TIME_ANSWER_NONCE + 1],
        signature[AMM_BASE64_ROOM(AMM_TIME_ANSWER_SIGNATURE)];
    amm_hex(nonce, amm_view(answer->nonce, AMM_TIME_ANSWER_NONCE));
    amm_base64_encode(signature, sizeof signature,
                      amm_view(answer->signature, AMM_TIME_ANSWER_SIGNATURE), AMM_BASE64);
    json_t *o = json_object();
    bool ok = put(o, "time", json_integer(answer->time)) && put(o, "nonce", json_string(nonce)) &&
              put(o, "certificate", json_string(answer->certificate)) &&
              put(o, "signature", json_string(signature));
    return object_dump(o, ok, len);
}

/* ---- tunnel settings ---- */

static bool is_host(const char *text)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:";
    size_t len = strlen(text);
    return len >= 1 && len <= 253 && strspn(text, allowed) == len && text[0] != '-';
}

static void take_remotes(struct amm_tunnel_settings *out, struct members *m)
{
    size_t i;
    json_t *one;
    json_t *remotes = take_array(m, "remotes", AMM_TUNNEL_REMOTES);
    json_t *ports = take_array(m, "ports", AMM_TUNNEL_PORTS);
    json_array_foreach(remotes, i, one)
    {
        const char *text = json_string_value(one);
        if (!text || !is_host(text)) {
            member_fail(m, "remotes", "not host names or addresses");
            return;
        }
        memcpy(out->remotes[out->n_remotes++], text, strlen(text) + 1);
    }
    json_array_foreach(ports, i, one)
    {
        if (!json_is_integer(one) || json_integer_value(one) < PORT_LEAST ||
            json_integer_value(one) > UINT16_MAX) {
            member_fail(m, "ports", "not numbers of ports");
            return;
        }
        out->ports[out->n_ports++] = (uint16_t)json_integer_value(one);
    }
    if (out->n_remotes == 0) {
        member_fail(m, "remotes", "missing");
    }
    if (out->n_ports == 0) {
        member_fail(m, "ports", "missing");
    }
}

/* What goes into a line of a configuration file: words without blanks or marks. */
static bool is_word(const char *text)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:@";
    return text[0] != '\0' && strspn(text, allowed) == strlen(text);
}

static bool is_wrap(const char *text)
{
    static const char *const names[] = {"none", "tls-auth", "tls-crypt", "tls-crypt-v2"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

bool amm_tunnel_settings_decode(struct amm_tunnel_settings *out, struct amm_view body,
                                struct amm_refusal *error)
{
    int64_t mtu = 1400;
    *out = (struct amm_tunnel_settings){0};
    json_t *object = object_load(body, ANSWER_MAX, error);
    struct members m = {object, error, object == NULL};
    take_hash(&m, "hash", out->hash, false, REQUIRED);
    take_remotes(out, &m);
    take_text(&m, "server_name", out->server_name, sizeof out->server_name, REQUIRED);
    take_text(&m, "wrap", out->wrap, sizeof out->wrap, REQUIRED);
    take_text(&m, "ciphers", out->ciphers, sizeof out->ciphers, REQUIRED);
    take_whole(&m, "mtu", 576, 1500, OPTIONAL, &mtu);
    out->mtu = (uint16_t)mtu;
    if (!m.failed && !is_wrap(out->wrap)) {
        member_fail(&m, "wrap", "none of none, tls-auth, tls-crypt, tls-crypt-v2");
    }
    if (!m.failed && !is_word(out->server_name)) {
        member_fail(&m, "server_name", "not a name");
    }
    if (!m.failed && !is_word(out->ciphers)) {
        member_fail(&m, "ciphers", "not names with ':' between them");
    }
    out->ca = take_lines(&m, "ca", AMM_TUNNEL_PEM);
    bool has_key = !m.failed && strcmp(out->wrap, "none") != 0;
    out->wrap_key = has_key ? take_lines(&m, "wrap_key", WRAP_KEY_MAX) : strdup("");
    if (!m.failed && !out->wrap_key) {
        member_fail(&m, "wrap_key", "out of memory");
    }
    json_decref(object);
    return !m.failed;
}

void amm_tunnel_settings_deinit(struct amm_tunnel_settings *settings)
{
    if (settings->wrap_key) {
        amm_wipe(settings->wrap_key, strlen(settings->wrap_key));
    }
    free(settings->wrap_key);
    free(settings->ca);
    *settings = (struct amm_tunnel_settings){0};
}

char *amm_tunnel_settings_encode(const struct amm_tunnel_settings *s, size_t *len)
{
    json_t *o = json_object(), *remotes = json_array(), *ports = json_array();
    bool ok = true;
    for (size_t i = 0; i < s->n_remotes; i++) {
        ok = append(remotes, json_string(s->remotes[i])) && ok;
    }
    for (size_t i = 0; i < s->n_ports; i++) {
        ok = append(ports, json_integer(s->ports[i])) && ok;
    }
    ok = put(o, "remotes", remotes) && ok;
    ok = put(o, "ports", ports) && ok;
    ok = ok && put(o, "hash", json_string(s->hash)) &&
         put(o, "server_name", json_string(s->server_name)) && put(o, "ca", json_string(s->ca)) &&
         put(o, "wrap", json_string(s->wrap)) && put(o, "wrap_key", json_string(s->wrap_key)) &&
         put(o, "ciphers", json_string(s->ciphers)) && put(o, "mtu", json_integer(s->mtu));
    return object_dump(o, ok, len);
}
