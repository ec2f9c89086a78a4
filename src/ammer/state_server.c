#include "state_server.h"

#include "io/unix.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

enum { ANSWER_TIMEOUT_MS = 2000 };

int state_server_open(const char *path, char *error, size_t room)
{
    return amm_unix_listen(path, 0660, (gid_t)-1, error, room);
}

void state_server_answer(int fd, const struct amm_client_state *state)
{
    uint8_t packet[AMM_CLIENT_STATE_MAX];
    size_t len = amm_client_state_encode(state, packet, sizeof packet);
    for (int client = amm_unix_accept(fd); client >= 0; client = amm_unix_accept(fd)) {
        amm_unix_send(client, amm_view(packet, len), NULL, 0); /* who does not read gets nothing */
        close(client);
    }
}

bool state_ask(const char *path, struct amm_client_state *out, char *error, size_t room)
{
    uint8_t packet[AMM_CLIENT_STATE_MAX];
    size_t len = 0, no_fds = 0;
    int fd = amm_unix_connect(path, error, room);
    if (fd < 0) {
        return false;
    }
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    bool ok = poll(&wait, 1, ANSWER_TIMEOUT_MS) == 1 &&
              amm_unix_receive(fd, (struct amm_span){packet, sizeof packet}, &len, NULL, &no_fds) ==
                  AMM_UNIX_OK &&
              amm_client_state_decode(out, amm_view(packet, len));
    if (!ok) {
        snprintf(error, room, "%s: no answer that can be read", path);
    }
    close(fd);
    return ok;
}
