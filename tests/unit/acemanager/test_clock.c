/* src/acemanager/clock.h and sntp.h */
#include "clock.h"
#include "sntp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { DAY = 86400 };

#define TRUE_TIME (AMM_CLOCK_RELEASE + 30 * (int64_t)DAY)
#define FIRST_DAY (AMM_CLOCK_RELEASE + 10 * (int64_t)DAY)
#define LAST_DAY (FIRST_DAY + 90 * (int64_t)DAY)

static const struct {
    const char *name;
    int64_t wall;
    bool is_believed; /* as it is, with the certificate of FIRST_DAY to LAST_DAY */
} dates[] = {
    {"before 1970", -DAY, false},
    {"1970", 0, false},
    {"1980, GPS", 315964800, false},
    {"2000", 946684800, false},
    {"2020", 1577836800, false},
    {"the day before the release", AMM_CLOCK_RELEASE - DAY, false},
    {"the day before the certificate", FIRST_DAY - DAY, false},
    {"the true time", TRUE_TIME, true},
    {"a week ahead", TRUE_TIME + 7 * DAY, true},
    {"the day after the certificate", LAST_DAY + DAY, false},
    {"2038", INT64_C(2147483648), false},
    {"2106", INT64_C(4294967296), false},
};

static struct ace_clock clock_of;
static struct amm_now sys;

static void begin(int64_t wall, int64_t saved, bool has_certificate)
{
    sys = (struct amm_now){100 * AMM_SECOND, wall};
    ace_clock_init(&clock_of, saved, has_certificate ? FIRST_DAY : 0,
                   has_certificate ? LAST_DAY : 0, sys);
}

static struct amm_now now(void)
{
    return ace_clock_now(&clock_of, sys);
}

static enum ace_clock_verdict offer(enum amm_clock_source source, int64_t wall)
{
    int64_t step = (wall - now().wall) * 1000;
    enum ace_clock_verdict verdict = ace_clock_offer(&clock_of, now(), source, &step);
    if (verdict == ACE_CLOCK_TAKEN) {
        ace_clock_shift(&clock_of, step / 1000);
    }
    return verdict;
}

static void twelve_dates_with_and_without_ntp(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof dates / sizeof dates[0]; i++) {
        for (unsigned with_ntp = 0; with_ntp < 2; with_ntp++) {
            begin(dates[i].wall, 0, true);
            assert_int_equal(ace_clock_is_trusted(&clock_of), dates[i].is_believed);
            if (with_ntp) {
                assert_int_equal(offer(AMM_CLOCK_NTP, TRUE_TIME), ACE_CLOCK_TAKEN);
                assert_int_equal(clock_of.source, AMM_CLOCK_NTP);
            }
            assert_int_equal(offer(AMM_CLOCK_SERVER, TRUE_TIME), ACE_CLOCK_TAKEN);
            assert_true(ace_clock_is_trusted(&clock_of));
            assert_int_equal(now().wall, TRUE_TIME);
            assert_int_equal(ace_clock_to_save(&clock_of, now()), TRUE_TIME);
        }
    }
}

static void nothing_goes_below_the_floor(void **state)
{
    (void)state;
    static const enum amm_clock_source sources[] = {AMM_CLOCK_SERVER, AMM_CLOCK_CELLULAR,
                                                    AMM_CLOCK_GPS, AMM_CLOCK_NTP};
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        begin(0, TRUE_TIME, true); /* proved once, in an earlier life */
        assert_string_equal(clock_of.floor.from, "the time saved last");
        assert_int_equal(offer(sources[i], TRUE_TIME - 1), ACE_CLOCK_BELOW);
        assert_false(ace_clock_is_trusted(&clock_of));
        assert_int_equal(offer(sources[i], TRUE_TIME - 2 * 365 * (int64_t)DAY), ACE_CLOCK_BELOW);
        assert_int_equal(offer(sources[i], TRUE_TIME), ACE_CLOCK_TAKEN);
    }
}

static void a_forged_ntp_locks_nobody_out(void **state)
{
    (void)state;
    begin(0, 0, true);
    assert_int_equal(offer(AMM_CLOCK_NTP, LAST_DAY + 1), ACE_CLOCK_ABOVE);
    assert_int_equal(offer(AMM_CLOCK_GPS, INT64_C(4294967296)), ACE_CLOCK_ABOVE);
    assert_int_equal(offer(AMM_CLOCK_NTP, LAST_DAY - DAY), ACE_CLOCK_TAKEN); /* within the life */
    assert_int_equal(ace_clock_to_save(&clock_of, now()), 0);                /* raises no floor */
    assert_int_equal(offer(AMM_CLOCK_SERVER, TRUE_TIME), ACE_CLOCK_TAKEN);
    assert_int_equal(now().wall, TRUE_TIME);
    assert_int_equal(clock_of.source, AMM_CLOCK_SERVER);
    /* And from now on it may not differ from what was proved. */
    assert_int_equal(offer(AMM_CLOCK_NTP, LAST_DAY - DAY), ACE_CLOCK_DISAGREES);
    assert_int_equal(offer(AMM_CLOCK_NTP, TRUE_TIME - 121), ACE_CLOCK_DISAGREES);
    assert_int_equal(offer(AMM_CLOCK_NTP, TRUE_TIME + 20), ACE_CLOCK_TAKEN);
    assert_int_equal(now().wall, TRUE_TIME + 20);
}

