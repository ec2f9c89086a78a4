#include "console_files.h"

#include "crypto/mac.h"
#include "io/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    FILES_MAX = 1000,
    FILE_MAX = 8 << 20,
    ALL_MAX = 64 << 20,
    DEPTH_MAX = 4,
    PATH_ROOM = 512,
    ETAG_BYTES = 16,
    ETAG_ROOM = 2 * ETAG_BYTES + 8,
    POLICY_ROOM = 1024,
};

struct content {
    struct amm_span bytes; /* data NULL: there is none */
    char etag[ETAG_ROOM];  /* "\"<hex>\"" */
};

struct file {
    char *path; /* "/assets/main-4f2a.js" */
    struct content plain, gzip;
};

struct console_files {
    size_t n, bytes;
    struct file at[FILES_MAX];
    char policy[POLICY_ROOM]; /* value of Content-Security-Policy */
};

/* ---- loading ---- */

/* Made by a build: letters, digits, '-', '_', '.'; not hidden. So each is its own canonical path.
 */
static bool name_is_plain(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789-_.";
    return name[0] != '.' && strspn(name, allowed) == strlen(name);
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), tail = strlen(end);
    return len > tail && strcmp(text + len - tail, end) == 0;
}

static struct file *find_file(const struct console_files *files, struct amm_view path)
{
    for (size_t i = 0; i < files->n; i++) {
        if (amm_view_equal(path, amm_view_str(files->at[i].path))) {
            return (struct file *)(uintptr_t)&files->at[i];
        }
    }
    return NULL;
}

static struct file *file_for(struct console_files *files, const char *path)
{
    struct file *file = find_file(files, amm_view_str(path));
    if (file == NULL && files->n < FILES_MAX) {
        file = &files->at[files->n];
        file->path = strdup(path);
        files->n += file->path != NULL;
        file = file->path != NULL ? file : NULL;
    }
    return file;
}

static bool load_file(struct console_files *files, const char *from, const char *path, char *error,
                      size_t room)
{
    char name[PATH_ROOM], hex[2 * AMM_SHA256_LEN + 1];
    uint8_t hash[AMM_SHA256_LEN];
    bool is_gzip = ends_with(path, ".gz");
    snprintf(name, sizeof name, "%.*s", (int)(strlen(path) - (is_gzip ? 3 : 0)), path);
    struct file *file = file_for(files, name);
    if (file == NULL) {
        snprintf(error, room, "%s: more than %d files, or no memory", from, FILES_MAX);
        return false;
    }
    struct content *content = is_gzip ? &file->gzip : &file->plain;
    if (!amm_file_read(from, FILE_MAX, &content->bytes, error, room)) {
        return false;
    }
    files->bytes += content->bytes.len;
    if (files->bytes > ALL_MAX || !amm_sha256(amm_view_of(content->bytes), hash)) {
        snprintf(error, room, "%s: the console has more than %d MiB", from, ALL_MAX >> 20);
        return false;
    }
    amm_hex(hex, amm_view(hash, sizeof hash));
    snprintf(content->etag, sizeof content->etag, "\"%.*s%s\"", 2 * ETAG_BYTES, hex,
             is_gzip ? "-gz" : "");
    return true;
}

static bool load_folder(struct console_files *files, const char *from, const char *path,
                        unsigned depth, char *error, size_t room);

/* Links and whatever else is no file or folder stay out: root reads here, and everyone may ask. */
static bool load_entry(struct console_files *files, const char *from, const char *path,
                       unsigned depth, char *error, size_t room)
{
    struct stat stat;
    if (lstat(from, &stat) != 0) {
        snprintf(error, room, "%s: %s", from, strerror(errno));
        return false;
    }
    if (S_ISDIR(stat.st_mode)) {
        return depth == DEPTH_MAX || load_folder(files, from, path, depth + 1, error, room);
    }
    return !S_ISREG(stat.st_mode) || load_file(files, from, path, error, room);
}

