/* A futex wait by the 32-bit system call (int 0x80, where 240 is futex): compat_call [WAITS] */
#include "truth.h"

#ifdef __x86_64__
struct compat_timespec {
    int32_t sec, nsec;
};

static long futex32(uint32_t word, uint32_t op, uint32_t value, uint32_t timeout) {
    long r;
    __asm__ volatile("int $0x80" : "=a"(r) : "a"(240), "b"(word), "c"(op), "d"(value), "S"(timeout), "D"(0)
                     : "memory", "r8", "r9", "r10", "r11");
    return (int)r;
}

static void no_such_call(int signal) {
    (void)signal;
    report("compat_call", "\"absent\":\"32-bit system calls\"");
    _exit(0);
}

int main(int argc, char **argv) {
    gate();
    long waits = argument(argc, argv, 1, 20);
    char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    struct compat_timespec *limit = (void *)(low + 64);
    signal(SIGSEGV, no_such_call);
    *limit = (struct compat_timespec){0, 10000000};
    for (long i = 0; i < waits; i++) {
        long r = 0;
        WAITING(r = futex32((uint32_t)(uintptr_t)low, FUTEX_WAIT_PRIVATE, 0, (uint32_t)(uintptr_t)limit));
        if (r == -ENOSYS) no_such_call(0);
    }
    tally_add();
    report("compat_call", "");
}
#else
int main(void) { report("compat_call", "\"absent\":\"32-bit system calls\""); }
#endif
