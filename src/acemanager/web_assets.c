#include "web_assets.h"

static const struct web_asset *find(struct amm_view name, bool is_file)
{
    for (size_t i = 0; i < web_assets_count; i++) {
        if ((web_assets[i].type != NULL) == is_file &&
            amm_view_equal(name, amm_view_str(web_assets[i].name))) {
            return &web_assets[i];
        }
    }
    return NULL;
}

struct amm_view web_asset_template(struct amm_view name)
{
    const struct web_asset *asset = find(name, false);
    return asset ? amm_view(asset->data, asset->len) : amm_view(NULL, 0);
}

const struct web_asset *web_asset_file(struct amm_view name)
{
    return find(name, true);
}
