/* Six threads and two permits: semaphore [HOLD_US] [MILLISECONDS] */
#include "truth.h"

static sem_t permits;
static long hold_us;
static int64_t deadline;

static NOINLINE void take_permit(void) { WAITING(sem_wait(&permits)); }

static void *worker(void *unused) {
    while (now_ns() < deadline) {
        take_permit();
        nap_us(hold_us);
        sem_post(&permits);
    }
    return unused;
}

int main(int argc, char **argv) {
    gate();
    hold_us = argument(argc, argv, 1, 1000);
    deadline = now_ns() + argument(argc, argv, 2, 2500) * 1000000;
    sem_init(&permits, 0, 2);
    pthread_t t[6];
    for (int i = 0; i < 6; i++) t[i] = start_thread(worker, NULL);
    finish_threads(t, 6);
    report("semaphore", "");
}
