/* Threads that contend for one mutex: mutex THREADS HOLD_NS SECONDS. */
#include "bench.h"
#include <pthread.h>
#include <stdatomic.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t hold_ns, operations;
static atomic_int stopped;

static void *contend(void *unused)
{
    (void)unused;
    while (!atomic_load_explicit(&stopped, memory_order_relaxed)) {
        pthread_mutex_lock(&lock);
        spin_until(now_ns() + hold_ns);
        operations++;
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    int threads = (int)argument(argc, argv, 1);
    pthread_t handles[64];
    hold_ns = (uint64_t)argument(argc, argv, 2);
    useconds_t duration = (useconds_t)(argument(argc, argv, 3) * 1e6);
    if (threads < 1 || threads > 64) {
        return 2;
    }
    wait_for_start(argument(argc, argv, 3));
    uint64_t start = now_ns();
    for (int i = 0; i < threads; i++) {
        if (pthread_create(&handles[i], NULL, contend, NULL) != 0) {
            return 1;
        }
    }
    usleep(duration);
    atomic_store(&stopped, 1);
    for (int i = 0; i < threads; i++) {
        pthread_join(handles[i], NULL);
    }
    report(operations, start);
    return 0;
}
