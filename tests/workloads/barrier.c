/* Four threads that arrive at different times: barrier [STEP_US] [MILLISECONDS] */
#include "truth.h"

static pthread_barrier_t meeting;
static long step_us, rounds;

static NOINLINE void meet(void) { WAITING(pthread_barrier_wait(&meeting)); }

static void *worker(void *p) {
    long me = (long)(intptr_t)p;
    for (long i = 0; i < rounds; i++) {
        nap_us(step_us * (1 + (me + i) % 4));
        meet();
    }
    return NULL;
}

int main(int argc, char **argv) {
    gate();
    step_us = argument(argc, argv, 1, 800);
    rounds = argument(argc, argv, 2, 2500) * 1000 / (step_us * 4);
    pthread_barrier_init(&meeting, NULL, 4);
    pthread_t t[4];
    for (int i = 0; i < 4; i++) t[i] = start_thread(worker, (void *)(intptr_t)i);
    finish_threads(t, 4);
    report("barrier", "");
}