static bool load_folder(struct console_files *files, const char *from, const char *path,
                        unsigned depth, char *error, size_t room)
{
    DIR *folder = opendir(from);
    bool ok = folder != NULL;
    if (!ok) {
        snprintf(error, room, "%s: %s", from, strerror(errno));
        return false;
    }
    for (const struct dirent *entry; ok && (entry = readdir(folder)) != NULL;) {
        char below[PATH_ROOM], name[PATH_ROOM];
        if (!name_is_plain(entry->d_name)) {
            continue;
        }
        int len = snprintf(below, sizeof below, "%s/%s", from, entry->d_name);
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        ok = len < (int)sizeof below && load_entry(files, below, name, depth, error, room);
        if (len >= (int)sizeof below) {
            snprintf(error, room, "%s: the path is too long", from);
        }
    }
    closedir(folder);
    return ok;
}

/* Forms go to remote sessions, by POST of the ticket; scripts, styles, pictures, requests and
 * workers only come from here, and the page can be put into nobody's frame. */
static void make_policy(struct console_files *files, const char *form_origins)
{
    snprintf(files->policy, sizeof files->policy,
             "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
             "font-src 'self'; manifest-src 'self'; connect-src 'self'; worker-src 'self'; "
             "form-action 'self'%s%s; frame-ancestors 'none'; base-uri 'none'; "
             "require-trusted-types-for 'script'; trusted-types amm",
             form_origins[0] != '\0' ? " " : "", form_origins);
}

struct console_files *console_files_load(const char *folder, const char *form_origins, char *error,
                                         size_t room)
{
    struct console_files *files = calloc(1, sizeof *files);
    if (files == NULL) {
        snprintf(error, room, "out of memory");
        return NULL;
    }
    make_policy(files, form_origins);
    if (!load_folder(files, folder, "", 0, error, room)) {
        return console_files_free(files);
    }
    const struct file *index = find_file(files, amm_view_str("/index.html"));
    if (index == NULL || index->plain.bytes.data == NULL) {
        snprintf(error, room, "%s: has no index.html", folder);
        return console_files_free(files);
    }
    return files;
}

struct console_files *console_files_free(struct console_files *files)
{
    for (size_t i = 0; files != NULL && i < files->n; i++) {
        free(files->at[i].path);
        free(files->at[i].plain.bytes.data);
        free(files->at[i].gzip.bytes.data);
    }
    free(files);
    return NULL;
}

/* ---- serving ---- */

static bool begins_with(struct amm_view text, const char *with)
{
    size_t len = strlen(with);
    return text.len >= len && memcmp(text.data, with, len) == 0;
}

bool console_files_has(struct amm_view path)
{
    return !begins_with(path, "/api/") && !amm_view_equal(path, amm_view_str("/api")) &&
           !begins_with(path, "/metrics");
}

