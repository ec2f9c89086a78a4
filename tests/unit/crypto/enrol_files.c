#include "enrol_files.h"
#include "io/file.h"
#include "io/spawn.h"

#include <dirent.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[] = "/tmp/amm-test-enrol-XXXXXX";

int files_set_up(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

int files_tear_down(void **state)
{
    (void)state;
    DIR *dir = opendir(folder);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)) != NULL) {
        unlink(file_path(entry->d_name));
    }
    if (dir) {
        closedir(dir);
    }
    return rmdir(folder);
}

const char *file_path(const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, PATH_MAX, "%s/%s", folder, name);
    return path;
}

void file_write(const char *name, struct amm_view bytes)
{
    char error[256];
    if (!amm_file_write(file_path(name), bytes, 0600, error, sizeof error)) {
        fail_msg("%s", error);
    }
}

struct amm_span file_read(const char *name)
{
    char error[256];
    struct amm_span bytes;
    if (!amm_file_read(file_path(name), 1 << 20, &bytes, error, sizeof error)) {
        fail_msg("%s", error);
    }
    return bytes;
}

bool openssl_runs(const char *const *arguments)
{
    const char *argv[32] = {"openssl"};
    char error[512];
    for (size_t i = 0; arguments[i]; i++) {
        argv[i + 1] = arguments[i];
    }
    return amm_spawn(argv, amm_view(NULL, 0), error, sizeof error);
}
