/* Many threads asleep at once, each on a word of its own: sleepers [THREADS] [MILLISECONDS] */
#include "truth.h"

static atomic_int ready;

static NOINLINE void sleep_on(atomic_uint *word) {
    WAITING(while (!atomic_load(word)) futex(word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0));
}

static void *sleeper(void *p) {
    atomic_fetch_add(&ready, 1);
    sleep_on(p);
    return NULL;
}

int main(int argc, char **argv) {
    gate();
    int n = (int)argument(argc, argv, 1, 10000);
    long ms = argument(argc, argv, 2, 2000);
    pthread_t *t = calloc(n, sizeof *t);
    atomic_uint *words = calloc(n, sizeof *words);
    for (int i = 0; i < n; i++) t[i] = start_thread_sized(sleeper, &words[i], 32768);
    while (atomic_load(&ready) < n) nap_us(1000);
    nap_us(ms * 1000);
    for (int i = 0; i < n; i++) {
        atomic_store(&words[i], 1);
        futex(&words[i], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
    finish_threads(t, n);
    char more[64];
    snprintf(more, sizeof more, "\"threads\":%d", n);
    report("sleepers", more);
}
