/* What a gateway's record says of its page: key, credentials, where forwards may lead; and the
 * test of the way there. */
#include "manager/remote_parts.h"

#include "manager/events.h"
#include "manager/fleet_module.h"
#include "manager/tunnel.h"

#include <stdio.h>
#include <stdlib.h>

enum { TEST_MS = 8000, HEX = 2 * AMM_PROXY_HASH };

static struct fleet_gateway *gateway_of(const struct job *job)
{
    return fleet_gateway_find(job->m->fleet, job->id);
}

static void audit_page(struct job *job, const char *detail)
{
    const struct fleet_gateway *gateway = gateway_of(job);
    char object[FLEET_NAME_MAX + 40];
    snprintf(object, sizeof object, "gateway %lld %s", (long long)gateway->id, gateway->name);
    job_audit(job, gateway->group->tenant->id, object, "%s", detail);
}

/* Saves it and tells the browsers; false: answered. */
static bool put(struct job *job, const struct remote_page *page)
{
    enum amm_store_result result = remote_page_put(job->m, page);
    if (result != AMM_STORE_OK) {
        job_store_error(job, result);
        return false;
    }
    fleet_touch(job->m->fleet, gateway_of(job), FLEET_EDITED);
    return true;
}

/* ---- the key ---- */

static json_t *hex_json(bool has, const uint8_t hash[AMM_PROXY_HASH])
{
    char hex[HEX + 1];
    amm_hex(hex, amm_view(hash, AMM_PROXY_HASH));
    return has ? json_string(hex) : json_null();
}

static void show_key(struct job *job)
{
    struct remote_page page = remote_page_copy(job->m, job->id);
    job_json(job, 200,
             json_pack("{s:o, s:o, s:s, s:o, s:o}", "sha256", hex_json(page.has_pin, page.pin),
                       "at", page.has_pin ? json_integer(page.pin_at) : json_null(), "by",
                       page.pin_by, "new", hex_json(page.has_seen, page.seen), "new_at",
                       page.has_seen ? json_integer(page.seen_at) : json_null()));
    amm_wipe(&page, sizeof page);
}

/* The person names the key that he has looked at: not whatever was seen last. */
static void accept_key(struct job *job)
{
    struct remote_page page = remote_page_copy(job->m, job->id);
    const char *text = job_text(job, "sha256", "");
    uint8_t key[AMM_PROXY_HASH];
    char detail[HEX + 64];
    if (strlen(text) != HEX || !amm_unhex(key, sizeof key, text)) {
        job_error(job, 400, "bad-value", "sha256", "64 hex digits: the SHA-256 of the new key");
        return;
    }
    if (!page.has_seen || memcmp(page.seen, key, sizeof key) != 0) {
        job_error(job, 409, "other-key", "sha256",
                  page.has_seen ? "the page has shown another key than this one: look again"
                                : "the page has shown no other key than the known one");
        return;
    }
    memcpy(page.pin, key, sizeof key);
    page.has_pin = true;
    page.has_seen = false;
    page.pin_at = job->m->now.wall;
    snprintf(page.pin_by, sizeof page.pin_by, "%s", job->actor.name);
    snprintf(detail, sizeof detail, "new key of its page accepted: %s", text);
    audit_page(job, detail);
    if (!put(job, &page)) {
        return;
    }
    if (!event_add(job->m->fleet, gateway_of(job), "page-key-accepted", detail, NULL,
                   job->m->now.wall)) {
        job_store_error(job, AMM_STORE_FAILED);
        return;
    }
    job_empty(job);
}

/* ---- credentials ---- */

static void show_credentials(struct job *job)
{
    const struct remote_page *page = remote_page_find(job->m, job->id);
    bool is_set = page != NULL && page->n_sealed > 0;
    job_json(job, 200,
             json_pack("{s:b, s:s, s:o, s:o}", "set", (int)is_set, "type",
                       is_set ? "basic" : "none", "at",
                       is_set ? json_integer(page->credentials_at) : json_null(), "by",
                       is_set ? json_string(page->credentials_by) : json_null()));
}