static const char *type_of(const char *path)
{
    static const struct {
        const char *end, *type;
    } types[] = {
        {".html", "text/html; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".ico", "image/x-icon"},
        {".json", "application/json"},
        {".webmanifest", "application/manifest+json"},
        {".woff2", "font/woff2"},
        {".txt", "text/plain; charset=utf-8"},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (ends_with(path, types[i].end)) {
            return types[i].type;
        }
    }
    return "application/octet-stream";
}

static void put_field(struct amm_writer *w, const char *name, const char *value)
{
    amm_http_write_field(w, name, amm_view_str(value));
}

/* What every page of the console says of itself. */
static void put_guards(struct amm_writer *w, const char *policy, bool is_tls)
{
    put_field(w, "Content-Security-Policy", policy);
    put_field(w, "Cross-Origin-Opener-Policy", "same-origin");
    put_field(w, "Cross-Origin-Resource-Policy", "same-origin");
    put_field(w, "X-Content-Type-Options", "nosniff");
    put_field(w, "X-Frame-Options", "DENY");
    put_field(w, "Referrer-Policy", "no-referrer");
    put_field(w, "Permissions-Policy",
              "camera=(), microphone=(), geolocation=(), payment=(), usb=(), serial=(), "
              "hid=(), midi=()");
    if (is_tls) {
        put_field(w, "Strict-Transport-Security", "max-age=31536000");
    }
}

/* "gzip" stands in Accept-Encoding and is not refused there ("gzip;q=0"). */
static bool takes_gzip(const struct amm_http_request *request)
{
    struct amm_view value = amm_http_field(&request->fields, "accept-encoding");
    const char *at = value.data ? memmem(value.data, value.len, "gzip", 4) : NULL;
    if (at == NULL) {
        return false;
    }
    size_t left = value.len - (size_t)(at - (const char *)value.data) - 4;
    at += 4;
    size_t end = 0;
    while (end < left && at[end] != ',') {
        end++;
    }
    const char *zero = memmem(at, end, "q=0", 3);
    return zero == NULL || (zero + 4 < at + end && zero[3] == '.' && zero[4] != '0');
}

static void plain_page(struct amm_http_reply *out, struct amm_writer *w, int status,
                       const char *text, bool is_tls)
{
    put_guards(w, "default-src 'none'; frame-ancestors 'none'; base-uri 'none'", is_tls);
    put_field(w, "Cache-Control", "no-store");
    out->status = status;
    out->content_type = "text/plain; charset=utf-8";
    out->body = amm_view_str(text);
}

static const char not_built[] =
    "This is ammd. The API answers under /api/v1, but the console's files are not there.\n"
    "\n"
    "Build them with ./amm build, which puts them into build/console, and set console-files in "
    "the\n"
    "section [manager] of amm.conf to that folder (default: /usr/share/amm/console, where\n"
    "./amm install puts them). Then start ammd again: it reads them at its start.\n"
    "Until then ammctl does all that the console does.\n";

static void send_content(const struct file *file, const struct amm_http_request *request,
                         struct amm_http_reply *out, struct amm_writer *w)
{
    bool has_gzip = file->gzip.bytes.data != NULL;
    bool is_asset = begins_with(amm_view_str(file->path), "/assets/");
    const struct content *content = has_gzip && takes_gzip(request) ? &file->gzip : &file->plain;
    struct amm_view match = amm_http_field(&request->fields, "if-none-match");
    /* Assets have a hash of their content in their name; what names them is asked for each time. */
    put_field(w, "Cache-Control",
              is_asset                                 ? "public, max-age=31536000, immutable"
              : strcmp(file->path, "/index.html") == 0 ? "no-store"
                                                       : "no-cache");
    put_field(w, "ETag", content->etag);
    if (has_gzip) {
        put_field(w, "Vary", "Accept-Encoding");
    }
    out->content_type = type_of(file->path);
    if (match.data && memmem(match.data, match.len, content->etag, strlen(content->etag))) {
        out->status = 304;
        return;
    }
    if (content == &file->gzip) {
        put_field(w, "Content-Encoding", "gzip");
    }
    out->status = 200;
    out->body = amm_view_of(content->bytes);
}

void console_files_answer(const struct console_files *files, const struct amm_http_request *request,
                          bool is_tls, struct amm_http_reply *out,
                          uint8_t fields[CONSOLE_FIELDS_MAX])
{
    struct amm_writer w = amm_writer(fields, CONSOLE_FIELDS_MAX);
    *out = (struct amm_http_reply){.file = -1};
    if (files == NULL) {
        plain_page(out, &w, 503, not_built, is_tls);
    } else {
        const struct file *file = find_file(files, request->path);
        bool is_missing = file == NULL || file->plain.bytes.data == NULL;
        if (is_missing && begins_with(request->path, "/assets/")) {
            /* Of another build: index.html in its place would be taken for a script. */
            plain_page(out, &w, 404, "There is no such file.\n", is_tls);
        } else {
            file = is_missing ? find_file(files, amm_view_str("/index.html")) : file;
            put_guards(&w, files->policy, is_tls);
            send_content(file, request, out, &w);
        }
    }
    out->fields = amm_view(fields, amm_writer_len(&w));
}
