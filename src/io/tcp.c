#include "io/tcp.h"

#include "sockaddr.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

static void set_option(int fd, int level, int name, int value)
{
    setsockopt(fd, level, name, &value, sizeof value);
}

static void own_name(int fd, struct amm_address *out)
{
    struct sockaddr_storage name = {0};
    socklen_t len = sizeof name;
    *out = (struct amm_address){0};
    if (getsockname(fd, (struct sockaddr *)&name, &len) == 0) {
        amm_sockaddr_read(out, &name);
    }
}

static bool bind_to(int fd, const char *device)
{
    return device == NULL ||
           setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)) == 0;
}

int amm_tcp_listen_by(const struct amm_address *local, const char *device, bool reuse_port,
                      char *error, size_t room)
{
    struct sockaddr_storage name;
    char text[AMM_ADDRESS_TEXT];
    int fd = amm_socket_new(SOCK_STREAM);
    if (fd < 0) {
        snprintf(error, room, "tcp socket: %s", strerror(errno));
        return -1;
    }
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (reuse_port) {
        set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    socklen_t len = amm_sockaddr_write(&name, local);
    if (len == 0 || !bind_to(fd, device) || bind(fd, (struct sockaddr *)&name, len) != 0 ||
        listen(fd, BACKLOG) != 0) {
        int cause = len == 0 ? EAFNOSUPPORT : errno;
        snprintf(error, room, "tcp %s: %s", amm_address_text(local, text), strerror(cause));
        close(fd);
        errno = cause;
        return -1;
    }
    return fd;
}

int amm_tcp_listen(const struct amm_address *local, bool reuse_port, char *error, size_t room)
{
    return amm_tcp_listen_by(local, NULL, reuse_port, error, room);
}

int amm_tcp_accept(int fd, struct amm_address *remote, struct amm_address *local)
{
    for (;;) {
        struct sockaddr_storage name = {0};
        socklen_t len = sizeof name;
        int taken = accept4(fd, (struct sockaddr *)&name, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (taken < 0) {
            if (errno == EINTR || errno == ECONNABORTED) {
                continue;
            }
            return -1;
        }
        amm_sockaddr_read(remote, &name);
        own_name(taken, local);
        set_option(taken, IPPROTO_TCP, TCP_NODELAY, 1);
        return taken;
    }
}

int amm_tcp_connect_by(const struct amm_address *remote, const char *device, char *error,
                       size_t room)
{
    struct sockaddr_storage name;
    char text[AMM_ADDRESS_TEXT];
    int fd = amm_socket_new(SOCK_STREAM);
    socklen_t len = amm_sockaddr_write(&name, remote);
    if (fd >= 0 && len > 0 && bind_to(fd, device)) {
        set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        if (connect(fd, (struct sockaddr *)&name, len) == 0 || errno == EINPROGRESS) {
            return fd;
        }
    }
    snprintf(error, room, "tcp %s: %s", amm_address_text(remote, text),
             strerror(len == 0 ? EAFNOSUPPORT : errno));
    if (fd >= 0) {
        close(fd);
    }
    return -1;
}

int amm_tcp_connect(const struct amm_address *remote, char *error, size_t room)
{
    return amm_tcp_connect_by(remote, NULL, error, room);
}

int amm_tcp_connect_result(int fd, struct amm_address *local)
{
    int cause = 0;
    socklen_t len = sizeof cause;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &cause, &len) != 0) {
        return errno;
    }
    own_name(fd, local);
    return cause;
}

ssize_t amm_tcp_read(int fd, struct amm_span buffer)
{
    for (;;) {
        ssize_t got = recv(fd, buffer.data, buffer.len, MSG_DONTWAIT);
        if (got > 0) {
            return got;
        }
        if (got < 0 && errno == EINTR) {
            continue;
        }
        return got < 0 && errno == EAGAIN ? 0 : -1;
    }
}
