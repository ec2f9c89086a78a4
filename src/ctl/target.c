#include "api.h"

void ctl_target_init(struct ctl_target *target, const char *path)
{
    target->w = amm_writer(target->text, sizeof target->text - 1);
    target->has_query = false;
    amm_write_str(&target->w, path);
}

static bool needs_no_encoding(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static void write_encoded(struct amm_writer *w, const char *text)
{
    for (; *text; text++) {
        if (needs_no_encoding(*text)) {
            amm_write_u8(w, (uint8_t)*text);
        } else {
            amm_write_text(w, "%%%02X", (unsigned)(uint8_t)*text);
        }
    }
}

void ctl_target_segment(struct ctl_target *target, const char *segment)
{
    amm_write_u8(&target->w, '/');
    write_encoded(&target->w, segment);
}

void ctl_target_query(struct ctl_target *target, const char *name, const char *value)
{
    if (value) {
        amm_write_text(&target->w, "%c%s=", target->has_query ? '&' : '?', name);
        write_encoded(&target->w, value);
        target->has_query = true;
    }
}
