/* The openssl program as a second opinion, with files in a folder of the test's own. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>

/* Makes the folder, and removes it with everything in it. */
int files_set_up(void **state);
int files_tear_down(void **state);

/* "<folder>/<name>" in static storage (four at a time). */
const char *file_path(const char *name);

void file_write(const char *name, struct amm_view bytes);

/* The file's bytes with a NUL behind them; the caller frees them. */
struct amm_span file_read(const char *name);

/* Runs openssl with these arguments (ended by NULL); true if it ended with 0. */
bool openssl_runs(const char *const *arguments);
#define OPENSSL(...) openssl_runs((const char *const[]){__VA_ARGS__, NULL})
