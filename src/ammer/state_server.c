#include "state_server.h"

#include "io/unix.h"

#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ANSWER_TIMEOUT_MS = 2000 };

/* By name or number; "" leaves the group as it is. */
static bool find_group(const char *text, gid_t *out)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    const struct group *found = text[0] ? getgrnam(text) : NULL;
    bool is_number = text[0] >= '0' && text[0] <= '9' && *end == '\0' && number < UINT32_MAX;
    *out = found ? found->gr_gid : is_number ? (gid_t)number : (gid_t)-1;
    return !text[0] || found || is_number;
}

int state_server_open(const char *path, const char *group, char *error, size_t room)
{
    gid_t gid;
    if (!find_group(group, &gid)) {
        snprintf(error, room, "state-group: there is no group %s", group);
        return -1;
    }
    return amm_unix_listen(path, 0660, gid, error, room);
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
