/* One thread waits at one place with the same registers, called by one function and then by the other,
 * whose frames are of one size: only what lies on the stack tells the two apart. Further up, two more.
 * same_place [ROUNDS] */
#include "truth.h"

static atomic_uint word;

static NOINLINE void wait_here(void) {
    struct timespec timeout = {0, 500000};
    WAITING(futex(&word, FUTEX_WAIT_PRIVATE, 0, &timeout, NULL, 0));
}

#define CALLER(name, callee) static NOINLINE void name(void) { callee(); atomic_signal_fence(memory_order_seq_cst); }
CALLER(first_caller, wait_here)
CALLER(second_caller, wait_here)
CALLER(above_first, first_caller)
CALLER(also_above_first, first_caller)

int main(int argc, char **argv) {
    gate();
    long rounds = argument(argc, argv, 1, 300);
    for (long i = 0; i < rounds; i++) {
        /* Sixteen times the one, so that it is surely remembered, then the others in between. */
        void (*call)(void) = i % 16 < 13 ? above_first : i % 16 == 13 ? second_caller : also_above_first;
        call();
    }
    tally_add();
    report("same_place", "");
}
