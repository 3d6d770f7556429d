/* Waits that only the timer ends, beside a thread that computes, so that the timer's interrupt
 * comes on top of a thread that has nothing to do with it: timer_wakes [LIMIT_US] [MILLISECONDS] */
#include "truth.h"

static long limit_us;
static int64_t deadline;

static NOINLINE void wait_limit(atomic_uint *word) {
    struct timespec t = {0, limit_us * 1000};
    WAITING(futex(word, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0));
}

static void *waiter(void *unused) {
    atomic_uint word = 0;
    while (now_ns() < deadline) wait_limit(&word);
    return unused;
}

/* Wakes a word that no one waits on: a futex wake is under way when some of the timers fire. */
static void *bystander(void *unused) {
    unsigned word = 0;
    while (now_ns() < deadline) futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    return unused;
}

int main(int argc, char **argv) {
    gate();
    limit_us = argument(argc, argv, 1, 2000);
    deadline = now_ns() + argument(argc, argv, 2, 2000) * 1000000;
    pthread_t t[4];
    for (int i = 0; i < 4; i++) t[i] = start_thread(i ? waiter : bystander, NULL);
    finish_threads(t, 4);
    report("timer_wakes", "");
}
