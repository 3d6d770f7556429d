/* Threads that wait once and end, so many that thread ids are used again: tid_reuse [THREADS] */
#include "truth.h"

#define BATCH 50
static atomic_uint words[BATCH];
static atomic_int ready;
static atomic_uchar seen[1 << 22];
static atomic_long reused;

static NOINLINE void wait_once(atomic_uint *word) {
    WAITING(while (!atomic_load(word)) futex(word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0));
}

static void *sleeper(void *p) {
    if (atomic_fetch_add(&seen[gettid() & ((1 << 22) - 1)], 1)) atomic_fetch_add(&reused, 1);
    atomic_fetch_add(&ready, 1);
    wait_once(p);
    return NULL;
}

int main(int argc, char **argv) {
    gate();
    long batches = argument(argc, argv, 1, 5000) / BATCH;
    pthread_t t[BATCH];
    for (long b = 0; b < batches; b++) {
        atomic_store(&ready, 0);
        for (int i = 0; i < BATCH; i++) {
            atomic_store(&words[i], 0);
            t[i] = start_thread(sleeper, &words[i]);
        }
        while (atomic_load(&ready) < BATCH) nap_us(200);
        nap_us(3000);
        for (int i = 0; i < BATCH; i++) {
            atomic_store(&words[i], 1);
            futex(&words[i], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
        }
        finish_threads(t, BATCH);
    }
    char more[64];
    snprintf(more, sizeof more, "\"threads\":%ld,\"reused\":%ld", batches * BATCH, atomic_load(&reused));
    report("tid_reuse", more);
}
