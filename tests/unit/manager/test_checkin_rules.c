#include "manager/checkin_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void numbers_say_what_is_new_and_what_one_gateway_cannot_have_sent(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct checkin_numbers last, message;
        unsigned stale;
        enum checkin_age age;
        bool is_clone;
    } rows[] = {
        {"the first one ever", {0}, {1, 1, 7, true}, 0, CHECKIN_NEW, false},
        {"the first one, of an old gateway", {0}, {4711, 12, 7, true}, 0, CHECKIN_NEW, false},
        {"the next one", {10, 3, 7, true}, {11, 3, 8, true}, 0, CHECKIN_NEW, false},
        {"the next one, idle", {10, 3, 7, true}, {11, 0, 8, false}, 0, CHECKIN_NEW, false},
        {"after a start", {10, 3, 7, true}, {11, 4, 8, true}, 0, CHECKIN_NEW, false},
        {"after many starts without network",
         {10, 3, 7, true},
         {11, 9, 8, true},
         0,
         CHECKIN_NEW,
         false},
        {"seq jumps after a power cut", {10, 3, 7, true}, {500, 4, 8, true}, 0, CHECKIN_NEW, false},
        {"the answer was lost", {10, 3, 7, true}, {10, 3, 7, true}, 0, CHECKIN_REPEAT, false},
        {"the answer was lost, idle",
         {10, 3, 7, true},
         {10, 0, 7, false},
         0,
         CHECKIN_REPEAT,
         false},
        {"late by a slow network", {10, 3, 7, true}, {9, 3, 6, true}, 0, CHECKIN_OLD, false},
        {"late, before a start", {10, 3, 7, true}, {9, 2, 6, true}, 2, CHECKIN_OLD, false},
        {"the older copy goes on", {10, 4, 7, true}, {11, 3, 8, true}, 0, CHECKIN_NEW, true},
        {"both count from the same copy",
         {10, 3, 7, true},
         {10, 4, 8, true},
         0,
         CHECKIN_REPEAT,
         true},
        {"same start, same seq, other body",
         {10, 3, 7, true},
         {10, 3, 8, true},
         0,
         CHECKIN_REPEAT,
         true},
        {"an old image was started", {10, 3, 7, true}, {5, 4, 8, true}, 0, CHECKIN_OLD, true},
        {"behind, again and again", {10, 3, 7, true}, {9, 3, 6, true}, 3, CHECKIN_OLD, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct checkin_verdict v = checkin_judge(&rows[i].last, &rows[i].message, rows[i].stale);
        if (v.age != rows[i].age || v.is_clone != rows[i].is_clone) {
            fail_msg("%s: age %d, clone %d", rows[i].what, v.age, v.is_clone);
        }
        assert_true((v.how[0] != '\0') == v.is_clone);
    }
}

/* Two copies of a gateway at any pace are found after a few check-ins of each. */
static void two_copies_are_found_whatever_their_pace(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 2000; seed++) {
        srand(seed);
        struct checkin_numbers copy[2] = {{100, 12, 0, true}, {100, 12, 0, true}};
        copy[1].boot += (unsigned)rand() % 3; /* switched on, or resumed as it was */
        struct checkin_numbers last = {100, 12, 1, true};
        unsigned stale = 0, sent[2] = {0, 0};
        bool found = false;
        while (!found && (sent[0] < 12 || sent[1] < 12)) {
            unsigned who = (unsigned)rand() % 2;
            sent[who]++;
            copy[who].seq++;
            copy[who].digest = copy[who].seq * 2 + who;
            struct checkin_verdict v = checkin_judge(&last, &copy[who], stale);
            found = v.is_clone;
            stale += v.age == CHECKIN_OLD;
            if (v.age == CHECKIN_NEW) {
                last = copy[who];
            }
        }
        if (!found) {
            fail_msg("seed %u", seed);
        }
    }
}

static void a_calm_server_sends_nobody_away(void **state)
{
    (void)state;
    struct comeback c;
    struct amm_now now = {AMM_SECOND, 1000};
    comeback_init(&c, now.mono);
    for (unsigned i = 0; i < 10000; i++) {
        now.mono += AMM_MILLISECOND;
        assert_int_equal(comeback_admit(&c, now, 100, 0), 0);
    }
}

