/* The client side of amm-tunneld's control socket. */
#include "ctl.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATIENCE_SECONDS = 20 };

int ctl_control_open(const struct ctl *ctl)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(ctl->config->control_socket);
    if (len >= sizeof address.sun_path) {
        ctl_fail(CTL_USAGE, "control-socket: path is too long (%zu bytes allowed)",
                 sizeof address.sun_path - 1);
        return -1;
    }
    memcpy(address.sun_path, ctl->config->control_socket, len);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        ctl_fail(CTL_FAILED, "socket: %s", strerror(errno));
        return -1;
    }
    /* A server that hangs must not hang its operator, who may hold the lock of a file. */
    const struct timeval limit = {.tv_sec = PATIENCE_SECONDS};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        const char *cure = errno == EACCES ? "use sudo" : "is amm-tunneld running?";
        ctl_fail(CTL_NO_SERVER, "the tunnel server does not answer on %s: %s (%s)",
                 ctl->config->control_socket, strerror(errno), cure);
        close(fd);
        return -1;
    }
    return fd;
}

bool ctl_control_send(int fd, const struct amm_ipc_message *request)
{
    uint8_t packet[AMM_IPC_MAX];
    size_t len = amm_ipc_encode(request, packet, sizeof packet);
    if (len == 0 || send(fd, packet, len, MSG_NOSIGNAL) != (ssize_t)len) {
        ctl_fail(CTL_NO_SERVER, "cannot ask the tunnel server: %s", strerror(errno));
        return false;
    }
    if (request->type == AMM_IPC_EVENTS) { /* they come when they come */
        const struct timeval no_limit = {0};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &no_limit, sizeof no_limit);
    }
    return true;
}

bool ctl_control_next(int fd, struct amm_ipc_message *answer, enum ctl_exit *status)
{
    uint8_t packet[AMM_IPC_MAX];
    ssize_t len = recv(fd, packet, sizeof packet, 0);
    if (len <= 0 || !amm_ipc_decode(answer, amm_view(packet, (size_t)len))) {
        *status = CTL_NO_SERVER;
        ctl_fail(*status,
                 len < 0 && errno == EAGAIN ? "the tunnel server does not answer"
                 : len > 0
                     ? "the tunnel server gave an answer that is not understood (another version?)"
                     : "the tunnel server closed the connection");
        return false;
    }
    if (answer->type == AMM_IPC_FAILED) {
        *status = CTL_FAILED;
        ctl_fail(*status, "%s", answer->text);
        return false;
    }
    *status = CTL_OK;
    return answer->type != AMM_IPC_DONE;
}

enum ctl_exit ctl_find_peer(const struct ctl *ctl, const char *name, struct amm_ipc_peer *peer,
                            struct amm_ipc_server *server)
{
    int fd = ctl_control_open(ctl);
    if (fd < 0) {
        return CTL_NO_SERVER;
    }
    struct amm_ipc_message message = {.type = AMM_IPC_STATUS};
    enum ctl_exit status = CTL_NO_SERVER;
    bool found = false;
    if (ctl_control_send(fd, &message)) {
        while (ctl_control_next(fd, &message, &status)) {
            if (message.type == AMM_IPC_SERVER && server != NULL) {
                *server = message.server;
            } else if (message.type == AMM_IPC_PEER && strcmp(message.peer.name, name) == 0) {
                /* Two sessions of one gateway overlap while a new one takes over: the newer has the
                 * say. */
                if (!found || message.peer.since >= peer->since) {
                    *peer = message.peer;
                }
                found = true;
            }
        }
    }
    close(fd);
    if (status == CTL_OK && !found) {
        return ctl_fail(CTL_NOT_FOUND,
                        "%s: its tunnel is down (ammctl tunnel status lists those that are up, "
                        "ammctl tunnel refused those that were turned away)",
                        name);
    }
    return status;
}
