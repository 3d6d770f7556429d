/* Waits, then becomes itself again by exec and waits again, one process id throughout:
 * exec_chain [LINKS] [MILLISECONDS_EACH] */
#include "truth.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t deadline;

/* One call further in than the function to be seen; see blame.c. */
static NOINLINE void take_link(void) { WAITING(pthread_mutex_lock(&lock)); }

static NOINLINE void link_section(void) {
    take_link();
    nap_us(1000);
    pthread_mutex_unlock(&lock);
}

static void *worker(void *unused) {
    while (now_ns() < deadline) {
        link_section();
        nap_us(200);
    }
    return unused;
}

int main(int argc, char **argv) {
    gate();
    unsetenv("CONTEND_GATE");
    long links = argument(argc, argv, 1, 3), ms = argument(argc, argv, 2, 600);
    deadline = now_ns() + ms * 1000000;
    pthread_t t[3];
    for (int i = 0; i < 3; i++) t[i] = start_thread(worker, NULL);
    finish_threads(t, 3);
    report("exec_chain", "");
    if (links > 1) {
        char next[24], each[24];
        snprintf(next, sizeof next, "%ld", links - 1);
        snprintf(each, sizeof each, "%ld", ms);
        execl("/proc/self/exe", argv[0], next, each, NULL);
        return 7;
    }
}
