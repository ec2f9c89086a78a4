#include "cad/service.h"

#include "crypto/mac.h"
#include "io/log.h"
#include "proto/wrap.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    HOUR = 3600,
    DAY = 86400,
    LIST_DAYS = 3650, /* the lists lie beside the server, so age says nothing about them */
    LIST_AGE = DAY,
};

struct cad_service {
    const struct cad_material *material;
    struct cad_record *record;
    amm_duration interval; /* between two certificates at the highest lasting rate */
    amm_time next;         /* when the bucket would be full again */
    char *lists;           /* as signed last; NULL: not yet */
    size_t lists_revoked;  /* how many revocations they hold */
    int64_t lists_at;
};

struct cad_service *cad_service_new(const struct cad_material *material, struct cad_record *record,
                                    uint32_t per_minute)
{
    struct cad_service *service = calloc(1, sizeof *service);
    if (service) {
        service->material = material;
        service->record = record;
        service->interval = 60 * AMM_SECOND / per_minute;
    }
    return service;
}

struct cad_service *cad_service_free(struct cad_service *service)
{
    if (service) {
        free(service->lists);
    }
    free(service);
    return NULL;
}

static void refuse(struct amm_cad_message *answer, enum amm_cad_failure reason, const char *words)
{
    answer->type = AMM_CAD_FAILED;
    answer->failed = (struct amm_cad_failed){.reason = (uint8_t)reason};
    amm_text_clean(answer->failed.words, sizeof answer->failed.words, amm_view_str(words));
}

/* ---- policy ---- */

bool cad_name_ok(const char *name)
{
    static const char *const reserved[] = {AMM_PKI_SERVER_NAME, AMM_PKI_MANAGER_NAME,
                                           AMM_PKI_TIME_NAME};
    size_t len = strlen(name), at = strcspn(name, "@");
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
        if (strcmp(name, reserved[i]) == 0) {
            return false;
        }
    }
    return len >= 1 && len <= AMM_NAME_MAX && name[0] != '.' && name[0] != '-' && at > 0 &&
           at + 1 != len && (at == len || strchr(name + at + 1, '@') == NULL) &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.@") ==
               len;
}

static int days_of(uint8_t kind)
{
    return kind == AMM_CAD_PROFILE ? 3650 : 90;
}

/* One that may be issued now takes a place in the minute. Seconds to wait otherwise. */
static uint32_t wait_for_place(struct cad_service *service, amm_time now)
{
    amm_time from = service->next > now ? service->next : now;
    if (from - now > 60 * AMM_SECOND - service->interval) {
        return (uint32_t)((from - now - (60 * AMM_SECOND - service->interval)) / AMM_SECOND) + 1;
    }
    service->next = from + service->interval;
    return 0;
}

/* ---- issuing ---- */

static bool fill_issued(const struct cad_service *service, const struct cad_issued_entry *entry,
                        struct amm_cad_message *answer)
{
    struct amm_cad_issued *issued = &answer->issued;
    *issued =
        (struct amm_cad_issued){.not_before = entry->not_before, .not_after = entry->not_after};
    memcpy(issued->serial, entry->serial, sizeof issued->serial);
    memcpy(issued->issuer, entry->issuer, sizeof issued->issuer);
    answer->type = AMM_CAD_ISSUED;
    return cad_record_certificate(service->record, entry, issued->certificate);
}

/* The certificate that this approval has had already. */
static void answer_again(struct cad_service *service, const struct amm_cad_issue *issue,
                         const uint8_t key_hash[32], const struct cad_issued_entry *entry,
                         struct amm_cad_message *answer)
{
    if (entry->kind != issue->kind || strcmp(entry->name, issue->name) != 0 ||
        memcmp(entry->key_hash, key_hash, sizeof entry->key_hash) != 0) {
        refuse(answer, AMM_CAD_CONFLICT, "this approval was used for another key or name");
        return;
    }
    if (cad_record_is_revoked(service->record, entry->serial)) {
        refuse(answer, AMM_CAD_REVOKED_BEFORE, "the certificate of this approval was revoked");
        return;
    }
    if (!fill_issued(service, entry, answer)) {
        refuse(answer, AMM_CAD_BROKEN, "the record cannot be read");
    }
}

