/* Tables of raw messages (requests.txt, responses.txt): bytes as escaped text, and what becomes of
 * them, as a transcript (transcript.h). The form is explained at the head of requests.txt. */
#pragma once

#include "base/bytes.h"

struct http_case {
    char name[96];
    int line;     /* of the file */
    bool head;    /* responses: to HEAD */
    bool connect; /* responses: to CONNECT */
    uint8_t *bytes;
    size_t len;
    char *expected; /* lines, each with its line feed */
};

struct http_cases {
    size_t n;
    struct http_case *at;
};

/* Ends the program with a word about the line if the file cannot be read. */
struct http_cases http_cases_read(const char *path);
void http_cases_free(struct http_cases *cases);