static void a_better_source_stays_while_it_is_fresh(void **state)
{
    (void)state;
    begin(TRUE_TIME, 0, true);
    assert_int_equal(clock_of.source, AMM_CLOCK_SYSTEM);
    assert_int_equal(offer(AMM_CLOCK_NTP, TRUE_TIME + 100), ACE_CLOCK_TAKEN);
    assert_int_equal(offer(AMM_CLOCK_CELLULAR, TRUE_TIME + 50), ACE_CLOCK_OUTRANKED);
    assert_int_equal(offer(AMM_CLOCK_SERVER, TRUE_TIME + 102), ACE_CLOCK_TAKEN);
    assert_int_equal(clock_of.source, AMM_CLOCK_NTP); /* they agree: NTP is more exact */
    assert_int_equal(now().wall, TRUE_TIME + 100);
    sys.mono += 27 * 3600 * AMM_SECOND;
    sys.wall += 27 * 3600;
    assert_int_equal(offer(AMM_CLOCK_CELLULAR, now().wall + 30), ACE_CLOCK_TAKEN);
}

static void a_gateway_that_slept_past_its_certificate_asks_the_server(void **state)
{
    (void)state;
    begin(LAST_DAY + 20 * DAY, 0, true); /* the clock is right */
    assert_false(ace_clock_is_trusted(&clock_of));
    assert_int_equal(offer(AMM_CLOCK_NTP, LAST_DAY + 20 * DAY), ACE_CLOCK_ABOVE);
    assert_int_equal(offer(AMM_CLOCK_SERVER, LAST_DAY + 20 * DAY), ACE_CLOCK_TAKEN);
    assert_true(ace_clock_is_trusted(&clock_of));
    assert_int_equal(clock_of.offset, 0);
    assert_int_equal(offer(AMM_CLOCK_NTP, LAST_DAY + 20 * DAY + 1), ACE_CLOCK_TAKEN);
}

static void doubt_ends_with_a_proof(void **state)
{
    (void)state;
    begin(TRUE_TIME + 60 * DAY, 0, false); /* ahead, but believable */
    assert_true(ace_clock_is_trusted(&clock_of));
    ace_clock_doubt(&clock_of); /* the server's certificate seemed expired */
    assert_false(ace_clock_is_trusted(&clock_of));
    assert_int_equal(offer(AMM_CLOCK_SERVER, TRUE_TIME), ACE_CLOCK_TAKEN);
    ace_clock_doubt(&clock_of);
    assert_true(ace_clock_is_trusted(&clock_of));
}

static void proofs_are_saved_once_a_day(void **state)
{
    (void)state;
    begin(TRUE_TIME, TRUE_TIME - 3600, true);
    assert_int_equal(offer(AMM_CLOCK_SERVER, TRUE_TIME), ACE_CLOCK_TAKEN);
    assert_int_equal(ace_clock_to_save(&clock_of, now()), 0);
    sys.mono += DAY * AMM_SECOND;
    sys.wall += DAY;
    assert_int_equal(ace_clock_to_save(&clock_of, now()), TRUE_TIME + DAY);
    assert_int_equal(ace_clock_to_save(&clock_of, now()), 0);
    assert_int_equal(clock_of.floor.at, TRUE_TIME + DAY);
}

/* ---- SNTP ---- */

#define NTP_EPOCH INT64_C(2208988800)

struct packet {
    uint8_t bytes[ACE_SNTP_PACKET];
};

static uint64_t stamp(int64_t ms)
{
    return (uint64_t)(ms / 1000 + NTP_EPOCH) << 32 |
           (uint64_t)(ms % 1000) * ((UINT64_C(1) << 32) / 1000);
}

static struct packet good(uint64_t cookie, int64_t received, int64_t sent)
{
    struct packet p;
    struct amm_writer w = amm_writer(p.bytes, sizeof p.bytes);
    amm_write_u8(&w, 4 << 3 | 4);
    amm_write_u8(&w, 2);
    amm_write_u16(&w, 0x06ec);
    amm_write_u32(&w, 0x100);
    amm_write_u32(&w, 0x200);
    amm_write_u32(&w, 0xc0000201);
    amm_write_u64(&w, stamp(received - 5000));
    amm_write_u64(&w, cookie);
    amm_write_u64(&w, stamp(received));
    amm_write_u64(&w, stamp(sent));
    return p;
}

