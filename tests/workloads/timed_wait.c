/* Waits that end by their time limit: timed_wait [sem|cond|mutex] [LIMIT_US] [MILLISECONDS] */
#include "truth.h"

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static sem_t never;
static const char *kind;
static long limit_us, timeouts;
static int64_t deadline;

static NOINLINE int wait_in_vain(pthread_mutex_t *own, pthread_cond_t *nobody) {
    struct timespec t;
    int e;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += limit_us * 1000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    struct mark m = wait_begin();
    if (!strcmp(kind, "sem"))
        e = sem_timedwait(&never, &t) ? errno : 0;
    else if (!strcmp(kind, "cond"))
        e = pthread_cond_timedwait(nobody, own, &t);
    else
        e = pthread_mutex_timedlock(&held, &t);
    wait_end(m);
    return e == ETIMEDOUT;
}

static void *waiter(void *unused) {
    pthread_mutex_t own = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t nobody = PTHREAD_COND_INITIALIZER;
    long n = 0;
    pthread_mutex_lock(&own);
    while (now_ns() < deadline) n += wait_in_vain(&own, &nobody);
    pthread_mutex_unlock(&own);
    __atomic_fetch_add(&timeouts, n, __ATOMIC_RELAXED);
    return unused;
}

int main(int argc, char **argv) {
    gate();
    kind = argc > 1 ? argv[1] : "sem";
    limit_us = argument(argc, argv, 2, 5000);
    deadline = now_ns() + argument(argc, argv, 3, 2500) * 1000000;
    sem_init(&never, 0, 0);
    pthread_mutex_lock(&held);
    pthread_t t[4];
    for (int i = 0; i < 4; i++) t[i] = start_thread(waiter, NULL);
    finish_threads(t, 4);
    char more[64];
    snprintf(more, sizeof more, "\"timeouts\":%ld", timeouts);
    report("timed_wait", more);
}
