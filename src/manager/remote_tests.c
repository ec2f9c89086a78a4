/* Questions to amm-proxyd whether a page can be reached: under way, answered, given up. */
#include "manager/remote_parts.h"

#include <stdlib.h>

#define ANSWER_MORE (2 * AMM_SECOND) /* beside the time of the test itself */
enum { TESTS_MAX = 256 };

bool remote_test_ask(struct manager *m, struct amm_proxy_test *test, remote_tested done,
                     void *context)
{
    struct remote *remote = m->remote;
    unsigned n = 0;
    for (const struct remote_test *other = remote->tests; other != NULL; other = other->next) {
        n++;
    }
    struct remote_test *made =
        remote_link_is_up(remote) && n < TESTS_MAX ? malloc(sizeof *made) : NULL;
    if (made == NULL) {
        return false;
    }
    test->id = ++remote->last_test;
    *made = (struct remote_test){
        .next = remote->tests,
        .id = test->id,
        .deadline = amm_time_after(m->now.mono, test->milliseconds * AMM_MILLISECOND + ANSWER_MORE),
        .done = done,
        .context = context,
    };
    if (!remote_link_test(m, test)) {
        free(made);
        return false;
    }
    remote->tests = made;
    return true;
}

static void finish(struct manager *m, struct remote_test **at,
                   const struct amm_proxy_result *result)
{
    struct remote_test *test = *at;
    *at = test->next;
    test->done(m, test->context, result);
    free(test);
}

void remote_test_result(struct manager *m, const struct amm_proxy_result *result)
{
    for (struct remote_test **at = &m->remote->tests; *at != NULL; at = &(*at)->next) {
        if ((*at)->id == result->id) {
            finish(m, at, result);
            return;
        }
    }
}

void remote_tests_expire(struct manager *m, bool all)
{
    for (struct remote_test **at = &m->remote->tests; *at != NULL;) {
        if (all || (*at)->deadline <= m->now.mono) {
            finish(m, at, NULL);
        } else {
            at = &(*at)->next;
        }
    }
}
