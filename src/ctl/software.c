/* ammctl software: release keys, packages, permits. Works on files alone: the release key never
 * comes near the server. */
#include "request.h"

#include "crypto/hash.h"
#include "crypto/pki.h"
#include "io/file.h"
#include "software/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { KEY_FILE_MAX = 4096, COPY = 1 << 18, ERROR_MAX = 320, DAY = 86400, DAYS_MAX = 3650 };

/* What the commands take; each says which it wants. */
struct words {
    const char *key, *keys, *kind, *name, *version, *architecture, *from, *serial, *output,
        *comment;
    const char *models[AMM_SOFTWARE_MODELS];
    unsigned n_models;
    long counter, days; /* -1: not given */
    bool is_development;
};

static bool number(const char *text, long least, long most, long *out)
{
    char *end;
    errno = 0;
    *out = strtol(text, &end, 10);
    return *text != '\0' && *end == '\0' && errno == 0 && *out >= least && *out <= most;
}

static bool take(struct words *words, int option, const char *value)
{
    const char **text[] = {
        ['k'] = &words->key,    ['K'] = &words->keys,    ['t'] = &words->kind,
        ['n'] = &words->name,   ['v'] = &words->version, ['a'] = &words->architecture,
        ['f'] = &words->from,   ['s'] = &words->serial,  ['o'] = &words->output,
        ['c'] = &words->comment};
    switch (option) {
    case 'm':
        if (words->n_models == AMM_SOFTWARE_MODELS) {
            return false;
        }
        words->models[words->n_models++] = value;
        return true;
    case 'C':
        return number(value, 0, UINT32_MAX, &words->counter);
    case 'd':
        return number(value, 1, DAYS_MAX, &words->days);
    case 'D':
        words->is_development = true;
        return true;
    default:
        *text[option] = value;
        return true;
    }
}

/* The options that `wanted` has a letter for; what is left in argv is `n` words. */
static bool parse(int argc, char **argv, const char *wanted, int n, struct words *out)
{
    static const struct option options[] = {
        {"key", required_argument, NULL, 'k'},
        {"keys", required_argument, NULL, 'K'},
        {"kind", required_argument, NULL, 't'},
        {"name", required_argument, NULL, 'n'},
        {"version", required_argument, NULL, 'v'},
        {"architecture", required_argument, NULL, 'a'},
        {"from", required_argument, NULL, 'f'},
        {"serial", required_argument, NULL, 's'},
        {"output", required_argument, NULL, 'o'},
        {"comment", required_argument, NULL, 'c'},
        {"model", required_argument, NULL, 'm'},
        {"counter", required_argument, NULL, 'C'},
        {"days", required_argument, NULL, 'd'},
        {"development", no_argument, NULL, 'D'},
        {NULL, 0, NULL, 0},
    };
    int option;
    *out = (struct words){.counter = -1, .days = -1};
    optind = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == '?' || !strchr(wanted, option) || !take(out, option, optarg)) {
            return false;
        }
    }
    return argc - optind == n;
}

static bool copy_text(char *out, size_t room, const char *text)
{
    return (size_t)snprintf(out, room, "%s", text ? text : "") < room;
}

/* ---- keys ---- */

static struct amm_signer *read_signer(const char *path, char error[ERROR_MAX])
{
    struct amm_span text;
    if (!amm_file_read(path, KEY_FILE_MAX, &text, error, ERROR_MAX)) {
        return NULL;
    }
    struct amm_signer *signer = amm_signer_new((const char *)text.data, path, error, ERROR_MAX);
    amm_wipe(text.data, text.len);
    free(text.data);
    return signer;
}

static bool read_keys(const char *path, struct amm_keyring *out, char error[ERROR_MAX])
{
    struct amm_span text;
    char why[AMM_STATEMENT_ERROR];
    if (!amm_file_read(path, KEY_FILE_MAX, &text, error, ERROR_MAX)) {
        return false;
    }
    bool ok = amm_keyring_parse(out, amm_view_of(text), why);
    free(text.data);
    if (!ok || out->n == 0) {
        snprintf(error, ERROR_MAX, "%s: %s", path, ok ? "no key is in it" : why);
    }
    return ok && out->n != 0;
}

