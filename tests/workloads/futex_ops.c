/* Every futex operation that waits or wakes, by raw system call: futex_ops [SLEEPS] [HOLD_US]
 *
 * Each is waited in by a thread named after it. The main thread wakes it and repeats the wake until
 * someone was woken, so that a waiter that comes late on a busy machine loses no wake. */
#include "truth.h"

#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif
#define PRIVATE FUTEX_PRIVATE_FLAG
enum { NR_WAITV = 449, NR_WAKE = 454, NR_WAIT = 455, NR_REQUEUE = 456 };
#define FLAGS2 (2 | 128) /* a word of 32 bits, private */

/* struct futex_waitv, which older headers do not have. */
struct waitv {
    uint64_t value, word;
    uint32_t flags, reserved;
};

static atomic_uint first, second;
static atomic_long begun, finished;
static long sleeps, hold_us;

struct operation {
    const char *name;
    long (*wait)(void);  /* -1 and ENOSYS when the kernel does not have it */
    void (*before)(void);
    long (*wake)(void);  /* how many it woke */
    struct tally truth;
    int absent;
};

static long wait_plain(void) { return futex(&first, FUTEX_WAIT | PRIVATE, 0, NULL, NULL, 0); }
static long wake_plain(void) { return futex(&first, FUTEX_WAKE | PRIVATE, 1, NULL, NULL, 0); }
static long wait_bitset(void) { return futex(&first, FUTEX_WAIT_BITSET | PRIVATE, 0, NULL, NULL, 4); }
static long wake_bitset(void) { return futex(&first, FUTEX_WAKE_BITSET | PRIVATE, 1, NULL, NULL, 4); }

static long take_pi(int op) {
    if (futex(&first, op | PRIVATE, 0, NULL, NULL, 0)) return -1;
    futex(&first, FUTEX_UNLOCK_PI | PRIVATE, 0, NULL, NULL, 0);
    return 0;
}
static long wait_pi(void) { return take_pi(FUTEX_LOCK_PI); }
static long wait_pi2(void) { return take_pi(FUTEX_LOCK_PI2); }
static void hold_first(void) { futex(&first, FUTEX_LOCK_PI | PRIVATE, 0, NULL, NULL, 0); }
static long release_first(void) { return futex(&first, FUTEX_UNLOCK_PI | PRIVATE, 0, NULL, NULL, 0) == 0; }

static long wait_requeue_pi(void) {
    if (futex(&first, FUTEX_WAIT_REQUEUE_PI | PRIVATE, 0, NULL, &second, 0)) return -1;
    futex(&second, FUTEX_UNLOCK_PI | PRIVATE, 0, NULL, NULL, 0);
    return 0;
}
static void hold_second(void) { futex(&second, FUTEX_LOCK_PI | PRIVATE, 0, NULL, NULL, 0); }
static long requeue_pi(void) {
    if (futex(&first, FUTEX_CMP_REQUEUE_PI | PRIVATE, 1, (void *)0, &second, 0) < 1) return 0;
    nap_us(hold_us);
    return futex(&second, FUTEX_UNLOCK_PI | PRIVATE, 0, NULL, NULL, 0) == 0;
}

static long wake_second(void) {
    nap_us(hold_us);
    return futex(&second, FUTEX_WAKE | PRIVATE, 1, NULL, NULL, 0);
}
static long requeue(void) {
    return futex(&first, FUTEX_REQUEUE | PRIVATE, 0, (void *)1, &second, 0) < 1 ? 0 : wake_second();
}
static long cmp_requeue(void) {
    return futex(&first, FUTEX_CMP_REQUEUE | PRIVATE, 0, (void *)1, &second, 0) < 1 ? 0 : wake_second();
}

/* Adds nothing to the second word and wakes its waiter when its value was 0. */
static long wake_op(void) {
    return futex(&second, FUTEX_WAKE_OP | PRIVATE, 1, (void *)1, &first, FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0));
}

