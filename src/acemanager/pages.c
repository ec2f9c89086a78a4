#include "web_door.h"
#include "web_relay.h"

#include "io/clock.h"
#include "io/log.h"

#include <stdio.h>
#include <stdlib.h>

static void send_reply(struct ace_pages *pages, struct amm_http_ref ref,
                       const struct amm_http_reply *reply)
{
    amm_http_answer(pages->server, ref, reply);
}

static int part_fd(void *context)
{
    return web_door_fd(((struct ace_pages *)context)->door);
}

static amm_time part_deadline(void *context)
{
    return web_door_deadline(((struct ace_pages *)context)->door);
}

static void part_step(void *context)
{
    web_door_step(((struct ace_pages *)context)->door);
}

static void part_changed(void *context)
{
    struct ace_pages *pages = context;
    web_settle(pages);
    web_door_follow(pages->door);
    web_remote_step(pages);
}

static void open_accounts(struct ace_pages *pages)
{
    struct ace_about about;
    ace_about(pages->core, &about);
    if (!web_accounts_open(&pages->accounts, ace_core_folder(pages->core), about.serial,
                           &pages->random, pages->accounts_error, sizeof pages->accounts_error)) {
        amm_log(AMM_LOG_ERROR, "accounts", amm_field_text("why", pages->accounts_error));
    } else {
        pages->accounts_error[0] = '\0';
    }
}

static bool attach(struct ace_pages *pages)
{
    struct ace_part part = {.fd = part_fd,
                            .deadline = part_deadline,
                            .step = part_step,
                            .changed = part_changed,
                            .context = pages};
    return ace_core_attach(pages->core, &part);
}

struct ace_pages *ace_pages_new(struct ace_core *core, char *error, size_t room)
{
    struct ace_pages *pages = calloc(1, sizeof *pages);
    if (!pages) {
        snprintf(error, room, "out of memory");
        return NULL;
    }
    pages->core = core;
    pages->random = amm_kernel_random();
    pages->send = send_reply;
    amm_random_fill(&pages->random, pages->login_key, sizeof pages->login_key);
    web_sessions_init(&pages->sessions, pages->random);
    web_remote_init(pages);
    open_accounts(pages);
    pages->hasher = web_hasher_new(pages->random);
    if (!pages->hasher) {
        snprintf(error, room, "cannot start a thread for passwords");
        return ace_pages_free(pages);
    }
    pages->door = web_door_new(pages, error, room);
    if (!pages->door) {
        return ace_pages_free(pages);
    }
    pages->relay = web_relay_new(pages);
    if (!pages->relay || !attach(pages)) {
        snprintf(error, room, "out of memory");
        return ace_pages_free(pages);
    }
    part_changed(pages);
    return pages;
}

struct ace_pages *ace_pages_free(struct ace_pages *pages)
{
    if (pages) {
        pages->relay = web_relay_free(pages->relay);
        pages->door = web_door_free(pages->door);
        pages->hasher = web_hasher_free(pages->hasher);
        amm_wipe(pages, sizeof *pages);
        free(pages);
    }
    return NULL;
}
