/* Who asks: root on the unix socket, an API token, or a browser's cookie. */
#include "manager/authenticate.h"

#include "manager/directory.h"
#include "manager/job_parts.h"
#include "manager/limits.h"

#include <stdio.h>

#define BEARER "Bearer "

enum { LIMIT_ACTOR = 1, LIMIT_BAD_CREDENTIAL = 2, LIMIT_STRANGER = 3 };

static const struct limit bad_credentials = {30, AMM_SECOND};

/* Of one network, without a certificate: the time, the CAs, tokens. Enough for a workshop or a
 * carrier's NAT after a power cut; too little to keep amm-cad and the fleet thread busy. */
static const struct limit strangers = {500, AMM_SECOND / 50};

const char *authenticate_cookie_name(const struct job *job)
{
    return job->is_tls ? "__Host-amm" : "amm";
}

/* The value of our cookie; false if it is not there. A second one of the name is ignored: with
 * "__Host-" none but this server can have set it. */
static bool find_cookie(const struct job *job, char *out, size_t room)
{
    const char *name = authenticate_cookie_name(job);
    size_t name_len = strlen(name);
    struct amm_view rest = job_header(job, "cookie");
    while (rest.len > 0) {
        const uint8_t *end = memchr(rest.data, ';', rest.len);
        size_t len = end ? (size_t)(end - rest.data) : rest.len;
        if (len > name_len && len - name_len - 1 < room && memcmp(rest.data, name, name_len) == 0 &&
            rest.data[name_len] == '=') {
            memcpy(out, rest.data + name_len + 1, len - name_len - 1);
            out[len - name_len - 1] = '\0';
            return true;
        }
        len += end != NULL;
        rest = amm_view(rest.data + len, rest.len - len);
        while (rest.len > 0 && rest.data[0] == ' ') {
            rest = amm_view(rest.data + 1, rest.len - 1);
        }
    }
    return false;
}

static bool find_bearer(const struct job *job, char *out, size_t room)
{
    struct amm_view value = job_header(job, "authorization");
    size_t skip = sizeof BEARER - 1;
    if (value.len <= skip || value.len - skip >= room || memcmp(value.data, BEARER, skip) != 0) {
        return false;
    }
    memcpy(out, value.data + skip, value.len - skip);
    out[value.len - skip] = '\0';
    return true;
}

/* ---- other sites ---- */

static bool same_text(struct amm_view a, struct amm_view b)
{
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        uint8_t x = a.data[i], y = b.data[i];
        x = x >= 'A' && x <= 'Z' ? (uint8_t)(x | 0x20) : x;
        y = y >= 'A' && y <= 'Z' ? (uint8_t)(y | 0x20) : y;
        if (x != y) {
            return false;
        }
    }
    return true;
}

/* "https://host:port" against the Host that was asked. A proxy in front of us may end TLS, so the
 * scheme is not compared. */
static bool origin_is_ours(struct amm_view origin, struct amm_view host)
{
    const uint8_t *colon = origin.len > 3 ? memmem(origin.data, origin.len, "://", 3) : NULL;
    if (colon == NULL) {
        return false; /* "null", too */
    }
    size_t skip = (size_t)(colon - origin.data) + 3;
    return same_text(amm_view(origin.data + skip, origin.len - skip), host);
}

/* A browser says from where a request comes. Pages of gateways live under other names of the same
 * site, so that "same-site" is as foreign as "cross-site". */
static bool comes_from_here(const struct job *job)
{
    struct amm_view site = job_header(job, "sec-fetch-site");
    struct amm_view origin = job_header(job, "origin");
    bool is_read = strcmp(job->route->method, "GET") == 0;
    if (site.data != NULL && !amm_http_is(site, "same-origin") &&
        !(is_read && amm_http_is(site, "none"))) {
        return false;
    }
    return origin.data == NULL || origin_is_ours(origin, job_header(job, "host"));
}

