#include "base/drop.h"

static const char *const names[AMM_DROP_COUNT] = {
#define X(id, name, text) [AMM_DROP_##id] = name,
    AMM_DROP_REASONS(X)
#undef X
};

static const char *const texts[AMM_DROP_COUNT] = {
#define X(id, name, text) [AMM_DROP_##id] = text,
    AMM_DROP_REASONS(X)
#undef X
};

const char *amm_drop_name(enum amm_drop reason)
{
    return names[reason];
}

const char *amm_drop_text(enum amm_drop reason)
{
    return texts[reason];
}
