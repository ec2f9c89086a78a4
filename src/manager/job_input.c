/* Query and body against the fields of the route: what is not listed, of another kind or out of
 * range is refused with the name of the member, before a handler sees it. */
#include "manager/job_parts.h"

#include <stdio.h>
#include <stdlib.h>

enum { PAGE_DEFAULT = 100, VALUE_MAX = 1024, NAME_SHOWN = 64 };

/* ---- values ---- */

static bool parse_number(const char *text, int64_t *out)
{
    const char *digits = text + (*text == '-');
    size_t len = strspn(digits, "0123456789");
    if (len == 0 || len > 18 || digits[len] != '\0' || (len > 1 && digits[0] == '0')) {
        return false;
    }
    *out = strtoll(text, NULL, 10);
    return true;
}

static bool is_choice(const char *choices, const char *text)
{
    for (size_t len; *choices != '\0'; choices += len + (choices[len] == '|')) {
        len = strcspn(choices, "|");
        if (strlen(text) == len && memcmp(choices, text, len) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_control(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f) {
            return true;
        }
    }
    return false;
}

static bool refuse(struct job *job, const struct field *field, const char *what)
{
    job_error(job, 400, "bad-value", field->name, "%s: %s", field->name, what);
    return false;
}

static bool check_text(struct job *job, const struct field *field, const char *text)
{
    size_t len = strlen(text);
    char words[96];
    if (has_control(text)) {
        return refuse(job, field, "must not hold control characters");
    }
    if ((int64_t)len < field->min || (int64_t)len > field->max) {
        snprintf(words, sizeof words, "must have %lld to %lld bytes", (long long)field->min,
                 (long long)field->max);
        return refuse(job, field, words);
    }
    return true;
}

static bool check_number(struct job *job, const struct field *field, int64_t number)
{
    char words[96];
    if (number >= field->min && number <= field->max) {
        return true;
    }
    snprintf(words, sizeof words, "must be %lld to %lld", (long long)field->min,
             (long long)field->max);
    return refuse(job, field, words);
}

static bool check_id(struct job *job, const struct field *field, const char *text)
{
    int64_t number;
    if (text == NULL || !parse_number(text, &number) || number < (field->min > 0 ? 1 : 0)) {
        return refuse(job, field, "must be an id: decimal digits in a string");
    }
    return true;
}

static bool check_choice(struct job *job, const struct field *field, const char *text)
{
    char words[256];
    if (text != NULL && is_choice(field->choices, text)) {
        return true;
    }
    snprintf(words, sizeof words, "must be one of %s", field->choices);
    return refuse(job, field, words);
}

/* ---- body ---- */

static bool check_member(struct job *job, const struct field *field, const json_t *value)
{
    switch (field->kind) {
    case FIELD_TEXT:
        return json_is_string(value) &&
                       strlen(json_string_value(value)) == json_string_length(value)
                   ? check_text(job, field, json_string_value(value))
                   : refuse(job, field, "must be a string");
    case FIELD_NUMBER:
        return json_is_integer(value) ? check_number(job, field, json_integer_value(value))
                                      : refuse(job, field, "must be a whole number");
    case FIELD_BOOL:
        return json_is_boolean(value) || refuse(job, field, "must be true or false");
    case FIELD_ID:
        return check_id(job, field, json_string_value(value));
    case FIELD_CHOICE:
        return check_choice(job, field, json_string_value(value));
    case FIELD_OBJECT:
        return json_is_object(value) || refuse(job, field, "must be an object");
    case FIELD_ARRAY:
        return (json_is_array(value) && (int64_t)json_array_size(value) <= field->max &&
                (int64_t)json_array_size(value) >= field->min) ||
               refuse(job, field, "must be an array within its limits");
    case FIELD_ANY:
        return true;
    }
    return false;
}

static const struct field *find_field(const struct field *fields, const char *name)
{
    for (; fields != NULL && fields->name != NULL; fields++) {
        if (strcmp(fields->name, name) == 0) {
            return fields;
        }
    }
    return NULL;
}

static bool check_members(struct job *job)
{
    const char *name;
    json_t *value;
    json_object_foreach(job->input, name, value)
    {
        const struct field *field = find_field(job->route->body, name);
        if (field == NULL) {
            char shown[NAME_SHOWN];
            amm_text_clean(shown, sizeof shown, amm_view_str(name));
            job_error(job, 400, "unknown-field", shown, "%s: not known here", shown);
            return false;
        }
        if (!check_member(job, field, value)) {
            return false;
        }
    }
    for (const struct field *field = job->route->body; field->name != NULL; field++) {
        if (field->required && json_object_get(job->input, field->name) == NULL) {
            job_error(job, 400, "missing-field", field->name, "%s: must be given", field->name);
            return false;
        }
    }
    return true;
}

static bool is_json(struct amm_view type)
{
    static const char want[] = "application/json";
    size_t len = sizeof want - 1;
    return type.len >= len && amm_http_is(amm_view(type.data, len), want) &&
           (type.len == len || type.data[len] == ';' || type.data[len] == ' ');
}

static bool check_body(struct job *job)
{
    if (job->route->body == NULL || (job->route->flags & ROUTE_RAW_BODY)) {
        return true;
    }
    if (job->body.len == 0) {
        job->input = json_object();
        return check_members(job);
    }
    /* Also a lock against other sites: a form cannot send this type without being asked first. */
    if (!is_json(job_header(job, "content-type"))) {
        job_error(job, 415, "not-json", NULL, "send Content-Type: application/json");
        return false;
    }
    json_error_t error;
    job->input =
        json_loadb((const char *)job->body.data, job->body.len, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(job->input)) {
        job_error(job, 400, "bad-json", NULL, "the body is no JSON object (line %d): %.100s",
                  job->input == NULL ? error.line : 1,
                  job->input == NULL ? error.text : "another value");
        return false;
    }
    return check_members(job);
}

/* ---- query ---- */

static bool check_parameter(struct job *job, const struct field *field, const char *text)
{
    int64_t number;
    switch (field->kind) {
    case FIELD_NUMBER:
        return parse_number(text, &number) ? check_number(job, field, number)
                                           : refuse(job, field, "must be a whole number");
    case FIELD_BOOL:
        return strcmp(text, "true") == 0 || strcmp(text, "false") == 0 ||
               refuse(job, field, "must be true or false");
    case FIELD_ID:
        return check_id(job, field, text);
    case FIELD_CHOICE:
        return check_choice(job, field, text);
    case FIELD_TEXT:
    case FIELD_OBJECT:
    case FIELD_ARRAY:
    case FIELD_ANY:
        return check_text(job, field, text);
    }
    return false;
}

static bool check_pair(struct job *job, struct amm_view pair)
{
    char name[NAME_SHOWN], shown[NAME_SHOWN], value[VALUE_MAX];
    const uint8_t *equal = memchr(pair.data, '=', pair.len);
    struct amm_view left = amm_view(pair.data, equal ? (size_t)(equal - pair.data) : pair.len);
    struct amm_view right = equal ? amm_view(equal + 1, pair.len - left.len - 1) : amm_view("", 0);
    bool readable = amm_http_decode(left, true, name, sizeof name);
    const struct field *field = readable ? find_field(job->route->query, name) : NULL;
    if (field == NULL) {
        amm_text_clean(shown, sizeof shown, left);
        job_error(job, 400, "unknown-parameter", shown, "%s: not known here", shown);
        return false;
    }
    if (!amm_http_decode(right, true, value, sizeof value)) {
        return refuse(job, field, "is malformed or too long");
    }
    return check_parameter(job, field, value);
}

static bool check_query(struct job *job)
{
    struct amm_view query = job->query;
    if (job->route->query == NULL && (job->listener & (LISTENER_GATEWAYS | LISTENER_METRICS))) {
        return true; /* GP-4: what is not known is ignored */
    }
    while (query.len > 0) {
        const uint8_t *end = memchr(query.data, '&', query.len);
        size_t len = end ? (size_t)(end - query.data) : query.len;
        if (len > 0 && !check_pair(job, amm_view(query.data, len))) {
            return false;
        }
        query.data += len + (end != NULL);
        query.len -= len + (end != NULL);
    }
    for (const struct field *field = job->route->query; field != NULL && field->name != NULL;
         field++) {
        char value[VALUE_MAX];
        if (field->required && !amm_http_query(job->query, field->name, value, sizeof value)) {
            job_error(job, 400, "missing-parameter", field->name, "%s: must be given", field->name);
            return false;
        }
    }
    return true;
}

bool job_check_input(struct job *job)
{
    return check_query(job) && check_body(job);
}

/* ---- reading ---- */

bool job_has(const struct job *job, const char *name)
{
    return json_object_get(job->input, name) != NULL;
}

const char *job_text(const struct job *job, const char *name, const char *missing)
{
    const char *text = json_string_value(json_object_get(job->input, name));
    return text != NULL ? text : missing;
}

int64_t job_number(const struct job *job, const char *name, int64_t missing)
{
    const json_t *value = json_object_get(job->input, name);
    return json_is_integer(value) ? json_integer_value(value) : missing;
}

bool job_bool(const struct job *job, const char *name, bool missing)
{
    const json_t *value = json_object_get(job->input, name);
    return json_is_boolean(value) ? json_is_true(value) : missing;
}

int64_t job_id(const struct job *job, const char *name, int64_t missing)
{
    const char *text = job_text(job, name, NULL);
    int64_t number;
    return text != NULL && parse_number(text, &number) ? number : missing;
}

bool job_query_text(const struct job *job, const char *name, char *out, size_t room)
{
    return amm_http_query(job->query, name, out, room);
}

int64_t job_query_number(const struct job *job, const char *name, int64_t missing)
{
    char text[32];
    int64_t number;
    return job_query_text(job, name, text, sizeof text) && parse_number(text, &number) ? number
                                                                                       : missing;
}

bool job_query_bool(const struct job *job, const char *name, bool missing)
{
    char text[8];
    return job_query_text(job, name, text, sizeof text) ? strcmp(text, "true") == 0 : missing;
}

bool job_argument_number(struct job *job, unsigned i, int64_t min, int64_t max, int64_t *out)
{
    if (i < job->n_arguments && parse_number(job->arguments[i], out) && *out >= min &&
        *out <= max) {
        return true;
    }
    job_not_found(job);
    return false;
}

struct job_page job_page(const struct job *job)
{
    return (struct job_page){(unsigned)job_query_number(job, "limit", PAGE_DEFAULT),
                             job_query_number(job, "after", 0)};
}
