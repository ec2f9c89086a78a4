#include "xml.h"

#include <stdarg.h>
#include <stdio.h>

static const char *local_name(const char *name)
{
    const char *colon = strrchr(name, ':');
    return colon != NULL ? colon + 1 : name;
}

bool xml_is(const char *name, const char *wanted)
{
    return strcmp(local_name(name), wanted) == 0;
}

const char *xml_attribute(const char **attributes, const char *name)
{
    for (; attributes[0] != NULL; attributes += 2) {
        if (strcmp(attributes[0], name) == 0) {
            return attributes[1];
        }
    }
    return NULL;
}

void xml_refuse(struct xml *xml, const char *format, ...)
{
    if (xml->error[0] == '\0') {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(xml->error, AMM_SHEET_ERROR, format, arguments);
        va_end(arguments);
    }
    XML_StopParser(xml->parser, XML_FALSE);
}

static void on_start(void *data, const char *name, const char **attributes)
{
    struct xml *xml = data;
    if (++xml->depth > AMM_SHEET_DEPTH) {
        xml_refuse(xml, "The workbook's XML is nested too deeply. No spreadsheet program makes "
                        "such a file.");
    } else if (xml->error[0] == '\0') {
        xml->start(xml, name, attributes);
    }
}

static void on_end(void *data, const char *name)
{
    struct xml *xml = data;
    xml->depth--;
    if (xml->end != NULL && xml->error[0] == '\0') {
        xml->end(xml, name);
    }
}

static void on_text(void *data, const char *text, int len)
{
    struct xml *xml = data;
    if (xml->text != NULL && xml->error[0] == '\0') {
        xml->text(xml, text, (size_t)len);
    }
}

/* With the DTD its entities are gone, too: nothing grows, nothing is fetched. */
static void on_doctype(void *data, const char *name, const char *system, const char *public,
                       int has_internal)
{
    (void)name, (void)system, (void)public, (void)has_internal;
    xml_refuse(data, "The workbook has a document type (DTD), which could name other files. No "
                     "spreadsheet program makes such a file.");
}

static bool take(void *context, const char *piece, size_t len, bool is_last)
{
    struct xml *xml = context;
    const uint8_t *bytes = (const uint8_t *)piece;
    /* expat finds UTF-16 out by itself, whatever it was told. */
    if (!xml->is_begun && len >= 2 && (bytes[0] >= 0xfe || bytes[0] == 0 || bytes[1] == 0)) {
        snprintf(xml->error, AMM_SHEET_ERROR,
                 "The workbook's XML is UTF-16. Save it again as XLSX.");
        return false;
    }
    xml->is_begun = true;
    if (XML_Parse(xml->parser, piece, (int)len, is_last) == XML_STATUS_OK) {
        return true;
    }
    if (xml->error[0] == '\0' && XML_GetErrorCode(xml->parser) != XML_ERROR_ABORTED) {
        snprintf(xml->error, AMM_SHEET_ERROR,
                 "The workbook's XML is broken (line %lu: %s). Save it again as XLSX.",
                 (unsigned long)XML_GetCurrentLineNumber(xml->parser),
                 XML_ErrorString(XML_GetErrorCode(xml->parser)));
    }
    return false;
}

bool xml_read(struct xml *xml, struct package *package, const char *part)
{
    /* Whatever the part says, it is read as UTF-8: UTF-16 and UTF-7 are refused as broken. */
    xml->parser = XML_ParserCreate("UTF-8");
    xml->depth = 0;
    xml->is_begun = false;
    xml->error = package->error;
    if (xml->parser == NULL) {
        snprintf(package->error, AMM_SHEET_ERROR, "There is no memory to read the sheet.");
        return false;
    }
    XML_SetUserData(xml->parser, xml);
    XML_SetElementHandler(xml->parser, on_start, on_end);
    XML_SetCharacterDataHandler(xml->parser, on_text);
    XML_SetStartDoctypeDeclHandler(xml->parser, on_doctype);
    bool ok = package_read(package, part, take, xml);
    XML_ParserFree(xml->parser);
    return ok;
}
