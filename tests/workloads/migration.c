/* A waiter goes to sleep on one processor and runs again on another: migration [ROUNDS] */
#include "truth.h"

static atomic_uint word;
static atomic_int waiter_tid, moved;
static atomic_long asleep, awake;
static long rounds;

static void pin(pid_t tid, int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(tid, sizeof set, &set)) exit(6);
}

static NOINLINE void wait_here(void) {
    WAITING(while (!atomic_load(&word)) futex(&word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0));
}

static void *waiter(void *unused) {
    prctl(PR_SET_NAME, "migrating");
    atomic_store(&waiter_tid, gettid());
    for (long i = 0; i < rounds; i++) {
        pin(0, (int)(i % 2));
        int before = sched_getcpu();
        atomic_fetch_add(&asleep, 1);
        wait_here();
        moved += sched_getcpu() != before;
        atomic_store(&word, 0);
        atomic_fetch_add(&awake, 1);
    }
    return unused;
}

static void *waker(void *unused) {
    for (long i = 0; i < rounds; i++) {
        while (atomic_load(&asleep) <= i) nap_us(50);
        pin(0, (int)((i + 1) % 2));
        nap_us(2000);
        pin(atomic_load(&waiter_tid), (int)((i + 1) % 2));
        atomic_store(&word, 1);
        futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
        while (atomic_load(&awake) <= i) nap_us(50);
    }
    return unused;
}

int main(int argc, char **argv) {
    gate();
    rounds = argument(argc, argv, 1, 500);
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
        report("migration", "\"absent\":\"a second processor\"");
        return 0;
    }
    pthread_t t[2] = {start_thread(waiter, NULL), start_thread(waker, NULL)};
    finish_threads(t, 2);
    char more[64];
    snprintf(more, sizeof more, "\"moved\":%d", atomic_load(&moved));
    report("migration", more);
}
