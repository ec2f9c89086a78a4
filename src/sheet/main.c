/* amm-sheet: reads sheets for ammd, each in a child of its own (sheet/jail.h).
 *
 * This process holds no data and no rights: standard input is the socket to ammd, everything else
 * is closed. Started by root it becomes nobody, in a network of its own. It ends with the socket.
 */
#include "sheet/jail.h"
#include "sheet/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SERVER = STDIN_FILENO, NOBODY = 65534, FILE_FD = 0, ROWS_FD = 1 };

/* Without a network even before system calls are filtered. A kernel that does not let us is no
 * reason to stop: the children cannot make sockets. */
static bool become_nobody(void)
{
    if (geteuid() != 0) {
        return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    }
    if (unshare(CLONE_NEWNET | CLONE_NEWIPC) != 0) {
        /* See above. */
    }
    return setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
           setresuid(NOBODY, NOBODY, NOBODY) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

/* 0: the other end is gone. -1: something else came. */
static int receive(int fds[2])
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(2 * sizeof(int))];
    } control;
    char byte;
    struct iovec io = {&byte, 1};
    struct msghdr message = {.msg_iov = &io,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof control.room};
    ssize_t got;
    do {
        got = recvmsg(SERVER, &message, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got <= 0) {
        return 0;
    }
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (head == NULL || head->cmsg_type != SCM_RIGHTS ||
        head->cmsg_len != CMSG_LEN(2 * sizeof(int))) {
        return -1;
    }
    memcpy(fds, CMSG_DATA(head), 2 * sizeof(int));
    return 1;
}

static void refuse(const char *text)
{
    uint8_t record[5 + AMM_SHEET_ERROR];
    struct amm_writer w = amm_writer(record, sizeof record);
    amm_write_u8(&w, 'F');
    amm_write_u32(&w, (uint32_t)strlen(text));
    amm_write_str(&w, text);
    if (write(ROWS_FD, record, amm_writer_len(&w)) < 0) {
        /* The other end has gone: nobody waits for it. */
    }
}

/* The child: descriptors 0 (the file) and 1 (the rows), and nothing else. */
static void read_one(int file, int rows)
{
    char error[128];
    struct stat stat;
    int kept = fcntl(rows, F_DUPFD, 3);
    if (kept < 0 || dup2(file, FILE_FD) != FILE_FD || dup2(kept, ROWS_FD) != ROWS_FD ||
        close_range(2, ~0u, 0) != 0) {
        _exit(1);
    }
    if (!amm_sheet_jail(NULL, error, sizeof error)) {
        refuse(error);
        _exit(1);
    }
    if (fstat(FILE_FD, &stat) != 0 || stat.st_size < 0 || stat.st_size > AMM_SHEET_FILE) {
        refuse("The file is larger than 32 MiB.");
        _exit(1);
    }
    struct amm_view view = {NULL, (size_t)stat.st_size};
    if (view.len > 0) {
        void *data = mmap(NULL, view.len, PROT_READ, MAP_PRIVATE, FILE_FD, 0);
        if (data == MAP_FAILED) {
            refuse("There is no memory to read the sheet.");
            _exit(1);
        }
        view.data = data;
    }
    _exit(amm_sheet_send(view, ROWS_FD) ? 0 : 1);
}

int main(void)
{
    int fds[2], got;
    struct stat stat;
    if (fstat(SERVER, &stat) != 0 || !S_ISSOCK(stat.st_mode)) {
        fputs("amm-sheet: ammd starts this program, to read sheets that were uploaded\n", stderr);
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (close_range(3, ~0u, 0) != 0 || !become_nobody()) {
        return EXIT_FAILURE;
    }
    /* libzip asks for local times: without a zone there is no file to be read for it. */
    if (setenv("TZ", "UTC0", 1) != 0) {
        return EXIT_FAILURE;
    }
    tzset();
    signal(SIGCHLD, SIG_IGN); /* children are not waited for */
    signal(SIGPIPE, SIG_IGN);
    /* Ctrl-C at the terminal is for ammd, whose end ends this one. */
    signal(SIGINT, SIG_IGN);
    while ((got = receive(fds)) != 0) {
        if (got < 0) {
            continue;
        }
        pid_t child = fork();
        if (child == 0) {
            read_one(fds[0], fds[1]);
        }
        close(fds[0]);
        close(fds[1]);
    }
    return EXIT_SUCCESS;
}
