#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fail(char *error, size_t room, const char *path, const char *what)
{
    snprintf(error, room, "%s: %s", path, what);
    return false;
}

static bool read_all(int fd, uint8_t *data, size_t len)
{
    for (size_t have = 0; have < len;) {
        ssize_t got = read(fd, data + have, len - have);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            errno = got == 0 ? EAGAIN : errno; /* it shrank while it was read */
            return false;
        }
        have += (size_t)got;
    }
    return true;
}

bool amm_file_read(const char *path, size_t limit, struct amm_span *out, char *error, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return fail(error, room, path, strerror(errno));
    }
    struct stat info;
    uint8_t *data = NULL;
    size_t len = 0;
    bool ok = false;
    if (fstat(fd, &info) != 0) {
        fail(error, room, path, strerror(errno));
    } else if (!S_ISREG(info.st_mode)) {
        fail(error, room, path, "is not a regular file");
    } else if ((uint64_t)info.st_size > limit) {
        snprintf(error, room, "%s: is larger than %zu bytes", path, limit);
    } else if ((data = malloc((size_t)info.st_size + 1)) == NULL) {
        fail(error, room, path, "out of memory");
    } else if (!read_all(fd, data, len = (size_t)info.st_size)) {
        fail(error, room, path, strerror(errno));
    } else {
        ok = true;
    }
    close(fd);
    if (!ok) {
        if (data != NULL) {
            amm_wipe(data, len);
            free(data);
        }
        return false;
    }
    data[len] = '\0';
    *out = (struct amm_span){data, len};
    return true;
}

static bool write_all(int fd, struct amm_view text)
{
    for (size_t done = 0; done < text.len;) {
        ssize_t put = write(fd, text.data + done, text.len - done);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return false;
        }
        done += (size_t)put;
    }
    return true;
}

/* Makes the rename durable; a file system that cannot do it is not an error. */
static void sync_folder(const char *path)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash == NULL) {
        snprintf(folder, sizeof folder, ".");
    } else {
        slash[slash == folder ? 1 : 0] = '\0';
    }
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

bool amm_file_write(const char *path, struct amm_view text, mode_t mode, char *error, size_t room)
{
    char temporary[PATH_MAX];
    if ((size_t)snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= sizeof temporary) {
        return fail(error, room, path, "name is too long");
    }
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        return fail(error, room, path, strerror(errno));
    }
    bool ok = fchmod(fd, mode) == 0 && write_all(fd, text) && fsync(fd) == 0;
    int cause = errno;
    close(fd);
    if (ok && rename(temporary, path) == 0) {
        sync_folder(path);
        return true;
    }
    cause = ok ? errno : cause;
    unlink(temporary);
    return fail(error, room, path, strerror(cause));
}

bool amm_directory_make(const char *path, mode_t mode, char *error, size_t room)
{
    char part[PATH_MAX];
    if ((size_t)snprintf(part, sizeof part, "%s", path) >= sizeof part || *path == '\0') {
        return fail(error, room, path, "not a usable folder name");
    }
    for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(part, 0755) != 0 && errno != EEXIST) {
            return fail(error, room, part, strerror(errno));
        }
        *slash = '/';
    }
    struct stat info;
    if (mkdir(part, mode) != 0 &&
        (errno != EEXIST || stat(part, &info) != 0 || !S_ISDIR(info.st_mode))) {
        return fail(error, room, part, strerror(errno));
    }
    return true;
}

bool amm_directory_give(const char *path, uid_t uid, gid_t gid, char *error, size_t room)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool ok = fd >= 0 && fchown(fd, uid, gid) == 0;
    if (!ok) {
        fail(error, room, path, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}
