/* The file of changed pools, written by the manager. */
#include "io/file.h"
#include "tunneld/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { POOLS_FILE_MAX = 65536, WORDS = 3 };

struct line {
    const char *file;
    unsigned number;
    char words[WORDS][32];
    char *error;
};

__attribute__((format(printf, 2, 3))) static bool complain(const struct line *line,
                                                           const char *format, ...)
{
    int used = snprintf(line->error, AMM_CONF_ERROR, "%s:%u: ", line->file, line->number);
    va_list list;
    va_start(list, format);
    if (used > 0 && used < AMM_CONF_ERROR) {
        vsnprintf(line->error + used, AMM_CONF_ERROR - (size_t)used, format, list);
    }
    va_end(list);
    return false;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* How many words the line has; WORDS + 1 for too many or too long ones. */
static unsigned split(struct line *line, struct amm_view text)
{
    unsigned n = 0;
    for (size_t at = 0; at < text.len && text.data[at] != '#';) {
        size_t len = 0;
        while (at + len < text.len && !is_blank(text.data[at + len]) &&
               text.data[at + len] != '#') {
            if (text.data[at + len] <= ' ' || text.data[at + len] > '~') {
                return WORDS + 1; /* a terminal is not steered by what is quoted */
            }
            len++;
        }
        if (len > 0) {
            if (n == WORDS || len >= sizeof line->words[0]) {
                return WORDS + 1;
            }
            memcpy(line->words[n], text.data + at, len);
            line->words[n++][len] = '\0';
        }
        at += len > 0 ? len : 1;
    }
    return n;
}

static struct amm_port_config *find_port(struct amm_tunneld_config *config, const char *word)
{
    for (size_t i = 0; i < config->n_ports; i++) {
        char number[8];
        snprintf(number, sizeof number, "%u", config->ports[i].port);
        if (strcmp(number, word) == 0) {
            return &config->ports[i];
        }
    }
    return NULL;
}

static bool take_line(struct amm_tunneld_config *config, const struct line *line)
{
    struct amm_port_config *port = find_port(config, line->words[0]);
    struct amm_pool pool;
    char *end;
    if (port == NULL) {
        return true;
    }
    if (!amm_pool_parse(&pool, line->words[1], (enum amm_topology)port->topology)) {
        return complain(line,
                        "\"%s\" is no network (allowed: as 10.4.32.0/19, prefix 16 to 29, "
                        "host bits zero)",
                        line->words[1]);
    }
    unsigned long limit = strtoul(line->words[2], &end, 10);
    if (*end != '\0' || limit == 0 || limit > amm_pool_slots(&pool)) {
        return complain(line, "limit \"%s\" (allowed: 1 to %u)", line->words[2],
                        amm_pool_slots(&pool));
    }
    port->pool = pool;
    port->limit = (uint32_t)limit;
    snprintf(port->pool_text, sizeof port->pool_text, "%s", line->words[1]);
    return true;
}

static bool take_lines(struct amm_tunneld_config *config, const char *file, struct amm_view text,
                       char error[AMM_CONF_ERROR])
{
    struct line line = {.file = file, .error = error};
    while (text.len > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.data) : text.len;
        line.number++;
        unsigned n = split(&line, amm_view(text.data, len));
        if (n != 0 && n != WORDS) {
            return complain(&line, "a line is \"port pool limit\"");
        }
        if (n == WORDS && !take_line(config, &line)) {
            return false;
        }
        len += end != NULL;
        text = amm_view(text.data + len, text.len - len);
    }
    return amm_tunneld_pools_apart(config, file, error);
}

bool amm_tunneld_pools_apply(struct amm_tunneld_config *config, const char *file,
                             struct amm_view text, char error[AMM_CONF_ERROR])
{
    struct amm_port_config before[AMM_PORTS_MAX];
    memcpy(before, config->ports, sizeof before);
    bool ok = take_lines(config, file, text, error);
    if (!ok) {
        memcpy(config->ports, before, sizeof before);
    }
    return ok;
}

bool amm_tunneld_pools_read(struct amm_tunneld_config *config, char error[AMM_CONF_ERROR])
{
    struct amm_span text;
    if (access(config->pools, F_OK) != 0) {
        return true;
    }
    if (!amm_file_read(config->pools, POOLS_FILE_MAX, &text, error, AMM_CONF_ERROR)) {
        return false;
    }
    bool ok = amm_tunneld_pools_apply(config, config->pools, amm_view_of(text), error);
    free(text.data);
    return ok;
}
