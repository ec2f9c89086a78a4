#include "sheet/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OUR_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__arm__)
#define OUR_ARCHITECTURE AUDIT_ARCH_ARM
#endif

/* All that reading takes: memory, the two descriptors, the end. Whatever else is asked for ends the
 * process. */
#if defined(OUR_ARCHITECTURE) && !defined(__SANITIZE_ADDRESS__)
static const uint32_t allowed[] = {
    SYS_read,       SYS_write,      SYS_writev,        SYS_lseek,        SYS_fstat,
#ifdef SYS_newfstatat
    SYS_newfstatat,
#endif
    SYS_close,      SYS_brk,
#ifdef SYS_mmap
    SYS_mmap,
#endif
#ifdef SYS_mmap2
    SYS_mmap2,
#endif
    SYS_munmap,     SYS_mremap,     SYS_mprotect,      SYS_madvise,      SYS_futex,
    SYS_getrandom,  SYS_getpid,     SYS_clock_gettime, SYS_rt_sigreturn, SYS_rt_sigprocmask,
    SYS_exit,       SYS_exit_group,
};
enum { N_ALLOWED = sizeof allowed / sizeof allowed[0] };

static bool filter_calls(void)
{
    struct sock_filter code[N_ALLOWED + 8];
    unsigned short n = 0;
    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCHITECTURE, 1, 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (unsigned i = 0; i < N_ALLOWED; i++) {
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i],
                                                 (uint8_t)(N_ALLOWED - i), 0);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {n, code};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

static bool limit_memory(void)
{
    struct rlimit memory = {AMM_SHEET_MEMORY, AMM_SHEET_MEMORY};
    return setrlimit(RLIMIT_AS, &memory) == 0;
}
#else
static bool filter_calls(void)
{
    return true;
}

static bool limit_memory(void)
{
    return true;
}
#endif

/* A rule set without a rule: no file may be opened. Kernels before 5.13 do not have it. */
static bool forbid_files(void)
{
    struct landlock_ruleset_attr attributes = {.handled_access_fs =
                                                   (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1};
    int rules = (int)syscall(SYS_landlock_create_ruleset, &attributes,
                             sizeof attributes.handled_access_fs, 0);
    if (rules < 0) {
        return false;
    }
    bool ok = syscall(SYS_landlock_restrict_self, rules, 0) == 0;
    close(rules);
    return ok;
}

bool amm_sheet_jail(bool *landlock, char *error, size_t room)
{
    struct rlimit cpu = {AMM_SHEET_CPU, AMM_SHEET_CPU}, none = {0, 0};
    bool ok = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_DUMPABLE, 0) == 0 &&
              setrlimit(RLIMIT_CPU, &cpu) == 0 && setrlimit(RLIMIT_CORE, &none) == 0 &&
              setrlimit(RLIMIT_NPROC, &none) == 0 && limit_memory();
    bool has_landlock = forbid_files();
    if (landlock != NULL) {
        *landlock = has_landlock;
    }
    struct rlimit files = {2, 2}; /* the two that are open; none beyond them */
    ok = ok && setrlimit(RLIMIT_NOFILE, &files) == 0 && filter_calls();
    if (!ok) {
        snprintf(error, room, "cannot enter the sandbox: %s", strerror(errno));
    }
    return ok;
}

/* ---- for ammd ---- */

int amm_sheet_start(const char *program, char *error, size_t room)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        snprintf(error, room, "%s: %s", program, strerror(errno));
        return -1;
    }
    if (access(program, X_OK) != 0) {
        snprintf(error, room, "%s: %s (it reads uploaded sheets)", program, strerror(errno));
        close(ends[0]);
        close(ends[1]);
        return -1;
    }
    pid_t child = fork();
    if (child == 0) {
        char *const argv[] = {(char *)(uintptr_t) "amm-sheet", NULL};
        char *const environment[] = {NULL};
        if (dup2(ends[1], STDIN_FILENO) == STDIN_FILENO) {
            execve(program, argv, environment);
        }
        _exit(127);
    }
    close(ends[1]);
    if (child < 0) {
        snprintf(error, room, "%s: %s", program, strerror(errno));
        close(ends[0]);
        return -1;
    }
    return ends[0];
}

static bool send_two(int server, int file, int out)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(2 * sizeof(int))];
    } control;
    char byte = 'S';
    struct iovec io = {&byte, 1};
    struct msghdr message = {.msg_iov = &io,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof control.room};
    memset(&control, 0, sizeof control);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(2 * sizeof(int));
    memcpy(CMSG_DATA(head), (int[]){file, out}, 2 * sizeof(int));
    return sendmsg(server, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
}

int amm_sheet_ask(int server, int file, char *error, size_t room)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        snprintf(error, room, "The sheet cannot be read: %s.", strerror(errno));
        return -1;
    }
    bool ok = send_two(server, file, ends[1]);
    int cause = errno;
    close(ends[1]);
    if (!ok || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) {
        snprintf(error, room, "The sheet cannot be read: %s.",
                 ok ? strerror(errno) : strerror(cause));
        close(ends[0]);
        return -1;
    }
    return ends[0];
}
