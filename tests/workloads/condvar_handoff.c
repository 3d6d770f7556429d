/* Two threads hand a turn to each other: condvar_handoff [HOLD_US] [MILLISECONDS] */
#include "truth.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int turn, stopped;
static long hold_us;
static int64_t deadline;

static NOINLINE int await_turn(int me) {
    WAITING(pthread_mutex_lock(&lock));
    while (turn != me && !stopped) WAITING(pthread_cond_wait(&changed, &lock));
    int go = !stopped;
    pthread_mutex_unlock(&lock);
    return go;
}

static NOINLINE void hand_over(int me) {
    WAITING(pthread_mutex_lock(&lock));
    turn = !me;
    if (now_ns() >= deadline) stopped = 1;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

static void *player(void *p) {
    int me = (int)(intptr_t)p;
    while (await_turn(me)) {
        nap_us(hold_us);
        hand_over(me);
    }
    return NULL;
}

int main(int argc, char **argv) {
    gate();
    hold_us = argument(argc, argv, 1, 1000);
    deadline = now_ns() + argument(argc, argv, 2, 2500) * 1000000;
    pthread_t t[2];
    for (int i = 0; i < 2; i++) t[i] = start_thread(player, (void *)(intptr_t)i);
    finish_threads(t, 2);
    report("condvar_handoff", "");
}
