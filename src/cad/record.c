/* The file: CAD_MARK, then entries of
 *     length(4) of the body, body, checksum(8): the first bytes of the body's SHA-256
 * A body: type(1), then
 *     issued:  kind(1) approval(16) serial(20) key(32) issuer(32) from(8) until(8) name(1+n)
 *              certificate(2+n, PEM)
 *     revoked: kind(1) serial(20) at(8) */
#include "cad/record.h"

#include "base/random.h"
#include "base/siphash.h"
#include "crypto/mac.h"
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ENTRY_ISSUED = 1,
    ENTRY_REVOKED = 2,
    HEAD = 4,
    CHECKSUM = 8,
    BODY_MAX = 1 + 1 + 16 + 20 + 32 + 32 + 8 + 8 + 1 + AMM_NAME_MAX + 2 + AMM_CAD_TEXT,
    ENTRY_MAX = HEAD + BODY_MAX + CHECKSUM,
    KEY = 20, /* of the tables: a serial number, or an approval with zeros behind it */
    FIRST_ROOM = 256,
    DAY = 86400,
};

#define CAD_MARK "amm-cad record 1\n"

/* Finds the number of an entry by its key; open addressing, at most half full. */
struct table {
    uint32_t *slots; /* number + 1; 0: free */
    size_t room;     /* a power of two */
};

struct cad_record {
    int fd;
    uint64_t end;  /* of what is good; the next entry goes there */
    bool is_dirty; /* something may stand behind the end */
    struct amm_siphash_key hash;
    struct cad_issued_entry *issued;
    struct amm_cad_revocation *revoked;
    size_t n_issued, n_revoked, room_issued, room_revoked;
    struct table by_approval, by_serial, by_revoked;
    uint8_t buffer[ENTRY_MAX];
};

