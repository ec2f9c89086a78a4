#include "config.h"

#include <stdio.h>
#include <stdlib.h>

/* What the schema writes to; moved into the settings when the whole file is read. */
struct file {
    struct amm_settings *settings;
    char ca[AMM_CONF_TEXT], certificate[AMM_CONF_TEXT], key[AMM_CONF_TEXT], crl[AMM_CONF_TEXT];
    char wrap_key[AMM_CONF_TEXT], login[AMM_CONF_TEXT];
    char server_name[AMM_CONF_TEXT], ciphers[AMM_CONF_TEXT];
    char tun[AMM_CONF_TEXT], user[AMM_CONF_TEXT], state_group[AMM_CONF_TEXT];
    char state_socket[AMM_CONF_TEXT], clock_floor[AMM_CONF_TEXT], clock_offset[AMM_CONF_TEXT];
    uint8_t wrap, direction, digest;
    uint32_t mtu, ping, keep_alive, ping_restart, renegotiate, answer_timeout, hand_window;
    bool server_name_is_prefix, remote_random, pushed_routes;
};

/* The next word of `value`, at most room-1 characters; false if there is none or it does not fit.
 */
static bool take_word(struct amm_view *value, char *out, size_t room)
{
    size_t len = 0;
    while (value->len > 0 && (value->data[0] == ' ' || value->data[0] == '\t')) {
        value->data++;
        value->len--;
    }
    while (len < value->len && value->data[len] != ' ' && value->data[len] != '\t') {
        len++;
    }
    if (len == 0 || len >= room) {
        return false;
    }
    memcpy(out, value->data, len);
    out[len] = '\0';
    value->data += len;
    value->len -= len;
    return true;
}

static bool take_port(struct amm_view *value, uint16_t *out)
{
    char word[8], *end;
    if (!take_word(value, word, sizeof word)) {
        return false;
    }
    unsigned long port = strtoul(word, &end, 10);
    *out = (uint16_t)port;
    return word[0] >= '0' && word[0] <= '9' && *end == '\0' && port >= 1 && port <= 65535;
}

static bool parse_remote(void *into, struct amm_view value, char *error, size_t room)
{
    struct file *file = into;
    struct amm_settings *s = file->settings;
    struct amm_remote remote = {0};
    char word[16];
    if (s->n_remotes == AMM_SETTINGS_REMOTES) {
        snprintf(error, room, "is one too many (allowed: %d)", AMM_SETTINGS_REMOTES);
        return false;
    }
    if (!take_word(&value, remote.host, sizeof remote.host) || !take_port(&value, &remote.port) ||
        !take_word(&value, word, sizeof word) ||
        !amm_transport_parse(amm_view_str(word), &remote.transport, &remote.family) ||
        take_word(&value, word, sizeof word) || value.len > 0) {
        snprintf(
            error, room,
            "is not a server (allowed: HOST PORT udp, HOST PORT tcp; also udp4, udp6, tcp4, tcp6)");
        return false;
    }
    s->remotes[s->n_remotes++] = remote;
    return true;
}

static bool parse_ciphers(void *into, struct amm_view value, char *error, size_t room)
{
    struct file *file = into;
    char unknown[64];
    if (amm_ciphers_parse(file->settings->ciphers, value, unknown, sizeof unknown) == 0 ||
        unknown[0]) {
        snprintf(error, room,
                 "is not known (allowed, with ':' between them: AES-256-GCM, AES-128-GCM, "
                 "CHACHA20-POLY1305)");
        return false;
    }
    return true;
}

static void *begin_top(void *config, struct amm_view name, char *error, size_t room)
{
    (void)name;
    (void)error;
    (void)room;
    return config;
}

static const struct amm_conf_section sections[] = {
    {"", false, "The management tunnel of a gateway.", begin_top, false},
    {NULL, false, NULL, NULL, false},
};

#define STRING(name, member, least, most, initial, doc)                                            \
    {                                                                                              \
        "", name, AMM_CONF_STRING, offsetof(struct file, member), least, most, NULL, initial,      \
            false, doc, NULL                                                                       \
    }
