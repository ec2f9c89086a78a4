#include "folder.h"
#include "pki/pki_store.h"

#include <dirent.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

char test_folder[64] = "/tmp/amm-test-cad-XXXXXX", test_pki[80];

int folder_set_up(void **state)
{
    char error[PKI_ERROR] = "";
    (void)state;
    assert_non_null(mkdtemp(test_folder));
    snprintf(test_pki, sizeof test_pki, "%s/pki", test_folder);
    if (!pki_create(test_pki, "Example", AMM_PKI_SERVER_NAME, NULL, error)) {
        fail_msg("%s", error);
    }
    return 0;
}

void folder_remove(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)) != NULL) {
        char inside[PATH_MAX];
        snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            unlink(inside) != 0) {
            folder_remove(inside);
        }
    }
    if (dir) {
        closedir(dir);
    }
    rmdir(path);
}

int folder_tear_down(void **state)
{
    (void)state;
    folder_remove(test_folder);
    return 0;
}