/* Never writes over a key: whoever loses a release key loses the gateways. */
static bool write_new(const char *path, struct amm_view text, mode_t mode, char error[ERROR_MAX])
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    bool ok = fd >= 0 && write(fd, text.data, text.len) == (ssize_t)text.len && fsync(fd) == 0;
    if (!ok) {
        snprintf(error, ERROR_MAX, "%s: %s", path, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

static int keygen(const struct ctl *ctl, int argc, char **argv)
{
    struct words words;
    char pem[AMM_PEM_MAX], error[ERROR_MAX], private[512], public[512], text[128];
    (void)ctl;
    if (!parse(argc, argv, "D", 1, &words)) {
        return ctl_fail(CTL_USAGE,
                        "software keygen [--development] NAME (writes NAME.key and NAME.pub)");
    }
    snprintf(private, sizeof private, "%s.key", argv[optind]);
    snprintf(public, sizeof public, "%s.pub", argv[optind]);
    struct amm_signer *signer = amm_signature_key_new(pem, error, sizeof error)
                                    ? amm_signer_new(pem, private, error, sizeof error)
                                    : NULL;
    bool ok = signer && write_new(private, amm_view_str(pem), 0600, error);
    amm_wipe(pem, sizeof pem);
    if (ok) {
        struct amm_keyring ring = {.n = 1, .keys = {{.is_development = words.is_development}}};
        amm_signer_key(signer, ring.keys[0].key);
        size_t len = amm_keyring_write(&ring, text, sizeof text);
        ok = write_new(public, amm_view(text, len), 0644, error);
    }
    amm_signer_free(signer);
    if (!ok) {
        return ctl_fail(CTL_FAILED, "%s", error);
    }
    printf(
        "%s: keep it offline; whoever has it can put software on every gateway\n%s: for gateways "
        "and the server\n",
        private, public);
    return CTL_OK;
}

/* Writes a statement that is complete but for its signature. */
static int sign_and_write(const struct words *words, char *text, size_t len, size_t room)
{
    char error[ERROR_MAX];
    struct amm_signer *signer = read_signer(words->key, error);
    bool ok = signer && amm_statement_sign(signer, text, &len, room) &&
              amm_file_write(words->output, amm_view(text, len), 0644, error, sizeof error);
    amm_signer_free(signer);
    if (!ok) {
        return ctl_fail(CTL_FAILED, "%s", error);
    }
    printf("%s\n", words->output);
    return CTL_OK;
}

static int successor(const struct ctl *ctl, int argc, char **argv)
{
    struct words words;
    struct amm_keyring ring;
    struct amm_successor next = {.from = (int64_t)time(NULL)};
    char text[AMM_KEYRING_TEXT], error[ERROR_MAX];
    (void)ctl;
    if (!parse(argc, argv, "koc", 1, &words) || !words.key || !words.output) {
        return ctl_fail(CTL_USAGE,
                        "software successor --key OLD.key --output FILE [--comment TEXT] NEW.pub");
    }
    if (!read_keys(argv[optind], &ring, error)) {
        return ctl_fail(CTL_FAILED, "%s", error);
    }
    memcpy(next.key, ring.keys[0].key, sizeof next.key);
    size_t len = copy_text(next.comment, sizeof next.comment, words.comment)
                     ? amm_successor_write(&next, text, sizeof text)
                     : 0;
    if (len == 0) {
        return ctl_fail(CTL_USAGE, "a comment has at most 64 printable characters");
    }
    return sign_and_write(&words, text, len, sizeof text);
}

static int permit(const struct ctl *ctl, int argc, char **argv)
{
    struct words words;
    struct amm_permit made = {0};
    char text[AMM_KEYRING_TEXT];
    (void)ctl;
    if (!parse(argc, argv, "ksnvCdo", 0, &words) || !words.key || !words.serial || !words.name ||
        !words.version || words.counter < 0 || !words.output) {
        return ctl_fail(CTL_USAGE,
                        "software permit --key FILE --serial SERIAL --name NAME --version "
                        "VERSION --counter LOWEST [--days N] --output FILE");
    }
    made.counter = (uint32_t)words.counter;
    made.expires = (int64_t)time(NULL) + (words.days < 0 ? 7 : words.days) * DAY;
    bool fit = copy_text(made.serial, sizeof made.serial, words.serial) &&
               copy_text(made.name, sizeof made.name, words.name) &&
               copy_text(made.version, sizeof made.version, words.version);
    size_t len = fit ? amm_permit_write(&made, text, sizeof text) : 0;
    if (len == 0) {
        return ctl_fail(CTL_USAGE,
                        "serial, name or version is not of an allowed form (letters, digits, "
                        "'-', '_', '.'; a version begins with a number)");
    }
    return sign_and_write(&words, text, len, sizeof text);
}

/* ---- packages ---- */

/* Copies the image behind the head (out < 0: only reads), and gives its length and hash. */
static bool copy_image(int in, int out, uint64_t *length, uint8_t sha512[AMM_SHA512_LEN],
                       const char *path, char error[ERROR_MAX])
{
    struct amm_hash *hash = amm_hash_new();
    uint8_t *piece = malloc(COPY);
    ssize_t n = hash && piece ? 1 : -1;
    *length = 0;
    while (n > 0 && (n = read(in, piece, COPY)) > 0) {
        *length += (uint64_t)n;
        if (!amm_hash_add(hash, amm_view(piece, (size_t)n)) ||
            (out >= 0 && write(out, piece, (size_t)n) != n)) {
            n = -1;
        }
    }
    bool ok = n == 0 && amm_hash_value(hash, sha512);
    if (!ok) {
        snprintf(error, ERROR_MAX, "%s: %s", path, errno != 0 ? strerror(errno) : "out of memory");
    }
    free(piece);
    amm_hash_free(hash);
    return ok;
}

static bool fill_manifest(struct amm_manifest *out, const struct words *words)
{
    out->kind = strcmp(words->kind, "system") == 0 ? AMM_SOFTWARE_SYSTEM : AMM_SOFTWARE_APPLICATION;
    out->counter = (uint32_t)words->counter;
    out->created = (int64_t)time(NULL);
    out->expires = out->created + (words->days < 0 ? 365 : words->days) * DAY;
    out->is_development = words->is_development;
    for (; out->n_models < words->n_models; out->n_models++) {
        if (!copy_text(out->models[out->n_models], sizeof out->models[0],
                       words->models[out->n_models])) {
            return false;
        }
    }
    return (strcmp(words->kind, "system") == 0 || strcmp(words->kind, "application") == 0) &&
           copy_text(out->name, sizeof out->name, words->name) &&
           copy_text(out->version, sizeof out->version, words->version) &&
           copy_text(out->from, sizeof out->from, words->from) &&
           copy_text(out->architecture, sizeof out->architecture,
                     words->architecture ? words->architecture : "any");
}

/* The head is written last: a package that was not finished has none. */
static bool write_package(const struct words *words, const char *image,
                          struct amm_manifest *manifest, const struct amm_signer *signer,
                          char error[ERROR_MAX])
{
    char head[AMM_SOFTWARE_HEAD] = "";
    int in = open(image, O_RDONLY | O_CLOEXEC);
    int out = in < 0 ? -1 : open(words->output, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    bool ok = out >= 0 && lseek(out, AMM_SOFTWARE_HEAD, SEEK_SET) == AMM_SOFTWARE_HEAD;
    if (!ok) {
        snprintf(error, ERROR_MAX, "%s: %s", in < 0 ? image : words->output, strerror(errno));
    }
    ok = ok && copy_image(in, out, &manifest->length, manifest->sha512, words->output, error);
    size_t len = ok ? amm_manifest_write(manifest, head, sizeof head) : 0;
    if (ok && (len == 0 || !amm_statement_sign(signer, head, &len, sizeof head))) {
        snprintf(error, ERROR_MAX,
                 "%s: a part of the manifest is not of an allowed form (names: letters, "
                 "digits, '-', '_', '.'; versions begin with a number; the image is not "
                 "empty)",
                 image);
        ok = false;
    }
    if (ok && (pwrite(out, head, sizeof head, 0) != (ssize_t)sizeof head || fsync(out) != 0)) {
        snprintf(error, ERROR_MAX, "%s: %s", words->output, strerror(errno));
        ok = false;
    }
    if (out >= 0) {
        close(out);
        if (!ok) {
            unlink(words->output);
        }
    }
    if (in >= 0) {
        close(in);
    }
    return ok;
}

static int sign(const struct ctl *ctl, int argc, char **argv)
{
    struct words words;
    struct amm_manifest manifest = {0};
    char error[ERROR_MAX];
    (void)ctl;
    if (!parse(argc, argv, "ktnvmaCfdoD", 1, &words) || !words.key || !words.kind || !words.name ||
        !words.version || words.n_models == 0 || words.counter < 0 || !words.output ||
        !fill_manifest(&manifest, &words)) {
        return ctl_fail(
            CTL_USAGE,
            "software sign --key FILE --kind system|application --name NAME --version VERSION "
            "--model MODEL... --counter N [--architecture x86_64|armhf|aarch64|any] "
            "[--from OLDEST] [--days N] [--development] --output PACKAGE IMAGE");
    }
    struct amm_signer *signer = read_signer(words.key, error);
    bool ok = signer && write_package(&words, argv[optind], &manifest, signer, error);
    amm_signer_free(signer);
    if (!ok) {
        return ctl_fail(CTL_FAILED, "%s", error);
    }
    printf("%s: %s %s, %" PRIu64 " bytes\n", words.output, manifest.name, manifest.version,
           manifest.length);
    return CTL_OK;
}

static void print_manifest(const struct ctl *ctl, const struct amm_manifest *manifest)
{
    char until[CTL_TIME_TEXT], models[AMM_SOFTWARE_MODELS * (AMM_SOFTWARE_NAME + 1)] = "";
    for (unsigned i = 0; i < manifest->n_models; i++) {
        size_t len = strlen(models);
        snprintf(models + len, sizeof models - len, "%s%s", i ? " " : "", manifest->models[i]);
    }
    const char *kind = manifest->kind == AMM_SOFTWARE_SYSTEM ? "system" : "application";
    if (ctl->json) {
        json_t *json = json_pack(
            "{s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:I, s:I, s:b}", "kind", kind, "name",
            manifest->name, "version", manifest->version, "models", models, "architecture",
            manifest->architecture, "counter", (json_int_t)manifest->counter, "from",
            manifest->from, "length", (json_int_t)manifest->length, "expires",
            (json_int_t)manifest->expires, "development", manifest->is_development);
        if (json) {
            json_dumpf(json, stdout, JSON_INDENT(2));
            putchar('\n');
        }
        json_decref(json);
        return;
    }
    printf("good: %s %s %s for %s (%s), security counter %" PRIu32 ", %" PRIu64
           " bytes, good until %s%s\n",
           kind, manifest->name, manifest->version, models, manifest->architecture,
           manifest->counter, manifest->length, ctl_time_text(manifest->expires, until),
           manifest->is_development ? ", development" : "");
}

static int verify_file(const struct ctl *ctl, const struct amm_keyring *ring, const char *path,
                       int fd)
{
    char head[AMM_SOFTWARE_HEAD], error[ERROR_MAX] = "";
    struct amm_manifest manifest;
    uint8_t sha512[AMM_SHA512_LEN];
    uint64_t length;
    ssize_t n = read(fd, head, sizeof head);
    enum amm_trust trust = amm_software_judge(ring, amm_view(head, n > 0 ? (size_t)n : 0),
                                              (int64_t)time(NULL), &manifest, error);
    if (trust != AMM_TRUST_GOOD) {
        return ctl_fail(CTL_FAILED, "%s: %s: %s", path, amm_trust_name(trust), error);
    }
    if (!copy_image(fd, -1, &length, sha512, path, error)) {
        return ctl_fail(CTL_FAILED, "%s", error);
    }
    if (length != manifest.length) {
        return ctl_fail(CTL_FAILED,
                        "%s: wrong-length: the image has %" PRIu64
                        " bytes, the manifest says %" PRIu64,
                        path, length, manifest.length);
    }
    if (memcmp(sha512, manifest.sha512, sizeof sha512) != 0) {
        return ctl_fail(CTL_FAILED, "%s: wrong-hash: the image is not the one that was signed",
                        path);
    }
    print_manifest(ctl, &manifest);
    return CTL_OK;
}

static int verify(const struct ctl *ctl, int argc, char **argv)
{
    struct words words;
    struct amm_keyring ring;
    char error[ERROR_MAX];
    if (!parse(argc, argv, "K", 1, &words) || !words.keys) {
        return ctl_fail(CTL_USAGE, "software verify --keys FILE PACKAGE");
    }
    if (!read_keys(words.keys, &ring, error)) {
        return ctl_fail(CTL_FAILED, "%s", error);
    }
    int fd = open(argv[optind], O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return ctl_fail(CTL_FAILED, "%s: %s", argv[optind], strerror(errno));
    }
    int status = verify_file(ctl, &ring, argv[optind], fd);
    close(fd);
    return status;
}

const struct ctl_command ctl_software_commands[] = {
    {.name = "keygen",
     .usage = "[--development] NAME  a release key: NAME.key (keep offline), NAME.pub",
     .run = keygen},
    {.name = "sign",
     .usage = "--key FILE --kind KIND --name NAME --version V --model M --counter N --output FILE "
              "IMAGE  "
              "make a signed package of an image",
     .run = sign},
    {.name = "verify",
     .usage = "--keys FILE PACKAGE  is it whole, and signed by one of these keys?",
     .run = verify},
    {.name = "successor",
     .usage = "--key OLD.key --output FILE NEW.pub  let a key name the next one",
     .run = successor},
    {.name = "permit",
     .usage = "--key FILE --serial S --name NAME --version V --counter N --output FILE  let one "
              "gateway go "
              "back to an older version",
     .run = permit},
    {.name = NULL},
};
