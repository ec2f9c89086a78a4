#include "io/netns.h"

#include "io/netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
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

/* True if `fd` is a namespace and not the empty file that a mount would cover. */
static bool is_namespace(int fd)
{
    struct statfs info;
    return fstatfs(fd, &info) == 0 && info.f_type == NSFS_MAGIC;
}

/* Opens `path`; -1 if there is no namespace. */
static int open_namespace(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && !is_namespace(fd)) {
        close(fd);
        errno = EINVAL;
        fd = -1;
    }
    return fd;
}

static pid_t parent_of(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    size_t len = file != NULL ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file != NULL) {
        fclose(file);
    }
    text[len] = '\0';
    const char *end =
        strrchr(text, ')'); /* "pid (name) state parent ...": a name may hold anything */
    int parent = 0;
    return end != NULL && sscanf(end, ") %*c %d", &parent) == 1 ? parent : 0;
}

/* The highest process above us whose mounts we may use, usually the first one. Names of namespaces
 * last where it sees them: `ip netns exec` gives its program mounts of its own, which nobody else
 * sees. */
static pid_t outermost_process(void)
{
    pid_t best = getpid();
    for (pid_t pid = parent_of(best); pid > 0; pid = parent_of(pid)) {
        char path[64], target[64];
        snprintf(path, sizeof path, "/proc/%d/ns/mnt", pid);
        best = readlink(path, target, sizeof target) > 0 ? pid : best;
    }
    return best;
}

int amm_netns_open(const char *name, char *error, size_t room)
{
    char path[32 + PATH_BYTES];
    int fd;
    if (name == NULL) {
        fd = open_namespace("/proc/thread-self/ns/net");
    } else {
        snprintf(path, sizeof path, "/proc/%d/root%s/%s", outermost_process(), folder, name);
        fd = open_namespace(path);
    }
    if (fd < 0) {
        fail(error, room, name != NULL ? name : "of this process", "open", errno);
    }
    return fd;
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

static bool mount_name(const char *path, const char *source)
{
    int mark = prepare_folder() ? open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0) : -1;
    if (mark < 0) {
        return false;
    }
    close(mark);
    if (mount(source, path, "none", MS_BIND, NULL) != 0) {
        int cause = errno;
        unlink(path);
        errno = cause;
        return false;
    }
    return true;
}

static bool unmount_name(const char *path, const char *source)
{
    (void)source;
    umount2(path, MNT_DETACH);
    return unlink(path) == 0 || errno == ENOENT;
}

/* Runs `work` in a child with the mounts of outermost_process. 0 or an errno. */
static int with_outer_mounts(bool (*work)(const char *path, const char *source), const char *path,
                             const char *source)
{
    char mounts[64];
    snprintf(mounts, sizeof mounts, "/proc/%d/ns/mnt", outermost_process());
    pid_t child = fork();
    if (child < 0) {
        return errno;
    }
    if (child == 0) {
        int fd = open(mounts, O_RDONLY | O_CLOEXEC);
        _exit(fd >= 0 && setns(fd, CLONE_NEWNS) == 0 && work(path, source) ? 0 : errno);
    }
    int status;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            return errno;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

/* Ends the process rather than going on in the wrong namespace. */
static void go_back(int home)
{
    if (setns(home, CLONE_NEWNET) != 0) {
        abort();
    }
}

/* A new namespace with its loopback up, still without a name. */
static int new_namespace(const char *name, char *error, size_t room)
{
    int home = amm_netns_open(NULL, error, room);
    if (home < 0) {
        return -1;
    }
    int made = -1;
    struct amm_link_settings up = {.up = true};
    if (unshare(CLONE_NEWNET) != 0) {
        fail(error, room, name, "create", errno);
    } else {
        made = amm_netns_open(NULL, error, room);
        if (made >= 0 && !amm_link_set("lo", &up, error, room)) {
            close(made);
            made = -1;
        }
        go_back(home);
    }
    close(home);
    return made;
}

int amm_netns_create(const char *name, char *error, size_t room)
{
    char path[PATH_BYTES], source[64];
    make_path(path, name);
    int made = new_namespace(name, error, room);
    if (made < 0) {
        return -1;
    }
    snprintf(source, sizeof source, "/proc/%d/fd/%d", getpid(), made);
    int cause = with_outer_mounts(mount_name, path, source);
    if (cause != 0) {
        fail(error, room, name, "keep", cause);
        close(made);
        return -1;
    }
    return made;
}

bool amm_netns_delete(const char *name, char *error, size_t room)
{
    char path[PATH_BYTES];
    make_path(path, name);
    int cause = with_outer_mounts(unmount_name, path, "");
    return cause == 0 || fail(error, room, name, "delete", cause);
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
