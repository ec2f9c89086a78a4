/* The operators' console: the files that `./amm build` makes of web/, read into memory at the start
 * and served by the front threads without the fleet thread. Nothing else of the disk can be asked
 * for. Immutable once loaded: any thread. */
#pragma once

#include "http/server.h"

#include <stdbool.h>
#include <stddef.h>

struct console_files;

/* Reads the folder with those below it. Beside a file there may be the same with ".gz" at the end:
 * sent to browsers that take it. `form_origins` (blanks between them, may be ""): where forms may
 * go beside the console itself. NULL with a sentence, and then console_files_serve says how the
 * console is built; also if there is no index.html. */
struct console_files *console_files_load(const char *folder, const char *form_origins, char *error,
                                         size_t room);
struct console_files *console_files_free(struct console_files *files); /* returns NULL */

/* True if the path is the console's to answer, and not the API's. */
bool console_files_has(struct amm_view path);

/* The answer to GET or HEAD of such a path: a file, else index.html (the console's own pages).
 * Views in `*out` live as long as `files`, or are in `fields`. `files` NULL: a page in words. */
enum { CONSOLE_FIELDS_MAX = 2048 };
void console_files_answer(const struct console_files *files, const struct amm_http_request *request,
                          bool is_tls, struct amm_http_reply *out,
                          uint8_t fields[CONSOLE_FIELDS_MAX]);
