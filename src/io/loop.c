#include "io/loop.h"

#include "io/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

struct amm_loop {
    int epoll;
    bool is_old_kernel; /* no epoll_pwait2: waits in milliseconds */
};

static uint32_t epoll_events(unsigned interest)
{
    return (interest & AMM_READ ? (uint32_t)EPOLLIN : 0) |
           (interest & AMM_WRITE ? (uint32_t)EPOLLOUT : 0) |
           (interest & AMM_EDGE ? (uint32_t)EPOLLET : 0);
}

struct amm_loop *amm_loop_new(void)
{
    struct amm_loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL) {
        return NULL;
    }
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll < 0) {
        return amm_loop_free(loop);
    }
    return loop;
}

struct amm_loop *amm_loop_free(struct amm_loop *loop)
{
    if (loop != NULL) {
        if (loop->epoll >= 0) {
            close(loop->epoll);
        }
        free(loop);
    }
    return NULL;
}

int amm_loop_fd(const struct amm_loop *loop)
{
    return loop->epoll;
}

bool amm_loop_add(struct amm_loop *loop, int fd, unsigned interest, uint64_t tag)
{
    struct epoll_event event = {.events = epoll_events(interest), .data.u64 = tag};
    return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

bool amm_loop_change(struct amm_loop *loop, int fd, unsigned interest, uint64_t tag)
{
    struct epoll_event event = {.events = epoll_events(interest), .data.u64 = tag};
    return epoll_ctl(loop->epoll, EPOLL_CTL_MOD, fd, &event) == 0;
}

void amm_loop_remove(struct amm_loop *loop, int fd)
{
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL);
}

static int wait_ms(amm_duration left)
{
    amm_duration ms = (left + AMM_MILLISECOND - 1) / AMM_MILLISECOND;
    return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

/* `left` < 0: for ever. */
static int wait_for(struct amm_loop *loop, amm_duration left,
                    struct epoll_event events[AMM_LOOP_READY])
{
    if (!loop->is_old_kernel) {
        struct timespec limit = {.tv_sec = (time_t)(left / AMM_SECOND),
                                 .tv_nsec = (long)(left % AMM_SECOND)};
        int n = epoll_pwait2(loop->epoll, events, AMM_LOOP_READY, left < 0 ? NULL : &limit, NULL);
        if (n >= 0 || errno != ENOSYS) {
            return n;
        }
        loop->is_old_kernel = true; /* before Linux 5.11 */
    }
    return epoll_wait(loop->epoll, events, AMM_LOOP_READY, left < 0 ? -1 : wait_ms(left));
}

unsigned amm_loop_wait(struct amm_loop *loop, amm_time deadline,
                       struct amm_ready out[AMM_LOOP_READY])
{
    struct epoll_event events[AMM_LOOP_READY];
    amm_duration left = deadline != AMM_NEVER ? deadline - amm_now().mono : -1;
    if (deadline != AMM_NEVER && left < 0) {
        left = 0;
    }
    int n = wait_for(loop, left, events);
    unsigned ready = 0;
    for (int i = 0; i < n; i++) {
        out[ready++] = (struct amm_ready){
            .tag = events[i].data.u64,
            .readable = (events[i].events & EPOLLIN) != 0,
            .writable = (events[i].events & EPOLLOUT) != 0,
            .closed = (events[i].events & (EPOLLHUP | EPOLLERR)) != 0,
        };
    }
    return ready;
}
