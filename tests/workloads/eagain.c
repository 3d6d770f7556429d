/* Futex waits that return at once, because the word has another value: eagain [CALLS] */
#include "truth.h"

static long calls, refused;

static void *worker(void *unused) {
    unsigned word = 1;
    for (long i = 0; i < calls; i++)
        refused += futex(&word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0) == -1 && errno == EAGAIN;
    return unused;
}

int main(int argc, char **argv) {
    gate();
    calls = argument(argc, argv, 1, 300000);
    pthread_t t[1] = {start_thread(worker, NULL)};
    finish_threads(t, 1);
    char more[64];
    snprintf(more, sizeof more, "\"refused\":%ld", refused);
    report("eagain", more);
}
