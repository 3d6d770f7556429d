/* Four readers and two writers: rwlock [HOLD_US] [MILLISECONDS] */
#include "truth.h"

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static long hold_us;
static int64_t deadline;

static NOINLINE void read_section(void) {
    WAITING(pthread_rwlock_rdlock(&lock));
    nap_us(hold_us);
    pthread_rwlock_unlock(&lock);
}

static NOINLINE void write_section(void) {
    WAITING(pthread_rwlock_wrlock(&lock));
    nap_us(hold_us);
    pthread_rwlock_unlock(&lock);
}

static void *reader(void *unused) {
    while (now_ns() < deadline) {
        read_section();
        nap_us(2 * hold_us);
    }
    return unused;
}

static void *writer(void *unused) {
    while (now_ns() < deadline) {
        write_section();
        nap_us(hold_us);
    }
    return unused;
}

int main(int argc, char **argv) {
    gate();
    hold_us = argument(argc, argv, 1, 800);
    deadline = now_ns() + argument(argc, argv, 2, 2500) * 1000000;
    pthread_t t[6];
    for (int i = 0; i < 6; i++) t[i] = start_thread(i < 4 ? reader : writer, NULL);
    finish_threads(t, 6);
    report("rwlock", "");
}