#define SECONDS(name, member, least, most, initial, doc)                                           \
    {                                                                                              \
        "", name, AMM_CONF_DURATION, offsetof(struct file, member), least, most, NULL, initial,    \
            false, doc, NULL                                                                       \
    }
#define BOOL(name, member, initial, doc)                                                           \
    {                                                                                              \
        "", name, AMM_CONF_BOOL, offsetof(struct file, member), 0, 0, NULL, initial, false, doc,   \
            NULL                                                                                   \
    }
#define CHOICE(name, member, choices, initial, doc)                                                \
    {                                                                                              \
        "", name, AMM_CONF_CHOICE, offsetof(struct file, member), 0, 0, choices, initial, false,   \
            doc, NULL                                                                              \
    }

static const struct amm_conf_key keys[] = {
    {"", "remote", AMM_CONF_LIST, 0, 0, 0, NULL, NULL, false,
     "A server: HOST PORT udp or HOST PORT tcp; may stand up to 64 times. All udp servers are "
     "tried before all "
     "tcp servers, each group in this order.",
     parse_remote},
    BOOL("remote-random", remote_random, "no",
         "Each start shuffles the order within udp and within tcp."),
    STRING("ca", ca, 1, 255, NULL,
           "File with the certificates of the issuers that servers may have."),
    STRING("certificate", certificate, 1, 255, NULL, "File with the gateway's certificate."),
    STRING("key", key, 1, 255, NULL, "File with the gateway's private key, without a passphrase."),
    STRING("crl", crl, 0, 255, "", "File with revocation lists for servers. Empty: none."),
    STRING(
        "server-name", server_name, 0, AMM_SETTINGS_NAME - 1, "",
        "Common name that the server's certificate must have. Empty: any name of these issuers."),
    BOOL("server-name-is-prefix", server_name_is_prefix, "no",
         "The name only has to begin with server-name."),
    STRING("login", login, 0, 255, "",
           "File with user name and password on two lines. Empty: none."),
    CHOICE("wrap", wrap, "none|tls-auth|tls-crypt|tls-crypt-v2", "none",
           "How control packets are protected before TLS; the server's port must say the same."),
    STRING("wrap-key", wrap_key, 0, 255, "", "File with the key for wrap."),
    CHOICE("key-direction", direction, "both|0|1", "1", "tls-auth: direction of this side."),
    CHOICE("auth", digest, "SHA1|SHA256|SHA512", "SHA1", "tls-auth: digest."),
    {"", "ciphers", AMM_CONF_STRING, offsetof(struct file, ciphers), 1, 255, NULL,
     "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305", false, "Ciphers that are offered to the server.",
     parse_ciphers},
    SECONDS("answer-timeout", answer_timeout, 1, 3600, "10s",
            "How long a server may be silent at first before the next one is tried."),
    SECONDS("handshake-timeout", hand_window, 5, 3600, "60s",
            "How long a whole handshake may take."),
    SECONDS("ping", ping, 0, 65535, "0",
            "Silence after which a ping is sent, if the server says nothing about it."),
    SECONDS("keep-alive", keep_alive, 0, 65535, "0",
            "Silence after which a ping is sent, if the server asks for a longer one. 0: as the "
            "server says."),
    SECONDS("ping-restart", ping_restart, 0, 65535, "0",
            "Silence after which the tunnel is given up, if the server says nothing about it."),
    SECONDS("renegotiate", renegotiate, 0, 31536000, "0",
            "Age of keys at which new ones are asked for; 0: only the "
            "server asks."),
    STRING("tun", tun, 0, 15, "", "Name of the tun device. Empty: tun with the next free number."),
    {"", "mtu", AMM_CONF_NUMBER, offsetof(struct file, mtu), 576, 1500, NULL, "1400", false,
     "Largest inner packet; the server may push a smaller one.", NULL},
    BOOL("pushed-routes", pushed_routes, "yes",
         "Takes routes from the server, as far as they are private networks. A default route is "
         "never taken."),
    STRING("user", user, 0, 31, "",
           "Becomes this user once the tun device is open, and keeps only what setting "
           "addresses needs. Empty: stays."),
    STRING("state-socket", state_socket, 0, 100, "",
           "Local socket for ammer --status. Empty: none."),
    STRING("state-group", state_group, 0, 31, "",
           "Group, by name or number, that may ask there, beside root. Empty: none."),
    STRING("clock-floor", clock_floor, 0, 255, "",
           "File that remembers the latest time a server proved; the clock is not believed below "
           "it. Empty: none."),
    STRING(
        "clock-offset", clock_offset, 0, 255, "",
        "File with a number of seconds that are added to the system's clock, where that may not be "
        "set; read before each attempt. Empty: none."),
    {NULL, NULL, AMM_CONF_STRING, 0, 0, 0, NULL, NULL, false, NULL, NULL},
};

