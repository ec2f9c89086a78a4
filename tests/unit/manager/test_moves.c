/* Moves as tables of what happens when, in seconds of virtual time, and what must follow. */
#include "manager/moves.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum what { END, CHECKIN, JOINED, TIME, LOST, HEARD };

struct row {
    int at; /* seconds */
    enum what what;
    /* CHECKIN: revisions offered, failed and the reported port; JOINED: the port */
    int64_t offered, failed;
    uint32_t port;
    enum move_step then;
};

enum { OLD_REVISION = 7 };

static void play(bool is_local, const struct row *rows)
{
    struct move move;
    amm_time heard_since = 0;
    move_begin(&move, 1190, 1191, is_local, OLD_REVISION);
    for (const struct row *row = rows; row->what != END; row++) {
        amm_time now = row->at * AMM_SECOND;
        enum move_step step = MOVE_WAIT;
        struct move_checkin checkin = {
            .revision = row->offered, .revision_failed = row->failed, .port = row->port};
        switch (row->what) {
        case CHECKIN:
            step = move_checked_in(&move, &checkin, now);
            break;
        case JOINED:
            step = move_joined(&move, (uint16_t)row->port);
            break;
        case TIME:
            /* A caller that keeps to the deadline. */
            step = move_deadline(&move) <= now ? move_expire(&move, now, heard_since) : MOVE_WAIT;
            break;
        case LOST:
            heard_since = AMM_NEVER;
            break;
        case HEARD:
            heard_since = now;
            break;
        case END:
            break;
        }
        if (step != row->then) {
            fail_msg("at %d s: step %d, expected %d", row->at, (int)step, (int)row->then);
        }
    }
}

static void a_gateway_that_obeys_arrives(void **state)
{
    (void)state;
    play(false, (const struct row[]){{100, TIME, 0, 0, 0, MOVE_WAIT},
                                     {900, CHECKIN, 8, 0, 1190, MOVE_WAIT},
                                     {903, JOINED, 0, 0, 1190, MOVE_WAIT}, /* the old one again */
                                     {905, JOINED, 0, 0, 1191, MOVE_ARRIVED},
                                     {0}});
}

static void the_minute_counts_from_when_the_order_was_taken(void **state)
{
    (void)state;
    play(false, (const struct row[]){{10, CHECKIN, 7, 0, 1190, MOVE_WAIT}, /* asked too early */
                                     {500, TIME, 0, 0, 0, MOVE_WAIT},
                                     {900, CHECKIN, 8, 0, 1190, MOVE_WAIT},
                                     {930, CHECKIN, 8, 0, 1190, MOVE_WAIT}, /* moves no deadline */
                                     {959, TIME, 0, 0, 0, MOVE_WAIT},
                                     {960, TIME, 0, 0, 0, MOVE_GIVEN_UP},
                                     {0}});
}

static void a_gateway_that_cannot_ends_it_at_once(void **state)
{
    (void)state;
    play(false, (const struct row[]){{900, CHECKIN, 8, 0, 1190, MOVE_WAIT},
                                     {920, CHECKIN, 8, 8, 1190, MOVE_GIVEN_UP},
                                     {0}});
    play(false, (const struct row[]){/* an older failure is not about this */
                                     {900, CHECKIN, 8, 7, 1190, MOVE_WAIT},
                                     {905, JOINED, 0, 0, 1191, MOVE_ARRIVED},
                                     {0}});
}

static void a_gateway_that_is_there_in_words_only_gets_its_minute(void **state)
{
    (void)state;
    play(false, (const struct row[]){{900, CHECKIN, 7, 0, 1191, MOVE_WAIT},
                                     {959, TIME, 0, 0, 0, MOVE_WAIT},
                                     {960, TIME, 0, 0, 0, MOVE_GIVEN_UP},
                                     {0}});
}

static void nothing_is_given_up_unseen(void **state)
{
    (void)state;
    play(false, (const struct row[]){{900, CHECKIN, 8, 0, 1190, MOVE_WAIT},
                                     {910, LOST, 0, 0, 0, MOVE_WAIT},
                                     {960, TIME, 0, 0, 0, MOVE_WAIT},
                                     {2000, TIME, 0, 0, 0, MOVE_WAIT},
                                     {2010, HEARD, 0, 0, 0, MOVE_WAIT},
                                     {2011, TIME, 0, 0, 0, MOVE_WAIT},
                                     {2012, JOINED, 0, 0, 1191, MOVE_ARRIVED},
                                     {0}});
    play(false, (const struct row[]){{900, CHECKIN, 8, 0, 1190, MOVE_WAIT},
                                     {910, LOST, 0, 0, 0, MOVE_WAIT},
                                     {2010, HEARD, 0, 0, 0, MOVE_WAIT},
                                     {2011, TIME, 0, 0, 0, MOVE_WAIT},
                                     {2016, TIME, 0, 0, 0, MOVE_GIVEN_UP},
                                     {0}});
}

static void a_local_change_has_all_the_time_until_the_reboot(void **state)
{
    (void)state;
    play(true, (const struct row[]){{10, CHECKIN, 8, 8, 1190, MOVE_WAIT},
                                    {90000, TIME, 0, 0, 0, MOVE_WAIT},
                                    {90001, JOINED, 0, 0, 1191, MOVE_ARRIVED},
                                    {0}});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gateway_that_obeys_arrives),
        cmocka_unit_test(the_minute_counts_from_when_the_order_was_taken),
        cmocka_unit_test(a_gateway_that_cannot_ends_it_at_once),
        cmocka_unit_test(a_gateway_that_is_there_in_words_only_gets_its_minute),
        cmocka_unit_test(nothing_is_given_up_unseen),
        cmocka_unit_test(a_local_change_has_all_the_time_until_the_reboot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
