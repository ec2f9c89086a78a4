/* Runs a table of cases: each at once, cut at every byte, and byte by byte. */
#pragma once

#include <stdbool.h>

/* Fails the running cmocka test at the first case that goes wrong, all of them named before. */
void table_expect(const char *path, bool is_response, unsigned at_least);
void table_cut(const char *path, bool is_response);
void table_drip(const char *path, bool is_response);