/* False with the answer filled in. */
static bool check_policy(struct cad_service *service, const struct amm_cad_issue *issue,
                         int64_t wall, struct amm_cad_message *answer)
{
    static const uint8_t none[AMM_CAD_SERIAL];
    const struct cad_authority *authority = &service->material->of[issue->kind].at[0];
    if (!cad_name_ok(issue->name)) {
        refuse(answer, AMM_CAD_REFUSED, "no name that a gateway's certificate may have");
        return false;
    }
    if (issue->days > days_of(issue->kind)) {
        refuse(answer, AMM_CAD_REFUSED, "longer than certificates of this kind may last");
        return false;
    }
    if (wall < authority->not_before || wall > authority->not_after - DAY) {
        refuse(answer, AMM_CAD_BROKEN,
               "the CA has ended, or the clock of this machine is wrong (ammctl pki roll)");
        return false;
    }
    if (memcmp(issue->renews, none, sizeof none) == 0) {
        return true;
    }
    if (cad_record_is_revoked(service->record, issue->renews)) {
        refuse(answer, AMM_CAD_REVOKED_BEFORE, "the certificate to be renewed was revoked");
        return false;
    }
    const struct cad_issued_entry *former = cad_record_by_serial(service->record, issue->renews);
    if (former && (former->kind != issue->kind || strcmp(former->name, issue->name) != 0)) {
        refuse(answer, AMM_CAD_REFUSED, "the certificate to be renewed has another name");
        return false;
    }
    return true;
}

/* Makes the certificate; false with the answer filled in. */
static bool make_certificate(const struct cad_authority *authority,
                             const struct amm_cad_issue *issue, int64_t wall,
                             struct cad_issued_entry *entry, char certificate[AMM_PEM_MAX],
                             struct amm_cad_message *answer)
{
    char error[CAD_ERROR] = "";
    struct amm_identity identity;
    int days = issue->days ? issue->days : days_of(issue->kind);
    int64_t end = wall + (int64_t)days * DAY;
    struct amm_certificate_request request = {
        .role = AMM_CERTIFICATE_GATEWAY,
        .name = issue->name,
        .not_before = wall - HOUR, /* a gateway's clock may be slow */
        .not_after = end < authority->not_after ? end : authority->not_after,
    };
    if (!amm_pki_issue_to(&request, issue->key, authority->certificate, authority->key, certificate,
                          error, sizeof error) ||
        !amm_pki_identity(certificate, &identity, error, sizeof error)) {
        refuse(answer, AMM_CAD_REFUSED, error);
        return false;
    }
    memcpy(entry->serial, identity.serial, sizeof entry->serial);
    memcpy(entry->key_hash, identity.key, sizeof entry->key_hash);
    memcpy(entry->issuer, authority->hash, sizeof entry->issuer);
    memcpy(entry->approval, issue->approval, sizeof entry->approval);
    memcpy(entry->name, issue->name, sizeof entry->name);
    entry->kind = issue->kind;
    entry->not_before = request.not_before;
    entry->not_after = request.not_after;
    return true;
}

static void log_issued(const struct amm_cad_issue *issue, const struct cad_issued_entry *entry)
{
    char serial[2 * AMM_CAD_SERIAL + 1];
    amm_hex(serial, amm_view(entry->serial, sizeof entry->serial));
    amm_log(AMM_LOG_INFO, "issued", amm_field_text("name", issue->name),
            amm_field_text("kind", issue->kind == AMM_CAD_PROFILE ? "profile" : "gateway"),
            amm_field_text("serial", serial), amm_field_number("until", entry->not_after));
}

static void answer_issue(struct cad_service *service, const struct amm_cad_issue *issue,
                         struct amm_now now, struct amm_cad_message *answer)
{
    uint8_t key_hash[AMM_SHA256_LEN];
    char certificate[AMM_PEM_MAX], error[CAD_RECORD_ERROR];
    struct cad_issued_entry entry = {0};
    const struct cad_authority *authority = &service->material->of[issue->kind].at[0];
    if (!amm_sha256(amm_view(issue->key, sizeof issue->key), key_hash)) {
        refuse(answer, AMM_CAD_BROKEN, "out of memory");
        return;
    }
    const struct cad_issued_entry *former =
        cad_record_by_approval(service->record, issue->approval);
    if (former) {
        answer_again(service, issue, key_hash, former, answer);
        return;
    }
    if (!check_policy(service, issue, now.wall, answer)) {
        return;
    }
    uint32_t wait = wait_for_place(service, now.mono);
    if (wait > 0) {
        refuse(answer, AMM_CAD_BUSY, "certificates-per-minute is used up");
        answer->failed.retry = wait;
        return;
    }
    if (!make_certificate(authority, issue, now.wall, &entry, certificate, answer)) {
        return;
    }
    if (!cad_record_issue(service->record, &entry, certificate, error)) {
        amm_log(AMM_LOG_ERROR, "record-failed", amm_field_text("error", error));
        refuse(answer, AMM_CAD_BROKEN, error);
        return;
    }
    log_issued(issue, &entry);
    former = cad_record_by_approval(service->record, issue->approval);
    if (!former || !fill_issued(service, former, answer)) {
        refuse(answer, AMM_CAD_BROKEN, "the record cannot be read");
    }
}

