/* Driver for builds without libFuzzer: runs a target over its corpus, then over seeded mutations of
 * it and over noise, so that the test suite smokes every target under the sanitizers.
 *
 *   fuzz_x CORPUS [RUNS [SEED [FINDING]]]      CORPUS may also be one file: repeats a finding
 *
 * FINDING is where the input of a crash is left. */
#include "base/random.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 8192, INPUTS_MAX = 256 };

static struct input {
    uint8_t *data;
    size_t len;
} inputs[INPUTS_MAX];
static unsigned n_inputs;

static const char *finding_path = "fuzz-finding.bin";

static void add_input(const char *path)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || n_inputs == INPUTS_MAX) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    uint8_t *data = malloc(INPUT_MAX);
    ssize_t len = data ? read(fd, data, INPUT_MAX) : -1;
    close(fd);
    if (len < 0) {
        free(data);
        return;
    }
    inputs[n_inputs++] = (struct input){data, (size_t)len};
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void read_corpus(const char *path)
{
    struct dirent **names = NULL;
    int n = scandir(path, &names, NULL, by_name);
    if (n < 0) {
        add_input(path);
        return;
    }
    for (int i = 0; i < n; i++) {
        char file[4096];
        snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.') {
            add_input(file);
        }
        free(names[i]);
    }
    free(names);
}

/* The target gets memory of the exact size, so that reading past its end is seen. */
static void run_one(const uint8_t *data, size_t len)
{
    uint8_t *exact = malloc(len ? len : 1);
    if (!exact) {
        abort();
    }
    memcpy(exact, data, len);
    LLVMFuzzerTestOneInput(exact, len);
    free(exact);
}

static size_t cross_over(const struct amm_random *random, uint8_t *data, size_t len)
{
    const struct input *other = &inputs[amm_random_below(random, n_inputs)];
    size_t from = amm_random_below(random, other->len + 1);
    size_t at = amm_random_below(random, len + 1);
    size_t n = other->len - from;
    n = n > INPUT_MAX - at ? INPUT_MAX - at : n;
    memcpy(data + at, other->data + from, n);
    return at + n;
}

static size_t mutate(const struct amm_random *random, uint8_t *data, size_t len)
{
    static const uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xff};
    size_t at = amm_random_below(random, len + 1);
    switch (amm_random_below(random, 7)) {
    case 0:
        return at; /* cut */
    case 1:
        return cross_over(random, data, len);
    case 2:
        if (len < INPUT_MAX) { /* insert */
            memmove(data + at + 1, data + at, len - at);
            data[at] = (uint8_t)amm_random_below(random, 256);
            len++;
        }
        return len;
    case 3:
        if (at < len) { /* delete */
            memmove(data + at, data + at + 1, len - at - 1);
            len--;
        }
        return len;
    case 4:
        if (at < len) {
            data[at] = edges[amm_random_below(random, sizeof edges)];
        }
        return len;
    default:
        if (at < len) {
            data[at] ^= (uint8_t)(1u << amm_random_below(random, 8));
        }
        return len;
    }
}

static size_t next_input(const struct amm_random *random, uint8_t *data)
{
    if (n_inputs == 0 || amm_random_below(random, 8) == 0) {
        size_t len = amm_random_below(random, amm_random_below(random, 4) == 0 ? INPUT_MAX : 300);
        amm_random_fill(random, data, len);
        return len;
    }
    const struct input *input = &inputs[amm_random_below(random, n_inputs)];
    size_t len = input->len;
    memcpy(data, input->data, len);
    for (uint64_t n = 1 + amm_random_below(random, 8); n > 0; n--) {
        len = mutate(random, data, len);
    }
    return len;
}

/* The input is in a file before it runs; after a crash it stays there, as the finding. */
static void keep_input(int fd, const uint8_t *data, size_t len)
{
    if (fd >= 0 && (pwrite(fd, data, len, 0) != (ssize_t)len || ftruncate(fd, (off_t)len) != 0)) {
        perror(finding_path);
    }
}

int main(int argc, char **argv)
{
    static uint8_t data[INPUT_MAX];
    struct amm_seeded_random seeded;
    uint64_t runs = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    if (argc < 2) {
        fprintf(stderr, "usage: %s CORPUS|FILE [RUNS [SEED [FINDING]]]\n", argv[0]);
        return 2;
    }
    if (argc > 4) {
        finding_path = argv[4];
    }
    read_corpus(argv[1]);
    int keep = runs > 0 ? open(finding_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    for (unsigned i = 0; i < n_inputs; i++) {
        keep_input(keep, inputs[i].data, inputs[i].len);
        run_one(inputs[i].data, inputs[i].len);
    }
    amm_seeded_random_init(&seeded, seed);
    struct amm_random random = amm_seeded_random(&seeded);
    for (uint64_t i = 0; i < runs; i++) {
        size_t len = next_input(&random, data);
        keep_input(keep, data, len);
        run_one(data, len);
    }
    printf("%u inputs of the corpus, %llu others\n", n_inputs, (unsigned long long)runs);
    for (unsigned i = 0; i < n_inputs; i++) {
        free(inputs[i].data);
    }
    if (keep >= 0) {
        close(keep);
        unlink(finding_path);
    }
    return 0;
}
