//! Which futex call a thread is in, and on which word.
//!
//! Operations and flags are ABI, from `linux/futex.h`.

use crate::layout::CallNumbers;

const WAIT: u64 = 0;
const WAKE: u64 = 1;
const REQUEUE: u64 = 3;
const CMP_REQUEUE: u64 = 4;
const WAKE_OP: u64 = 5;
const LOCK_PI: u64 = 6;
const UNLOCK_PI: u64 = 7;
const WAIT_BITSET: u64 = 9;
const WAKE_BITSET: u64 = 10;
const WAIT_REQUEUE_PI: u64 = 11;
const CMP_REQUEUE_PI: u64 = 12;
const LOCK_PI2: u64 = 13;
const COMMAND_MASK: u64 = 0x7f;
/// `FUTEX_PRIVATE_FLAG`, and `FUTEX2_PRIVATE` of the newer calls.
const PRIVATE: u64 = 128;

/// Most words that one `futex_waitv` may wait on (`FUTEX_WAITV_MAX`).
pub const WAITV_MAX: u64 = 128;

/// A system call as its registers hold it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Call {
    /// Its number.
    pub number: u64,
    /// Its six arguments.
    pub arguments: [u64; 6],
}

/// What the operation itself tells of the kind of lock.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// Nothing: most locks wait with the plain operations.
    #[default]
    Plain = 0,
    /// A priority-inheriting lock: only mutexes are.
    PriorityInheriting,
    /// A wait to be requeued to a priority-inheriting lock: only condition variables do.
    ConditionRequeue,
    /// A wait on several words.
    Several,
}

/// A futex wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wait {
    /// Address of the lock word; of the array of words for [`Family::Several`].
    pub word: u64,
    /// Where the waiter will be requeued to, or 0; number of words for [`Family::Several`].
    pub second: u64,
    /// Kind of operation.
    pub family: Family,
    /// The word may be in memory that other processes share.
    pub shared: bool,
    /// The wait ends by itself at some time.
    pub timed: bool,
}

/// A futex wake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wake {
    /// Address of the lock word; of the two words' array when `indirect`.
    pub word: u64,
    /// A second word that it wakes or requeues to, or 0.
    pub second: u64,
    /// Most waiters it wakes on `word`.
    pub most: u64,
    /// Waiters of `word` are moved to `second`.
    pub requeues: bool,
    /// The words' addresses are in user memory at `word`: two `struct futex_waitv`.
    pub indirect: bool,
}

/// The wait that `call` is, if it is one.
#[inline(always)]
pub fn wait(call: &Call, numbers: &CallNumbers) -> Option<Wait> {
    let a = &call.arguments;
    if call.number == numbers.futex as u64 {
        return futex_wait(a);
    }
    if call.number == numbers.futex_wait as u64 {
        return Some(Wait {
            word: a[0],
            second: 0,
            family: Family::Plain,
            shared: a[3] & PRIVATE == 0,
            timed: a[4] != 0,
        });
    }
    if call.number == numbers.futex_waitv as u64 {
        return Some(Wait {
            word: a[0],
            second: a[1],
            family: Family::Several,
            shared: false,
            timed: a[3] != 0,
        });
    }
    None
}

#[inline(always)]
fn futex_wait(a: &[u64; 6]) -> Option<Wait> {
    let (family, second) = match a[1] & COMMAND_MASK {
        WAIT | WAIT_BITSET => (Family::Plain, 0),
        LOCK_PI | LOCK_PI2 => (Family::PriorityInheriting, 0),
        WAIT_REQUEUE_PI => (Family::ConditionRequeue, a[4]),
        _ => return None,
    };
    Some(Wait { word: a[0], second, family, shared: a[1] & PRIVATE == 0, timed: a[3] != 0 })
}

/// The wake that `call` is, if it is one.
#[inline(always)]
pub fn wake(call: &Call, numbers: &CallNumbers) -> Option<Wake> {
    let a = &call.arguments;
    if call.number == numbers.futex as u64 {
        return futex_wake(a);
    }
    if call.number == numbers.futex_wake as u64 {
        return Some(Wake { word: a[0], most: a[2], ..Wake::default() });
    }
    if call.number == numbers.futex_requeue as u64 {
        return Some(Wake { word: a[0], second: 0, most: a[2], requeues: true, indirect: true });
    }
    None
}

