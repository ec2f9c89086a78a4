#include "support/vectors.h"
#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static char value[2 * VECTOR_MAX + 2];

const char *vector_text(const char *id)
{
    char line[sizeof value];
    size_t id_len = strlen(id);
    FILE *file = fopen(AMM_VECTORS, "r");
    if (!file) {
        fail_msg("%s: cannot be read", AMM_VECTORS);
    }
    bool found = false;
    while (!found && fgets(line, sizeof line, file)) {
        found = strncmp(line, id, id_len) == 0 && line[id_len] == ' ';
    }
    found = found && fgets(line, sizeof line, file) && strncmp(line, "  ", 2) == 0;
    fclose(file);
    if (!found) {
        fail_msg("%s: no vector %s", AMM_VECTORS, id);
    }
    line[strcspn(line, "\n")] = '\0';
    snprintf(value, sizeof value, "%.*s", (int)sizeof value - 3, line + 2);
    return value;
}

size_t vector_bytes(const char *id, uint8_t *out, size_t room)
{
    const char *text = vector_text(id);
    size_t len = strlen(text) / 2;
    if (strlen(text) % 2 != 0 || len > room || !amm_unhex(out, len, text)) {
        fail_msg("vector %s is not at most %zu bytes of hex", id, room);
    }
    return len;
}

void vector_static_key(uint8_t key[256])
{
    for (int i = 0; i < 256; i++) {
        key[i] = (uint8_t)i;
    }
}
