/* Sleeping and input, no lock: sleep_io [MILLISECONDS] */
#include "truth.h"
#include <poll.h>

static int64_t deadline;
static int there[2], back[2];
static atomic_long rounds;

static void *echo(void *unused) {
    char c;
    while (read(there[0], &c, 1) == 1 && write(back[1], &c, 1) == 1) {}
    return unused;
}

static void *caller(void *unused) {
    char c = 'x';
    while (now_ns() < deadline) {
        if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1) exit(5);
        nap_us(500);
        poll(NULL, 0, 1);
        atomic_fetch_add(&rounds, 1);
    }
    close(there[1]);
    return unused;
}

int main(int argc, char **argv) {
    gate();
    deadline = now_ns() + argument(argc, argv, 1, 1500) * 1000000;
    if (pipe(there) || pipe(back)) return 5;
    pthread_t t[2] = {start_thread(echo, NULL), start_thread(caller, NULL)};
    finish_threads(t, 2);
    char more[64];
    snprintf(more, sizeof more, "\"rounds\":%ld", atomic_load(&rounds));
    report("sleep_io", more);
}
