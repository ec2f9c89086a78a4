#include "tls_sessions.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define NONE UINT32_MAX

enum { BUCKETS_MIN = 16 };

/* What is behind the fixed part of an entry, in one allocation. */
struct content {
    struct amm_identity client;
    bool has_client;
    uint8_t session[];
};

struct entry {
    struct tls_session_id id;
    uint32_t next;         /* in its bucket, or in the list of free entries */
    uint32_t newer, older; /* by use */
    uint32_t from, to;     /* before and after in its line of resumptions */
    uint32_t len;
    struct content *content; /* NULL: free */
};

struct tls_sessions {
    atomic_uint refs;
    pthread_mutex_t lock;
    uint32_t n, used, mask;
    uint32_t newest, oldest, free;
    uint32_t fresh; /* entries from here on were never used: their pages do not exist yet */
    uint32_t *buckets;
    struct entry *entries;
};

struct tls_sessions *tls_sessions_new(unsigned n)
{
    struct tls_sessions *sessions = calloc(1, sizeof *sessions);
    if (!sessions) {
        return NULL;
    }
    uint32_t buckets = BUCKETS_MIN;
    while (buckets < n && buckets < UINT32_MAX / 2) {
        buckets *= 2;
    }
    sessions->n = n;
    sessions->mask = buckets - 1;
    sessions->newest = sessions->oldest = sessions->free = NONE;
    sessions->entries = calloc(n, sizeof *sessions->entries);
    sessions->buckets = malloc(buckets * sizeof *sessions->buckets);
    if (!sessions->entries || !sessions->buckets ||
        pthread_mutex_init(&sessions->lock, NULL) != 0) {
        free(sessions->entries);
        free(sessions->buckets);
        free(sessions);
        return NULL;
    }
    for (uint32_t i = 0; i < buckets; i++) {
        sessions->buckets[i] = NONE;
    }
    atomic_init(&sessions->refs, 1);
    return sessions;
}

struct tls_sessions *tls_sessions_ref(struct tls_sessions *sessions)
{
    atomic_fetch_add(&sessions->refs, 1);
    return sessions;
}

static void free_content(struct entry *entry)
{
    if (entry->content) {
        amm_wipe(entry->content, sizeof *entry->content + entry->len);
        free(entry->content);
        entry->content = NULL;
    }
}

struct tls_sessions *tls_sessions_unref(struct tls_sessions *sessions)
{
    if (sessions && atomic_fetch_sub(&sessions->refs, 1) == 1) {
        for (uint32_t i = 0; i < sessions->fresh; i++) {
            free_content(&sessions->entries[i]);
        }
        pthread_mutex_destroy(&sessions->lock);
        free(sessions->entries);
        free(sessions->buckets);
        free(sessions);
    }
    return NULL;
}

/* Ids are random numbers of our own making, so a part of one is its hash. */
static uint32_t *bucket_of(struct tls_sessions *sessions, const struct tls_session_id *id)
{
    return &sessions->buckets[amm_load_u32(id->bytes) & sessions->mask];
}

static uint32_t find(struct tls_sessions *sessions, const struct tls_session_id *id)
{
    uint32_t at = *bucket_of(sessions, id);
    while (at != NONE) {
        const struct entry *entry = &sessions->entries[at];
        if (entry->id.len == id->len && memcmp(entry->id.bytes, id->bytes, id->len) == 0) {
            break;
        }
        at = entry->next;
    }
    return at;
}

static void unlink_use(struct tls_sessions *sessions, uint32_t at)
{
    struct entry *entry = &sessions->entries[at];
    *(entry->newer != NONE ? &sessions->entries[entry->newer].older : &sessions->newest) =
        entry->older;
    *(entry->older != NONE ? &sessions->entries[entry->older].newer : &sessions->oldest) =
        entry->newer;
}

static void link_use(struct tls_sessions *sessions, uint32_t at)
{
    struct entry *entry = &sessions->entries[at];
    entry->newer = NONE;
    entry->older = sessions->newest;
    *(entry->older != NONE ? &sessions->entries[entry->older].newer : &sessions->oldest) = at;
    sessions->newest = at;
}

