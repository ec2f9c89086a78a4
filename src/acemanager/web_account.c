#include "web_account.h"

#include "acemanager/pages.h"
#include "base/base64.h"
#include "io/file.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>

enum {
    LOG_N = 13,
    BLOCK = 8,
    PARALLEL = 10,
    MEMORY = 64 << 20, /* a hash of a later version may want more than ours */
    SALT = 16,
    KEY = 32,
    FILE_MAX = 4096,
};

/* ---- passwords ---- */

static bool derive(const char *password, const uint8_t salt[SALT], unsigned log_n, unsigned block,
                   unsigned parallel, uint8_t key[KEY])
{
    bool ok = EVP_PBE_scrypt(password, strlen(password), salt, SALT, UINT64_C(1) << log_n, block,
                             parallel, MEMORY, key, KEY) == 1;
#ifdef __GLIBC__
    malloc_trim(0); /* else the allocator keeps the 8 MiB for the next login */
#endif
    return ok;
}

bool web_password_hash(const char *password, const struct amm_random *random, char out[WEB_HASH])
{
    uint8_t salt[SALT], key[KEY];
    char salt_text[AMM_BASE64_ROOM(SALT)], key_text[AMM_BASE64_ROOM(KEY)];
    amm_random_fill(random, salt, sizeof salt);
    if (!derive(password, salt, LOG_N, BLOCK, PARALLEL, key)) {
        return false;
    }
    amm_base64_encode(salt_text, sizeof salt_text, amm_view(salt, sizeof salt), AMM_BASE64_URL);
    amm_base64_encode(key_text, sizeof key_text, amm_view(key, sizeof key), AMM_BASE64_URL);
    snprintf(out, WEB_HASH, "scrypt$%d$%d$%d$%s$%s", LOG_N, BLOCK, PARALLEL, salt_text, key_text);
    amm_wipe(key, sizeof key);
    return true;
}

static bool decode(const char *text, uint8_t *out, size_t room)
{
    size_t len;
    return amm_base64_decode(out, room, &len, amm_view_str(text), AMM_BASE64_URL) && len == room;
}

bool web_password_right(const char *password, const char *hash)
{
    /* a hash that no password has, for accounts that have none */
    static const char nobody[] = "scrypt$13$8$10$AAAAAAAAAAAAAAAAAAAAAA$"
                                 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    unsigned log_n, block, parallel;
    char salt_text[64], key_text[64];
    uint8_t salt[SALT], key[KEY], want[KEY];
    bool is_account = hash[0] != '\0';
    if (sscanf(is_account ? hash : nobody, "scrypt$%2u$%2u$%2u$%63[^$]$%63[^$]", &log_n, &block,
               &parallel, salt_text, key_text) != 5 ||
        log_n > 20 || !decode(salt_text, salt, SALT) || !decode(key_text, want, KEY) ||
        !derive(password, salt, log_n, block, parallel, key)) {
        return false;
    }
    bool is_right = amm_equal_secret(key, want, KEY);
    amm_wipe(key, sizeof key);
    return is_right && is_account;
}

const char *web_password_objection(const char *password)
{
    static const char *const common[] = {"password",   "passw0rd",      "12345678",   "123456789",
                                         "1234567890", "qwertyui",      "qwertyuiop", "iloveyou",
                                         "admin123",   "administrator", "airlink1",   "letmein1",
                                         "changeme",   "welcome1",      "sierra01",   "acemanager"};
    size_t len = strlen(password);
    if (len < WEB_PASSWORD_MIN) {
        return "Too short: at least 8 characters.";
    }
    if (len > WEB_PASSWORD_MAX) {
        return "Too long: at most 128 characters.";
    }
    if (strspn(password, (char[]){password[0], '\0'}) == len) {
        return "One character repeated is guessed at once. Take something else.";
    }
    for (size_t i = 0; i < sizeof common / sizeof *common; i++) {
        if (strcasecmp(password, common[i]) == 0) {
            return "This is among the first passwords that anyone tries. Take something else.";
        }
    }
    return NULL;
}

/* ---- the label ---- */

/* Twelve letters and digits that cannot be taken for another: 58 bits. */
static void make_first(const struct amm_random *random, char out[WEB_FIRST])
{
    static const char alphabet[] = "23456789abcdefghjkmnpqrstuvwxyz";
    size_t at = 0;
    for (size_t i = 0; i < 12; i++) {
        if (i > 0 && i % 4 == 0) {
            out[at++] = '-';
        }
        out[at++] = alphabet[amm_random_below(random, sizeof alphabet - 1)];
    }
    out[at] = '\0';
}