static void clear_credentials(struct job *job, struct remote_page *page)
{
    amm_wipe(page->sealed, sizeof page->sealed);
    page->n_sealed = 0;
    page->user[0] = '\0';
    page->credentials_at = job->m->now.wall;
    snprintf(page->credentials_by, sizeof page->credentials_by, "%s", job->actor.name);
    audit_page(job, "credentials of its page removed");
    if (put(job, page)) {
        job_empty(job);
    }
}

static void remove_credentials(struct job *job)
{
    struct remote_page page = remote_page_copy(job->m, job->id);
    clear_credentials(job, &page);
}

static void set_credentials(struct job *job)
{
    struct remote_page page = remote_page_copy(job->m, job->id);
    const char *user = job_text(job, "user", ""), *password = job_text(job, "password", "");
    if (strcmp(job_text(job, "type", ""), "none") == 0) {
        clear_credentials(job, &page);
        return;
    }
    if (gateway_of(job)->kind == FLEET_OURS) {
        job_error(job, 409, "not-needed", NULL,
                  "operators are signed in on gateways of ours: they need no credentials");
        return;
    }
    if (user[0] == '\0' || strchr(user, ':') != NULL) {
        job_error(job, 400, "bad-value", "user", "a user name without ':'");
        return;
    }
    if (!remote_secret_seal(job->m, &page, password)) {
        job_retry(
            job, 503, 60, "no-key",
            "the server has no key to seal credentials with: see credentials-key in amm.conf");
        return;
    }
    snprintf(page.user, sizeof page.user, "%s", user);
    page.credentials_at = job->m->now.wall;
    snprintf(page.credentials_by, sizeof page.credentials_by, "%s", job->actor.name);
    audit_page(job, "credentials of its page set");
    if (put(job, &page)) {
        job_empty(job);
    }
}

/* ---- where forwards may lead ---- */

static void show_forwards(struct job *job)
{
    const struct remote_page *page = remote_page_find(job->m, job->id);
    job_json(job, 200, json_pack("{s:s}", "allow", page != NULL ? page->forwards : ""));
}

static void set_forwards(struct job *job)
{
    struct remote_page page = remote_page_copy(job->m, job->id);
    struct amm_relay_list list;
    struct amm_view bad;
    char detail[AMM_RELAY_LIST + 40];
    if (!amm_relay_parse(&list, amm_view_str(job_text(job, "allow", "")), &bad) ||
        !amm_relay_text(&list, page.forwards)) {
        job_error(job, 400, "bad-value", "allow",
                  "single hosts and ports, as in \"gateway:22, 192.168.13.100:22, "
                  "192.168.13.0/24:80-81\"; at most %d",
                  AMM_RELAY_ENTRIES);
        return;
    }
    snprintf(detail, sizeof detail, "forwards allowed to: %s",
             page.forwards[0] != '\0' ? page.forwards : "nothing");
    audit_page(job, detail);
    if (put(job, &page)) {
        job_json(job, 200, json_pack("{s:s}", "allow", page.forwards));
    }
}

/* ---- scheme and port: PATCH /api/v1/gateways/{id} ---- */

bool remote_page_edit(struct job *job, const struct fleet_gateway *gateway)
{
    const char *scheme = job_text(job, "page_scheme", NULL);
    if (scheme == NULL && !job_has(job, "page_port")) {
        return true;
    }
    struct remote_page page = remote_page_copy(job->m, gateway->id);
    if (gateway->kind != FLEET_OPENVPN) {
        job_error(job, 409, "reported", scheme != NULL ? "page_scheme" : "page_port",
                  "this gateway says itself where its page is (MSCIID 1172)");
        return false;
    }
    if (scheme != NULL) {
        page.scheme = strcmp(scheme, "http") == 0 ? AMM_PROXY_HTTP : AMM_PROXY_HTTPS;
    }
    page.port = (uint16_t)job_number(job, "page_port", page.port);
    /* Another page has another key. */
    page.has_pin = page.has_seen = false;
    enum amm_store_result result = remote_page_put(job->m, &page);
    if (result != AMM_STORE_OK) {
        job_store_error(job, result);
    }
    return result == AMM_STORE_OK;
}

