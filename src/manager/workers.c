/* A few threads for what is slow: password hashes, backups. They own nothing. */
#include "manager/core.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct piece {
    struct core_item item; /* its way back to the fleet thread */
    struct piece *next;
    struct workers *workers;
    void (*work)(void *context);
    void (*done)(struct manager *m, void *context);
    void *context;
};

struct workers {
    struct manager *m;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct piece *first, **last;
    unsigned waiting, limit, n;
    bool stopped;
    pthread_t threads[MANAGER_THREADS_MAX];
};

static void *serve(void *context)
{
    struct workers *workers = context;
    pthread_mutex_lock(&workers->lock);
    for (;;) {
        while (workers->first == NULL && !workers->stopped) {
            pthread_cond_wait(&workers->more, &workers->lock);
        }
        struct piece *piece = workers->first;
        if (piece == NULL) {
            break;
        }
        workers->first = piece->next;
        if (workers->first == NULL) {
            workers->last = &workers->first;
        }
        workers->waiting--;
        pthread_mutex_unlock(&workers->lock);
        piece->work(piece->context);
        core_queue(workers->m->core, &piece->item, CORE_URGENT, 0);
        pthread_mutex_lock(&workers->lock);
    }
    pthread_mutex_unlock(&workers->lock);
    return NULL;
}

static void come_back(struct manager *m, void *context)
{
    struct piece *piece = context;
    piece->done(m, piece->context);
}

bool workers_add(struct workers *workers, void (*work)(void *context),
                 void (*done)(struct manager *m, void *context), void *context)
{
    struct piece *piece = malloc(sizeof *piece);
    if (piece == NULL) {
        return false;
    }
    *piece = (struct piece){.work = work, .done = done, .context = context, .workers = workers};
    /* The item is the first member: the fleet thread frees both when it is through. */
    piece->item = (struct core_item){.run = come_back, .context = piece, .is_own = true};
    pthread_mutex_lock(&workers->lock);
    bool room = workers->waiting < workers->limit && !workers->stopped;
    if (room) {
        *workers->last = piece;
        workers->last = &piece->next;
        workers->waiting++;
        pthread_cond_signal(&workers->more);
    }
    pthread_mutex_unlock(&workers->lock);
    if (!room) {
        free(piece);
    }
    return room;
}

struct workers *workers_new(struct manager *m, unsigned threads, unsigned limit)
{
    struct workers *workers = calloc(1, sizeof *workers);
    if (workers == NULL) {
        return NULL;
    }
    workers->m = m;
    workers->limit = limit;
    workers->last = &workers->first;
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->more, NULL);
    while (workers->n < threads && workers->n < MANAGER_THREADS_MAX) {
        if (pthread_create(&workers->threads[workers->n], NULL, serve, workers) != 0) {
            return workers_free(workers);
        }
        workers->n++;
    }
    return workers;
}

struct workers *workers_free(struct workers *workers)
{
    if (workers == NULL) {
        return NULL;
    }
    pthread_mutex_lock(&workers->lock);
    workers->stopped = true;
    pthread_cond_broadcast(&workers->more);
    pthread_mutex_unlock(&workers->lock);
    for (unsigned i = 0; i < workers->n; i++) {
        pthread_join(workers->threads[i], NULL);
    }
    pthread_mutex_destroy(&workers->lock);
    pthread_cond_destroy(&workers->more);
    free(workers);
    return NULL;
}
