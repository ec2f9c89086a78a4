#include "power.h"

#include "io/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* True if this operation must fail; sets errno. */
static bool fails(struct power *p, bool needs_room)
{
    p->count++;
    if (p->is_off) {
        errno = EIO;
        return true;
    }
    if (p->count == p->fault_at) {
        p->is_off = p->fault == POWER_CUT;
        p->is_full = p->fault == POWER_NO_ROOM;
        if (p->fault == POWER_ERROR) {
            errno = EIO;
            return true;
        }
    }
    if (p->is_full && needs_room) {
        errno = ENOSPC;
        return true;
    }
    errno = EIO;
    return p->is_off;
}

static bool flip(struct power *p)
{
    return amm_random_below(&p->random, 2) == 0;
}

static struct power_file *file_of(struct power *p, const char *path)
{
    for (unsigned i = 0; i < p->n_files; i++) {
        if (strcmp(p->file[i].path, path) == 0) {
            return &p->file[i];
        }
    }
    if (p->n_files == POWER_FILES) {
        abort();
    }
    struct power_file *file = &p->file[p->n_files++];
    *file = (struct power_file){.synced = 0};
    snprintf(file->path, sizeof file->path, "%s", path);
    struct amm_span text;
    char error[ACE_PATH + 96];
    if (access(path, F_OK) == 0 && amm_file_read(path, 1 << 24, &text, error, sizeof error)) {
        file->synced = (off_t)text.len; /* from before: safe */
        free(text.data);
    }
    return file;
}

static struct power_change *note(struct power *p, int kind, const char *path)
{
    if (p->n_changes == POWER_CHANGES) {
        abort();
    }
    struct power_change *change = &p->change[p->n_changes++];
    *change = (struct power_change){.kind = kind};
    snprintf(change->path, sizeof change->path, "%s", path);
    struct amm_span text;
    char error[ACE_PATH + 96];
    if (access(path, F_OK) == 0 && amm_file_read(path, 1 << 24, &text, error, sizeof error)) {
        change->content = (char *)text.data;
        change->len = text.len;
    }
    return change;
}

static int power_open(void *context, const char *path, int flags, mode_t mode)
{
    struct power *p = context;
    bool is_new = access(path, F_OK) != 0;
    if (fails(p, is_new)) {
        return -1;
    }
    struct power_file *file = file_of(p, path);
    if (is_new) {
        note(p, POWER_CREATED, path);
        file->synced = 0;
    }
    if (flags & O_TRUNC) {
        file->synced = 0;
    }
    int fd = open(path, flags | O_CLOEXEC, mode);
    if (fd >= POWER_FDS) {
        abort();
    }
    if (fd >= 0) {
        p->open_file[fd] = (int)(file - p->file);
    }
    return fd;
}

static ssize_t power_write(void *context, int fd, const void *data, size_t len)
{
    struct power *p = context;
    if (fails(p, true)) {
        if (len > 1 && (p->is_off || p->is_full) && flip(p)) {
            ssize_t half = write(fd, data, len / 2);
            (void)half;
        }
        return -1;
    }
    /* Short writes are legal at any time. */
    return write(fd, data, len > 8 && amm_random_below(&p->random, 4) == 0 ? len - 3 : len);
}

static int power_sync(void *context, int fd)
{
    struct power *p = context;
    if (fails(p, false)) {
        return -1;
    }
    p->file[p->open_file[fd]].synced = lseek(fd, 0, SEEK_END);
    return 0;
}

static int power_truncate(void *context, int fd, off_t len)
{
    struct power *p = context;
    return fails(p, false) ? -1 : ftruncate(fd, len);
}

static int power_close(void *context, int fd)
{
    struct power *p = context;
    close(fd);
    return fails(p, false) ? -1 : 0;
}

static int power_rename(void *context, const char *from, const char *to)
{
    struct power *p = context;
    if (fails(p, false)) {
        return -1;
    }
    struct power_change *change = note(p, POWER_RENAMED, to);
    snprintf(change->from, sizeof change->from, "%s", from);
    off_t synced = file_of(p, from)->synced;
    if (rename(from, to) != 0) {
        p->n_changes--;
        free(change->content);
        return -1;
    }
    file_of(p, to)->synced = synced;
    file_of(p, from)->synced = 0;
    return 0;
}

static int power_unlink(void *context, const char *path)
{
    struct power *p = context;
    if (access(path, F_OK) != 0) {
        errno = ENOENT;
        return -1;
    }
    if (fails(p, false)) {
        return -1;
    }
    note(p, POWER_REMOVED, path);
    return unlink(path);
}

static void forget_changes(struct power *p)
{
    for (unsigned i = 0; i < p->n_changes; i++) {
        free(p->change[i].content);
    }
    p->n_changes = 0;
}

static int power_sync_folder(void *context, const char *folder)
{
    struct power *p = context;
    (void)folder;
    if (fails(p, false)) {
        return -1;
    }
    forget_changes(p);
    return 0;
}

void power_init(struct power *p, uint64_t seed)
{
    *p = (struct power){.folder = "/tmp/amm-power-XXXXXX"};
    amm_seeded_random_init(&p->seeded, seed);
    p->random = amm_seeded_random(&p->seeded);
    if (!mkdtemp(p->folder)) {
        abort();
    }
    p->files = (struct ace_files){
        p,           power_open,   power_write,  power_sync,       power_truncate,
        power_close, power_rename, power_unlink, power_sync_folder};
}

const char *power_path(struct power *p, const char *name, char out[ACE_PATH])
{
    snprintf(out, ACE_PATH, "%.400s/%s", p->folder, name);
    return out;
}

void power_deinit(struct power *p)
{
    char path[ACE_PATH];
    DIR *folder = opendir(p->folder);
    for (struct dirent *entry; folder && (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] != '.') {
            unlink(power_path(p, entry->d_name, path));
        }
    }
    closedir(folder);
    rmdir(p->folder);
    forget_changes(p);
}

static void put_back(const char *path, const char *content, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, content, len) != (ssize_t)len) {
        abort();
    }
    close(fd);
}

static void undo(const struct power_change *change)
{
    if (change->kind == POWER_CREATED) {
        unlink(change->path);
        return;
    }
    if (change->kind == POWER_RENAMED) {
        rename(change->path, change->from);
    }
    if (change->content) {
        put_back(change->path, change->content, change->len);
    }
}

static void lose_data(struct power *p, const struct power_file *file)
{
    int fd = open(file->path, O_RDWR | O_CLOEXEC);
    off_t len = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
    if (fd >= 0 && len > file->synced) {
        off_t kept =
            file->synced + (off_t)amm_random_below(&p->random, (uint64_t)(len - file->synced) + 1);
        if (ftruncate(fd, kept) != 0 || (flip(p) && ftruncate(fd, len) != 0)) { /* cut, or zeros */
            abort();
        }
    }
    if (fd >= 0) {
        close(fd);
    }
}

void power_restore(struct power *p)
{
    for (unsigned i = 0; i < p->n_files; i++) {
        lose_data(p, &p->file[i]);
    }
    unsigned kept = (unsigned)amm_random_below(&p->random, p->n_changes + 1);
    while (p->n_changes > kept) {
        undo(&p->change[--p->n_changes]);
        free(p->change[p->n_changes].content);
    }
    forget_changes(p);
    p->n_files = 0;
    p->is_off = p->is_full = false;
    p->fault_at = 0;
    p->count = 0;
}

void power_repair(struct power *p)
{
    p->is_full = false;
    p->fault_at = 0;
}
