/* A part of a workbook as XML: expat, without DTD and entities, not deeper than AMM_SHEET_DEPTH.
 * Names of elements and attributes without their namespace. */
#pragma once

#include "package.h"

#include <expat.h>

struct xml {
    XML_Parser parser;
    unsigned depth;
    bool is_begun;
    char *error; /* "" so long as all is well */
    void *context;
    void (*start)(struct xml *xml, const char *name, const char **attributes);
    void (*end)(struct xml *xml, const char *name);
    void (*text)(struct xml *xml, const char *text, size_t len);
};

/* Reads a part; `context`, `start`, `end` and `text` (may be NULL) are set by the caller. */
bool xml_read(struct xml *xml, struct package *package, const char *part);

/* Stops: the first reason stays. */
void xml_refuse(struct xml *xml, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* NULL: there is no such attribute. */
const char *xml_attribute(const char **attributes, const char *name);

bool xml_is(const char *name, const char *wanted); /* without the namespace's prefix */
