#include "exchange.h"

#include "io/resolve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOKUP_SECONDS = 20, CONNECT_SECONDS = 10 };

struct ace_exchange {
    struct amm_loop *loop;
    uint64_t client_tag;
    struct amm_resolver *resolver;
    bool is_busy, is_resolving;
    amm_time lookup_deadline;

    /* The question, copied. */
    char host[256], server_name[66], method[16];
    char *target;
    uint16_t port;
    struct amm_http_tls *tls;
    uint8_t pin[32];
    bool has_pin, resumes;
    struct amm_span fields, body;

    struct amm_resolve_result addresses;
    unsigned next;
    struct amm_http_client *client;
    int fd; /* in the loop; -1: none */
    unsigned interest;

    struct amm_http_session *session;
    int status;
    uint32_t retry_after;
    uint8_t *answer;
    size_t answer_len;
    uint64_t bytes_in, bytes_out; /* of former attempts */
    char error[ACE_EXCHANGE_ERROR];
    enum amm_tls_failure tls_failure;
};

struct ace_exchange *ace_exchange_new(struct amm_loop *loop, uint64_t resolver_tag,
                                      uint64_t client_tag)
{
    struct ace_exchange *x = calloc(1, sizeof *x);
    if (!x) {
        return NULL;
    }
    x->loop = loop;
    x->client_tag = client_tag;
    x->fd = -1;
    x->resolver = amm_resolver_new();
    if (!x->resolver || !amm_loop_add(loop, amm_resolver_fd(x->resolver), AMM_READ, resolver_tag)) {
        amm_resolver_free(x->resolver);
        free(x);
        return NULL;
    }
    return x;
}

static void unwatch(struct ace_exchange *x)
{
    if (x->fd >= 0) {
        amm_loop_remove(x->loop, x->fd);
        x->fd = -1;
    }
}

static void drop_client(struct ace_exchange *x)
{
    uint64_t in = 0, out = 0;
    if (x->client) {
        amm_http_client_bytes(x->client, &in, &out);
        x->bytes_in += in;
        x->bytes_out += out;
    }
    unwatch(x);
    x->client = amm_http_client_free(x->client);
}

static void drop_span(struct amm_span *span)
{
    if (span->data) {
        amm_wipe(span->data, span->len); /* a token, perhaps */
        free(span->data);
    }
    *span = (struct amm_span){0};
}

void ace_exchange_cancel(struct ace_exchange *x)
{
    drop_client(x);
    drop_span(&x->fields);
    drop_span(&x->body);
    free(x->target);
    x->target = NULL;
    x->tls = amm_http_tls_unref(x->tls);
    x->is_busy = x->is_resolving = false;
}

struct ace_exchange *ace_exchange_free(struct ace_exchange *x)
{
    if (x) {
        ace_exchange_cancel(x);
        amm_loop_remove(x->loop, amm_resolver_fd(x->resolver));
        amm_resolver_free(x->resolver);
        amm_http_session_free(x->session);
        free(x->answer);
        free(x);
    }
    return NULL;
}

void ace_exchange_forget(struct ace_exchange *x)
{
    x->session = amm_http_session_free(x->session);
}

static bool copy_view(struct amm_span *out, struct amm_view from)
{
    out->data = malloc(from.len + 1);
    if (out->data && from.len > 0) {
        memcpy(out->data, from.data, from.len);
    }
    out->len = out->data ? from.len : 0;
    return out->data != NULL;
}