static void drop(struct tls_sessions *sessions, uint32_t at)
{
    struct entry *entry = &sessions->entries[at];
    uint32_t *link = bucket_of(sessions, &entry->id);
    while (*link != at) {
        link = &sessions->entries[*link].next;
    }
    *link = entry->next;
    unlink_use(sessions, at);
    if (entry->from != NONE) {
        sessions->entries[entry->from].to = NONE;
    }
    if (entry->to != NONE) {
        sessions->entries[entry->to].from = NONE;
    }
    free_content(entry);
    entry->next = sessions->free;
    sessions->free = at;
    sessions->used--;
}

static uint32_t take_entry(struct tls_sessions *sessions)
{
    if (sessions->free == NONE && sessions->fresh < sessions->n) {
        return sessions->fresh++;
    }
    if (sessions->free == NONE) {
        drop(sessions, sessions->oldest);
    }
    uint32_t at = sessions->free;
    sessions->free = sessions->entries[at].next;
    return at;
}

/* The new session follows `from`, whose former follower never arrived, and whose forerunner is not
 * needed any more. */
static void join_line(struct tls_sessions *sessions, uint32_t at, uint32_t from)
{
    struct entry *entry = &sessions->entries[at];
    entry->from = from;
    entry->to = NONE;
    if (from == NONE || from == at) {
        entry->from = NONE;
        return;
    }
    struct entry *before = &sessions->entries[from];
    if (before->from != NONE) {
        drop(sessions, before->from);
    }
    if (before->to != NONE) {
        drop(sessions, before->to);
    }
    before->to = at;
}

static void insert(struct tls_sessions *sessions, const struct tls_session_id *id,
                   struct content *content, size_t len, const struct tls_session_id *from)
{
    uint32_t former = find(sessions, id);
    if (former != NONE) {
        drop(sessions, former);
    }
    uint32_t at = take_entry(sessions);
    struct entry *entry = &sessions->entries[at];
    entry->id = *id;
    entry->len = (uint32_t)len;
    entry->content = content;
    uint32_t *bucket = bucket_of(sessions, id);
    entry->next = *bucket;
    *bucket = at;
    link_use(sessions, at);
    sessions->used++;
    join_line(sessions, at, from ? find(sessions, from) : NONE);
}

void tls_sessions_put(struct tls_sessions *sessions, const struct tls_session_id *id,
                      struct amm_view session, const struct amm_identity *client,
                      const struct tls_session_id *from)
{
    if (sessions->n == 0 || id->len < 4 || session.len == 0 || session.len > TLS_SESSION_MAX) {
        return;
    }
    struct content *content = calloc(1, sizeof *content + session.len);
    if (!content) {
        return;
    }
    memcpy(content->session, session.data, session.len);
    if (client) {
        content->client = *client;
        content->has_client = true;
    }
    pthread_mutex_lock(&sessions->lock);
    insert(sessions, id, content, session.len, from);
    pthread_mutex_unlock(&sessions->lock);
}

size_t tls_sessions_get(struct tls_sessions *sessions, const struct tls_session_id *id,
                        uint8_t out[TLS_SESSION_MAX], struct amm_identity *client, bool *has_client)
{
    if (id->len < 4) {
        return 0;
    }
    size_t len = 0;
    pthread_mutex_lock(&sessions->lock);
    uint32_t at = find(sessions, id);
    if (at != NONE) {
        const struct entry *entry = &sessions->entries[at];
        len = entry->len;
        memcpy(out, entry->content->session, len);
        *client = entry->content->client;
        *has_client = entry->content->has_client;
        unlink_use(sessions, at);
        link_use(sessions, at);
    }
    pthread_mutex_unlock(&sessions->lock);
    return len;
}

unsigned tls_sessions_count(struct tls_sessions *sessions)
{
    pthread_mutex_lock(&sessions->lock);
    unsigned used = sessions->used;
    pthread_mutex_unlock(&sessions->lock);
    return used;
}
