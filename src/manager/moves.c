#include "manager/moves.h"

void move_begin(struct move *move, uint16_t from, uint16_t to, bool is_local, int64_t revision)
{
    *move = (struct move){
        .from = from, .to = to, .is_local = is_local, .revision = revision, .until = AMM_NEVER};
}

enum move_step move_checked_in(struct move *move, const struct move_checkin *checkin, amm_time now)
{
    if (move->is_local) {
        return MOVE_WAIT;
    }
    if (checkin->revision_failed > move->revision) {
        return MOVE_GIVEN_UP;
    }
    bool knows = checkin->revision > move->revision || checkin->port == move->to;
    if (!move->is_taken && knows) {
        move->is_taken = true;
        move->until = amm_time_after(now, MOVE_WINDOW);
    }
    return MOVE_WAIT;
}

enum move_step move_joined(const struct move *move, uint16_t port)
{
    return port == move->to ? MOVE_ARRIVED : MOVE_WAIT;
}

amm_time move_deadline(const struct move *move)
{
    return move->until;
}

enum move_step move_expire(struct move *move, amm_time now, amm_time heard_since)
{
    if (!move->is_taken || now < move->until) {
        return MOVE_WAIT;
    }
    if (heard_since == AMM_NEVER || now - heard_since < MOVE_GRACE) {
        move->until = amm_time_after(heard_since == AMM_NEVER ? now : heard_since, MOVE_GRACE);
        return MOVE_WAIT;
    }
    return MOVE_GIVEN_UP;
}
