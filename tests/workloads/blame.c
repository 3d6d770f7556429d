/* One thread holds the lock for 5 ms while seven others wait: blame [ROUNDS]
 *
 * The library's lock functions keep no frame pointer, so a frame-pointer stack misses their direct
 * caller: the functions that must be seen are one call further out. */
#include "truth.h"

#define WAITERS 7
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_long round_open, passed;
static long rounds;

static NOINLINE void take_lock(void) { pthread_mutex_lock(&lock); }
static NOINLINE void release_lock(void) { pthread_mutex_unlock(&lock); }
static NOINLINE void waiter_take_lock(void) { WAITING(take_lock()); }
static NOINLINE void waiter_release(void) { release_lock(); }

static NOINLINE void hold_five_ms(void) {
    nap_us(5000);
    release_lock();
}

static NOINLINE void holder_round(long i) {
    WAITING(take_lock());
    atomic_store(&round_open, i);
    hold_five_ms();
    while (atomic_load(&passed) < i * WAITERS) nap_us(200);
}

static void *holder(void *unused) {
    prctl(PR_SET_NAME, "holder");
    for (long i = 1; i <= rounds; i++) holder_round(i);
    return unused;
}

static void *waiter(void *unused) {
    prctl(PR_SET_NAME, "waiter");
    for (long i = 1; i <= rounds; i++) {
        while (atomic_load(&round_open) < i) nap_us(100);
        waiter_take_lock();
        waiter_release();
        atomic_fetch_add(&passed, 1);
    }
    return unused;
}

int main(int argc, char **argv) {
    gate();
    rounds = argument(argc, argv, 1, 300);
    pthread_t t[WAITERS + 1];
    for (int i = 0; i <= WAITERS; i++) t[i] = start_thread(i ? waiter : holder, NULL);
    finish_threads(t, WAITERS + 1);
    report("blame", "");
}
