/* Our codec beside llhttp, over a table and mutations of it.
 *
 *   compare_llhttp TABLE requests|responses RUNS [SEED]     compares; exit code 1 if they differ
 *   compare_llhttp TABLE requests RUNS SEED --print         both readings, a line for each input:
 *                                                           tests/system/test_http_codec.py asks
 *                                                           nginx the same
 *
 * Where both take a message it is the same one: method, target, body, and where it ends. Where one
 * refuses, the other may do what it likes: that nothing is taken which llhttp and nginx both refuse
 * is that test's business; here it is only counted, by llhttp's reason. */
#include "mutate.h"
#include "reading.h"

#include <stdio.h>
#include <stdlib.h>

enum { INPUT_MAX = 4096, REASONS_MAX = 32 };

static struct reading ours, theirs;
static unsigned long both; /* messages that both took */
static struct {
    char name[64];
    unsigned n;
} lenient[REASONS_MAX];

static void print_hex(struct amm_view bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        printf("%02x", bytes.data[i]);
    }
}

static void print_reading(const struct reading *reading)
{
    static const char *const ends[] = {"clean", "more", "closed", "refused"};
    for (size_t i = 0; i < reading->n; i++) {
        const struct message *message = &reading->at[i];
        printf("%s,", message->method);
        print_hex(message->target);
        printf(",");
        print_hex(message->body);
        printf(";");
    }
    printf("%s", ends[reading->end]);
    printf("%s%s", reading->end == END_REFUSED ? " " : "", reading->reason);
}

static void print_both(struct amm_view bytes)
{
    print_hex(bytes);
    printf("\t");
    print_reading(&ours);
    printf("\t");
    print_reading(&theirs);
    printf("\n");
}

static const char *differ(const struct message *a, const struct message *b)
{
    return strcmp(a->method, b->method) != 0       ? "method or status"
           : !amm_view_equal(a->target, b->target) ? "target"
           : !amm_view_equal(a->body, b->body)     ? "body"
           : a->end != b->end                      ? "end"
                                                   : NULL;
}

static void count_lenient(const char *reason)
{
    for (size_t i = 0; i < REASONS_MAX; i++) {
        if (lenient[i].n == 0 || strcmp(lenient[i].name, reason) == 0) {
            snprintf(lenient[i].name, sizeof lenient[i].name, "%s", reason);
            lenient[i].n++;
            return;
        }
    }
}

/* What is wrong; NULL: nothing. */
static const char *compare(void)
{
    size_t n = ours.n < theirs.n ? ours.n : theirs.n;
    for (size_t i = 0; i < n; i++) {
        const char *what = differ(&ours.at[i], &theirs.at[i]);
        if (what != NULL) {
            return what;
        }
    }
    both += n;
    const struct reading *shorter = ours.n < theirs.n ? &ours : &theirs;
    if (ours.n != theirs.n && (shorter->end == END_MORE || shorter->end == END_CLEAN)) {
        return ours.n < theirs.n ? "llhttp sees a message more" : "we see a message more";
    }
    if (ours.n > theirs.n && theirs.end == END_REFUSED) {
        count_lenient(theirs.reason);
    }
    return NULL;
}

static bool check(struct amm_view bytes, enum reading_of what, const char *name)
{
    reading_by_codec(&ours, bytes, what);
    reading_by_llhttp(&theirs, bytes, what);
    const char *wrong = compare();
    if (wrong != NULL) {
        printf("%s: %s\n", name, wrong);
        print_both(bytes);
    }
    return wrong == NULL;
}

static void report(size_t inputs)
{
    printf("%zu inputs, %lu messages taken by both, as the same; by us alone:\n", inputs, both);
    for (size_t i = 0; i < REASONS_MAX && lenient[i].n > 0; i++) {
        printf("  %6u  %s\n", lenient[i].n, lenient[i].name);
    }
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: %s TABLE requests|responses RUNS [SEED [--print]]\n", argv[0]);
        return 2;
    }
    struct http_cases cases = http_cases_read(argv[1]);
    enum reading_of what = strcmp(argv[2], "requests") == 0 ? READ_REQUESTS : READ_RESPONSES;
    unsigned long runs = strtoul(argv[3], NULL, 10);
    bool print = argc > 5;
    unsigned bad = 0;
    for (size_t i = 0; i < cases.n; i++) {
        const struct http_case *one = &cases.at[i];
        if (!one->connect) {
            bad += !check(amm_view(one->bytes, one->len), one->head ? READ_RESPONSES_TO_HEAD : what,
                          one->name);
            if (print) {
                print_both(amm_view(one->bytes, one->len));
            }
        }
    }
    struct amm_seeded_random seeded;
    amm_seeded_random_init(&seeded, argc > 4 ? strtoul(argv[4], NULL, 10) : 1);
    struct amm_random random = amm_seeded_random(&seeded);
    for (unsigned long i = 0; i < runs && bad < 20; i++) {
        uint8_t input[INPUT_MAX];
        size_t len = mutate_case(&random, &cases, input, sizeof input);
        bad += !check(amm_view(input, len), what, "mutation");
        if (print) {
            print_both(amm_view(input, len));
        }
    }
    if (!print) {
        report(cases.n + runs);
    }
    http_cases_free(&cases);
    return bad > 0;
}
