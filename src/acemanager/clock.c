#include "clock.h"

enum {
    SAVE_EVERY = 86400,
    FRESH = 26 * 3600, /* seconds that a better source keeps a lesser one away */
    DIFFERENCE = 120,  /* seconds, to a proved time */
    SERVER_MS = 2000,  /* a server's word is as exact as the way is short */
    OTHER_MS = 500,
};

#define CEILING_BEHIND_RELEASE (INT64_C(10) * 366 * 86400)

static void set_limits(struct ace_clock *clock)
{
    clock->floor = amm_clock_floor(clock->not_before, clock->saved, clock->not_after);
    clock->ceiling =
        clock->not_after > 0 ? clock->not_after : AMM_CLOCK_RELEASE + CEILING_BEHIND_RELEASE;
}

static bool is_believable(const struct ace_clock *clock, int64_t wall)
{
    return amm_clock_is_sane(wall, &clock->floor) && wall <= clock->ceiling;
}

void ace_clock_init(struct ace_clock *clock, int64_t saved, int64_t not_before, int64_t not_after,
                    struct amm_now system)
{
    *clock = (struct ace_clock){.saved = saved, .not_before = not_before, .not_after = not_after};
    set_limits(clock);
    if (is_believable(clock, system.wall)) {
        clock->source = AMM_CLOCK_SYSTEM;
        clock->since = system.wall;
        clock->heard = system.mono;
    }
}

void ace_clock_certificate(struct ace_clock *clock, int64_t not_before, int64_t not_after)
{
    clock->not_before = not_before;
    clock->not_after = not_after;
    set_limits(clock);
}

struct amm_now ace_clock_now(const struct ace_clock *clock, struct amm_now system)
{
    system.wall += clock->offset;
    return system;
}

bool ace_clock_is_trusted(const struct ace_clock *clock)
{
    return clock->source != AMM_CLOCK_NONE;
}

const char *ace_clock_verdict_text(enum ace_clock_verdict verdict)
{
    static const char *const texts[] = {
        [ACE_CLOCK_TAKEN] = "taken",
        [ACE_CLOCK_OUTRANKED] = "a better source is in use",
        [ACE_CLOCK_BELOW] = "before the earliest time that is possible",
        [ACE_CLOCK_ABOVE] = "later than is possible",
        [ACE_CLOCK_DISAGREES] = "differs from the time that the server has proved",
    };
    return texts[verdict];
}

static int64_t distance(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

/* What a server that proved the time would say now; 0 if none has. */
static int64_t proved_now(const struct ace_clock *clock, amm_time mono)
{
    return clock->proved ? clock->proved + (mono - clock->proved_at) / AMM_SECOND : 0;
}

static enum ace_clock_verdict judge(const struct ace_clock *clock, struct amm_now now,
                                    enum amm_clock_source source, int64_t wall)
{
    if (!amm_clock_is_sane(wall, &clock->floor)) {
        return ACE_CLOCK_BELOW;
    }
    if (source == AMM_CLOCK_SERVER) {
        return ACE_CLOCK_TAKEN;
    }
    if (clock->proved && distance(wall, proved_now(clock, now.mono)) > DIFFERENCE) {
        return ACE_CLOCK_DISAGREES;
    }
    if (!clock->proved && wall > clock->ceiling) {
        return ACE_CLOCK_ABOVE;
    }
    bool is_fresh = now.mono - clock->heard < FRESH * AMM_SECOND;
    return clock->source > source && is_fresh ? ACE_CLOCK_OUTRANKED : ACE_CLOCK_TAKEN;
}

/* A server's word counts as a proof, but a better source in use stays the source if they agree. */
static bool keeps_source(const struct ace_clock *clock, struct amm_now now, int64_t step_ms)
{
    return clock->source > AMM_CLOCK_SERVER && now.mono - clock->heard < FRESH * AMM_SECOND &&
           distance(step_ms, 0) <= DIFFERENCE * INT64_C(1000);
}

enum ace_clock_verdict ace_clock_offer(struct ace_clock *clock, struct amm_now now,
                                       enum amm_clock_source source, int64_t *step_ms)
{
    int64_t wall = now.wall + *step_ms / 1000;
    enum ace_clock_verdict verdict = judge(clock, now, source, wall);
    if (verdict != ACE_CLOCK_TAKEN) {
        return verdict;
    }
    if (source == AMM_CLOCK_SERVER) {
        clock->proved = wall;
        clock->proved_at = now.mono;
        if (keeps_source(clock, now, *step_ms)) {
            *step_ms = 0;
            return ACE_CLOCK_TAKEN;
        }
    }
    if (distance(*step_ms, 0) < (source == AMM_CLOCK_SERVER ? SERVER_MS : OTHER_MS)) {
        *step_ms = 0;
    }
    clock->source = source;
    clock->since = wall;
    clock->heard = now.mono;
    return ACE_CLOCK_TAKEN;
}

void ace_clock_shift(struct ace_clock *clock, int64_t seconds)
{
    clock->offset += seconds;
}

void ace_clock_doubt(struct ace_clock *clock)
{
    if (!clock->proved) {
        clock->source = AMM_CLOCK_NONE;
    }
}

int64_t ace_clock_to_save(struct ace_clock *clock, struct amm_now now)
{
    int64_t proved = proved_now(clock, now.mono);
    if (proved == 0 || proved < clock->saved + SAVE_EVERY) {
        return 0;
    }
    clock->saved = proved;
    set_limits(clock);
    return proved;
}
