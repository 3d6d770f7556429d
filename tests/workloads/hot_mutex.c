/* One mutex that all threads want: hot_mutex [THREADS] [HOLD_US] [MILLISECONDS] */
#include "truth.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long hold_us;
static int64_t deadline;
static int others;
/* Guarded by `lock`. */
static long releases, contended_releases;
static int64_t last_release;
static double charge_squares;

/* A release with waiters (the word is 2) is charged with their waiting since the one before. */
static NOINLINE void note_release(void) {
    int64_t now = now_ns();
    releases++;
    if (lock.__data.__lock == 2) {
        double charge = (double)(now - last_release) * others;
        contended_releases++;
        charge_squares += charge * charge;
    }
    last_release = now;
}

static NOINLINE void take_hot(void) { WAITING(pthread_mutex_lock(&lock)); }
static NOINLINE void release_hot(void) { pthread_mutex_unlock(&lock); }

static NOINLINE void hot_section(void) {
    take_hot();
    nap_us(hold_us);
    note_release();
    release_hot();
}

static void *worker(void *unused) {
    while (now_ns() < deadline) {
        hot_section();
        nap_us(hold_us / 4);
    }
    return unused;
}

int main(int argc, char **argv) {
    gate();
    int n = (int)argument(argc, argv, 1, 8);
    hold_us = argument(argc, argv, 2, 500);
    last_release = now_ns();
    deadline = last_release + argument(argc, argv, 3, 2500) * 1000000;
    others = n - 1;
    pthread_t t[n];
    for (int i = 0; i < n; i++) t[i] = start_thread(worker, NULL);
    finish_threads(t, n);
    char more[256];
    snprintf(more, sizeof more, "\"releases\":%ld,\"contended_releases\":%ld,\"charge_squares\":%.17g", releases,
             contended_releases, charge_squares);
    report("hot_mutex", more);
}
