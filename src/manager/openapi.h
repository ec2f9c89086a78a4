/* The OpenAPI 3 description, made from the route table: what stands there is what is served. */
#pragma once

#include <jansson.h>

json_t *openapi_make(void); /* NULL: out of memory */