static void slots_are_spread_by_capacity(void **state)
{
    (void)state;
    struct comeback c;
    struct amm_now now = {AMM_SECOND, 1000};
    comeback_init(&c, now.mono);
    c.rate = 100;
    unsigned in_second[400] = {0};
    for (unsigned i = 0; i < 10000; i++) {
        uint32_t after = i % 2 ? comeback_admit(&c, now, 200, 0) : comeback_slot(&c, now.mono);
        assert_true(after >= 2 && after < 400);
        in_second[after]++;
    }
    for (unsigned i = 0; i < 400; i++) {
        assert_true(in_second[i] <= 76); /* three quarters of the capacity */
    }
}

static void nobody_is_sent_away_for_longer_than_the_longest_interval(void **state)
{
    (void)state;
    struct comeback c;
    struct amm_now now = {AMM_SECOND, 1000};
    comeback_init(&c, now.mono);
    c.rate = 20;
    for (unsigned i = 0; i < 1000000; i++) {
        uint32_t after = comeback_slot(&c, now.mono);
        assert_true(after >= 1 && after <= COMEBACK_MOST);
    }
}

static void who_comes_in_its_slot_waits_longer_before_it_is_sent_away_again(void **state)
{
    (void)state;
    struct comeback c;
    struct amm_now now = {AMM_SECOND, 1000};
    comeback_init(&c, now.mono);
    c.rate = 100;
    assert_int_equal(comeback_admit(&c, now, 500, 1000), 0);
    assert_int_equal(comeback_admit(&c, now, 500, 998), 0);
    assert_int_not_equal(comeback_admit(&c, now, 500, 1010), 0);
    assert_int_not_equal(comeback_admit(&c, now, 500, 900), 0);
    assert_int_not_equal(comeback_admit(&c, now, 1100, 1000), 0);
}

/* A whole fleet at once, in virtual time: a server that takes 200 a second, everybody comes again
 * when told. */
static void a_fleet_that_comes_at_once_is_served_at_the_servers_pace(void **state)
{
    (void)state;
    enum { FLEET = 8188, PACE = 200, QUEUE = 4096 };
    struct comeback c;
    struct amm_now now = {AMM_SECOND, 1000};
    static int64_t due[FLEET], slot[FLEET];
    static uint16_t queue[FLEET];
    size_t waiting = 0;
    unsigned done = 0, tries = 0;
    memset(due, 0, sizeof due);
    comeback_init(&c, now.mono);
    while (done < FLEET && now.wall < 2000) {
        for (size_t i = 0; i < FLEET; i++) {
            if (due[i] < 0 || due[i] > now.wall) {
                continue;
            }
            tries++;
            if (waiting < QUEUE) {
                queue[waiting++] = (uint16_t)i;
                due[i] = INT64_MAX;
            } else {
                due[i] = now.wall + comeback_slot(&c, now.mono);
            }
        }
        /* Refusals are cheap: ten of them cost as much as one that is taken. */
        size_t n = 0;
        for (unsigned budget = PACE * 10; n < waiting && budget >= 10; n++) {
            uint32_t backlog = (uint32_t)(waiting - n - 1);
            uint32_t after = comeback_admit(&c, now, backlog, slot[queue[n]]);
            budget -= after == 0 ? 10 : 1;
            done += after == 0;
            due[queue[n]] = after == 0 ? -1 : now.wall + after;
            slot[queue[n]] = after == 0 ? 0 : now.wall + after;
        }
        waiting -= n;
        memmove(queue, queue + n, waiting * sizeof queue[0]);
        now.mono += AMM_SECOND;
        now.wall++;
    }
    assert_int_equal(done, FLEET);
    assert_true(now.wall < 1000 + 3 * FLEET / PACE);
    assert_true(tries < 4 * FLEET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_say_what_is_new_and_what_one_gateway_cannot_have_sent),
        cmocka_unit_test(two_copies_are_found_whatever_their_pace),
        cmocka_unit_test(a_calm_server_sends_nobody_away),
        cmocka_unit_test(slots_are_spread_by_capacity),
        cmocka_unit_test(nobody_is_sent_away_for_longer_than_the_longest_interval),
        cmocka_unit_test(who_comes_in_its_slot_waits_longer_before_it_is_sent_away_again),
        cmocka_unit_test(a_fleet_that_comes_at_once_is_served_at_the_servers_pace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
