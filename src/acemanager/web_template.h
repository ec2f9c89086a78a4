/* Templates of the pages: HTML with a few marks, filled from JSON.
 *
 *   {{name}}  {{a.b}}  {{.}}       text or number, escaped; there is no way to write it unescaped
 *   {{.name}}                      the same, of the element at hand only
 *   {{#name}} ... {{/name}}        for each element of an array; once if it is an object, true, a
 *                                  text that is not empty, or a number that is not 0
 *   {{^name}} ... {{/name}}        if the above would write nothing
 *   {{>name}}                      another template, here
 *
 * A name is looked up in the element at hand, then in what encloses it. What is not there writes
 * nothing. Where a mark may stand is checked when the program is built (gateway-web/embed.py): in
 * text and in quoted attribute values, never in a script, a style, a tag name or the start of a
 * link. So escaping five characters is enough everywhere.
 *
 * Pure but for memory; any thread. */
#pragma once

#include "base/bytes.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Text that grows; a failure sticks. */
struct web_text {
    char *data; /* malloc'd; the owner frees it with web_text_deinit */
    size_t len, room;
    bool failed;
};

enum { WEB_TEXT_MAX = 512 * 1024 }; /* of one page */

void web_text_add(struct web_text *text, struct amm_view bytes);
void web_text_add_escaped(struct web_text *text, struct amm_view bytes);
void web_text_deinit(struct web_text *text);

/* Gives a template by its name; data NULL: there is none. */
typedef struct amm_view (*web_template_find)(struct amm_view name);

/* Adds the template, filled. False if a name of a template is unknown, marks do not match, nesting
 * is too deep, or memory is short. */
bool web_template_render(struct web_text *out, struct amm_view name, const json_t *data,
                         web_template_find find);