bool ace_exchange_begin(struct ace_exchange *x, const struct ace_question *q, struct amm_now now)
{
    ace_exchange_cancel(x);
    free(x->answer);
    x->answer = NULL;
    x->answer_len = 0;
    x->bytes_in = x->bytes_out = 0;
    x->tls_failure = AMM_TLS_OK;
    snprintf(x->host, sizeof x->host, "%s", q->host);
    snprintf(x->server_name, sizeof x->server_name, "%s", q->server_name);
    snprintf(x->method, sizeof x->method, "%s", q->method);
    snprintf(x->error, sizeof x->error, "no address");
    x->port = q->port;
    x->resumes = q->resumes;
    x->has_pin = q->ca_pin.len == sizeof x->pin;
    if (x->has_pin) {
        memcpy(x->pin, q->ca_pin.data, sizeof x->pin);
    }
    x->target = strdup(q->target);
    x->tls = amm_http_tls_ref(q->tls);
    x->next = 0;
    x->addresses = (struct amm_resolve_result){.n = 1};
    x->is_busy = x->target && copy_view(&x->fields, q->fields) && copy_view(&x->body, q->body);
    if (!x->is_busy) {
        ace_exchange_cancel(x);
        return false;
    }
    if (q->address) {
        x->addresses.addresses[0] = *q->address;
        x->addresses.addresses[0].port = q->port;
    } else if (!amm_address_parse(&x->addresses.addresses[0], q->host, q->port)) {
        x->addresses.n = 0;
        x->is_resolving = amm_resolver_ask(x->resolver, q->host, q->port, AMM_FAMILY_NONE);
        x->lookup_deadline = amm_time_after(now.mono, LOOKUP_SECONDS * AMM_SECOND);
        if (!x->is_resolving) {
            ace_exchange_cancel(x);
            return false;
        }
    }
    return true;
}

bool ace_exchange_is_busy(const struct ace_exchange *x)
{
    return x->is_busy;
}

amm_time ace_exchange_deadline(const struct ace_exchange *x)
{
    if (!x->is_busy) {
        return AMM_NEVER;
    }
    /* Between two addresses there is something to do at once. */
    return x->is_resolving ? x->lookup_deadline
           : x->client     ? amm_http_client_deadline(x->client)
                           : 0;
}

/* A client for the next address, with its request queued; false if there is none left. */
static bool open_next(struct ace_exchange *x, struct amm_now now)
{
    char host[300];
    bool is_ipv6 = strchr(x->host, ':') != NULL;
    snprintf(host, sizeof host, is_ipv6 ? "[%s]:%u" : "%s:%u", x->host, x->port);
    while (!x->client && x->next < x->addresses.n) {
        const struct amm_http_client_settings settings = {
            .address = x->addresses.addresses[x->next++],
            .host = host,
            .tls = x->tls,
            .server_name = x->server_name,
            .ca_pin = x->has_pin ? amm_view(x->pin, sizeof x->pin) : (struct amm_view){0},
            .connect_deadline = CONNECT_SECONDS * AMM_SECOND,
        };
        x->client = amm_http_client_new(&settings, now);
        if (x->client && x->resumes && x->session) {
            amm_http_client_resume(x->client, x->session);
        }
        if (x->client &&
            !amm_http_client_request(x->client, amm_view_str(x->method), amm_view_str(x->target),
                                     amm_view_of(x->fields), amm_view_of(x->body))) {
            snprintf(x->error, sizeof x->error, "the request cannot be made");
            drop_client(x);
        }
    }
    return x->client != NULL;
}

static void watch(struct ace_exchange *x)
{
    int fd = amm_http_client_fd(x->client);
    unsigned interest = amm_http_client_interest(x->client);
    if (fd != x->fd) {
        unwatch(x);
        if (fd >= 0 && amm_loop_add(x->loop, fd, interest, x->client_tag)) {
            x->fd = fd;
        }
    } else if (fd >= 0 && interest != x->interest) {
        amm_loop_change(x->loop, fd, interest, x->client_tag);
    }
    x->interest = interest;
}

static uint32_t retry_after(const struct amm_http_fields *fields)
{
    struct amm_view value = amm_http_field(fields, "retry-after");
    uint32_t seconds = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9' || i == 8) {
            return 0;
        }
        seconds = seconds * 10 + (uint32_t)(value.data[i] - '0');
    }
    return seconds;
}

