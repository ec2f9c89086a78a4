/* A folder of the test's own, with a PKI in it. */
#pragma once

#include "cad/material.h"

extern char test_folder[64], test_pki[80];

int folder_set_up(void **state); /* with the PKI; cmocka's group functions */
int folder_tear_down(void **state);
void folder_remove(const char *path);
