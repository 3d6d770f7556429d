/* A process-shared mutex that two processes of two threads want: shared_mutex [HOLD_US] [MILLISECONDS] */
#include "truth.h"

static pthread_mutex_t *lock;
static long hold_us;
static int64_t deadline;

static NOINLINE void take_shared(void) { WAITING(pthread_mutex_lock(lock)); }

static void *worker(void *unused) {
    while (now_ns() < deadline) {
        take_shared();
        nap_us(hold_us);
        pthread_mutex_unlock(lock);
        nap_us(hold_us / 4);
    }
    return unused;
}

int main(int argc, char **argv) {
    gate();
    hold_us = argument(argc, argv, 1, 800);
    deadline = now_ns() + argument(argc, argv, 2, 2500) * 1000000;
    lock = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(lock, &a);
    pid_t child = fork();
    pthread_t t[2];
    for (int i = 0; i < 2; i++) t[i] = start_thread(worker, NULL);
    finish_threads(t, 2);
    report(child ? "shared_mutex_parent" : "shared_mutex_child", "");
    if (child) waitpid(child, NULL, 0);
}
