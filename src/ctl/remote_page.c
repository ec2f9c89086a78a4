/* The link that `gateway open` prints: a page on this machine, at a path that nobody can guess,
 * served once. It brings the ticket to the remote session by a form, so that no secret stands in a
 * link, in a history or on a command line. */
#include "remote.h"

#include "base/random.h"
#include "http/server.h"
#include "io/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SECRET = 16, LINGER_MS = 500 };
#define LIFE (29 * AMM_SECOND) /* of a ticket, a little less */

struct page {
    char path[2 * SECRET + 2];
    const char *enter, *ticket;
    bool is_served;
};

/* Neither is from a gateway, but who knows: only what needs no escaping gets into the page. */
static bool is_plain(const char *text)
{
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/") ==
           strlen(text);
}

static void answer(const struct amm_http_call *call, int status, const char *text)
{
    uint8_t room[256];
    struct amm_writer fields = amm_writer(room, sizeof room);
    amm_http_write_field(&fields, "Cache-Control", amm_view_str("no-store"));
    amm_http_write_field(&fields, "Referrer-Policy", amm_view_str("no-referrer"));
    amm_http_answer(call->server, call->ref,
                    &(struct amm_http_reply){.status = status,
                                             .content_type = "text/html; charset=utf-8",
                                             .fields = amm_view(room, amm_writer_len(&fields)),
                                             .body = amm_view_str(text),
                                             .close = true});
}

static void handle(void *context, const struct amm_http_call *call)
{
    struct page *page = context;
    char text[1024];
    if (page->is_served || !amm_view_equal(call->request->path, amm_view_str(page->path)) ||
        !amm_view_equal(call->request->method, amm_view_str("GET"))) {
        answer(call, 404, "<!doctype html><title>ammctl</title><p>Nothing is here.");
        return;
    }
    snprintf(text, sizeof text,
             "<!doctype html><html lang=\"en\"><title>Opening the gateway's page</title>"
             "<form method=\"post\" action=\"%s\"><input type=\"hidden\" name=\"ticket\" "
             "value=\"%s\"><button>Open the gateway's page</button></form>"
             "<script>document.forms[0].submit()</script>",
             page->enter, page->ticket);
    page->is_served = true;
    answer(call, 200, text);
    amm_wipe(text, sizeof text);
}

/* On loopback, at a port that is free; -1 after saying why not. */
static int listen_here(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, 8) != 0 || getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        ctl_fail(CTL_FAILED, "cannot listen on 127.0.0.1: %s", strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    *port = ntohs(address.sin_port);
    return fd;
}

static void serve(struct amm_http_server *server, const struct page *page)
{
    amm_time until = amm_time_after(amm_now().mono, LIFE);
    bool was_served = false;
    while (amm_now().mono < until) {
        struct pollfd fd = {.fd = amm_http_server_fd(server), .events = POLLIN};
        poll(&fd, 1, LINGER_MS);
        amm_http_server_step(server);
        if (page->is_served && !was_served) {
            was_served = true; /* the last bytes go out */
            until = amm_time_after(amm_now().mono, 2 * LINGER_MS * AMM_MILLISECOND);
        }
    }
}

enum ctl_exit ctl_remote_page(const char *enter, const char *ticket)
{
    struct amm_random random = amm_kernel_random();
    struct amm_http_settings settings;
    struct page page = {.enter = enter, .ticket = ticket};
    uint8_t secret[SECRET];
    uint16_t port;
    amm_random_fill(&random, secret, sizeof secret);
    page.path[0] = '/';
    amm_hex(page.path + 1, amm_view(secret, sizeof secret));
    int fd = is_plain(enter) && is_plain(ticket) ? listen_here(&port) : -1;
    if (fd < 0) {
        return CTL_FAILED;
    }
    amm_http_settings_init(&settings);
    settings.handle = handle;
    settings.context = &page;
    settings.connections = 16;
    struct amm_http_server *server = amm_http_server_new(&settings);
    if (!server || !amm_http_server_listen(server, fd, NULL, 1)) {
        amm_http_server_free(server);
        return (enum ctl_exit)ctl_fail(CTL_FAILED, "out of memory");
    }
    printf("http://127.0.0.1:%u%s\n", port, page.path);
    fflush(stdout);
    fprintf(stderr, "open this link in a browser on this machine within 30 s; it works once\n");
    serve(server, &page);
    amm_http_server_free(server);
    return page.is_served ? CTL_OK
                          : (enum ctl_exit)ctl_fail(CTL_FAILED, "nobody opened the link in time");
}
