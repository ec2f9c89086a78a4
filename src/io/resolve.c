#include "io/resolve.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

struct query {
    atomic_int users; /* resolver and thread */
    int wake;         /* own duplicate of the resolver's eventfd */
    char host[256];
    uint16_t port;
    uint8_t family;
    atomic_bool done;
    struct amm_resolve_result result;
};

struct amm_resolver {
    int wake;
    struct query *query;
};

static void let_go(struct query *query)
{
    if (query && atomic_fetch_sub(&query->users, 1) == 1) {
        close(query->wake);
        free(query);
    }
}

struct amm_resolver *amm_resolver_new(void)
{
    struct amm_resolver *resolver = calloc(1, sizeof *resolver);
    if (!resolver) {
        return NULL;
    }
    resolver->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (resolver->wake < 0) {
        free(resolver);
        return NULL;
    }
    return resolver;
}

struct amm_resolver *amm_resolver_free(struct amm_resolver *resolver)
{
    if (resolver) {
        let_go(resolver->query);
        close(resolver->wake);
        free(resolver);
    }
    return NULL;
}

int amm_resolver_fd(const struct amm_resolver *resolver)
{
    return resolver->wake;
}

static bool take_address(struct amm_address *out, const struct sockaddr *from, uint16_t port)
{
    *out = (struct amm_address){.port = port};
    if (from->sa_family == AF_INET) {
        out->family = AMM_FAMILY_IPV4;
        memcpy(out->ip, &((const struct sockaddr_in *)(const void *)from)->sin_addr, 4);
        return true;
    }
    if (from->sa_family == AF_INET6) {
        out->family = AMM_FAMILY_IPV6;
        memcpy(out->ip, &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr, 16);
        return true;
    }
    return false;
}

static void look_up(struct query *query)
{
    struct addrinfo *list = NULL;
    const struct addrinfo hints = {
        .ai_family = query->family == AMM_FAMILY_IPV4   ? AF_INET
                     : query->family == AMM_FAMILY_IPV6 ? AF_INET6
                                                        : AF_UNSPEC,
        .ai_socktype = SOCK_DGRAM,
    };
    int failed = getaddrinfo(query->host, NULL, &hints, &list);
    struct amm_resolve_result *result = &query->result;
    for (const struct addrinfo *at = list; at && result->n < AMM_RESOLVE_MAX; at = at->ai_next) {
        if (take_address(&result->addresses[result->n], at->ai_addr, query->port)) {
            result->n++;
        }
    }
    if (list) {
        freeaddrinfo(list);
    }
    if (result->n == 0) {
        snprintf(result->error, sizeof result->error, "name lookup failed: %s",
                 failed ? gai_strerror(failed) : "no address");
    }
}

static void *run_query(void *argument)
{
    struct query *query = argument;
    const uint64_t one = 1;
    look_up(query);
    atomic_store(&query->done, true);
    ssize_t ignored = write(query->wake, &one, sizeof one);
    (void)ignored; /* an eventfd at its limit is readable all the same */
    let_go(query);
    return NULL;
}

static bool start_thread(struct query *query)
{
    pthread_attr_t attributes;
    pthread_t thread;
    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    bool started = pthread_create(&thread, &attributes, run_query, query) == 0;
    pthread_attr_destroy(&attributes);
    return started;
}

bool amm_resolver_ask(struct amm_resolver *resolver, const char *host, uint16_t port,
                      uint8_t family)
{
    let_go(resolver->query);
    resolver->query = NULL;
    struct query *query = calloc(1, sizeof *query);
    if (!query) {
        return false;
    }
    query->wake = fcntl(resolver->wake, F_DUPFD_CLOEXEC, 0);
    query->port = port;
    query->family = family;
    snprintf(query->host, sizeof query->host, "%s", host);
    atomic_init(&query->users, 2);
    if (query->wake < 0 || !start_thread(query)) {
        if (query->wake >= 0) {
            close(query->wake);
        }
        free(query);
        return false;
    }
    resolver->query = query;
    return true;
}

bool amm_resolver_take(struct amm_resolver *resolver, struct amm_resolve_result *out)
{
    uint64_t count;
    ssize_t ignored = read(resolver->wake, &count, sizeof count);
    (void)ignored;
    if (!resolver->query || !atomic_load(&resolver->query->done)) {
        return false;
    }
    *out = resolver->query->result;
    let_go(resolver->query);
    resolver->query = NULL;
    return true;
}
