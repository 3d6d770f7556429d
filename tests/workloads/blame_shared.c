/* Two holders, one long and one short, between whose releases the same waiters wait on
 * (golang/go#73760): each must be charged with its own part. blame_shared [ROUNDS]
 *
 * A lock of its own with hand-over in a fixed order (long, short, then the waiters), so that the
 * shares are known: the short holder waits for the long one's release and passes the rest on. */
#include "truth.h"

#define WAITERS 6
static atomic_uint word;
static atomic_long round_open, arrived, passed;
static long rounds;
static int64_t long_ns, short_ns;

static NOINLINE void wake_word(void) { futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0); }
static NOINLINE void wake_all(void) { futex(&word, FUTEX_WAKE_PRIVATE, WAITERS, NULL, NULL, 0); }

/* Wakes one of the waiters, all of whom have waited for as long as it held. */
static NOINLINE void long_hold_and_release(void) {
    int64_t start = now_ns();
    nap_us(6000);
    wake_word();
    long_ns += (now_ns() - start) * WAITERS;
}

static NOINLINE void short_hold_and_release(void) {
    int64_t start = now_ns();
    nap_us(1000);
    wake_all();
    short_ns += (now_ns() - start) * (WAITERS - 1);
}

static NOINLINE void wait_word(void) { WAITING(futex(&word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0)); }
static NOINLINE void waiter_round(void) { wait_word(); }

static void *waiter(void *unused) {
    for (long i = 1; i <= rounds; i++) {
        while (atomic_load(&round_open) < i) nap_us(100);
        atomic_fetch_add(&arrived, 1);
        waiter_round();
        atomic_fetch_add(&passed, 1);
    }
    return unused;
}

int main(int argc, char **argv) {
    gate();
    rounds = argument(argc, argv, 1, 150);
    pthread_t t[WAITERS];
    for (int i = 0; i < WAITERS; i++) t[i] = start_thread(waiter, NULL);
    for (long i = 1; i <= rounds; i++) {
        atomic_store(&round_open, i);
        while (atomic_load(&arrived) < i * WAITERS) nap_us(100);
        nap_us(300);
        long_hold_and_release();
        short_hold_and_release();
        while (atomic_load(&passed) < i * WAITERS) {
            nap_us(1000);
            if (atomic_load(&passed) < i * WAITERS) wake_all();
        }
    }
    finish_threads(t, WAITERS);
    char more[128];
    snprintf(more, sizeof more, "\"long_ns\":%lld,\"short_ns\":%lld", (long long)long_ns, (long long)short_ns);
    report("blame_shared", more);
}
