/* ammctl gateway fetch: one page of a gateway's own web server, through its tunnel.
 *
 * What amm-proxyd will do for a browser, by hand and as the same user: inside the tunnels'
 * namespace, with the proxy's user id, because the packet filter lets nobody else open connections
 * to gateways. */
#include "fetch.h"

#include "io/netns.h"
#include "io/privilege.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { FETCH_SECONDS = 10, FETCH_MAX = 16 << 20 };

/* Enters the tunnels' namespace and becomes the proxy's user, for good. */
static enum ctl_exit become_proxy(const char *namespace_name, const char *proxy_user)
{
    char error[256];
    if (geteuid() != 0) {
        return ctl_fail(
            CTL_FAILED,
            "gateway fetch enters the tunnels' namespace as the proxy's user: run it as root");
    }
    struct amm_user user;
    if (!amm_user_find(proxy_user, &user, error, sizeof error)) {
        return ctl_fail(CTL_USAGE, "proxy-user: %s", error);
    }
    if (strcmp(namespace_name, "host") != 0) {
        int netns = amm_netns_open(namespace_name, error, sizeof error);
        if (netns < 0 || setns(netns, CLONE_NEWNET) != 0) {
            return ctl_fail(CTL_FAILED, "cannot enter the namespace %s: %s", namespace_name,
                            netns < 0 ? error : strerror(errno));
        }
        close(netns);
    }
    if (!amm_privileges_drop(&user, error, sizeof error)) {
        return ctl_fail(CTL_FAILED, "%s", error);
    }
    return CTL_OK;
}

static int connect_gateway(const struct fetch *fetch)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(fetch->port), .sin_addr.s_addr = htonl(fetch->ip)};
    char ip[AMM_IPV4_TEXT];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval limit = {.tv_sec = FETCH_SECONDS};
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        const char *why =
            errno == EINPROGRESS || errno == EAGAIN ? "no answer within 10 s" : strerror(errno);
        ctl_fail(CTL_FAILED, "%s:%u: %s%s", amm_ipv4_text(fetch->ip, ip), fetch->port, why,
                 errno == ECONNREFUSED ? " (is the gateway's page on this port?)" : "");
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

/* Writes all of the request; reads until the gateway closes. `*out` is malloc'd. */
static bool exchange(SSL *tls, const struct fetch *fetch, uint8_t **out, size_t *len)
{
    char request[2048], ip[AMM_IPV4_TEXT];
    int n = snprintf(request, sizeof request,
                     "GET %s HTTP/1.0\r\nHost: %s:%u\r\nUser-Agent: ammctl\r\nAccept: "
                     "*/*\r\nConnection: close\r\n\r\n",
                     fetch->path, amm_ipv4_text(fetch->ip, ip), fetch->port);
    if (n < 0 || (size_t)n >= sizeof request || SSL_write(tls, request, n) != n) {
        return false;
    }
    size_t room = 65536;
    uint8_t *answer = malloc(room);
    *len = 0;
    while (answer != NULL) {
        int got = SSL_read(tls, answer + *len, (int)(room - *len));
        if (got <= 0) {
            break;
        }
        *len += (size_t)got;
        if (*len == room) {
            room *= 2;
            uint8_t *more = room <= FETCH_MAX ? realloc(answer, room) : NULL;
            if (more == NULL) {
                free(answer);
            }
            answer = more;
        }
    }
    *out = answer;
    return answer != NULL;
}

/* What a gateway says is not to steer the operator's terminal; a file or a pipe gets every byte. */
static void print_bytes(const uint8_t *bytes, size_t len)
{
    if (!isatty(STDOUT_FILENO)) {
        fwrite(bytes, 1, len, stdout);
        return;
    }
    for (size_t i = 0; i < len; i++) {
        bool steers = (bytes[i] < ' ' && bytes[i] != '\n' && bytes[i] != '\t') || bytes[i] >= 0x7f;
        if (!steers || bytes[i] != '\r') {
            putchar(steers ? '?' : bytes[i]);
        }
    }
}

/* Prints the answer: the body, or with `head` all of it. The status line decides the exit code. */
static enum ctl_exit print_answer(const struct fetch *fetch, const uint8_t *answer, size_t len)
{
    const uint8_t *end = memmem(answer, len, "\r\n\r\n", 4);
    if (len < 12 || memcmp(answer, "HTTP/1.", 7) != 0 || end == NULL) {
        return ctl_fail(CTL_FAILED, "the gateway's answer is not HTTP");
    }
    size_t body = fetch->head ? 0 : (size_t)(end + 4 - answer);
    print_bytes(answer + body, len - body);
    fflush(stdout);
    if (answer[9] != '2' && answer[9] != '3') {
        char line[128];
        const uint8_t *eol = memchr(answer, '\r', len);
        amm_text_clean(line, sizeof line, amm_view(answer, (size_t)(eol - answer)));
        return ctl_fail(CTL_FAILED, "the gateway answered %s", line);
    }
    return CTL_OK;
}

static enum ctl_exit fetch_over(int fd, const struct fetch *fetch)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *tls = context ? SSL_new(context) : NULL;
    enum ctl_exit status = CTL_FAILED;
    uint8_t *answer = NULL;
    size_t len = 0;
    /* The gateway's certificate is its own; who it is was proven by the tunnel, whose address this
     * is. Keys get pinned by amm-proxyd. */
    if (tls == NULL || SSL_set_fd(tls, fd) != 1 || SSL_connect(tls) != 1) {
        char why[160];
        unsigned long code = ERR_get_error();
        ERR_error_string_n(code, why, sizeof why);
        ctl_fail(status, "TLS with the gateway failed: %s", code ? why : "no answer");
    } else if (!exchange(tls, fetch, &answer, &len)) {
        ctl_fail(status, "the gateway's answer could not be read (over %d MiB, or cut off)",
                 FETCH_MAX >> 20);
    } else {
        status = print_answer(fetch, answer, len);
    }
    free(answer);
    SSL_free(tls);
    SSL_CTX_free(context);
    return status;
}

enum ctl_exit ctl_fetch(const struct fetch *fetch, const char *namespace_name,
                        const char *proxy_user)
{
    for (const char *c = fetch->path; *c != '\0'; c++) {
        if (!isgraph((unsigned char)*c)) {
            return ctl_fail(CTL_USAGE, "the path must not contain spaces or control characters");
        }
    }
    if (fetch->path[0] != '/' || strlen(fetch->path) > 1024) {
        return ctl_fail(CTL_USAGE, "the path begins with / and has at most 1024 characters");
    }
    enum ctl_exit status = become_proxy(namespace_name, proxy_user);
    if (status != CTL_OK) {
        return status;
    }
    int fd = connect_gateway(fetch);
    if (fd < 0) {
        return CTL_FAILED;
    }
    status = fetch_over(fd, fetch);
    close(fd);
    return status;
}
