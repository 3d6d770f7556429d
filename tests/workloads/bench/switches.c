/* Two processes that pass a byte to and fro over pipes: switches PINNED SECONDS.
 * With PINNED 1 both run on one CPU and every turn is a context switch. */
#include "bench.h"
#include <sys/wait.h>

static void answer(int from, int to)
{
    char byte;
    while (read(from, &byte, 1) == 1) {
        if (write(to, &byte, 1) != 1) {
            break;
        }
    }
}

int main(int argc, char **argv)
{
    int there[2], back[2];
    int pinned = (int)argument(argc, argv, 1);
    uint64_t duration = (uint64_t)(argument(argc, argv, 2) * 1e9), operations = 0;
    if (pipe(there) != 0 || pipe(back) != 0) {
        return 1;
    }
    if (pinned) {
        pin(0);
    }
    wait_for_start(argument(argc, argv, 2));
    pid_t child = fork();
    if (child < 0) {
        return 1;
    }
    if (child == 0) {
        close(there[1]);
        close(back[0]);
        answer(there[0], back[1]);
        _exit(0);
    }
    close(there[0]);
    close(back[1]);
    uint64_t start = now_ns();
    while (now_ns() - start < duration) {
        for (int i = 0; i < 64; i++) {
            char byte = 0;
            if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1) {
                return 1;
            }
            operations++;
        }
    }
    report(operations, start);
    close(there[1]);
    waitpid(child, NULL, 0);
    return 0;
}