/* ---- the test ---- */

struct testing {
    struct job *job;
    struct amm_proxy_result result;
    bool is_answered;
};

static json_t *step_json(const char *name, uint8_t verdict, const char *text, uint32_t ms)
{
    json_t *ok = verdict == AMM_PROXY_STEP_SKIPPED ? json_null()
                                                   : json_boolean(verdict == AMM_PROXY_STEP_OK);
    return json_pack("{s:s, s:o, s:s, s:I}", "name", name, "ok", ok, "text", text, "ms",
                     (json_int_t)ms);
}

/* The key that was shown, against the one that is known. */
static void put_key(struct job *job, json_t *json, const struct amm_proxy_result *result)
{
    const struct remote_page *page = remote_page_find(job->m, job->id);
    if (result->has_key) {
        bool is_known =
            page != NULL && page->has_pin && memcmp(page->pin, result->key, sizeof page->pin) == 0;
        json_object_set_new(json, "key", hex_json(true, result->key));
        json_object_set_new(json, "key_known", json_boolean(is_known));
    }
}

static void tested(struct job *job, void *context)
{
    const struct testing *testing = context;
    if (!testing->is_answered) {
        job_retry(job, 503, 5, "remote-access-off", "amm-proxyd did not answer");
        return;
    }
    json_t *steps = json_array();
    for (uint8_t i = 0; i < testing->result.n; i++) {
        const struct amm_proxy_step_result *step = &testing->result.list[i];
        json_array_append_new(steps, step_json(amm_proxy_step_name(step->step), step->verdict,
                                               step->text, step->milliseconds));
    }
    json_t *json = json_pack("{s:o}", "steps", steps);
    if (json != NULL) {
        put_key(job, json, &testing->result);
    }
    job_json(job, 200, json);
}

static void test_ended(struct manager *m, void *context, const struct amm_proxy_result *result)
{
    struct testing *testing = context;
    (void)m;
    testing->is_answered = result != NULL;
    if (result != NULL) {
        testing->result = *result;
    }
    job_resume(testing->job, tested, testing);
}

static void ask_test(struct job *job, const struct remote_target *target)
{
    const struct remote_page *page = remote_page_find(job->m, job->id);
    struct testing *testing = calloc(1, sizeof *testing);
    if (testing == NULL) {
        job_json(job, 503, NULL);
        return;
    }
    testing->job = job;
    struct amm_proxy_test test = {
        .address = remote_inner_address(target->inner_ip, target->port),
        .scheme = target->scheme,
        .steps = AMM_PROXY_STEPS_ALL,
        .milliseconds = TEST_MS,
        .has_pin = page != NULL && page->has_pin,
    };
    if (test.has_pin) {
        memcpy(test.pin, page->pin, sizeof test.pin);
    }
    job_keep(job, testing, free);
    if (remote_test_ask(job->m, &test, test_ended, testing)) {
        job_defer(job);
    } else {
        job_retry(job, 503, 5, "remote-access-off",
                  "amm-proxyd is not connected, or has too much to do");
    }
}

