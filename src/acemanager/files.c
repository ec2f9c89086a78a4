#include "files.h"

#include "base/siphash.h"
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the system ---- */

static int system_open(void *context, const char *path, int flags, mode_t mode)
{
    (void)context;
    return open(path, flags | O_CLOEXEC, mode);
}

static ssize_t system_write(void *context, int fd, const void *data, size_t len)
{
    (void)context;
    return write(fd, data, len);
}

static int system_sync(void *context, int fd)
{
    (void)context;
    return fdatasync(fd);
}

static int system_truncate(void *context, int fd, off_t len)
{
    (void)context;
    return ftruncate(fd, len);
}

static int system_close(void *context, int fd)
{
    (void)context;
    return close(fd);
}

static int system_rename(void *context, const char *from, const char *to)
{
    (void)context;
    return rename(from, to);
}

static int system_unlink(void *context, const char *path)
{
    (void)context;
    return unlink(path);
}

static int system_sync_folder(void *context, const char *folder)
{
    (void)context;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    /* File systems that cannot sync a folder say EINVAL; they keep renames in order. */
    int failed = fsync(fd) != 0 && errno != EINVAL;
    int cause = errno;
    close(fd);
    errno = cause;
    return failed ? -1 : 0;
}

const struct ace_files ace_files_system = {
    .open = system_open,
    .write = system_write,
    .sync = system_sync,
    .truncate = system_truncate,
    .close = system_close,
    .rename = system_rename,
    .unlink = system_unlink,
    .sync_folder = system_sync_folder,
};

bool ace_files_write_all(const struct ace_files *files, int fd, struct amm_view bytes)
{
    for (size_t done = 0; done < bytes.len;) {
        ssize_t put = files->write(files->context, fd, bytes.data + done, bytes.len - done);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return false;
        }
        done += (size_t)put;
    }
    return true;
}

/* ---- records ---- */

static const char head_format[] = "amm-record-1 %zu %016llx\n";

enum { HEAD_MAX = 64 };

uint64_t ace_checksum(struct amm_view bytes)
{
    static const struct amm_siphash_key key = {0x6163656d616e6167, 0x65722d66696c6573};
    return amm_siphash(&key, bytes.data, bytes.len);
}

static bool fail(char *error, size_t room, const char *path)
{
    snprintf(error, room, "%s: %s", path, strerror(errno));
    return false;
}

static void folder_of(const char *path, char out[ACE_PATH])
{
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    snprintf(out, ACE_PATH, "%.*s", (int)(len > 0 ? len : 1), len > 0 ? path : slash ? "/" : ".");
}

static bool write_new(const struct ace_files *files, const char *path, struct amm_view content)
{
    char head[HEAD_MAX];
    int len = snprintf(head, sizeof head, head_format, content.len,
                       (unsigned long long)ace_checksum(content));
    int fd = files->open(files->context, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0) {
        return false;
    }
    bool ok = ace_files_write_all(files, fd, amm_view(head, (size_t)len)) &&
              ace_files_write_all(files, fd, content) && files->sync(files->context, fd) == 0;
    int cause = errno;
    ok = files->close(files->context, fd) == 0 && ok;
    if (!ok) {
        files->unlink(files->context, path);
        errno = cause;
    }
    return ok;
}

/* The content of one file, if it is whole. */
static bool read_one(const char *path, size_t limit, struct amm_span *out)
{
    char error[ACE_PATH + 64], head[HEAD_MAX];
    struct amm_span file;
    if (!amm_file_read(path, limit + HEAD_MAX, &file, error, sizeof error)) {
        return false;
    }
    uint8_t *newline = memchr(file.data, '\n', file.len < HEAD_MAX ? file.len : HEAD_MAX);
    size_t head_len = newline ? (size_t)(newline - file.data) + 1 : 0;
    struct amm_view content = amm_view(file.data + head_len, file.len - head_len);
    int len = snprintf(head, sizeof head, head_format, content.len,
                       (unsigned long long)ace_checksum(content));
    if (head_len == 0 || (size_t)len != head_len || memcmp(head, file.data, head_len) != 0) {
        amm_wipe(file.data, file.len);
        free(file.data);
        return false;
    }
    memmove(file.data, file.data + head_len, content.len + 1); /* with the NUL behind it */
    *out = (struct amm_span){file.data, content.len};
    return true;
}

static void old_of(const char *path, char out[ACE_PATH])
{
    snprintf(out, ACE_PATH, "%s.old", path);
}

enum ace_record ace_record_read(const char *path, size_t limit, struct amm_span *out)
{
    char old[ACE_PATH];
    old_of(path, old);
    if (read_one(path, limit, out)) {
        return ACE_RECORD_GOOD;
    }
    if (read_one(old, limit, out)) {
        return ACE_RECORD_PREVIOUS;
    }
    return access(path, F_OK) == 0 || access(old, F_OK) == 0 ? ACE_RECORD_DAMAGED : ACE_RECORD_NONE;
}

enum { CHECK_LIMIT = 1024 * 1024 };

static bool is_whole(const char *path)
{
    struct amm_span content;
    if (!read_one(path, CHECK_LIMIT, &content)) {
        return false;
    }
    amm_wipe(content.data, content.len);
    free(content.data);
    return true;
}

bool ace_record_write(const struct ace_files *files, const char *path, struct amm_view content,
                      char *error, size_t room)
{
    char new[ACE_PATH], old[ACE_PATH], folder[ACE_PATH];
    if ((size_t)snprintf(new, sizeof new, "%s.new", path) >= sizeof new) {
        errno = ENAMETOOLONG;
        return fail(error, room, path);
    }
    old_of(path, old);
    folder_of(path, folder);
    if (!write_new(files, new, content)) {
        return fail(error, room, path);
    }
    /* A damaged record must not push out the good one before it. */
    if ((is_whole(path) && files->rename(files->context, path, old) != 0) ||
        files->rename(files->context, new, path) != 0) {
        fail(error, room, path);
        if (access(path, F_OK) != 0) {
            files->rename(files->context, old, path);
        }
        files->unlink(files->context, new);
        return false;
    }
    if (files->sync_folder(files->context, folder) != 0) {
        return fail(error, room, folder); /* in force now, but perhaps not after a power cut */
    }
    return true;
}

bool ace_record_remove(const struct ace_files *files, const char *path)
{
    char old[ACE_PATH], folder[ACE_PATH];
    old_of(path, old);
    folder_of(path, folder);
    /* The one before first: it must not come back to life. */
    bool ok = files->unlink(files->context, old) == 0 || errno == ENOENT;
    ok = ok && files->sync_folder(files->context, folder) == 0;
    ok = ok && (files->unlink(files->context, path) == 0 || errno == ENOENT);
    return ok && files->sync_folder(files->context, folder) == 0;
}
