/* Cookies: ours never reach a gateway, and those of a gateway never leave their remote session. */
#include "translate_parts.h"

#define SECURE_NAME "__Host-amm-remote"
#define PLAIN_NAME "amm-remote"

const char *translate_cookie_name(bool secure)
{
    return secure ? SECURE_NAME : PLAIN_NAME;
}

static bool is_ours(struct amm_view name)
{
    return translate_same(name, SECURE_NAME) || translate_same(name, PLAIN_NAME);
}

/* The part before '='; all of it if there is none. */
static struct amm_view name_of(struct amm_view pair)
{
    struct amm_view name = pair;
    translate_part(&pair, '=', &name);
    return translate_trim(name);
}

void translate_cookie_request(struct amm_view value, struct amm_writer *out)
{
    struct amm_view part;
    bool is_first = true;
    while (translate_part(&value, ';', &part)) {
        part = translate_trim(part);
        if (part.len == 0 || is_ours(name_of(part))) {
            continue;
        }
        amm_write_str(out, is_first ? "" : "; ");
        amm_write_view(out, part);
        is_first = false;
    }
}

/* ---- Set-Cookie ---- */

static void write_attribute(const struct translate_names *names, struct amm_view part, bool *secure,
                            struct amm_writer *out)
{
    struct amm_view name = name_of(part), value = part, before;
    translate_part(&value, '=', &before);
    if (translate_same(name, "domain")) {
        return; /* host-only */
    }
    if (translate_same(name, "secure")) {
        *secure = true;
        return; /* written last */
    }
    if (translate_same(name, "samesite") && translate_same(translate_trim(value), "none") &&
        !names->browser_secure) {
        return; /* browsers refuse it without Secure */
    }
    amm_write_str(out, "; ");
    amm_write_view(out, part);
}

bool translate_cookie_response(const struct translate_names *names, struct amm_view value,
                               struct amm_writer *out)
{
    struct amm_view part;
    bool secure = false;
    if (value.len > TRANSLATE_COOKIE || !translate_part(&value, ';', &part)) {
        return false;
    }
    part = translate_trim(part);
    struct amm_view name = name_of(part);
    /* A browser would send "=__Host-amm-remote=x" back as ours. */
    if (name.len == 0 || name.len == part.len || is_ours(name)) {
        return false;
    }
    bool must_be_secure = translate_begins(name, "__host-") || translate_begins(name, "__secure-");
    amm_write_view(out, part);
    while (translate_part(&value, ';', &part)) {
        part = translate_trim(part);
        if (part.len > 0) {
            write_attribute(names, part, &secure, out);
        }
    }
    if (names->browser_secure || (secure && must_be_secure)) {
        amm_write_str(out, "; Secure");
    }
    return true;
}
