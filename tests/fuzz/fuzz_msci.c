/* Values of parameters: what is taken is canonical, fits, and survives JSON; what is refused is
 * refused in words that can be shown. The first two bytes choose the parameter and the form. */
#include "domain/msci.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_value(const struct amm_msci *msci, const struct amm_msci_value *value)
{
    struct amm_msci_value again;
    char error[AMM_MSCI_ERROR];
    if (strnlen(value->text, AMM_MSCI_VALUE) == AMM_MSCI_VALUE ||
        !amm_msci_from_text(msci, amm_view_str(value->text), &again, error) ||
        !amm_msci_value_equal(value, &again)) {
        abort();
    }
    json_t *json = amm_msci_to_json(msci, value);
    if (!json || (!msci->is_secret && (!amm_msci_from_json(msci, json, &again, error) ||
                                       !amm_msci_value_equal(value, &again)))) {
        abort();
    }
    json_decref(json);
}

static void check_refusal(const char error[AMM_MSCI_ERROR])
{
    size_t len = strnlen(error, AMM_MSCI_ERROR);
    json_t *text = len < AMM_MSCI_ERROR ? json_string(error) : NULL; /* NULL: no UTF-8 */
    if (!text || strcspn(error, "\x1b\n\r\t") != len || !strstr(error, "Allowed: ")) {
        abort();
    }
    json_decref(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct amm_msci_value value;
    char error[AMM_MSCI_ERROR] = "";
    if (size < 2) {
        return 0;
    }
    const struct amm_msci *msci = amm_msci_at(data[0] % amm_msci_count());
    struct amm_view text = amm_view(data + 2, size - 2);
    amm_msci_find_word(text);
    json_t *json =
        data[1] % 2 ? json_loadb((const char *)text.data, text.len, JSON_DECODE_ANY, NULL) : NULL;
    bool ok = json ? amm_msci_from_json(msci, json, &value, error)
                   : amm_msci_from_text(msci, text, &value, error);
    if (ok) {
        check_value(msci, &value);
    } else {
        check_refusal(error);
    }
    json_decref(json);
    return 0;
}
