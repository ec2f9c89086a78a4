/* What a gateway and the manager send each other: whatever is taken must come back as it went. */
#include "domain/checkin.h"
#include "domain/gateway_answers.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void request(struct amm_view body)
{
    struct amm_checkin in, again;
    struct amm_refusal error;
    size_t len;
    if (amm_checkin_decode(&in, body, &error)) {
        char *text = amm_checkin_encode(&in, &len);
        if (!text || !amm_checkin_decode(&again, amm_view(text, len), &error) ||
            again.refused.n != 0 || again.n_events != in.n_events ||
            !json_equal(again.stats, in.stats) != !json_equal(in.stats, again.stats)) {
            abort();
        }
        free(text);
        amm_checkin_deinit(&again);
    } else if (error.text[0] == '\0') {
        abort();
    }
    amm_checkin_deinit(&in);
}

static void answer(struct amm_view body)
{
    struct amm_checkin_answer in, again;
    struct amm_refusal error;
    size_t len;
    if (amm_checkin_answer_decode(&in, body, &error)) {
        char *text = amm_checkin_answer_encode(&in, &len);
        if (!text || !amm_checkin_answer_decode(&again, amm_view(text, len), &error)) {
            abort();
        }
        free(text);
        amm_checkin_answer_deinit(&again);
    }
    amm_checkin_answer_deinit(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct amm_time_answer time;
    struct amm_tunnel_settings tunnel;
    struct amm_error_answer refusal;
    struct amm_refusal error;
    struct amm_view body = amm_view(data, size);
    json_object_seed(1);
    request(body);
    answer(body);
    amm_error_answer_decode(&refusal, body);
    amm_time_answer_decode(&time, body, &error);
    amm_time_answer_deinit(&time);
    amm_tunnel_settings_decode(&tunnel, body, &error);
    amm_tunnel_settings_deinit(&tunnel);
    return 0;
}