/* False if there is no label, or it has no password. */
static bool read_label(const char *path, char out[WEB_FIRST])
{
    char error[256];
    struct amm_span file;
    bool found = false;
    if (!amm_file_read(path, FILE_MAX, &file, error, sizeof error)) {
        return false;
    }
    for (char *line = strtok((char *)file.data, "\n"); line; line = strtok(NULL, "\n")) {
        if (strncmp(line, "password: ", 10) == 0 && strlen(line + 10) == WEB_FIRST - 1) {
            memcpy(out, line + 10, WEB_FIRST);
            found = true;
        }
    }
    amm_wipe(file.data, file.len);
    free(file.data);
    return found;
}

static bool write_label(const char *path, const char *serial, const char first[WEB_FIRST],
                        char *error, size_t room)
{
    char text[512];
    int len =
        snprintf(text, sizeof text,
                 "ACEmanager\nserial number: %.64s\naccount: user\npassword: %s\n", serial, first);
    bool ok = amm_file_write(path, amm_view(text, (size_t)len), 0600, error, room);
    amm_wipe(text, sizeof text);
    return ok;
}

/* ---- the file ---- */

static bool save(const struct web_accounts *accounts, char *error, size_t room)
{
    char text[1024];
    struct amm_writer w = amm_writer(text, sizeof text);
    for (enum web_role role = WEB_VIEWER; role <= WEB_USER; role++) {
        const struct web_account *account = &accounts->at[role];
        amm_write_text(&w, "%s %s %s\n", web_role_name(role),
                       account->is_first ? "label" : "changed",
                       account->hash[0] ? account->hash : "-");
    }
    return amm_file_write(accounts->path, amm_view(text, amm_writer_len(&w)), 0600, error, room);
}

static bool parse(struct web_accounts *accounts, char *text)
{
    unsigned seen = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        char name[16], origin[16], hash[WEB_HASH];
        if (sscanf(line, "%15s %15s %159s", name, origin, hash) != 3) {
            return false;
        }
        enum web_role role = web_role_find(amm_view_str(name));
        if (role == WEB_NOBODY) {
            return false;
        }
        struct web_account *account = &accounts->at[role];
        snprintf(account->hash, sizeof account->hash, "%s", strcmp(hash, "-") == 0 ? "" : hash);
        account->is_first = strcmp(origin, "label") == 0;
        seen |= 1u << role;
    }
    return seen == (1u << WEB_USER | 1u << WEB_VIEWER);
}

static bool begin(struct web_accounts *accounts, const char *serial,
                  const struct amm_random *random, char *error, size_t room)
{
    char first[WEB_FIRST];
    struct web_account *user = &accounts->at[WEB_USER];
    if (!read_label(accounts->label, first)) {
        make_first(random, first);
        if (!write_label(accounts->label, serial, first, error, room)) {
            amm_wipe(first, sizeof first);
            return false; /* a password that stands nowhere would lock its owner out */
        }
    }
    bool ok = web_password_hash(first, random, user->hash);
    amm_wipe(first, sizeof first);
    if (!ok) {
        snprintf(error, room, "out of memory");
        return false;
    }
    user->is_first = true;
    return save(accounts, error, room);
}

bool web_accounts_open(struct web_accounts *accounts, const char *folder, const char *serial,
                       const struct amm_random *random, char *error, size_t room)
{
    struct amm_span file;
    struct stat info;
    *accounts = (struct web_accounts){0};
    snprintf(accounts->path, sizeof accounts->path, "%s/" ACE_PAGES_ACCOUNTS, folder);
    snprintf(accounts->label, sizeof accounts->label, "%s/" ACE_PAGES_LABEL, folder);
    if (stat(accounts->path, &info) != 0) {
        return begin(accounts, serial, random, error, room);
    }
    if (!amm_file_read(accounts->path, FILE_MAX, &file, error, room)) {
        return false;
    }
    bool ok = parse(accounts, (char *)file.data);
    free(file.data);
    if (!ok) {
        snprintf(error, room, "%s: not a list of accounts; remove it to log in by the label again",
                 accounts->path);
    }
    return ok;
}

bool web_accounts_set(struct web_accounts *accounts, enum web_role role, const char hash[WEB_HASH],
                      char *error, size_t room)
{
    struct web_account before = accounts->at[role];
    snprintf(accounts->at[role].hash, WEB_HASH, "%s", hash);
    accounts->at[role].is_first = false;
    if (!save(accounts, error, room)) {
        accounts->at[role] = before;
        return false;
    }
    return true;
}
