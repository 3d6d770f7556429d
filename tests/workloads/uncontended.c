/* Two threads, each with a mutex of its own: uncontended [MILLISECONDS] */
#include "truth.h"

static int64_t deadline;
static atomic_long locked;

static void *worker(void *unused) {
    pthread_mutex_t own = PTHREAD_MUTEX_INITIALIZER;
    long n = 0;
    while (now_ns() < deadline)
        for (int i = 0; i < 1000; i++, n++) {
            pthread_mutex_lock(&own);
            pthread_mutex_unlock(&own);
        }
    atomic_fetch_add(&locked, n);
    return unused;
}

int main(int argc, char **argv) {
    gate();
    deadline = now_ns() + argument(argc, argv, 1, 1500) * 1000000;
    pthread_t t[2];
    for (int i = 0; i < 2; i++) t[i] = start_thread(worker, NULL);
    finish_threads(t, 2);
    char more[64];
    snprintf(more, sizeof more, "\"iterations\":%ld", atomic_load(&locked));
    report("uncontended", more);
}
