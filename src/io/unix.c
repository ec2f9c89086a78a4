#include "io/unix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { FLAGS = SOCK_CLOEXEC | SOCK_NONBLOCK, BACKLOG = 64 };

static bool make_name(struct sockaddr_un *name, const char *path)
{
    *name = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) == 0 || strlen(path) >= sizeof name->sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(name->sun_path, path, strlen(path));
    return true;
}

static int connect_to(const char *path, int type, char *error, size_t room)
{
    struct sockaddr_un name;
    int fd = socket(AF_UNIX, type | FLAGS, 0);
    if (fd >= 0 && make_name(&name, path) &&
        connect(fd, (struct sockaddr *)&name, sizeof name) == 0) {
        return fd;
    }
    int cause = errno;
    snprintf(error, room, "%s: %s", path, strerror(cause));
    if (fd >= 0) {
        close(fd);
    }
    errno = cause;
    return -1;
}

int amm_unix_connect(const char *path, char *error, size_t room)
{
    return connect_to(path, SOCK_SEQPACKET, error, room);
}

int amm_unix_connect_stream(const char *path, char *error, size_t room)
{
    return connect_to(path, SOCK_STREAM, error, room);
}

/* Removes a socket file that nobody listens on any more; false if somebody does. */
static bool clear_stale(const char *path, int type)
{
    char unused[128];
    struct stat info;
    if (lstat(path, &info) != 0) {
        return true;
    }
    int fd = connect_to(path, type, unused, sizeof unused);
    /* Served by the other type of socket, or too busy to take us: served all the same. */
    if (fd >= 0 || errno == EPROTOTYPE || errno == EAGAIN) {
        if (fd >= 0) {
            close(fd);
        }
        errno = EADDRINUSE;
        return false;
    }
    return S_ISSOCK(info.st_mode) && errno == ECONNREFUSED && unlink(path) == 0;
}

/* The file has its mode from the start, and nothing follows a link that somebody might put in its
 * place: a folder may belong to another user. */
static bool bind_with(int fd, const struct sockaddr_un *name, mode_t mode)
{
    mode_t former = umask(0);
    bool ok = fchmod(fd, mode) == 0 && bind(fd, (const struct sockaddr *)name, sizeof *name) == 0;
    int cause = errno;
    umask(former);
    errno = cause;
    return ok;
}

static int listen_at(const char *path, int type, mode_t mode, gid_t gid, char *error, size_t room)
{
    struct sockaddr_un name;
    int fd = socket(AF_UNIX, type | FLAGS, 0);
    if (fd < 0 || !make_name(&name, path) || !clear_stale(path, type) ||
        !bind_with(fd, &name, mode) || lchown(path, (uid_t)-1, gid) != 0 ||
        listen(fd, BACKLOG) != 0) {
        snprintf(error, room, "%s: %s", path,
                 errno == EADDRINUSE ? "another process serves this socket" : strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

int amm_unix_listen(const char *path, mode_t mode, gid_t gid, char *error, size_t room)
{
    return listen_at(path, SOCK_SEQPACKET, mode, gid, error, room);
}

int amm_unix_listen_stream(const char *path, mode_t mode, gid_t gid, char *error, size_t room)
{
    return listen_at(path, SOCK_STREAM, mode, gid, error, room);
}

int amm_unix_accept(int fd)
{
    for (;;) {
        int taken = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (taken >= 0 || (errno != EINTR && errno != ECONNABORTED)) {
            return taken;
        }
    }
}

bool amm_unix_pair(int ends[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | FLAGS, 0, ends) == 0;
}

bool amm_unix_peer(int fd, struct amm_unix_peer *out)
{
    struct ucred credentials;
    socklen_t len = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &len) != 0) {
        return false;
    }
    *out = (struct amm_unix_peer){credentials.pid, credentials.uid, credentials.gid};
    return true;
}

union rights {
    struct cmsghdr align;
    uint8_t bytes[CMSG_SPACE(AMM_UNIX_FDS * sizeof(int))];
};

enum amm_unix_result amm_unix_send(int fd, struct amm_view packet, const int *fds, size_t n)
{
    union rights control = {0};
    struct iovec part = {(void *)(uintptr_t)packet.data, packet.len};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (n > AMM_UNIX_FDS) {
        return AMM_UNIX_CLOSED;
    }
    if (n > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(n * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n * sizeof(int));
    }
    for (;;) {
        if (sendmsg(fd, &message, MSG_NOSIGNAL) >= 0) {
            return AMM_UNIX_OK;
        }
        if (errno != EINTR) {
            return errno == EAGAIN ? AMM_UNIX_AGAIN : AMM_UNIX_CLOSED;
        }
    }
}

/* Gives up to `room` descriptors of the message to `fds` and closes the others. */
static size_t take_rights(struct msghdr *message, int *fds, size_t room)
{
    size_t n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
            int got;
            memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof got);
            if (fds != NULL && n < room) {
                fds[n++] = got;
            } else {
                close(got);
            }
        }
    }
    return n;
}

enum amm_unix_result amm_unix_receive(int fd, struct amm_span buffer, size_t *len, int *fds,
                                      size_t *n)
{
    union rights control;
    struct iovec part = {buffer.data, buffer.len};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    ssize_t got;
    do {
        got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    size_t room = n != NULL ? *n : 0;
    *len = 0;
    if (n != NULL) {
        *n = 0;
    }
    if (got <= 0) {
        return got < 0 && errno == EAGAIN ? AMM_UNIX_AGAIN : AMM_UNIX_CLOSED;
    }
    size_t taken = take_rights(&message, fds, room);
    if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        for (size_t i = 0; i < taken; i++) {
            close(fds[i]);
        }
        return AMM_UNIX_CLOSED;
    }
    *len = (size_t)got;
    if (n != NULL) {
        *n = taken;
    }
    return AMM_UNIX_OK;
}

bool amm_set_blocking(int fd, bool blocking)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 &&
           fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK) == 0;
}