static struct waitv vector(atomic_uint *word) {
    return (struct waitv){0, (uint64_t)(uintptr_t)word, FLAGS2, 0};
}
static long waitv(void) {
    struct waitv v[2] = {vector(&second), vector(&first)};
    return syscall(NR_WAITV, v, 2, 0, NULL, 0);
}
static long wait2(void) { return syscall(NR_WAIT, &first, 0UL, 0xffffffffUL, FLAGS2, NULL, CLOCK_MONOTONIC); }
static long wake2(void) { return syscall(NR_WAKE, &first, 0xffffffffUL, 1, FLAGS2); }
static long requeue2(void) {
    struct waitv v[2] = {vector(&first), vector(&second)};
    return syscall(NR_REQUEUE, v, 0, 0, 1) < 1 ? 0 : wake_second();
}
static long requeue2_wait(void) {
    struct waitv v[2] = {vector(&first), vector(&second)};
    if (syscall(NR_REQUEUE, v, 0, 0, 0) < 0 && errno == ENOSYS) return -1;
    return wait_plain();
}

static struct operation operations[] = {
    {.name = "WAIT", .wait = wait_plain, .wake = wake_plain},
    {.name = "WAIT_BITSET", .wait = wait_bitset, .wake = wake_bitset},
    {.name = "LOCK_PI", .wait = wait_pi, .before = hold_first, .wake = release_first},
    {.name = "LOCK_PI2", .wait = wait_pi2, .before = hold_first, .wake = release_first},
    {.name = "WAIT_REQUEUE_PI", .wait = wait_requeue_pi, .before = hold_second, .wake = requeue_pi},
    {.name = "REQUEUE", .wait = wait_plain, .wake = requeue},
    {.name = "CMP_REQUEUE", .wait = wait_plain, .wake = cmp_requeue},
    {.name = "WAKE_OP", .wait = wait_plain, .wake = wake_op},
    {.name = "waitv", .wait = waitv, .wake = wake_plain},
    {.name = "futex2_wait", .wait = wait2, .wake = wake2},
    {.name = "futex2_requeue", .wait = requeue2_wait, .wake = requeue2},
};

static void *waiter(void *p) {
    struct operation *o = p;
    prctl(PR_SET_NAME, o->name);
    for (long i = 0; i < sleeps && !o->absent; i++) {
        while (atomic_load(&begun) <= i) nap_us(100);
        struct mark m = wait_begin();
        long r = o->wait();
        int e = errno;
        wait_end(m);
        if (r < 0 && e == ENOSYS) o->absent = 1;
        else if (r < 0 && e != EAGAIN) {
            fprintf(stderr, "%s: %s\n", o->name, strerror(e));
            exit(8);
        }
        atomic_fetch_add(&finished, 1);
    }
    o->truth = mine;
    return NULL;
}

static void drive(struct operation *o) {
    atomic_store(&begun, 0);
    atomic_store(&finished, 0);
    pthread_t t = start_thread(waiter, o);
    for (long i = 0; i < sleeps && !o->absent; i++) {
        if (o->before) o->before();
        atomic_fetch_add(&begun, 1);
        do nap_us(hold_us);
        while (o->wake() < 1 && atomic_load(&finished) <= i);
        while (atomic_load(&finished) <= i) nap_us(100);
        atomic_store(&first, 0);
        atomic_store(&second, 0);
    }
    finish_threads(&t, 1);
}

int main(int argc, char **argv) {
    gate();
    sleeps = argument(argc, argv, 1, 40);
    hold_us = argument(argc, argv, 2, 3000);
    char more[2048] = "\"operations\":{";
    size_t n = sizeof operations / sizeof *operations;
    for (size_t i = 0; i < n; i++) {
        struct operation *o = &operations[i];
        drive(o);
        snprintf(more + strlen(more), sizeof more - strlen(more), "%s\"%s\":{\"absent\":%s,\"sleeps\":%ld,\"delay_ns\":%lld}",
                 i ? "," : "", o->name, o->absent ? "true" : "false", o->truth.sleeps, (long long)o->truth.delay_ns);
    }
    strcat(more, "}");
    report("futex_ops", more);
}
