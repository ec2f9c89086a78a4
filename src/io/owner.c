#include "io/owner.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TCP_LISTEN = 0x0A };

/* The inode of a socket that is bound to `port`, from one of the tables under /proc/net; 0 if there
 * is none. */
static unsigned long find_inode(const char *table, bool is_tcp, uint16_t port)
{
    char path[64], line[512];
    unsigned long found = 0;
    snprintf(path, sizeof path, "/proc/thread-self/net/%s", table);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    while (found == 0 && fgets(line, sizeof line, file) != NULL) {
        unsigned local_port, state;
        unsigned long inode;
        /* sl local:port remote:port state queues timer retransmits uid timeout inode */
        if (sscanf(line, " %*u: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x %*s %*s %*s %*u %*u %lu",
                   &local_port, &state, &inode) == 3 &&
            local_port == port && (!is_tcp || state == TCP_LISTEN)) {
            found = inode;
        }
    }
    fclose(file);
    return found;
}

static bool holds_socket(const char *pid, const char *socket)
{
    char path[64], target[64];
    snprintf(path, sizeof path, "/proc/%.16s/fd", pid);
    DIR *folder = opendir(path);
    bool found = false;
    if (folder == NULL) {
        return false;
    }
    for (struct dirent *entry; !found && (entry = readdir(folder)) != NULL;) {
        ssize_t len = readlinkat(dirfd(folder), entry->d_name, target, sizeof target - 1);
        if (len > 0) {
            target[len] = '\0';
            found = strcmp(target, socket) == 0;
        }
    }
    closedir(folder);
    return found;
}

static void describe(const char *pid, char *out, size_t room)
{
    char path[64], name[32] = "?";
    snprintf(path, sizeof path, "/proc/%.16s/comm", pid);
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        if (fgets(name, sizeof name, file) != NULL) {
            name[strcspn(name, "\n")] = '\0';
        }
        fclose(file);
    }
    snprintf(out, room, "%s (pid %.16s)", name, pid);
}

bool amm_port_owner(bool is_tcp, uint16_t port, char *out, size_t room)
{
    unsigned long inode = find_inode(is_tcp ? "tcp6" : "udp6", is_tcp, port);
    inode = inode != 0 ? inode : find_inode(is_tcp ? "tcp" : "udp", is_tcp, port);
    DIR *processes = inode != 0 ? opendir("/proc") : NULL;
    if (processes == NULL) {
        return false;
    }
    char socket[64];
    bool found = false;
    snprintf(socket, sizeof socket, "socket:[%lu]", inode);
    for (struct dirent *entry; !found && (entry = readdir(processes)) != NULL;) {
        if (isdigit((unsigned char)entry->d_name[0]) && holds_socket(entry->d_name, socket)) {
            describe(entry->d_name, out, room);
            found = true;
        }
    }
    closedir(processes);
    return found;
}
