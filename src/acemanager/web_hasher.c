#include "web_hasher.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { STACK = 128 * 1024 };

enum slot_state { FREE, WAITING, UNDER_WAY, DONE };

struct web_hasher {
    pthread_mutex_t lock; /* of everything below */
    pthread_cond_t work;
    pthread_t thread;
    bool stop;
    uint64_t order; /* jobs are done in the order in which they came */
    struct slot {
        enum slot_state state;
        uint64_t order;
        struct web_hasher_job job;
    } at[WEB_HASHER_JOBS];
    int bell;
    struct amm_random random;
};

static struct slot *first(struct web_hasher *hasher, enum slot_state state)
{
    struct slot *found = NULL;
    for (size_t i = 0; i < WEB_HASHER_JOBS; i++) {
        struct slot *slot = &hasher->at[i];
        if (slot->state == state && (!found || slot->order < found->order)) {
            found = slot;
        }
    }
    return found;
}

static void work(struct web_hasher_job *job, const struct amm_random *random)
{
    job->is_right = web_password_right(job->password, job->hash);
    if (job->kind == WEB_CHANGE && job->is_right) {
        job->failed = !web_password_hash(job->new_password, random, job->new_hash);
    }
    amm_wipe(job->password, sizeof job->password);
    amm_wipe(job->new_password, sizeof job->new_password);
}

static void *run(void *context)
{
    struct web_hasher *hasher = context;
    pthread_mutex_lock(&hasher->lock);
    while (!hasher->stop) {
        struct slot *slot = first(hasher, WAITING);
        if (!slot) {
            pthread_cond_wait(&hasher->work, &hasher->lock);
            continue;
        }
        slot->state = UNDER_WAY; /* nobody else touches the job now */
        pthread_mutex_unlock(&hasher->lock);
        work(&slot->job, &hasher->random);
        pthread_mutex_lock(&hasher->lock);
        slot->state = DONE;
        eventfd_write(hasher->bell, 1);
    }
    pthread_mutex_unlock(&hasher->lock);
    return NULL;
}

struct web_hasher *web_hasher_new(struct amm_random random)
{
    struct web_hasher *hasher = calloc(1, sizeof *hasher);
    pthread_attr_t attributes;
    if (!hasher) {
        return NULL;
    }
    hasher->random = random;
    hasher->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&hasher->lock, NULL);
    pthread_cond_init(&hasher->work, NULL);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    bool ok = hasher->bell >= 0 && pthread_create(&hasher->thread, &attributes, run, hasher) == 0;
    pthread_attr_destroy(&attributes);
    if (!ok) {
        if (hasher->bell >= 0) {
            close(hasher->bell);
        }
        free(hasher);
        return NULL;
    }
    return hasher;
}

struct web_hasher *web_hasher_free(struct web_hasher *hasher)
{
    if (hasher) {
        pthread_mutex_lock(&hasher->lock);
        hasher->stop = true;
        pthread_cond_signal(&hasher->work);
        pthread_mutex_unlock(&hasher->lock);
        pthread_join(hasher->thread, NULL);
        pthread_cond_destroy(&hasher->work);
        pthread_mutex_destroy(&hasher->lock);
        close(hasher->bell);
        amm_wipe(hasher, sizeof *hasher);
        free(hasher);
    }
    return NULL;
}

int web_hasher_fd(const struct web_hasher *hasher)
{
    return hasher->bell;
}

bool web_hasher_submit(struct web_hasher *hasher, const struct web_hasher_job *job)
{
    pthread_mutex_lock(&hasher->lock);
    struct slot *slot = first(hasher, FREE);
    if (slot) {
        slot->job = *job;
        slot->order = ++hasher->order;
        slot->state = WAITING;
        pthread_cond_signal(&hasher->work);
    }
    pthread_mutex_unlock(&hasher->lock);
    return slot != NULL;
}

bool web_hasher_take(struct web_hasher *hasher, struct web_hasher_job *out)
{
    eventfd_t ignored;
    pthread_mutex_lock(&hasher->lock);
    eventfd_read(hasher->bell, &ignored);
    struct slot *slot = first(hasher, DONE);
    if (slot) {
        *out = slot->job;
        amm_wipe(&slot->job, sizeof slot->job);
        slot->state = FREE;
        if (first(hasher, DONE)) {
            eventfd_write(hasher->bell, 1);
        }
    }
    pthread_mutex_unlock(&hasher->lock);
    return slot != NULL;
}