static bool parse(const struct packet *p, size_t len, uint64_t cookie, int64_t sent,
                  int64_t received, struct ace_sntp_answer *out)
{
    const char *why = NULL;
    const struct ace_sntp_times times = {sent, received};
    bool ok = ace_sntp_parse(out, amm_view(p->bytes, len), cookie, &times, AMM_CLOCK_RELEASE, &why);
    assert_true(ok || why != NULL);
    return ok;
}

static void an_answer_gives_offset_and_delay(void **state)
{
    (void)state;
    struct ace_sntp_answer out;
    uint8_t question[ACE_SNTP_PACKET];
    int64_t server = TRUE_TIME * 1000;
    ace_sntp_question(question, 0x1122334455667788);
    assert_int_equal(question[0], 0x23);
    assert_int_equal(question[40], 0x11);
    /* Our clock says 1970; 40 ms there, 20 ms in the server, 40 ms back. */
    struct packet p = good(7, server, server + 20);
    assert_true(parse(&p, sizeof p.bytes, 7, 1000, 1100, &out));
    assert_in_range(out.delay_ms, 79, 81);
    assert_in_range(out.offset_ms, server - 1000 - 42, server - 1000 - 38);
    assert_int_equal(out.stratum, 2);
    /* The era after 2036. */
    p = good(7, 0, 0);
    struct amm_writer w = amm_writer(p.bytes + 32, 16);
    amm_write_u64(&w, UINT64_C(100) << 32);
    amm_write_u64(&w, UINT64_C(100) << 32);
    assert_true(parse(&p, sizeof p.bytes, 7, 0, 0, &out));
    assert_int_equal(out.offset_ms / 1000, INT64_C(2085978496) + 100);
}

static void other_answers_are_refused(void **state)
{
    (void)state;
    struct ace_sntp_answer out;
    int64_t server = TRUE_TIME * 1000;
    const struct packet p = good(7, server, server + 20);
    assert_false(parse(&p, 47, 7, 0, 100, &out));
    assert_false(parse(&p, sizeof p.bytes, 8, 0, 100, &out));  /* not our question */
    assert_false(parse(&p, sizeof p.bytes, 7, 0, 6000, &out)); /* too late */
    assert_false(parse(&p, sizeof p.bytes, 7, 100, 0, &out));  /* before it was asked */
    static const struct {
        size_t at;
        uint8_t value;
    } changes[] = {
        {0, 0xe4}, /* leap: not synchronised */
        {0, 0x23}, /* a question */
        {0, 0x14}, /* version 2 */
        {1, 0},    /* kiss of death */
        {1, 16},   /* not synchronised */
        {4, 0x10}, /* root delay */
        {8, 0x10}, /* root dispersion */
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct packet changed = p;
        changed.bytes[changes[i].at] = changes[i].value;
        assert_false(parse(&changed, sizeof p.bytes, 7, 0, 100, &out));
    }
    struct packet zero = p;
    memset(zero.bytes + 40, 0, 8);
    assert_false(parse(&zero, sizeof p.bytes, 7, 0, 100, &out));
    struct packet backwards = good(7, server + 20, server);
    assert_false(parse(&backwards, sizeof p.bytes, 7, 0, 100, &out));
}

static void one_liar_among_several_is_outvoted(void **state)
{
    (void)state;
    const struct ace_sntp_answer answers[] = {
        {9000000, 10, 1}, {500, 10, 3}, {900, 10, 2}, {-7000, 10, 1}};
    assert_int_equal(ace_sntp_choose(answers, 0), -1);
    assert_int_equal(ace_sntp_choose(answers, 1), 0);
    assert_int_equal(ace_sntp_choose(answers, 2), -1); /* nobody agrees */
    assert_int_equal(ace_sntp_choose(answers, 3), 2);
    assert_int_equal(ace_sntp_choose(answers, 4), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(twelve_dates_with_and_without_ntp),
        cmocka_unit_test(nothing_goes_below_the_floor),
        cmocka_unit_test(a_forged_ntp_locks_nobody_out),
        cmocka_unit_test(a_better_source_stays_while_it_is_fresh),
        cmocka_unit_test(a_gateway_that_slept_past_its_certificate_asks_the_server),
        cmocka_unit_test(doubt_ends_with_a_proof),
        cmocka_unit_test(proofs_are_saved_once_a_day),
        cmocka_unit_test(an_answer_gives_offset_and_delay),
        cmocka_unit_test(other_answers_are_refused),
        cmocka_unit_test(one_liar_among_several_is_outvoted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