/* ---- revoking ---- */

static void answer_revoke(struct cad_service *service, const struct amm_cad_revocation *revoke,
                          struct amm_now now, struct amm_cad_message *answer)
{
    char error[CAD_RECORD_ERROR], serial[2 * AMM_CAD_SERIAL + 1];
    struct amm_cad_revocation revocation = *revoke;
    if (revocation.at <= 0 || revocation.at > now.wall) {
        revocation.at = now.wall;
    }
    bool is_new = !cad_record_is_revoked(service->record, revocation.serial);
    if (!cad_record_revoke(service->record, &revocation, error)) {
        amm_log(AMM_LOG_ERROR, "record-failed", amm_field_text("error", error));
        refuse(answer, AMM_CAD_BROKEN, error);
        return;
    }
    if (is_new) {
        amm_hex(serial, amm_view(revocation.serial, sizeof revocation.serial));
        amm_log(AMM_LOG_INFO, "revoked", amm_field_text("serial", serial));
    }
    answer->type = AMM_CAD_DONE;
}

/* The lists of all CAs of a kind, appended to `w`. Serial numbers are random and 128 bits, so that
 * each CA of a kind can list all of the kind. */
static bool add_lists(struct cad_service *service, uint8_t kind, FILE *out, struct amm_now now,
                      char error[CAD_ERROR])
{
    const struct cad_authorities *authorities = &service->material->of[kind];
    size_t total = cad_record_revoked(service->record), n = 0;
    struct amm_revocation *revoked = calloc(total + 1, sizeof *revoked);
    for (size_t i = 0; revoked && i < total; i++) {
        const struct amm_cad_revocation *one = cad_record_revocation(service->record, i);
        if (one->kind == kind) {
            memcpy(revoked[n].serial, one->serial, sizeof revoked[n].serial);
            revoked[n++].at = one->at;
        }
    }
    bool ok = revoked != NULL;
    for (size_t i = 0; ok && i < authorities->n; i++) {
        char *list = NULL;
        ok = amm_pki_crl(authorities->at[i].certificate, authorities->at[i].key, revoked, n,
                         (uint64_t)now.wall * 1000000 + total, now.wall - HOUR,
                         now.wall + (int64_t)LIST_DAYS * DAY, &list, error, CAD_ERROR) &&
             fputs(list, out) >= 0;
        free(list);
    }
    free(revoked);
    return ok;
}

char *cad_service_lists(struct cad_service *service, struct amm_now now, char error[CAD_ERROR])
{
    size_t total = cad_record_revoked(service->record);
    bool is_current = service->lists && service->lists_revoked == total &&
                      now.wall >= service->lists_at && now.wall - service->lists_at < LIST_AGE;
    if (!is_current) {
        char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);
        snprintf(error, CAD_ERROR, "out of memory");
        bool ok = out && add_lists(service, AMM_CAD_GATEWAY, out, now, error) &&
                  add_lists(service, AMM_CAD_PROFILE, out, now, error);
        ok = out && fclose(out) == 0 && ok;
        if (!ok) {
            free(text);
            return NULL;
        }
        free(service->lists);
        service->lists = text;
        service->lists_revoked = total;
        service->lists_at = now.wall;
    }
    char *copy = strdup(service->lists);
    if (!copy) {
        snprintf(error, CAD_ERROR, "out of memory");
    }
    return copy;
}

/* ---- the rest ---- */

static void answer_state(const struct cad_service *service, struct amm_now now,
                         struct amm_cad_message *answer)
{
    size_t revoked = cad_record_revoked(service->record);
    int64_t end = INT64_MAX;
    for (uint8_t kind = AMM_CAD_GATEWAY; kind <= AMM_CAD_PROFILE; kind++) {
        for (size_t i = 0; i < service->material->of[kind].n; i++) {
            int64_t until = service->material->of[kind].at[i].not_after;
            end = until < end ? until : end;
        }
    }
    answer->type = AMM_CAD_STATE;
    answer->state = (struct amm_cad_state){
        .list_number = revoked + 1,
        .issued = cad_record_issued(service->record),
        .revoked = revoked,
        .list_until = now.wall + (int64_t)LIST_DAYS * DAY,
        .authority_until = end,
    };
}

