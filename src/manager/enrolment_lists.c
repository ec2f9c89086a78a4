/* The revocation lists that amm-tunneld reads: signed by amm-cad, written here, in one step. */
#include "manager/enrolment_parts.h"

#include "io/file.h"
#include "io/log.h"
#include "io/privilege.h"
#include "tunnel.h"

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LISTS_MAX = 64 << 20 };

/* What a worker writes. */
struct file {
    const char *path;
    char *text;
    size_t len;
    bool ok;
    char error[256];
};

static const char *path_of(const struct manager *m)
{
    return m->config->tunneld.crl;
}

/* As root: a folder of ammd's own, if it is missing. One that is there keeps its owner. */
bool enrolment_lists_prepare(struct manager *m, char *error, size_t room)
{
    char folder[AMM_CONF_TEXT];
    struct amm_user user;
    if (path_of(m)[0] == '\0') {
        return true;
    }
    snprintf(folder, sizeof folder, "%s", path_of(m));
    const char *parent = dirname(folder);
    if (strcmp(parent, m->config->tunneld.pki) == 0) {
        amm_log(AMM_LOG_WARNING, "list-in-pki", amm_field_text("file", path_of(m)),
                amm_field_text("cure", "ammd cannot write there: set crl in amm.conf, as "
                                       "/var/lib/amm/tunnel/crl.pem"));
        return true;
    }
    if (geteuid() != 0 || access(parent, F_OK) == 0) {
        return true;
    }
    return amm_user_find(m->config->user, &user, error, room) &&
           amm_directory_make(parent, 0755, error, room) &&
           amm_directory_give(parent, user.uid, user.gid, error, room);
}

static void write_file(void *context)
{
    struct file *file = context;
    file->ok = amm_file_write(file->path, amm_view(file->text, file->len), 0644, file->error,
                              sizeof file->error);
}

static void written(struct manager *m, void *context)
{
    struct file *file = context;
    struct enrolment *e = m->enrolment;
    e->lists_busy = false;
    e->lists_failed = !file->ok;
    if (file->ok) {
        tunnel_reload(m);
    } else {
        amm_log(AMM_LOG_ERROR, "list-not-written", amm_field_text("why", file->error));
    }
    free(file->text);
    free(file);
    if (e->lists_again) {
        enrolment_lists_fetch(m);
    }
}

static void give_up(struct enrolment *e)
{
    free(e->lists);
    e->lists = NULL;
    e->lists_len = e->lists_room = 0;
    e->lists_busy = false;
    e->lists_failed = true; /* the tick tries again */
}

static void hand_to_worker(struct manager *m)
{
    struct enrolment *e = m->enrolment;
    struct file *file = calloc(1, sizeof *file);
    if (file) {
        *file = (struct file){.path = path_of(m), .text = e->lists, .len = e->lists_len};
    }
    if (!file || !manager_work(m, write_file, written, file)) {
        free(file);
        give_up(e);
        return;
    }
    e->lists = NULL;
    e->lists_len = e->lists_room = 0;
}

static bool add_part(struct enrolment *e, const char *text)
{
    size_t len = strlen(text);
    if (e->lists_len + len + 1 > e->lists_room) {
        size_t room = 2 * (e->lists_len + len + 1);
        char *more = room <= LISTS_MAX ? realloc(e->lists, room) : NULL;
        if (!more) {
            return false;
        }
        e->lists = more;
        e->lists_room = room;
    }
    memcpy(e->lists + e->lists_len, text, len + 1);
    e->lists_len += len;
    return true;
}

static void part_came(struct manager *m, void *context, const struct amm_cad_message *answer)
{
    struct enrolment *e = m->enrolment;
    if ((uintptr_t)context != e->lists_round) {
        return; /* of one that was given up */
    }
    if (answer && answer->type == AMM_CAD_PART && e->lists_busy && add_part(e, answer->text)) {
        return;
    }
    if (answer && answer->type == AMM_CAD_DONE && e->lists_busy && e->lists_len > 0) {
        hand_to_worker(m);
        return;
    }
    if (e->lists_busy) {
        give_up(e);
    }
}

void enrolment_lists_fetch(struct manager *m)
{
    struct enrolment *e = m->enrolment;
    if (path_of(m)[0] == '\0') {
        return;
    }
    if (e->lists_busy) {
        e->lists_again = true; /* what was revoked since may not be in it */
        return;
    }
    e->lists_again = false;
    e->lists_busy = cad_link_ask(e->link, &(struct amm_cad_message){.type = AMM_CAD_LISTS},
                                 part_came, (void *)++e->lists_round);
    if (!e->lists_busy) {
        e->lists_failed = true;
    }
}