static bool check_browser(struct job *job, bool by_cookie)
{
    if (!comes_from_here(job)) {
        job_error(job, 403, "cross-site", NULL, "requests of other sites are refused");
        return false;
    }
    if (by_cookie && strcmp(job->route->method, "GET") != 0 &&
        job_header(job, "x-amm-request").data == NULL) {
        job_error(job, 403, "header-missing", NULL,
                  "a request that changes something needs the header X-AMM-Request: 1");
        return false;
    }
    return true;
}

/* ---- credentials ---- */

static bool refuse_credential(struct job *job, const char *what)
{
    struct manager *m = job->m;
    uint64_t prefix = amm_address_prefix(&job->remote);
    uint64_t key = limits_key(m->limits, LIMIT_BAD_CREDENTIAL, &prefix, sizeof prefix);
    unsigned wait = limits_take(m->limits, key, &bad_credentials, m->now.mono);
    if (wait > 0) {
        job_retry(job, 429, wait, "too-many", "too many wrong credentials from your network");
        return false;
    }
    if (job->route->action == ACCESS_OPEN) {
        return true;
    }
    job_field(job, "WWW-Authenticate", "Bearer");
    job_error(job, 401, "login-needed", NULL, "%s", what);
    return false;
}

static bool take_token(struct job *job, const char *secret)
{
    struct token *token = directory_token_by_secret(job->m->directory, secret);
    if (token == NULL || !directory_token_actor(job->m, token, &job->actor)) {
        return refuse_credential(job, "this API token is not valid, or has expired");
    }
    directory_token_used(job->m, token);
    return true;
}

static bool take_login(struct job *job, const char *secret)
{
    struct login *login = directory_login_by_secret(job->m->directory, secret);
    if (login == NULL || !directory_login_actor(job->m, login, &job->actor)) {
        return refuse_credential(job, "your login has ended: log in again");
    }
    job_part(job)->by_cookie = true;
    directory_login_seen(job->m, login);
    return true;
}

static bool within_rate(struct job *job)
{
    uint32_t rate = job->m->config->api_rate;
    if (rate == 0 || job->actor.kind == ACTOR_NOBODY || job->actor.kind == ACTOR_LOCAL) {
        return true;
    }
    int64_t who[2] = {job->actor.kind, job->actor.credential};
    struct limit limit = {rate / 4 + 1, 60 * AMM_SECOND / rate};
    unsigned wait =
        limits_take(job->m->limits, limits_key(job->m->limits, LIMIT_ACTOR, who, sizeof who),
                    &limit, job->m->now.mono);
    if (wait > 0) {
        job_retry(job, 429, wait, "too-many", "too many requests: slow down");
    }
    return wait == 0;
}

/* Certificates are judged by the handlers. */
static bool admit_gateway(struct job *job)
{
    uint64_t prefix = amm_address_prefix(&job->remote);
    unsigned wait = 0;
    if (job->client == NULL) {
        wait = limits_take(job->m->limits,
                           limits_key(job->m->limits, LIMIT_STRANGER, &prefix, sizeof prefix),
                           &strangers, job->m->now.mono);
    }
    if (wait > 0) {
        job_retry(job, 429, wait, "too-many", "too many requests without a certificate");
    }
    return wait == 0;
}

bool job_authenticate(struct job *job)
{
    char secret[SECRET_TEXT + 8];
    if (job->listener == LISTENER_GATEWAYS) {
        return admit_gateway(job);
    }
    if (job->listener == LISTENER_METRICS) {
        return true;
    }
    if (find_bearer(job, secret, sizeof secret)) {
        return take_token(job, secret) && within_rate(job);
    }
    if (job->listener == LISTENER_LOCAL) {
        if (job->uid == 0) {
            directory_local_actor(&job->actor);
        }
        return true;
    }
    bool by_cookie = find_cookie(job, secret, sizeof secret);
    return check_browser(job, by_cookie) && (!by_cookie || take_login(job, secret)) &&
           within_rate(job);
}