static bool fail(char error[CAD_RECORD_ERROR], const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool fail(char error[CAD_RECORD_ERROR], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, CAD_RECORD_ERROR, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- tables ---- */

enum which { BY_APPROVAL, BY_SERIAL, BY_REVOKED };

static void key_of(const struct cad_record *record, enum which which, size_t i, uint8_t out[KEY])
{
    memset(out, 0, KEY);
    if (which == BY_APPROVAL) {
        memcpy(out, record->issued[i].approval, AMM_CAD_APPROVAL);
    } else {
        memcpy(out, which == BY_SERIAL ? record->issued[i].serial : record->revoked[i].serial, KEY);
    }
}

static const struct table *table_of(const struct cad_record *record, enum which which)
{
    return which == BY_APPROVAL ? &record->by_approval
           : which == BY_SERIAL ? &record->by_serial
                                : &record->by_revoked;
}

/* The slot with that key, or the free one where it belongs. */
static uint32_t *slot_of(const struct cad_record *record, enum which which,
                         const struct table *table, const uint8_t key[KEY])
{
    size_t at = amm_siphash(&record->hash, key, KEY) & (table->room - 1);
    for (;; at = (at + 1) & (table->room - 1)) {
        uint8_t other[KEY];
        if (table->slots[at] == 0) {
            return &table->slots[at];
        }
        key_of(record, which, table->slots[at] - 1, other);
        if (memcmp(key, other, KEY) == 0) {
            return &table->slots[at];
        }
    }
}

/* SIZE_MAX: none. */
static size_t find(const struct cad_record *record, enum which which, const uint8_t key[KEY])
{
    const struct table *table = table_of(record, which);
    uint32_t slot = table->room > 0 ? *slot_of(record, which, table, key) : 0;
    return slot == 0 ? SIZE_MAX : slot - 1;
}

/* Makes the table large enough for n entries, with the first `filled` of them in it. */
static bool grow(struct cad_record *record, enum which which, struct table *table, size_t n,
                 size_t filled)
{
    if (table->room >= 2 * n) {
        return true;
    }
    struct table larger = {.room = table->room ? 2 * table->room : 2 * FIRST_ROOM};
    larger.slots = calloc(larger.room, sizeof *larger.slots);
    if (!larger.slots) {
        return false;
    }
    for (size_t i = 0; i < filled; i++) {
        uint8_t key[KEY];
        key_of(record, which, i, key);
        *slot_of(record, which, &larger, key) = (uint32_t)i + 1;
    }
    free(table->slots);
    *table = larger;
    return true;
}

static void put(struct cad_record *record, enum which which, struct table *table, size_t i)
{
    uint8_t key[KEY];
    key_of(record, which, i, key);
    *slot_of(record, which, table, key) = (uint32_t)i + 1;
}

/* Room for one more of each, before anything is written: after that nothing can fail. */
static bool reserve(struct cad_record *record)
{
    if (record->n_issued == record->room_issued) {
        size_t room = record->room_issued ? 2 * record->room_issued : FIRST_ROOM;
        struct cad_issued_entry *more = reallocarray(record->issued, room, sizeof *more);
        if (!more) {
            return false;
        }
        record->issued = more;
        record->room_issued = room;
    }
    if (record->n_revoked == record->room_revoked) {
        size_t room = record->room_revoked ? 2 * record->room_revoked : FIRST_ROOM;
        struct amm_cad_revocation *more = reallocarray(record->revoked, room, sizeof *more);
        if (!more) {
            return false;
        }
        record->revoked = more;
        record->room_revoked = room;
    }
    return grow(record, BY_APPROVAL, &record->by_approval, record->n_issued + 1,
                record->n_issued) &&
           grow(record, BY_SERIAL, &record->by_serial, record->n_issued + 1, record->n_issued) &&
           grow(record, BY_REVOKED, &record->by_revoked, record->n_revoked + 1, record->n_revoked);
}

static void keep_issued(struct cad_record *record, const struct cad_issued_entry *entry)
{
    size_t i = record->n_issued++;
    record->issued[i] = *entry;
    put(record, BY_APPROVAL, &record->by_approval, i);
    put(record, BY_SERIAL, &record->by_serial, i);
}

static void keep_revoked(struct cad_record *record, const struct amm_cad_revocation *revocation)
{
    size_t i = record->n_revoked++;
    record->revoked[i] = *revocation;
    put(record, BY_REVOKED, &record->by_revoked, i);
}

/* ---- entries as bytes ---- */

static void write_issued(struct amm_writer *w, const struct cad_issued_entry *entry,
                         struct amm_view certificate)
{
    size_t name = strlen(entry->name);
    amm_write_u8(w, ENTRY_ISSUED);
    amm_write_u8(w, entry->kind);
    amm_write_bytes(w, entry->approval, sizeof entry->approval);
    amm_write_bytes(w, entry->serial, sizeof entry->serial);
    amm_write_bytes(w, entry->key_hash, sizeof entry->key_hash);
    amm_write_bytes(w, entry->issuer, sizeof entry->issuer);
    amm_write_u64(w, (uint64_t)entry->not_before);
    amm_write_u64(w, (uint64_t)entry->not_after);
    amm_write_u8(w, (uint8_t)name);
    amm_write_bytes(w, entry->name, name);
    amm_write_u16(w, (uint16_t)certificate.len);
    amm_write_view(w, certificate);
}

static void write_revoked(struct amm_writer *w, const struct amm_cad_revocation *revocation)
{
    amm_write_u8(w, ENTRY_REVOKED);
    amm_write_u8(w, revocation->kind);
    amm_write_bytes(w, revocation->serial, sizeof revocation->serial);
    amm_write_u64(w, (uint64_t)revocation->at);
}

/* `at`: where the body stands in the file. */
static bool read_issued(struct amm_reader *r, uint64_t at, size_t body_len,
                        struct cad_issued_entry *entry, struct amm_view *certificate)
{
    *entry = (struct cad_issued_entry){.kind = amm_read_u8(r)};
    amm_read_copy(r, entry->approval, sizeof entry->approval);
    amm_read_copy(r, entry->serial, sizeof entry->serial);
    amm_read_copy(r, entry->key_hash, sizeof entry->key_hash);
    amm_read_copy(r, entry->issuer, sizeof entry->issuer);
    entry->not_before = (int64_t)amm_read_u64(r);
    entry->not_after = (int64_t)amm_read_u64(r);
    struct amm_view name = amm_read_bytes(r, amm_read_u8(r));
    *certificate = amm_read_bytes(r, amm_read_u16(r));
    if (!amm_reader_done(r) || name.len > AMM_NAME_MAX || certificate->len >= AMM_CAD_TEXT) {
        return false;
    }
    memcpy(entry->name, name.data, name.len);
    entry->at = at + body_len - certificate->len;
    return true;
}

static bool read_revoked(struct amm_reader *r, struct amm_cad_revocation *revocation)
{
    *revocation = (struct amm_cad_revocation){.kind = amm_read_u8(r)};
    amm_read_copy(r, revocation->serial, sizeof revocation->serial);
    revocation->at = (int64_t)amm_read_u64(r);
    return amm_reader_done(r);
}

/* ---- the file ---- */

static bool read_at(int fd, void *out, size_t len, uint64_t at)
{
    for (size_t have = 0; have < len;) {
        ssize_t got = pread(fd, (uint8_t *)out + have, len - have, (off_t)(at + have));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        have += (size_t)got;
    }
    return true;
}

static bool write_at(int fd, const void *data, size_t len, uint64_t at)
{
    for (size_t done = 0; done < len;) {
        ssize_t put_now = pwrite(fd, (const uint8_t *)data + done, len - done, (off_t)(at + done));
        if (put_now < 0 && errno == EINTR) {
            continue;
        }
        if (put_now < 0) {
            return false;
        }
        done += (size_t)put_now;
    }
    return true;
}

/* Frames the body that stands in the buffer behind HEAD; the entry's length, 0 if it does not fit.
 */
static size_t frame(uint8_t buffer[ENTRY_MAX], const struct amm_writer *body)
{
    uint8_t digest[AMM_SHA256_LEN];
    size_t len = amm_writer_len(body);
    if (len == 0 || len > BODY_MAX || !amm_sha256(amm_view(buffer + HEAD, len), digest)) {
        return 0;
    }
    amm_store_u32(buffer, (uint32_t)len);
    memcpy(buffer + HEAD + len, digest, CHECKSUM);
    return HEAD + len + CHECKSUM;
}

/* Puts the framed entry at the end, durably. What is left of a write that failed is cut off before
 * the next one. */
static bool append(struct cad_record *record, size_t len, char error[CAD_RECORD_ERROR])
{
    if (record->is_dirty && ftruncate(record->fd, (off_t)record->end) != 0) {
        return fail(error, "the record cannot be mended: %s", strerror(errno));
    }
    record->is_dirty = true;
    if (!write_at(record->fd, record->buffer, len, record->end) || fdatasync(record->fd) != 0) {
        fail(error, "the record cannot be written: %s", strerror(errno));
        record->is_dirty = ftruncate(record->fd, (off_t)record->end) != 0;
        return false;
    }
    record->is_dirty = false;
    record->end += len;
    return true;
}

bool cad_record_issue(struct cad_record *record, const struct cad_issued_entry *entry,
                      const char *certificate, char error[CAD_RECORD_ERROR])
{
    struct amm_writer w = amm_writer(record->buffer + HEAD, BODY_MAX);
    struct cad_issued_entry kept = *entry;
    struct amm_view text = amm_view_str(certificate);
    write_issued(&w, entry, text);
    size_t len = text.len < AMM_CAD_TEXT ? frame(record->buffer, &w) : 0;
    if (len == 0 || !reserve(record)) {
        return fail(error, len == 0 ? "the certificate is too large" : "out of memory");
    }
    kept.at = record->end + len - CHECKSUM - text.len;
    if (!append(record, len, error)) {
        return false;
    }
    keep_issued(record, &kept);
    return true;
}

bool cad_record_revoke(struct cad_record *record, const struct amm_cad_revocation *revocation,
                       char error[CAD_RECORD_ERROR])
{
    if (cad_record_is_revoked(record, revocation->serial)) {
        return true;
    }
    struct amm_writer w = amm_writer(record->buffer + HEAD, BODY_MAX);
    write_revoked(&w, revocation);
    size_t len = frame(record->buffer, &w);
    if (len == 0 || !reserve(record)) {
        return fail(error, "out of memory");
    }
    if (!append(record, len, error)) {
        return false;
    }
    keep_revoked(record, revocation);
    return true;
}

/* ---- asking ---- */

const struct cad_issued_entry *cad_record_by_approval(const struct cad_record *record,
                                                      const uint8_t approval[AMM_CAD_APPROVAL])
{
    uint8_t key[KEY] = {0};
    memcpy(key, approval, AMM_CAD_APPROVAL);
    size_t i = find(record, BY_APPROVAL, key);
    return i == SIZE_MAX ? NULL : &record->issued[i];
}

const struct cad_issued_entry *cad_record_by_serial(const struct cad_record *record,
                                                    const uint8_t serial[AMM_CAD_SERIAL])
{
    size_t i = find(record, BY_SERIAL, serial);
    return i == SIZE_MAX ? NULL : &record->issued[i];
}

bool cad_record_is_revoked(const struct cad_record *record, const uint8_t serial[AMM_CAD_SERIAL])
{
    return find(record, BY_REVOKED, serial) != SIZE_MAX;
}

bool cad_record_certificate(const struct cad_record *record, const struct cad_issued_entry *entry,
                            char out[AMM_CAD_TEXT])
{
    uint8_t length[2];
    if (!read_at(record->fd, length, sizeof length, entry->at - sizeof length)) {
        return false;
    }
    size_t len = amm_load_u16(length);
    out[len < AMM_CAD_TEXT ? len : 0] = '\0';
    return len < AMM_CAD_TEXT && read_at(record->fd, out, len, entry->at);
}

size_t cad_record_issued(const struct cad_record *record)
{
    return record->n_issued;
}

size_t cad_record_revoked(const struct cad_record *record)
{
    return record->n_revoked;
}

const struct amm_cad_revocation *cad_record_revocation(const struct cad_record *record, size_t i)
{
    return &record->revoked[i];
}

/* ---- opening ---- */

/* Reads the entry at `at` into the buffer. 1: good; 0: it does not end before the file does; -1:
 * damaged. */
static int read_entry(struct cad_record *record, uint64_t at, uint64_t size, size_t *body_len)
{
    uint8_t head[HEAD], digest[AMM_SHA256_LEN];
    if (size - at < HEAD || !read_at(record->fd, head, sizeof head, at)) {
        return 0;
    }
    size_t len = amm_load_u32(head);
    if (len == 0 || len > BODY_MAX) {
        return -1;
    }
    if (size - at < HEAD + len + CHECKSUM) {
        return 0;
    }
    *body_len = len;
    bool ok = read_at(record->fd, record->buffer, HEAD + len + CHECKSUM, at) &&
              amm_sha256(amm_view(record->buffer + HEAD, len), digest) &&
              memcmp(record->buffer + HEAD + len, digest, CHECKSUM) == 0;
    return ok ? 1 : -1;
}

/* Takes the entry in the buffer into memory; false if it makes no sense. */
static bool take_entry(struct cad_record *record, uint64_t at, size_t body_len)
{
    struct amm_reader r = amm_reader(amm_view(record->buffer + HEAD, body_len));
    struct cad_issued_entry entry;
    struct amm_cad_revocation revocation;
    struct amm_view certificate;
    switch (amm_read_u8(&r)) {
    case ENTRY_ISSUED:
        if (!read_issued(&r, at + HEAD, body_len, &entry, &certificate)) {
            return false;
        }
        keep_issued(record, &entry);
        return true;
    case ENTRY_REVOKED:
        if (!read_revoked(&r, &revocation)) {
            return false;
        }
        if (!cad_record_is_revoked(record, revocation.serial)) {
            keep_revoked(record, &revocation);
        }
        return true;
    default:
        return false;
    }
}

/* True if a good entry starts somewhere behind `at`, near the end of the file. */
static bool has_good_entry_behind(struct cad_record *record, uint64_t at, uint64_t size)
{
    for (uint64_t from = at + 1; from + HEAD < size; from++) {
        size_t len;
        if (read_entry(record, from, size, &len) == 1) {
            return true;
        }
    }
    return false;
}

/* A write that a power cut interrupted leaves zeros or a part of the last entry: whatever is behind
 * the last good entry was never answered, if no good entry follows. Since entries are written one
 * after another, a damaged one that is not the last is the disk's fault. */
static bool is_torn_end(struct cad_record *record, uint64_t at, uint64_t size)
{
    if (size - at <= ENTRY_MAX && !has_good_entry_behind(record, at, size)) {
        return true;
    }
    for (uint64_t i = at; i < size; i += sizeof record->buffer) {
        size_t n = size - i < sizeof record->buffer ? (size_t)(size - i) : sizeof record->buffer;
        if (!read_at(record->fd, record->buffer, n, i)) {
            return false;
        }
        for (size_t b = 0; b < n; b++) {
            if (record->buffer[b] != 0) {
                return false;
            }
        }
    }
    return true;
}

static bool load(struct cad_record *record, const char *path, char error[CAD_RECORD_ERROR])
{
    struct stat info;
    char mark[sizeof CAD_MARK - 1];
    if (fstat(record->fd, &info) != 0) {
        return fail(error, "%.300s: %s", path, strerror(errno));
    }
    uint64_t size = (uint64_t)info.st_size, at = sizeof mark;
    if (size == 0) {
        record->end = at;
        return (write_at(record->fd, CAD_MARK, sizeof mark, 0) && fsync(record->fd) == 0) ||
               fail(error, "%.300s: %s", path, strerror(errno));
    }
    if (size < sizeof mark || !read_at(record->fd, mark, sizeof mark, 0) ||
        memcmp(mark, CAD_MARK, sizeof mark) != 0) {
        return fail(error, "%.300s: not a record of amm-cad", path);
    }
    while (at < size) {
        size_t len = 0;
        int found = read_entry(record, at, size, &len);
        if (found <= 0 && is_torn_end(record, at, size)) {
            break;
        }
        if (found <= 0) {
            return fail(error, "%.300s: damaged at byte %llu; restore it from a backup", path,
                        (unsigned long long)at);
        }
        if (!reserve(record)) {
            return fail(error, "out of memory");
        }
        if (!take_entry(record, at, len)) {
            return fail(error, "%.300s: byte %llu: an entry of a newer program", path,
                        (unsigned long long)at);
        }
        at += HEAD + len + CHECKSUM;
    }
    record->end = at;
    record->is_dirty = at < size;
    return true;
}

static void forget(struct cad_record *record)
{
    record->n_issued = 0;
    record->n_revoked = 0;
    struct table *const tables[] = {&record->by_approval, &record->by_serial, &record->by_revoked};
    for (int i = 0; i < 3; i++) {
        free(tables[i]->slots);
        *tables[i] = (struct table){0};
    }
}

static bool is_over(const struct cad_issued_entry *entry, int64_t now)
{
    return entry->not_after < now - (int64_t)CAD_KEEP_DAYS * DAY;
}

/* Copies what is still of use into `fd`. */
static bool copy_live(struct cad_record *record, int fd, int64_t now)
{
    uint64_t at = sizeof CAD_MARK - 1;
    char certificate[AMM_CAD_TEXT];
    bool ok = write_at(fd, CAD_MARK, sizeof CAD_MARK - 1, 0);
    for (size_t i = 0; ok && i < record->n_issued + record->n_revoked; i++) {
        struct amm_writer w = amm_writer(record->buffer + HEAD, BODY_MAX);
        if (i >= record->n_issued) {
            write_revoked(&w, &record->revoked[i - record->n_issued]);
        } else if (is_over(&record->issued[i], now)) {
            continue;
        } else {
            ok = cad_record_certificate(record, &record->issued[i], certificate);
            write_issued(&w, &record->issued[i], amm_view_str(certificate));
        }
        size_t len = ok ? frame(record->buffer, &w) : 0;
        ok = len > 0 && write_at(fd, record->buffer, len, at);
        at += len;
    }
    return ok && fsync(fd) == 0;
}

/* Leaves out what is over, in a new file that takes the old one's place. The clock may be wrong:
 * what is lost then is that an approval was used and whose a certificate was, never a revocation.
 */
static bool compact(struct cad_record *record, const char *folder, const char *path, int64_t now,
                    char error[CAD_RECORD_ERROR])
{
    char fresh[PATH_MAX];
    size_t over = 0;
    for (size_t i = 0; i < record->n_issued; i++) {
        over += is_over(&record->issued[i], now);
    }
    if (over == 0 || over < record->n_issued / 4) {
        return true;
    }
    if (snprintf(fresh, sizeof fresh, "%s.new", path) >= (int)sizeof fresh) {
        return fail(error, "%.300s: the path is too long", path);
    }
    int fd = open(fresh, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0 || !copy_live(record, fd, now) ||
        rename(fresh, path) != 0) {
        fail(error, "%.300s: %s", fresh, strerror(errno));
        if (fd >= 0) {
            unlink(fresh);
            close(fd);
        }
        return false;
    }
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0) {
        fsync(dir);
        close(dir);
    }
    close(record->fd);
    record->fd = fd;
    forget(record);
    return load(record, path, error);
}

struct cad_record *cad_record_open(const char *folder, int64_t now, char error[CAD_RECORD_ERROR])
{
    struct cad_record *record = calloc(1, sizeof *record);
    char path[PATH_MAX];
    if (!record) {
        fail(error, "out of memory");
        return NULL;
    }
    record->fd = -1;
    struct amm_random random = amm_system_random();
    amm_random_fill(&random, &record->hash, sizeof record->hash);
    if (snprintf(path, sizeof path, "%s/%s", folder, CAD_RECORD_FILE) >= (int)sizeof path) {
        fail(error, "%.300s: the path is too long", folder);
        return cad_record_close(record);
    }
    if (!amm_directory_make(folder, 0700, error, CAD_RECORD_ERROR)) {
        return cad_record_close(record);
    }
    record->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (record->fd < 0) {
        fail(error, "%.300s: %s", path, strerror(errno));
    } else if (flock(record->fd, LOCK_EX | LOCK_NB) != 0) {
        fail(error, "%.300s: another amm-cad keeps this record", path);
    } else if (load(record, path, error) && compact(record, folder, path, now, error)) {
        return record;
    }
    return cad_record_close(record);
}

struct cad_record *cad_record_close(struct cad_record *record)
{
    if (record) {
        if (record->fd >= 0) {
            close(record->fd);
        }
        forget(record);
        free(record->issued);
        free(record->revoked);
    }
    free(record);
    return NULL;
}
