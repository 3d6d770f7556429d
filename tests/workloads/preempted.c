/* More spinning threads than processors, some with futex calls that never sleep, so that threads
 * are preempted everywhere, also inside futex calls: preempted [MILLISECONDS] */
#include "truth.h"

static int64_t deadline;
static atomic_long preemptions;

static void *worker(void *p) {
    pthread_mutex_t own = PTHREAD_MUTEX_INITIALIZER;
    unsigned word = 1;
    struct rusage u;
    while (now_ns() < deadline)
        for (int i = 0; i < 200; i++) {
            pthread_mutex_lock(&own);
            pthread_mutex_unlock(&own);
            if (p) {
                futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
                futex(&word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
            }
        }
    getrusage(RUSAGE_THREAD, &u);
    atomic_fetch_add(&preemptions, u.ru_nivcsw);
    return NULL;
}

int main(int argc, char **argv) {
    gate();
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    int n = (int)(4 * cpus);
    deadline = now_ns() + argument(argc, argv, 1, 2000) * 1000000;
    pthread_t t[n];
    for (int i = 0; i < n; i++) t[i] = start_thread(worker, i % 2 ? &deadline : NULL);
    finish_threads(t, n);
    char more[64];
    snprintf(more, sizeof more, "\"preemptions\":%ld", atomic_load(&preemptions));
    report("preempted", more);
}
