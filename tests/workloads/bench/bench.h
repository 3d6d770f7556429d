/* What the bench's workloads share: they wait to be started, run for a fixed time, and print
 * how many operations they did in how many seconds. */
#ifndef CONTEND_BENCH_H
#define CONTEND_BENCH_H

#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static inline uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline void spin_until(uint64_t end)
{
    while (now_ns() < end) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
}

static inline void pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) {
        perror("sched_setaffinity");
        exit(1);
    }
}

/* Argument `index` as a number; wrong usage ends the program. */
static inline double argument(int argc, char **argv, int index)
{
    if (index >= argc) {
        fprintf(stderr, "%s: argument %d is missing\n", argv[0], index);
        exit(2);
    }
    return atof(argv[index]);
}

/* Waits for a line on standard input: the profiler under test is attached by then. A program that
 * has not ended long after its `seconds` is ended by a signal, so that no bench hangs. */
static inline void wait_for_start(double seconds)
{
    char line[16];
    alarm((unsigned)seconds + 90);
    printf("ready\n");
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL) {
        exit(1);
    }
}

static inline void report(uint64_t operations, uint64_t start)
{
    printf("%llu operations in %.6f s\n", (unsigned long long)operations, (double)(now_ns() - start) / 1e9);
    fflush(stdout);
}

#endif
