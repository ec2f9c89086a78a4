#include "io/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool is_number(const char *text)
{
    return *text != '\0' && strspn(text, "0123456789") == strlen(text) && strlen(text) <= 9;
}

bool amm_user_find(const char *text, struct amm_user *out, char *error, size_t room)
{
    char buffer[4096];
    struct passwd entry, *found = NULL;
    if (is_number(text)) {
        uid_t uid = (uid_t)strtoul(text, NULL, 10);
        getpwuid_r(uid, &entry, buffer, sizeof buffer, &found);
        *out = (struct amm_user){.uid = uid, .gid = found ? found->pw_gid : (gid_t)uid};
        return true;
    }
    getpwnam_r(text, &entry, buffer, sizeof buffer, &found);
    if (found == NULL) {
        snprintf(error, room,
                 "user \"%s\" does not exist (make it with: useradd --system --no-create-home %s)",
                 text, text);
        return false;
    }
    *out = (struct amm_user){.uid = found->pw_uid, .gid = found->pw_gid};
    return true;
}

static bool set_capabilities(uint64_t keep)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
    for (unsigned i = 0; i < 2; i++) {
        data[i].effective = (uint32_t)(keep >> 32 * i);
        data[i].permitted = data[i].effective;
    }
    return syscall(SYS_capset, &header, data) == 0;
}

bool amm_privileges_drop(const struct amm_user *user, char *error, size_t room)
{
    return amm_privileges_drop_to(user, 0, error, room);
}

bool amm_privileges_drop_to(const struct amm_user *user, uint64_t keep, char *error, size_t room)
{
    /* The bounding set first: it takes CAP_SETPCAP. A process without it has nothing to bound. */
    for (int capability = 0; capability <= 63; capability++) {
        prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    }
    bool ok = true;
    if (geteuid() == 0 || geteuid() != user->uid) {
        ok = prctl(PR_SET_KEEPCAPS, keep != 0, 0, 0, 0) == 0 && setgroups(0, NULL) == 0 &&
             setresgid(user->gid, user->gid, user->gid) == 0 &&
             setresuid(user->uid, user->uid, user->uid) == 0;
    }
    ok = ok && set_capabilities(keep) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    if (!ok) {
        snprintf(error, room, "cannot become uid %u gid %u: %s", user->uid, user->gid,
                 strerror(errno));
        return false;
    }
    amm_process_seal();
    return true;
}

void amm_process_fill_streams(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR); /* the lowest number that is free */
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) {
        close(fd);
    }
}

void amm_process_seal(void)
{
    struct rlimit none = {0, 0};
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &none);
}
