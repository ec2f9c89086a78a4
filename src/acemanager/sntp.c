#include "sntp.h"

enum {
    LEAP_UNKNOWN = 3,
    VERSION = 4,
    CLIENT = 3,
    SERVER = 4,
    STRATUM_MOST = 15,
    DELAY_MOST_MS = 5000,
    DISPERSION_MOST = 16 << 16, /* 16 s in NTP's short format */
    AGREE_MS = 1000,
};

#define NTP_EPOCH INT64_C(2208988800) /* seconds from 1900 to 1970 */
#define NTP_ERA (INT64_C(1) << 32)

void ace_sntp_question(uint8_t out[ACE_SNTP_PACKET], uint64_t cookie)
{
    struct amm_writer w = amm_writer(out, ACE_SNTP_PACKET);
    amm_write_u8(&w, VERSION << 3 | CLIENT);
    while (amm_writer_room(&w) > 8) {
        amm_write_u8(&w, 0);
    }
    amm_write_u64(&w, cookie);
}

/* Milliseconds since 1970, in the era around `pivot`. */
static int64_t time_of(uint64_t stamp, int64_t pivot)
{
    int64_t seconds = (int64_t)(stamp >> 32) - NTP_EPOCH;
    while (seconds < pivot - NTP_ERA / 2) {
        seconds += NTP_ERA;
    }
    return seconds * 1000 + (int64_t)((stamp & 0xffffffff) * 1000 >> 32);
}

static bool refuse(const char **why, const char *text)
{
    *why = text;
    return false;
}

bool ace_sntp_parse(struct ace_sntp_answer *out, struct amm_view packet, uint64_t cookie,
                    const struct ace_sntp_times *times, int64_t pivot, const char **why)
{
    struct amm_reader r = amm_reader(packet);
    uint8_t first = amm_read_u8(&r), stratum = amm_read_u8(&r);
    amm_read_bytes(&r, 2); /* poll, precision */
    uint32_t root_delay = amm_read_u32(&r), dispersion = amm_read_u32(&r);
    amm_read_bytes(&r, 4 + 8); /* reference id and time */
    uint64_t origin = amm_read_u64(&r), received = amm_read_u64(&r), sent = amm_read_u64(&r);
    if (r.failed) {
        return refuse(why, "too short");
    }
    if ((first & 7) != SERVER || (first >> 3 & 7) < 3 || (first >> 3 & 7) > VERSION) {
        return refuse(why, "not an answer of NTP");
    }
    if (origin != cookie) {
        return refuse(why, "not the answer to our question");
    }
    if (stratum == 0) {
        return refuse(why, "the server asks us to stay away");
    }
    if (first >> 6 == LEAP_UNKNOWN || stratum > STRATUM_MOST || sent == 0 || received == 0 ||
        root_delay >= DISPERSION_MOST || dispersion >= DISPERSION_MOST) {
        return refuse(why, "the server knows no time itself");
    }
    int64_t t2 = time_of(received, pivot), t3 = time_of(sent, pivot);
    int64_t delay = times->received - times->sent - (t3 - t2);
    if (t3 < t2 || times->received < times->sent || delay < -10 || delay > DELAY_MOST_MS) {
        return refuse(why, "took too long to be exact");
    }
    *out = (struct ace_sntp_answer){
        .offset_ms = (t2 - times->sent + t3 - times->received) / 2,
        .delay_ms = delay < 0 ? 0 : delay,
        .stratum = stratum,
    };
    return true;
}

int ace_sntp_choose(const struct ace_sntp_answer *answers, size_t n)
{
    int best = -1;
    size_t best_friends = 0;
    for (size_t i = 0; i < n; i++) {
        size_t friends = 0;
        for (size_t k = 0; k < n; k++) {
            int64_t apart = answers[i].offset_ms - answers[k].offset_ms;
            friends += k != i && apart >= -AGREE_MS && apart <= AGREE_MS;
        }
        if (best < 0 || friends > best_friends ||
            (friends == best_friends && answers[i].stratum < answers[best].stratum)) {
            best = (int)i;
            best_friends = friends;
        }
    }
    return n > 1 && best_friends == 0 ? -1 : best;
}