#[inline(always)]
fn futex_wake(a: &[u64; 6]) -> Option<Wake> {
    // The kernel takes the number of waiters as an int.
    let most = a[2] & 0xffff_ffff;
    let (second, most, requeues) = match a[1] & COMMAND_MASK {
        WAKE | WAKE_BITSET => (0, most, false),
        UNLOCK_PI => (0, 1, false),
        WAKE_OP => (a[4], most, false),
        REQUEUE | CMP_REQUEUE | CMP_REQUEUE_PI => (a[4], most, true),
        _ => return None,
    };
    Some(Wake { word: a[0], second, most, requeues, indirect: false })
}

#[cfg(test)]
mod tests {
    use super::{Call, Family, PRIVATE, Wait, wait, wake};
    use crate::layout::{CallNumbers, Registers};

    const X86: CallNumbers = Registers::X86_64.calls;

    fn futex(operation: u64, timeout: u64) -> Call {
        Call { number: 202, arguments: [0x1000, operation, 1, timeout, 0x2000, 0] }
    }

    #[test]
    fn every_waiting_operation_is_known() {
        let plain = Wait { word: 0x1000, shared: true, ..Wait::default() };
        assert_eq!(wait(&futex(0, 0), &X86), Some(plain));
        assert_eq!(wait(&futex(9, 0), &X86), Some(plain));
        let inheriting = Wait { family: Family::PriorityInheriting, ..plain };
        assert_eq!(wait(&futex(6, 0), &X86), Some(inheriting));
        assert_eq!(wait(&futex(13, 0), &X86), Some(inheriting));
        let requeue = Wait { family: Family::ConditionRequeue, second: 0x2000, ..plain };
        assert_eq!(wait(&futex(11, 0), &X86), Some(requeue));
    }

    #[test]
    fn flags_and_timeouts_are_told() {
        let realtime_clock = 256;
        let private = wait(&futex(9 | PRIVATE | realtime_clock, 0xdead), &X86).expect("a wait");
        assert!(!private.shared);
        assert!(private.timed);
    }

    #[test]
    fn what_does_not_wait_is_no_wait() {
        for operation in [1, 2, 3, 4, 5, 7, 8, 10, 12] {
            assert_eq!(wait(&futex(operation, 0), &X86), None, "operation {operation}");
        }
        let read = Call { number: 0, arguments: [0; 6] };
        assert_eq!(wait(&read, &X86), None);
        assert_eq!(wake(&read, &X86), None);
    }

    #[test]
    fn every_waking_operation_is_known() {
        for operation in [1, 3, 4, 5, 7, 10, 12] {
            let wake = wake(&futex(operation | PRIVATE, 0), &X86).expect("a wake");
            assert_eq!(wake.word, 0x1000);
            assert_eq!(wake.requeues, matches!(operation, 3 | 4 | 12));
            assert_eq!(wake.second != 0, matches!(operation, 3 | 4 | 5 | 12));
        }
        for operation in [0, 6, 9, 11, 13] {
            assert_eq!(wake(&futex(operation, 0), &X86), None, "operation {operation}");
        }
    }

    #[test]
    fn the_newer_calls_are_known() {
        let wait_call = Call { number: 455, arguments: [0x1000, 1, 1, 2 | PRIVATE, 0, 0] };
        let expected = Wait { word: 0x1000, ..Wait::default() };
        assert_eq!(wait(&wait_call, &X86), Some(expected));
        let several = Call { number: 449, arguments: [0x3000, 2, 0, 0x10, 0, 0] };
        let several = wait(&several, &X86).expect("a wait");
        assert_eq!((several.family, several.second, several.timed), (Family::Several, 2, true));
        let wake_call = Call { number: 454, arguments: [0x1000, 1, 3, 2, 0, 0] };
        assert_eq!(wake(&wake_call, &X86).map(|w| (w.word, w.most)), Some((0x1000, 3)));
        let requeue = Call { number: 456, arguments: [0x4000, 0, 1, 5, 0, 0] };
        assert!(wake(&requeue, &X86).is_some_and(|w| w.indirect && w.requeues));
    }
}
