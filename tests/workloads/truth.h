/* What every workload counts of itself: how often and how long its threads slept in the calls
 * that it marks, by the clock and by the kernel's count of voluntary switches of the thread. */
#ifndef TRUTH_H
#define TRUTH_H
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A function that must be seen in stacks under its own name. */
#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone, no_icf))
#endif
#define RATES 3
static const double rates_ns[RATES] = {1e3, 1e4, 1e6};

/* Sums of one thread's waits; added to the program's when the thread ends. */
struct tally {
    long sleeps;
    int64_t delay_ns;
    /* Variances of Go's block estimate at each rate: of the count Σ(R/d − 1), of the delay Σ d(R − d). */
    double count_variance[RATES], delay_variance[RATES];
};

static __thread struct tally mine;
static struct tally all;
static atomic_flag all_busy = ATOMIC_FLAG_INIT;

struct mark {
    int64_t ns;
    long switches;
};

static inline int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static inline long voluntary_switches(void) {
    struct rusage u;
    getrusage(RUSAGE_THREAD, &u);
    return u.ru_nvcsw;
}

static inline struct mark wait_begin(void) {
    struct mark m;
    m.switches = voluntary_switches();
    m.ns = now_ns();
    return m;
}

/* A call that did not sleep counts as no wait. Returns how often it slept. */
static inline long wait_end(struct mark m) {
    int64_t d = now_ns() - m.ns;
    long slept = voluntary_switches() - m.switches;
    if (slept <= 0) return 0;
    mine.sleeps += slept;
    mine.delay_ns += d;
    double each = (double)d / (double)slept;
    for (int i = 0; i < RATES; i++)
        if (each < rates_ns[i]) {
            mine.count_variance[i] += (double)slept * (rates_ns[i] / each - 1);
            mine.delay_variance[i] += (double)slept * each * (rates_ns[i] - each);
        }
    return slept;
}

#define WAITING(call)                      \
    do {                                   \
        struct mark waiting_ = wait_begin(); \
        call;                              \
        wait_end(waiting_);                \
    } while (0)

/* Adds this thread's sums to the program's, by a spinning flag: a lock would be a wait of its own. */
static inline void tally_add(void) {
    while (atomic_flag_test_and_set(&all_busy)) sched_yield();
    all.sleeps += mine.sleeps;
    all.delay_ns += mine.delay_ns;
    for (int i = 0; i < RATES; i++) {
        all.count_variance[i] += mine.count_variance[i];
        all.delay_variance[i] += mine.delay_variance[i];
    }
    memset(&mine, 0, sizeof mine);
    atomic_flag_clear(&all_busy);
}

static inline void tally_reset(void) {
    memset(&mine, 0, sizeof mine);
    memset(&all, 0, sizeof all);
}

static inline void nap_us(long us) {
    struct timespec t = {us / 1000000, us % 1000000 * 1000};
    while (nanosleep(&t, &t) && errno == EINTR) {}
}

static inline void spin_us(long us) {
    int64_t end = now_ns() + us * 1000;
    while (now_ns() < end) {}
}

static inline long argument(int argc, char **argv, int i, long otherwise) {
    return argc > i ? atol(argv[i]) : otherwise;
}

/* With CONTEND_GATE set, the program starts its work when it has read a line: the test attaches first. */
static inline void gate(void) {
    char c;
    prctl(PR_SET_TIMERSLACK, 1000UL);
    if (getenv("CONTEND_GATE")) while (read(0, &c, 1) == 1 && c != '\n') {}
}

static inline long futex(void *word, int op, unsigned value, const void *timeout, void *word2, unsigned value3) {
    return syscall(SYS_futex, word, op, value, timeout, word2, value3);
}

static atomic_int threads_done;
struct start {
    void *(*run)(void *);
    void *argument;
};

static void *run_and_tally(void *p) {
    struct start s = *(struct start *)p;
    free(p);
    void *r = s.run(s.argument);
    tally_add();
    atomic_fetch_add(&threads_done, 1);
    return r;
}

static inline pthread_t start_thread_sized(void *(*run)(void *), void *argument, size_t stack) {
    struct start *s = malloc(sizeof *s);
    pthread_attr_t a;
    pthread_t t;
    *s = (struct start){run, argument};
    pthread_attr_init(&a);
    if (stack) pthread_attr_setstacksize(&a, stack);
    int e = pthread_create(&t, &a, run_and_tally, s);
    if (e) {
        fprintf(stderr, "pthread_create: %s\n", strerror(e));
        exit(3);
    }
    return t;
}

static inline pthread_t start_thread(void *(*run)(void *), void *argument) {
    return start_thread_sized(run, argument, 0);
}

/* Waits for `n` threads by naps, so that joining, which is a futex wait, rarely sleeps; when it
 * does, it is counted as every other wait. */
static inline void finish_threads(pthread_t *t, int n) {
    while (atomic_load(&threads_done) < n) nap_us(1000);
    nap_us(5000);
    for (int i = 0; i < n; i++) WAITING(pthread_join(t[i], NULL));
    tally_add();
    atomic_store(&threads_done, 0);
}

/* Prints the truth as one line of JSON by one write; `more` is `"key":value,…` or empty. */
static inline void report(const char *workload, const char *more) {
    char line[4096];
    int n = snprintf(line, sizeof line,
                     "{\"workload\":\"%s\",\"pid\":%d,\"sleeps\":%ld,\"delay_ns\":%lld,"
                     "\"count_variance\":[%.17g,%.17g,%.17g],\"delay_variance\":[%.17g,%.17g,%.17g]%s%s}\n",
                     workload, getpid(), all.sleeps, (long long)all.delay_ns, all.count_variance[0],
                     all.count_variance[1], all.count_variance[2], all.delay_variance[0], all.delay_variance[1],
                     all.delay_variance[2], *more ? "," : "", more);
    if (n >= (int)sizeof line || write(1, line, n) != n) exit(4);
}
#endif
