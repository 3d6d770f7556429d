/* Children that wait, each a process with a truth of its own: fork_children [CHILDREN] [MILLISECONDS] */
#include "truth.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t deadline;

static NOINLINE void child_section(void) {
    WAITING(pthread_mutex_lock(&lock));
    nap_us(800);
    pthread_mutex_unlock(&lock);
}

static void *worker(void *unused) {
    while (now_ns() < deadline) {
        child_section();
        nap_us(200);
    }
    return unused;
}

static void run(const char *name) {
    pthread_t t[3];
    for (int i = 0; i < 3; i++) t[i] = start_thread(worker, NULL);
    finish_threads(t, 3);
    report(name, "");
}

int main(int argc, char **argv) {
    gate();
    long children = argument(argc, argv, 1, 3);
    deadline = now_ns() + argument(argc, argv, 2, 1000) * 1000000;
    for (long i = 0; i < children; i++)
        if (!fork()) {
            run("fork_child");
            return 0;
        }
    run("fork_parent");
    while (wait(NULL) > 0) {}
}
