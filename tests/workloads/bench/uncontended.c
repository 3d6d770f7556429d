/* A thread that takes a mutex nobody else wants: uncontended SECONDS. */
#include "bench.h"
#include <pthread.h>

static void *idle(void *unused)
{
    pause();
    return unused;
}

int main(int argc, char **argv)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    uint64_t duration = (uint64_t)(argument(argc, argv, 1) * 1e9), operations = 0;
    pthread_t other;
    /* With one thread only, libc leaves out the atomic operations that locks are made of. */
    if (pthread_create(&other, NULL, idle, NULL) != 0) {
        return 1;
    }
    wait_for_start(argument(argc, argv, 1));
    uint64_t start = now_ns();
    while (now_ns() - start < duration) {
        for (int i = 0; i < 4096; i++) {
            pthread_mutex_lock(&lock);
            operations++;
            pthread_mutex_unlock(&lock);
        }
    }
    report(operations, start);
    return 0;
}
