/* As many short futex waits as the machine gives, two ping-pong pairs: storm [MILLISECONDS] */
#include "truth.h"

static atomic_uint turns[2][16];
static int64_t deadline;

/* Counted over the whole loop: marking each wait would cost as much as the wait. */
static void *player(void *p) {
    long me = (long)(intptr_t)p, side = me % 2;
    atomic_uint *turn = &turns[me / 2][0];
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((int)(me / 2 % sysconf(_SC_NPROCESSORS_ONLN)), &set);
    sched_setaffinity(0, sizeof set, &set);
    struct mark m = wait_begin();
    while (now_ns() < deadline) {
        unsigned now = atomic_load(turn);
        if (now % 2 != side) {
            struct timespec limit = {0, 50000000};
            futex(turn, FUTEX_WAIT_PRIVATE, now, &limit, NULL, 0);
            continue;
        }
        atomic_fetch_add(turn, 1);
        futex(turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
    wait_end(m);
    return NULL;
}

int main(int argc, char **argv) {
    gate();
    int64_t start = now_ns();
    deadline = start + argument(argc, argv, 1, 2000) * 1000000;
    pthread_t t[4];
    for (int i = 0; i < 4; i++) t[i] = start_thread(player, (void *)(intptr_t)i);
    finish_threads(t, 4);
    char more[64];
    snprintf(more, sizeof more, "\"elapsed_ns\":%lld", (long long)(now_ns() - start));
    report("storm", more);
}
