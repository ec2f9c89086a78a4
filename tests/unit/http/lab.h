/* A server that is stepped by the test, certificates, and peers on sockets. */
#pragma once

#include "crypto/pki.h"
#include "http/client.h"
#include "http/server.h"

enum { LAB_TEXT = 1 << 16, LAB_TAG = 7 };

struct lab_credential {
    char certificate[AMM_PEM_MAX], key[AMM_PEM_MAX];
};

struct lab_pki {
    struct lab_credential server_ca, gateway_ca, other_ca;
    struct lab_credential server, gateway, expired, stranger;
};

void lab_pki_make(struct lab_pki *pki);
void lab_issue(struct lab_credential *out, enum amm_certificate_role role, const char *name,
               const struct lab_credential *ca, int64_t from, int64_t until);

/* Settings with the usual trust. */
struct amm_http_tls_settings lab_server_tls(const struct lab_pki *pki);
struct amm_http_tls_settings lab_client_tls(const struct lab_pki *pki);
struct amm_http_tls *lab_tls(const struct amm_http_tls_settings *settings); /* or the test fails */

/* What the handler saw last, and what it is to do. Paths:
 *   /hello /echo /empty /who /close    answered at once
 *   /later /stream                     `ref` is kept; /stream is answered as a stream
 *   /file                              `file_len` bytes of `file` */
struct lab {
    struct amm_http_server *server;
    struct amm_address address; /* of the TCP listener */
    struct amm_http_ref ref;
    int file;
    uint64_t file_len;
    size_t body_limit;

    unsigned calls, gone;
    struct amm_http_ref gone_ref;
    char path[64], name[AMM_NAME_MAX + 1];
    size_t body_len;
    uint32_t tag, uid;
    bool resumed, has_client, is_tls;
    int64_t not_after;
    struct amm_address remote;
};

/* Short deadlines only where a test sets them. */
struct amm_http_settings lab_settings(struct lab *lab);
void lab_open(struct lab *lab, const struct amm_http_settings *settings);
void lab_listen(struct lab *lab, struct amm_http_tls *tls); /* on loopback; drops the reference */
void lab_close(struct lab *lab);

/* The other end of a plain connection, as if accepted. */
int lab_peer(struct lab *lab);
int lab_connect(struct lab *lab); /* by TCP */
void lab_say(int fd, const char *text);

/* Turns the server, and reads from `fd` until `text` came (which is an error if it does not come
 * within seconds). All that came since the last time is in `lab_heard`. */
extern char lab_heard[LAB_TEXT];
void lab_expect(struct lab *lab, int fd, const char *text);
void lab_expect_end(struct lab *lab, int fd); /* until the server has closed */
void lab_turn(struct lab *lab);               /* until nothing more happens by itself */
/* Turns until `*value` is at least `n`. */
void lab_until(struct lab *lab, const unsigned *value, unsigned n);

/* Until there is an event, which it gives. */
struct amm_http_event lab_event(struct lab *lab, struct amm_http_client *client);

/* One whole request; the status, or 0 if it failed (then why is in `lab_failure`). */
extern char lab_failure[256];
extern enum amm_tls_failure lab_tls_failure;
int lab_fetch(struct lab *lab, struct amm_http_client *client, const char *method, const char *path,
              const char *body);
