#include "tunneld/material.h"

#include "io/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX_BYTES = 8 << 20, PACK_MAX = 64 << 20 };

/* The packed form: this header, then for each blob its text and its problem, each with a NUL
 * behind. */
struct pack_blob {
    uint32_t text_at, text_len; /* text_at 0: none */
    uint32_t problem_at;        /* 0: none */
};

struct pack_header {
    uint32_t version;
    struct pack_blob blobs[AMM_BLOB_COUNT];
};

static const char *path_of(const struct amm_tunneld_config *config, unsigned kind)
{
    switch (kind) {
    case AMM_BLOB_CA:
        return config->ca;
    case AMM_BLOB_CERTIFICATE:
        return config->certificate;
    case AMM_BLOB_KEY:
        return config->key;
    case AMM_BLOB_CRL:
        return config->crl;
    case AMM_BLOB_ROSTER:
        return config->roster;
    default:
        return kind >= AMM_BLOB_V2_KEY ? config->ports[kind - AMM_BLOB_V2_KEY].v2_key
                                       : config->ports[kind - AMM_BLOB_WRAP_KEY].wrap_key;
    }
}

static const char *cure(unsigned kind)
{
    return kind == AMM_BLOB_ROSTER ? " (an empty file will do; `ammctl gateway add` makes it)"
                                   : " (make it with: ammctl pki init)";
}

static void forget(struct amm_span *text)
{
    if (text->data != NULL) {
        amm_wipe(text->data, text->len);
        free(text->data);
    }
    *text = (struct amm_span){0};
}

static bool read_file(const char *path, struct amm_span *out, char *error, size_t room)
{
    *out = (struct amm_span){0};
    return path[0] == '\0' || amm_file_read(path, FILE_MAX_BYTES, out, error, room);
}

bool amm_files_read(struct amm_files *files, const struct amm_tunneld_config *config, char *error,
                    size_t room)
{
    memset(files, 0, sizeof *files);
    for (unsigned kind = 0; kind < AMM_BLOB_COUNT; kind++) {
        if (!read_file(path_of(config, kind), &files->kept[kind], error, room)) {
            size_t used = strlen(error);
            snprintf(error + used, room - used, "%s",
                     access(path_of(config, kind), F_OK) != 0 ? cure(kind) : "");
            return false;
        }
    }
    return true;
}

void amm_files_reload(struct amm_files *files, const struct amm_tunneld_config *config)
{
    for (unsigned kind = 0; kind < AMM_BLOB_COUNT; kind++) {
        forget(&files->fresh[kind]);
        files->problems[kind][0] = '\0';
        read_file(path_of(config, kind), &files->fresh[kind], files->problems[kind],
                  AMM_CONF_ERROR);
    }
}

void amm_files_accept(struct amm_files *files, uint32_t good)
{
    for (unsigned kind = 0; kind < AMM_BLOB_COUNT; kind++) {
        if (good >> kind & 1 && files->fresh[kind].data != NULL) {
            forget(&files->kept[kind]);
            files->kept[kind] = files->fresh[kind];
            files->fresh[kind] = (struct amm_span){0};
        }
    }
}

void amm_files_deinit(struct amm_files *files)
{
    for (unsigned kind = 0; kind < AMM_BLOB_COUNT; kind++) {
        forget(&files->kept[kind]);
        forget(&files->fresh[kind]);
    }
}

/* ---- packing ---- */

static size_t packed_size(const struct amm_files *files, bool fresh)
{
    size_t size = sizeof(struct pack_header);
    for (unsigned kind = 0; kind < AMM_BLOB_COUNT; kind++) {
        size += (fresh ? files->fresh : files->kept)[kind].len + 1 + sizeof files->problems[kind];
    }
    return size;
}

static void pack_into(uint8_t *out, const struct amm_files *files, bool fresh)
{
    struct pack_header header = {.version = AMM_HANDOFF_VERSION};
    uint32_t at = sizeof header;
    for (unsigned kind = 0; kind < AMM_BLOB_COUNT; kind++) {
        const struct amm_span *text = &(fresh ? files->fresh : files->kept)[kind];
        if (text->data != NULL) {
            header.blobs[kind].text_at = at;
            header.blobs[kind].text_len = (uint32_t)text->len;
            memcpy(out + at, text->data, text->len + 1); /* amm_file_read ends it with a NUL */
            at += (uint32_t)text->len + 1;
        }
        if (fresh && files->problems[kind][0] != '\0') {
            header.blobs[kind].problem_at = at;
            memcpy(out + at, files->problems[kind], sizeof files->problems[kind]);
            at += sizeof files->problems[kind];
        }
    }
    memcpy(out, &header, sizeof header);
}

int amm_files_pack(const struct amm_files *files, bool fresh)
{
    size_t size = packed_size(files, fresh);
    int fd = memfd_create("amm-files", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, (off_t)size) != 0) {
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    uint8_t *out = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (out == MAP_FAILED) {
        close(fd);
        return -1;
    }
    pack_into(out, files, fresh);
    munmap(out, size);
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* ---- engine side ---- */

static bool take_blob(struct amm_blob *out, const struct pack_blob *blob, const char *base,
                      size_t size)
{
    *out = (struct amm_blob){0};
    if (blob->text_at != 0) {
        if (blob->text_at >= size || blob->text_len >= size - blob->text_at) {
            return false;
        }
        out->text = base + blob->text_at;
        out->len = blob->text_len;
    }
    if (blob->problem_at != 0) {
        if (blob->problem_at > size - AMM_CONF_ERROR) {
            return false;
        }
        out->problem = base + blob->problem_at;
    }
    return true;
}

bool amm_material_map(struct amm_material *out, int fd)
{
    struct stat info;
    *out = (struct amm_material){0};
    if (fstat(fd, &info) != 0 ||
        info.st_size < (off_t)(sizeof(struct pack_header) + AMM_CONF_ERROR) ||
        info.st_size > PACK_MAX) {
        return false;
    }
    out->size = (size_t)info.st_size;
    out->mapping = mmap(NULL, out->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (out->mapping == MAP_FAILED) {
        out->mapping = NULL;
        return false;
    }
    madvise(out->mapping, out->size, MADV_DONTDUMP);
    const struct pack_header *header = out->mapping;
    bool ok = header->version == AMM_HANDOFF_VERSION;
    for (unsigned kind = 0; kind < AMM_BLOB_COUNT && ok; kind++) {
        ok = take_blob(&out->blobs[kind], &header->blobs[kind], out->mapping, out->size);
    }
    if (!ok) {
        amm_material_free(out);
    }
    return ok;
}

void amm_material_free(struct amm_material *material)
{
    if (material->mapping != NULL) {
        munmap(material->mapping, material->size);
    }
    *material = (struct amm_material){0};
}
