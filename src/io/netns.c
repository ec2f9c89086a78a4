#include "io/netns.h"

#include "io/netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static const char folder[] = "/run/netns";

enum { PATH_BYTES = sizeof folder + 1 + AMM_NETNS_NAME };

static bool fail(char *error, size_t room, const char *name, const char *what, int cause)
{
    snprintf(error, room, "network namespace %s: %s: %s", name, what, strerror(cause));
    return false;
}

static void make_path(char path[PATH_BYTES], const char *name)
{
    snprintf(path, PATH_BYTES, "%s/%s", folder, name);
}

bool amm_netns_name_ok(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len >= AMM_NETNS_NAME || name[0] == '.' || name[0] == '-') {
        return false;
    }
    for (; *name != '\0'; name++) {
        bool ok = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') ||
                  (*name >= '0' && *name <= '9') || strchr("-_.", *name) != NULL;
        if (!ok) {
            return false;
        }
    }
    return true;
}

bool amm_netns_exists(const char *name)
{
    char path[PATH_BYTES];
    make_path(path, name);
    return access(path, F_OK) == 0;
}

/* The folder is a shared mount of its own, as iproute2 makes it: names are then seen, and can be
 * removed, in every mount namespace. */
static bool prepare_folder(void)
{
    bool is_mount = false;
    if (mkdir(folder, 0755) != 0 && errno != EEXIST) {
        return false;
    }
    while (mount("", folder, "none", MS_SHARED | MS_REC, NULL) != 0) {
        if (errno != EINVAL || is_mount) {
            return false;
        }
        if (mount(folder, folder, "none", MS_BIND | MS_REC, NULL) != 0) {
            return false;
        }
        is_mount = true;
    }
    return true;
}

int amm_netns_open(const char *name, char *error, size_t room)
{
    char path[PATH_BYTES];
    if (name != NULL) {
        make_path(path, name);
    }
    int fd = open(name != NULL ? path : "/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fail(error, room, name != NULL ? name : "of this process", "open", errno);
    }
    return fd;
}

/* Ends the process rather than going on in the wrong namespace. */
static void go_back(int home)
{
    if (setns(home, CLONE_NEWNET) != 0) {
        abort();
    }
}

static bool bind_new_namespace(const char *name, const char *path, int home, char *error,
                               size_t room)
{
    if (unshare(CLONE_NEWNET) != 0) {
        return fail(error, room, name, "create", errno);
    }
    struct amm_link_settings up = {.up = true};
    bool ok = mount("/proc/thread-self/ns/net", path, "none", MS_BIND, NULL) == 0 ||
              fail(error, room, name, "keep", errno);
    ok = ok && amm_link_set("lo", &up, error, room);
    go_back(home);
    return ok;
}

bool amm_netns_create(const char *name, char *error, size_t room)
{
    char path[PATH_BYTES];
    make_path(path, name);
    if (!prepare_folder()) {
        return fail(error, room, name, folder, errno);
    }
    int mark = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);
    if (mark < 0) {
        return fail(error, room, name, "create", errno);
    }
    close(mark);
    int home = amm_netns_open(NULL, error, room);
    bool ok = home >= 0 && bind_new_namespace(name, path, home, error, room);
    if (home >= 0) {
        close(home);
    }
    if (!ok) {
        char unused[128];
        amm_netns_delete(name, unused, sizeof unused);
    }
    return ok;
}

bool amm_netns_delete(const char *name, char *error, size_t room)
{
    char path[PATH_BYTES];
    make_path(path, name);
    umount2(path, MNT_DETACH);
    if (unlink(path) != 0 && errno != ENOENT) {
        return fail(error, room, name, "delete", errno);
    }
    return true;
}

bool amm_netns_run(int netns, bool (*work)(void *context, char *error, size_t room), void *context,
                   char *error, size_t room)
{
    int home = amm_netns_open(NULL, error, room);
    if (home < 0) {
        return false;
    }
    bool ok =
        setns(netns, CLONE_NEWNET) == 0 || fail(error, room, "of the tunnels", "enter", errno);
    if (ok) {
        ok = work(context, error, room);
        go_back(home);
    }
    close(home);
    return ok;
}
