#include "io/loop.h"

#include "io/clock.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

struct amm_loop {
    int epoll;
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

unsigned amm_loop_wait(struct amm_loop *loop, amm_time deadline,
                       struct amm_ready out[AMM_LOOP_READY])
{
    struct epoll_event events[AMM_LOOP_READY];
    struct timespec timeout, *limit = NULL;
    if (deadline != AMM_NEVER) {
        amm_duration left = deadline - amm_now().mono;
        left = left < 0 ? 0 : left;
        timeout = (struct timespec){.tv_sec = left / AMM_SECOND, .tv_nsec = left % AMM_SECOND};
        limit = &timeout;
    }
    int n = epoll_pwait2(loop->epoll, events, AMM_LOOP_READY, limit, NULL);
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
