/* What gateway-web/ has, put into the program when it is built (gateway-web/embed.py). */
#pragma once

#include "base/bytes.h"

#include <stddef.h>

struct web_asset {
    const char *name; /* template: "status"; file: "acemanager-0123456789ab.css" */
    const char *type; /* Content-Type of a file; NULL: a template */
    size_t len;
    const char *data;
};

extern const struct web_asset web_assets[];
extern const size_t web_assets_count;

/* For web_template_render; data NULL: no such template. */
struct amm_view web_asset_template(struct amm_view name);

/* A file by its name; NULL: none. */
const struct web_asset *web_asset_file(struct amm_view name);
