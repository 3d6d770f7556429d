/* A timed wait that is stopped and continued on its way, which the kernel goes on with as
 * restart_syscall: stopped_wait [LIMIT_MS]
 *
 * The time stopped is no wait; neither is the switch into the stop. */
#include "truth.h"

static atomic_uint word;
static long limit_ms;
static int64_t *stopped_ns;

static NOINLINE void wait_through_stop(void) {
    struct timespec t = {limit_ms / 1000, limit_ms % 1000 * 1000000};
    WAITING(futex(&word, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0));
}

static void *waiter(void *unused) {
    prctl(PR_SET_NAME, "stopped");
    wait_through_stop();
    return unused;
}

/* The stopper is forked, not a thread: a stop stops all threads. */
static void stop_and_continue(pid_t target) {
    nap_us(limit_ms * 250);
    kill(target, SIGSTOP);
    int64_t start = now_ns();
    nap_us(limit_ms * 250);
    *stopped_ns = now_ns() - start;
    kill(target, SIGCONT);
    _exit(0);
}

int main(int argc, char **argv) {
    gate();
    limit_ms = argument(argc, argv, 1, 1600);
    stopped_ns = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t self = getpid();
    pid_t stopper = fork();
    if (!stopper) stop_and_continue(self);
    pthread_t t[1] = {start_thread(waiter, NULL)};
    finish_threads(t, 1);
    waitpid(stopper, NULL, 0);
    char more[64];
    all.sleeps -= 1;
    all.delay_ns -= *stopped_ns;
    snprintf(more, sizeof more, "\"stopped_ns\":%lld", (long long)*stopped_ns);
    report("stopped_wait", more);
}
