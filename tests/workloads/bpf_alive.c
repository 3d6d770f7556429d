/* Prints which of the BPF programs named by id are still loaded: bpf_alive [ID...]
 * Without one: whether the kernel answers at all. Exit code 1 when it refuses. */
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv) {
    union bpf_attr a;
    memset(&a, 0, sizeof a);
    if (syscall(SYS_bpf, BPF_PROG_GET_NEXT_ID, &a, sizeof a) && errno != ENOENT) {
        perror("bpf");
        return 1;
    }
    for (int i = 1; i < argc; i++) {
        memset(&a, 0, sizeof a);
        a.prog_id = (unsigned)atol(argv[i]);
        int fd = (int)syscall(SYS_bpf, BPF_PROG_GET_FD_BY_ID, &a, sizeof a);
        if (fd >= 0) {
            printf("%s\n", argv[i]);
            close(fd);
        } else if (errno != ENOENT) {
            perror("bpf");
            return 1;
        }
    }
}
