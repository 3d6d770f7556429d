/* The cheapest system call in a loop: syscalls SECONDS. */
#include "bench.h"
#include <sys/syscall.h>

int main(int argc, char **argv)
{
    uint64_t duration = (uint64_t)(argument(argc, argv, 1) * 1e9), operations = 0;
    wait_for_start(argument(argc, argv, 1));
    uint64_t start = now_ns();
    while (now_ns() - start < duration) {
        for (int i = 0; i < 1024; i++) {
            syscall(SYS_getppid);
            operations++;
        }
    }
    report(operations, start);
    return 0;
}
