/* base/wheel: against a list of deadlines, with random operations and random steps of time. */
#include "base/random.h"
#include "base/wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { ENTRIES = 40 };
#define TICK ((amm_duration)1 << 24)

struct model {
    amm_time deadline[ENTRIES];
    amm_time due[ENTRIES]; /* when the wheel gives it at the latest */
    amm_time done;         /* the next tick that the wheel has not been through */
};

static amm_time rounded(amm_time start, amm_time deadline)
{
    amm_time since = deadline > start ? deadline - start : 0;
    return start + (since + TICK - 1) / TICK * TICK;
}

static void set(struct amm_wheel *wheel, struct model *model, amm_time start, uint32_t id,
                amm_time deadline)
{
    amm_time due = deadline == AMM_NEVER ? AMM_NEVER : rounded(start, deadline);
    model->deadline[id] = deadline;
    model->due[id] = due < model->done ? model->done : due;
    amm_wheel_set(wheel, id, deadline);
}

static void expire_all(struct amm_wheel *wheel, struct model *model, amm_time start, amm_time now)
{
    uint32_t id;
    while ((id = amm_wheel_expire(wheel, now)) != AMM_WHEEL_NONE) {
        assert_true(id < ENTRIES);
        assert_true(model->deadline[id] <= now); /* never early, never twice */
        model->deadline[id] = model->due[id] = AMM_NEVER;
    }
    model->done = start + ((now - start) / TICK + 1) * TICK;
    amm_time earliest = AMM_NEVER;
    for (int i = 0; i < ENTRIES; i++) {
        assert_true(model->due[i] > now); /* never late */
        earliest = amm_time_min(earliest, model->due[i]);
    }
    assert_true(amm_wheel_deadline(wheel) <= earliest);
    assert_true(amm_wheel_deadline(wheel) > now);
    assert_true((earliest == AMM_NEVER) == (amm_wheel_deadline(wheel) == AMM_NEVER));
}

static amm_duration random_duration(const struct amm_random *random)
{
    /* From less than a tick to further than the wheel reaches (64^4 ticks, 78 hours). */
    return (amm_duration)(amm_random_u64(random) >> (14 + amm_random_below(random, 36)));
}

static void run_against_model(uint64_t seed, amm_time start)
{
    struct amm_seeded_random seeded;
    amm_seeded_random_init(&seeded, seed);
    struct amm_random random = amm_seeded_random(&seeded);
    struct amm_wheel *wheel = amm_wheel_new(ENTRIES, start);
    struct model model = {.done = start};
    amm_time now = start;
    for (int i = 0; i < ENTRIES; i++) {
        model.deadline[i] = model.due[i] = AMM_NEVER;
    }
    for (int step = 0; step < 3000; step++) {
        uint32_t id = (uint32_t)amm_random_below(&random, ENTRIES);
        switch (amm_random_below(&random, 4)) {
        case 0:
            set(wheel, &model, start, id, AMM_NEVER);
            break;
        case 1: /* in the past, at times */
            set(wheel, &model, start, id, now + random_duration(&random) / 1000 - 3 * TICK);
            break;
        default:
            set(wheel, &model, start, id, now + random_duration(&random));
            break;
        }
        if (amm_random_below(&random, 3) == 0) {
            /* Either any time, or exactly when the wheel asks for it. */
            amm_time asked = amm_wheel_deadline(wheel);
            amm_time next = now + random_duration(&random) / 4;
            now = asked != AMM_NEVER && asked > now && amm_random_below(&random, 2) ? asked : next;
            expire_all(wheel, &model, start, now);
        }
    }
    amm_wheel_free(wheel);
}

static void the_wheel_agrees_with_a_list_of_deadlines(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        run_against_model(seed, seed % 2 ? 0 : (amm_time)seed * 1234567891);
    }
}

static void following_the_deadline_reaches_a_far_entry(void **state)
{
    (void)state;
    struct amm_wheel *wheel = amm_wheel_new(1, 5);
    amm_time deadline = 5 + (amm_time)1000 * 3600 * AMM_SECOND; /* 41 days */
    amm_wheel_set(wheel, 0, deadline);
    amm_time now = 5;
    int wakes = 0;
    while (amm_wheel_expire(wheel, now) == AMM_WHEEL_NONE) {
        assert_true(now < rounded(5, deadline));
        assert_true(amm_wheel_deadline(wheel) > now);
        now = amm_wheel_deadline(wheel);
        assert_true(++wakes < 1000);
    }
    assert_true(now == rounded(5, deadline));
    amm_wheel_free(wheel);
}

static void an_entry_that_is_moved_fires_once_at_its_new_time(void **state)
{
    (void)state;
    struct amm_wheel *wheel = amm_wheel_new(2, 0);
    amm_wheel_set(wheel, 0, 10 * TICK);
    amm_wheel_set(wheel, 0, 500 * TICK);
    assert_int_equal(amm_wheel_expire(wheel, 499 * TICK), AMM_WHEEL_NONE);
    assert_int_equal(amm_wheel_expire(wheel, 500 * TICK), 0);
    assert_int_equal(amm_wheel_expire(wheel, 9999 * TICK), AMM_WHEEL_NONE);
    amm_wheel_free(wheel);
}

static void an_empty_wheel_never_wants_to_be_called(void **state)
{
    (void)state;
    struct amm_wheel *wheel = amm_wheel_new(1, 0);
    assert_true(amm_wheel_deadline(wheel) == AMM_NEVER);
    amm_wheel_set(wheel, 0, TICK);
    amm_wheel_set(wheel, 0, AMM_NEVER);
    assert_true(amm_wheel_deadline(wheel) == AMM_NEVER);
    assert_null(amm_wheel_free(wheel));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wheel_agrees_with_a_list_of_deadlines),
        cmocka_unit_test(following_the_deadline_reaches_a_far_entry),
        cmocka_unit_test(an_entry_that_is_moved_fires_once_at_its_new_time),
        cmocka_unit_test(an_empty_wheel_never_wants_to_be_called),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