static bool take_content(struct ace_exchange *x, struct amm_view content)
{
    if (x->answer_len + content.len > ACE_ANSWER_MAX) {
        snprintf(x->error, sizeof x->error, "the answer is larger than %d bytes", ACE_ANSWER_MAX);
        return false;
    }
    uint8_t *grown = realloc(x->answer, x->answer_len + content.len + 1);
    if (!grown) {
        snprintf(x->error, sizeof x->error, "out of memory");
        return false;
    }
    memcpy(grown + x->answer_len, content.data, content.len);
    x->answer = grown;
    x->answer_len += content.len;
    return true;
}

enum progress { WAITS, ENDED, BROKEN };

/* Runs the client until it has nothing to say. */
static enum progress run_client(struct ace_exchange *x, struct amm_now now)
{
    struct amm_http_event event;
    for (;;) {
        amm_http_client_step(x->client, now, &event);
        switch (event.kind) {
        case AMM_HTTP_EVENT_KEY:
        case AMM_HTTP_EVENT_INTERIM:
        case AMM_HTTP_EVENT_UPGRADED: /* not asked for */
        case AMM_HTTP_EVENT_NONE:
            watch(x);
            return WAITS;
        case AMM_HTTP_EVENT_HEAD:
            x->status = event.response->status;
            x->retry_after = retry_after(&event.response->fields);
            break;
        case AMM_HTTP_EVENT_BODY:
            if (!take_content(x, event.content)) {
                x->next = x->addresses.n; /* another address would answer the same */
                return BROKEN;
            }
            break;
        case AMM_HTTP_EVENT_DONE:
            return ENDED;
        case AMM_HTTP_EVENT_FAILED:
            snprintf(x->error, sizeof x->error, "%s", event.error);
            x->tls_failure = event.tls_failure;
            return BROKEN;
        }
    }
}

static void finish(struct ace_exchange *x, struct ace_answer *out)
{
    if (x->client && x->resumes) {
        struct amm_http_session *session = amm_http_client_session(x->client);
        if (session) {
            amm_http_session_free(x->session);
            x->session = session;
        }
    }
    ace_exchange_cancel(x);
    *out = (struct ace_answer){
        .status = x->status,
        .retry_after = x->retry_after,
        .body = amm_view(x->answer, x->answer_len),
        .tls_failure = x->tls_failure,
        .bytes_in = x->bytes_in,
        .bytes_out = x->bytes_out,
    };
    snprintf(out->error, sizeof out->error, "%s", x->error);
}

static void take_lookup(struct ace_exchange *x, struct amm_now now)
{
    if (amm_resolver_take(x->resolver, &x->addresses)) {
        x->is_resolving = false;
        if (x->addresses.n == 0) {
            snprintf(x->error, sizeof x->error, "%.150s: %s", x->host, x->addresses.error);
        }
    } else if (now.mono >= x->lookup_deadline) {
        x->is_resolving = false;
        x->addresses.n = 0;
        snprintf(x->error, sizeof x->error, "%.150s: name lookup takes too long", x->host);
    }
}

enum ace_exchange_result ace_exchange_step(struct ace_exchange *x, struct amm_now now,
                                           struct ace_answer *out)
{
    struct amm_resolve_result stale;
    if (!x->is_busy) {
        amm_resolver_take(x->resolver, &stale); /* of a question that was given up */
        return ACE_EXCHANGE_BUSY;
    }
    if (x->is_resolving) {
        take_lookup(x, now);
        if (x->is_resolving) {
            return ACE_EXCHANGE_BUSY;
        }
    }
    while (x->client || open_next(x, now)) {
        switch (run_client(x, now)) {
        case WAITS:
            return ACE_EXCHANGE_BUSY;
        case ENDED:
            finish(x, out);
            return ACE_EXCHANGE_ANSWERED;
        case BROKEN:
            drop_client(x);
            x->answer_len = 0;
            break;
        }
    }
    finish(x, out);
    return ACE_EXCHANGE_FAILED;
}