static void answer_time(const struct cad_service *service, const uint8_t nonce[AMM_CLAIM_NONCE],
                        int64_t wall, struct amm_cad_message *answer)
{
    answer->type = AMM_CAD_SIGNED_TIME;
    answer->signed_time.wall = wall;
    if (!amm_time_sign(service->material->time_signer, nonce, wall,
                       answer->signed_time.signature)) {
        refuse(answer, AMM_CAD_BROKEN, "out of memory");
    }
}

static bool join_certificates(const struct cad_authorities *authorities, char out[AMM_CAD_TEXT])
{
    struct amm_writer w = amm_writer(out, AMM_CAD_TEXT);
    for (size_t i = 0; i < authorities->n; i++) {
        amm_write_str(&w, authorities->at[i].certificate);
    }
    amm_write_u8(&w, 0);
    return !w.failed;
}

static void answer_authorities(const struct cad_service *service, uint8_t which,
                               struct amm_cad_message *answer)
{
    const struct cad_material *material = service->material;
    const char *text = "";
    bool fits = true;
    answer->type = AMM_CAD_TEXT_IS;
    switch ((enum amm_cad_authorities)which) {
    case AMM_CAD_GATEWAY_CAS:
        fits = join_certificates(&material->of[AMM_CAD_GATEWAY], answer->text);
        break;
    case AMM_CAD_PROFILE_CAS:
        fits = join_certificates(&material->of[AMM_CAD_PROFILE], answer->text);
        break;
    case AMM_CAD_TIME_CERTIFICATE:
        text = material->time_certificate;
        break;
    case AMM_CAD_SERVER_CA:
        text = material->server_ca;
        break;
    case AMM_CAD_TUNNEL_CERTIFICATE:
        text = material->tunnel_certificate;
        break;
    }
    if (*text != '\0') {
        fits = snprintf(answer->text, sizeof answer->text, "%s", text) < (int)sizeof answer->text;
    }
    if (!fits) {
        refuse(answer, AMM_CAD_BROKEN, "the certificates do not fit into a message; retire a CA");
    }
}

/* A client key for tls-crypt-v2, made with the server's key. */
static bool make_v2_key(const struct cad_material *material, int64_t wall, char out[AMM_CAD_TEXT])
{
    uint8_t kc[AMM_STATIC_KEY], wkc[AMM_WKC_MAX];
    char text[AMM_PEM_MAX];
    size_t len = 0;
    struct amm_random random = amm_system_random();
    amm_random_fill(&random, kc, sizeof kc);
    bool ok = amm_wkc_make(material->v2_key, kc, wall, wkc, &len);
    if (ok) {
        amm_v2_client_key_text(kc, wkc, len, text);
        ok = snprintf(out, AMM_CAD_TEXT, "%s", text) < AMM_CAD_TEXT;
    }
    amm_wipe(kc, sizeof kc);
    amm_wipe(text, sizeof text);
    return ok;
}

static void answer_wrap(const struct cad_service *service, uint8_t which, int64_t wall,
                        struct amm_cad_message *answer)
{
    const struct cad_material *material = service->material;
    bool is_v2 = which == AMM_CAD_TLS_CRYPT_V2;
    const char *shared = which == AMM_CAD_TLS_AUTH ? material->tls_auth : material->tls_crypt;
    answer->type = AMM_CAD_TEXT_IS;
    if (is_v2 ? !material->has_v2_key : shared[0] == '\0') {
        refuse(answer, AMM_CAD_REFUSED, "the PKI folder has no key for this wrap");
    } else if (is_v2 ? !make_v2_key(material, wall, answer->text)
                     : snprintf(answer->text, sizeof answer->text, "%s", shared) >=
                           (int)sizeof answer->text) {
        refuse(answer, AMM_CAD_BROKEN, "the key does not fit into a message");
    }
}

void cad_service_answer(struct cad_service *service, const struct amm_cad_message *request,
                        struct amm_now now, struct amm_cad_message *answer)
{
    *answer = (struct amm_cad_message){.id = request->id};
    switch (request->type) {
    case AMM_CAD_STATUS:
        answer_state(service, now, answer);
        return;
    case AMM_CAD_TIME:
        answer_time(service, request->nonce, now.wall, answer);
        return;
    case AMM_CAD_ISSUE:
        answer_issue(service, &request->issue, now, answer);
        return;
    case AMM_CAD_REVOKE:
        answer_revoke(service, &request->revoke, now, answer);
        return;
    case AMM_CAD_AUTHORITIES:
        answer_authorities(service, request->which, answer);
        return;
    case AMM_CAD_WRAP:
        answer_wrap(service, request->which, now.wall, answer);
        return;
    default:
        refuse(answer, AMM_CAD_REFUSED, "no request that has one answer");
    }
}
