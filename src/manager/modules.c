/* The parts of the manager, in the order in which they start. */
#include "manager/manager.h"

const struct manager_module *const manager_modules[] = {NULL};