const struct amm_conf_schema amm_ammer_schema = {"ammer", sections, keys};

static void name_materials(struct amm_settings *s, const struct file *file)
{
    const struct {
        enum amm_material_kind kind;
        const char *path;
    } names[] = {
        {AMM_MATERIAL_CA, file->ca},         {AMM_MATERIAL_CERTIFICATE, file->certificate},
        {AMM_MATERIAL_KEY, file->key},       {AMM_MATERIAL_CRL, file->crl},
        {AMM_MATERIAL_WRAP, file->wrap_key}, {AMM_MATERIAL_LOGIN, file->login},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(s->materials[names[i].kind].path, AMM_SETTINGS_PATH, "%s", names[i].path);
    }
    s->needs_login = file->login[0] != '\0';
}

static void move_into(struct amm_settings *s, const struct file *file)
{
    static const enum amm_wrap_mode modes[] = {AMM_WRAP_NONE, AMM_WRAP_AUTH, AMM_WRAP_CRYPT,
                                               AMM_WRAP_CRYPT_V2};
    static const enum amm_key_direction directions[] = {AMM_DIRECTION_BOTH, AMM_DIRECTION_0,
                                                        AMM_DIRECTION_1};
    static const enum amm_digest digests[] = {AMM_SHA1, AMM_SHA256, AMM_SHA512};
    name_materials(s, file);
    s->wrap = modes[file->wrap];
    s->direction = directions[file->direction];
    s->digest = digests[file->digest];
    s->remote_random = file->remote_random;
    s->server_name_is_prefix = file->server_name_is_prefix;
    s->no_pushed_routes = !file->pushed_routes;
    s->mtu = (uint16_t)file->mtu;
    s->ping = (uint16_t)file->ping;
    s->keep_alive = (uint16_t)file->keep_alive;
    s->ping_restart = (uint16_t)file->ping_restart;
    s->renegotiate = file->renegotiate;
    s->answer_timeout = file->answer_timeout;
    s->hand_window = file->hand_window;
    snprintf(s->server_name, sizeof s->server_name, "%.*s", AMM_SETTINGS_NAME - 1,
             file->server_name);
    snprintf(s->tun, sizeof s->tun, "%.15s", file->tun);
    snprintf(s->user, sizeof s->user, "%.31s", file->user);
    snprintf(s->state_socket, sizeof s->state_socket, "%s", file->state_socket);
    snprintf(s->state_group, sizeof s->state_group, "%.31s", file->state_group);
    snprintf(s->clock_floor, sizeof s->clock_floor, "%s", file->clock_floor);
    snprintf(s->clock_offset, sizeof s->clock_offset, "%s", file->clock_offset);
}

bool amm_config_parse(struct amm_settings *settings, const char *file_name, struct amm_view text,
                      char error[AMM_CONF_ERROR])
{
    struct file file = {.settings = settings};
    if (!amm_conf_parse(&amm_ammer_schema, &file, file_name, text, error)) {
        return false;
    }
    move_into(settings, &file);
    if (settings->n_remotes == 0) {
        snprintf(error, AMM_CONF_ERROR, "%s:1: remote: no server is named (allowed: HOST PORT udp)",
                 file_name);
        return false;
    }
    if (settings->wrap != AMM_WRAP_NONE && !file.wrap_key[0]) {
        snprintf(error, AMM_CONF_ERROR, "%s:1: wrap-key: missing for this wrap (allowed: a file)",
                 file_name);
        return false;
    }
    return true;
}
