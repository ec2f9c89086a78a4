/* What every backend of the store must do. A backend's test gives functions that make, open again
 * and throw away a database, and runs these. */
#pragma once

#include "store/store.h"

struct conformance {
    struct amm_store_settings settings;
    struct amm_store *store;
    char error[AMM_STORE_ERROR];
};

/* Runs the suite; how many failed. */
int conformance_run(const char *name);

/* Given by the backend's test, for cmocka: *state becomes a struct conformance with an open, new
 * store. */
int conformance_open(void **state);
int conformance_close(void **state);
