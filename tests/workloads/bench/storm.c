/* Waits at a fixed pace: storm WAITS_PER_SECOND SECONDS. Two threads on each CPU hand a token to
 * each other by futex, each hand-over being one wait; an operation is one wait. */
#include "bench.h"
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#define PAIRS 2
#define BURST_NS 1000000u

struct pair {
    _Alignas(64) atomic_uint turn;
    int cpu;
    _Atomic uint64_t waits[2];
    atomic_int done;
};

static struct pair pairs[PAIRS];
static uint64_t start, duration;
static double pace; /* waits per ns of one pair */

static void await_turn(struct pair *pair, unsigned mine)
{
    unsigned turn;
    while ((turn = atomic_load(&pair->turn)) % 2 != mine) {
        /* The other thread has the CPU next, so this sleeps unless the token came in between. */
        if (syscall(SYS_futex, &pair->turn, FUTEX_WAIT_PRIVATE, turn, NULL, NULL, 0) == 0) {
            atomic_fetch_add_explicit(&pair->waits[mine], 1, memory_order_relaxed);
        }
    }
}

static void pass(struct pair *pair)
{
    atomic_fetch_add(&pair->turn, 1);
    syscall(SYS_futex, &pair->turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *lead(void *argument)
{
    struct pair *pair = argument;
    uint64_t elapsed;
    pin(pair->cpu);
    while ((elapsed = now_ns() - start) < duration) {
        if ((double)(pair->waits[0] + pair->waits[1]) >= (double)elapsed * pace) {
            struct timespec burst = {0, BURST_NS};
            nanosleep(&burst, NULL);
            continue;
        }
        pass(pair);
        await_turn(pair, 0);
    }
    atomic_store(&pair->done, 1);
    pass(pair);
    return NULL;
}

static void *follow(void *argument)
{
    struct pair *pair = argument;
    pin(pair->cpu);
    /* Only the leader reads the clock: were both to, one could leave the other waiting. */
    for (await_turn(pair, 1); !atomic_load(&pair->done); await_turn(pair, 1)) {
        pass(pair);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t handles[PAIRS][2];
    uint64_t waits = 0;
    pace = argument(argc, argv, 1) / PAIRS / 1e9;
    duration = (uint64_t)(argument(argc, argv, 2) * 1e9);
    wait_for_start(argument(argc, argv, 2));
    start = now_ns();
    for (int i = 0; i < PAIRS; i++) {
        pairs[i].cpu = i % (int)sysconf(_SC_NPROCESSORS_ONLN);
        if (pthread_create(&handles[i][0], NULL, lead, &pairs[i]) != 0 ||
            pthread_create(&handles[i][1], NULL, follow, &pairs[i]) != 0) {
            return 1;
        }
    }
    for (int i = 0; i < PAIRS; i++) {
        pthread_join(handles[i][0], NULL);
        pthread_join(handles[i][1], NULL);
        waits += pairs[i].waits[0] + pairs[i].waits[1];
    }
    report(waits, start);
    return 0;
}
