#include "io/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { COMPLAINT = 512 };

/* A file that holds the input: a program that does not read cannot block us, and there is no
 * SIGPIPE. */
static int input_file(struct amm_view input)
{
    int fd = memfd_create("input", MFD_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    for (size_t done = 0; done < input.len;) {
        ssize_t put = write(fd, input.data + done, input.len - done);
        if (put < 0) {
            close(fd);
            return -1;
        }
        done += (size_t)put;
    }
    lseek(fd, 0, SEEK_SET);
    return fd;
}

__attribute__((noreturn)) static void become(const char *const argv[], int input, int complaints)
{
    static char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C", NULL};
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    dup2(input, STDIN_FILENO);
    dup2(complaints, STDOUT_FILENO);
    dup2(complaints, STDERR_FILENO);
    environ = (char **)environment;
    execvp(argv[0], (char *const *)argv);
    dprintf(STDERR_FILENO, "cannot start: %s", strerror(errno));
    _exit(127);
}

/* Reads until the other end closes; keeps the beginning, one line of printable text. */
static void read_complaint(int fd, char *out, size_t room)
{
    char chunk[256];
    size_t have = 0;
    for (;;) {
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        for (ssize_t i = 0; i < got && have + 1 < room; i++) {
            out[have++] = chunk[i] == '\n' ? ' ' : chunk[i];
        }
    }
    while (have > 0 && out[have - 1] == ' ') {
        have--;
    }
    out[have] = '\0';
}

static bool judge(const char *program, int status, const char *complaint, char *error, size_t room)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return true;
    }
    if (WIFSIGNALED(status)) {
        snprintf(error, room, "%s: killed by signal %d: %s", program, WTERMSIG(status), complaint);
    } else {
        snprintf(error, room, "%s: exit code %d: %s", program, WEXITSTATUS(status), complaint);
    }
    return false;
}

bool amm_spawn(const char *const argv[], struct amm_view input, char *error, size_t room)
{
    int complaints[2];
    int in = input_file(input);
    if (in < 0 || pipe2(complaints, O_CLOEXEC) != 0) {
        snprintf(error, room, "%s: %s", argv[0], strerror(errno));
        if (in >= 0) {
            close(in);
        }
        return false;
    }
    pid_t child = fork();
    if (child == 0) {
        become(argv, in, complaints[1]);
    }
    int cause = errno;
    close(in);
    close(complaints[1]);
    char complaint[COMPLAINT] = "";
    int status = 0;
    bool ok = false;
    if (child < 0) {
        snprintf(error, room, "%s: %s", argv[0], strerror(cause));
    } else {
        read_complaint(complaints[0], complaint, sizeof complaint);
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
        ok = judge(argv[0], status, complaint, error, room);
    }
    close(complaints[0]);
    return ok;
}
