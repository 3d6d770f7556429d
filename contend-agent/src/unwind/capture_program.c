// Writes registers and stack bytes from many places: deep in recursion with frames of all sizes, in callbacks of
// libc's sort, in signal handlers, in other threads. Then its mappings.
#define _GNU_SOURCE
#include <alloca.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

static _Thread_local char *top;
static _Thread_local unsigned seed;

static unsigned next(void) {
    seed = seed * 1664525u + 1013904223u;
    return seed >> 16;
}

__attribute__((noinline)) static void capture(void) {
    ucontext_t context;
    getcontext(&context);
    greg_t *registers = context.uc_mcontext.gregs;
    uint64_t sp = registers[REG_RSP];
    uint64_t header[4] = {registers[REG_RIP], sp, registers[REG_RBP], (uint64_t)top - sp};
    fwrite(header, sizeof header, 1, stdout);
    fwrite((void *)sp, 1, header[3], stdout);
}

static void on_signal(int number) {
    (void)number;
    capture();
}

static int step(int depth);

static int compare(const void *a, const void *b) {
    int order = *(const int *)a - *(const int *)b;
    // One comparison of a sort goes on, the others only compare.
    if (next() % 16 == 0)
        return step(*(const int *)a % 8) ? order : order;
    return order;
}

__attribute__((noinline)) static int with_frame(int depth, unsigned size) {
    volatile char *bytes = alloca(size + 1);
    bytes[size] = 1;
    int result = step(depth - 1);
    return result + bytes[size];
}

__attribute__((noinline)) static int with_alignment(int depth) {
    _Alignas(64) volatile char bytes[128];
    bytes[depth & 63] = 2;
    int result = step(depth - 1);
    return result + bytes[depth & 63];
}

__attribute__((noinline)) static int with_registers(int depth) {
    int a = next(), b = next(), c = next(), d = next(), e = next();
    int result = step(depth - 1);
    return result + a * b + c * d + e;
}

__attribute__((noinline)) static int step(int depth) {
    if (depth <= 0) {
        if (next() % 4 == 0)
            raise(SIGUSR1);
        else
            capture();
        return next();
    }
    switch (next() % 6) {
    case 0: return with_frame(depth, next() % 300) + 1;
    case 1: return with_alignment(depth) + 2;
    case 2: {
        int values[8];
        for (int i = 0; i < 8; i++)
            values[i] = next() % 100 + depth;
        qsort(values, 8, sizeof *values, compare);
        return values[0] + step(depth - 1);
    }
    case 3: return with_registers(depth) + 3;
    default: return step(depth - 1) + 4;
    }
}

static void *thread(void *argument) {
    pthread_attr_t attributes;
    void *start;
    size_t size;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &start, &size);
    pthread_attr_destroy(&attributes);
    top = (char *)start + size;
    seed = (unsigned)(uintptr_t)argument;
    for (int i = 0; i < 100; i++)
        step(next() % 20);
    return NULL;
}

int main(int argc, char **argv) {
    (void)argc;
    top = (char *)argv;
    signal(SIGUSR1, on_signal);
    seed = 1;
    for (int i = 0; i < 1000; i++)
        step(next() % 20);
    for (uintptr_t i = 0; i < 5; i++) {
        pthread_t id;
        pthread_create(&id, NULL, thread, (void *)(i + 2));
        pthread_join(id, NULL);
    }
    uint64_t end[4] = {0};
    fwrite(end, sizeof end, 1, stdout);
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps))
        fputs(line, stdout);
    return 0;
}