/* Without a tunnel there is nothing to be asked; the answer says why in the same form. */
static void test_handle(struct job *job)
{
    struct fleet_gateway *gateway = gateway_of(job);
    struct remote_target target;
    remote_page_judge(job->m, gateway, &target);
    audit_page(job, "its page was tested");
    if (target.state == REMOTE_PAGE_KEY_CHANGED) {
        struct tunnel_up up;
        if (tunnel_is_up(job->m, gateway, &up)) { /* the test shows the key */
            target.epoch = up.epoch;
            target.inner_ip = up.inner_ip;
        }
    }
    if (target.epoch != 0 && target.port != 0) {
        ask_test(job, &target);
        return;
    }
    char text[2 * REMOTE_TEXT + 2];
    snprintf(text, sizeof text, "%s %s", target.why, target.cure);
    const char *name = target.state == REMOTE_PAGE_UNAVAILABLE ? "requirements" : "tunnel";
    json_t *steps = json_array();
    json_array_append_new(steps, step_json(name, AMM_PROXY_STEP_FAILED, text, 0));
    job_json(job, 200, json_pack("{s:o}", "steps", steps));
}

/* ---- routes ---- */

static const struct field key_body[] = {
    {"sha256", FIELD_TEXT, true, HEX, HEX, NULL, "of the new key's SubjectPublicKeyInfo, in hex"},
    {.name = NULL}};

static const struct field credentials_body[] = {
    {"type", FIELD_CHOICE, true, 0, 0, "basic|none", "how the page asks who comes"},
    {"user", FIELD_TEXT, false, 0, AMM_PROXY_PERSON - 1, NULL, "user name at the page"},
    {"password", FIELD_TEXT, false, 0, AMM_PROXY_SECRET - 1, NULL, "never given back"},
    {.name = NULL}};

static const struct field forwards_body[] = {
    {"allow", FIELD_TEXT, true, 0, AMM_RELAY_LIST - 1, NULL,
     "where forwards may lead: \"gateway:22, 192.168.13.100:22\"; \"\": nowhere"},
    {.name = NULL}};

const struct route remote_page_routes[] = {
    {.method = "GET",
     .path = "/api/v1/gateways/{id}/page-key",
     .action = ACCESS_VIEW,
     .find = gateway_find_object,
     .handle = show_key,
     .summary = "The key of the gateway's page, and another one that it showed since"},
    {.method = "POST",
     .path = "/api/v1/gateways/{id}/page-key",
     .action = ACCESS_ADMIN,
     .find = gateway_find_object,
     .body = key_body,
     .handle = accept_key,
     .summary = "Accepts the new key of the gateway's page"},
    {.method = "GET",
     .path = "/api/v1/gateways/{id}/page-credentials",
     .action = ACCESS_VIEW,
     .find = gateway_find_object,
     .handle = show_credentials,
     .summary = "Whether credentials of the page are set, when and by whom; never which"},
    {.method = "PUT",
     .path = "/api/v1/gateways/{id}/page-credentials",
     .action = ACCESS_ADMIN,
     .find = gateway_find_object,
     .body = credentials_body,
     .handle = set_credentials,
     .summary = "Credentials that sign operators in on the page of a router"},
    {.method = "DELETE",
     .path = "/api/v1/gateways/{id}/page-credentials",
     .action = ACCESS_ADMIN,
     .find = gateway_find_object,
     .handle = remove_credentials,
     .summary = "Forgets them"},
    {.method = "GET",
     .path = "/api/v1/gateways/{id}/forwards",
     .action = ACCESS_VIEW,
     .find = gateway_find_object,
     .handle = show_forwards,
     .summary = "Where forwards through this gateway may lead"},
    {.method = "PUT",
     .path = "/api/v1/gateways/{id}/forwards",
     .action = ACCESS_ADMIN,
     .find = gateway_find_object,
     .body = forwards_body,
     .handle = set_forwards,
     .summary = "Sets it; the gateway has a list of its own, and both must allow"},
    {.method = "POST",
     .path = "/api/v1/gateways/{id}/test",
     .action = ACCESS_OPERATE,
     .find = gateway_find_object,
     .handle = test_handle,
     .summary = "Tests the way to the page: ping, TCP, key, page, MTU, in words"},
    {.method = NULL},
};
