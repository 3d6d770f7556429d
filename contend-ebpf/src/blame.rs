//! The waiting integral of a lock word: how much waiting an unlocker is to be charged with.
//!
//! W(t) = all waiting done on a lock word up to t. It is kept as F + n·t − S with n waiters, S the sum
//! of their starts and F what the finished ones waited. A reader between two separate updates of these
//! would be wrong by the machine's uptime, so n (16 bits) and S (48 bits, in units of [`UNIT`] ns since
//! the record's epoch) share one word that one atomic add changes; what the unit cuts off goes to F,
//! *before* the word when a wait opens and *after* it when one closes. A reader takes F on both sides
//! of the word and trusts the three when F has not moved: see [`waiting`].

/// Unit of the starts' sum, in ns.
pub const UNIT: u64 = 1 << UNIT_BITS;
const UNIT_BITS: u32 = 16;
const COUNT_SHIFT: u32 = 48;
const START_MASK: u64 = (1 << COUNT_SHIFT) - 1;

/// Most waiters that one lock word's record is allowed to hold, and the largest sum of their starts:
/// both well before the fields run over into each other.
const WAITERS_LIMIT: u64 = 60_000;
const STARTS_LIMIT: u64 = 1 << (COUNT_SHIFT - 1);

/// How the open or the close of one wait changes the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// To be added to the packed word, wrapping.
    pub waiters: u64,
    /// To be added to F.
    pub finished: i64,
}

/// A wait opens `start` ns after the record's epoch. Apply `finished` first, then `waiters`.
#[inline(always)]
pub fn open(start: u64) -> Change {
    Change { waiters: (1 << COUNT_SHIFT) + (start >> UNIT_BITS), finished: -((start & (UNIT - 1)) as i64) }
}

/// The wait that opened at `start` closes at `end`. Apply `waiters` first, then `finished`.
#[inline(always)]
pub fn close(start: u64, end: u64) -> Change {
    let units = start >> UNIT_BITS;
    Change {
        waiters: 0u64.wrapping_sub((1 << COUNT_SHIFT) + units),
        finished: (end - (units << UNIT_BITS)) as i64,
    }
}

/// W at `now` ns after the epoch. `waiters` must have been read while `finished` did not change.
#[inline(always)]
pub fn waiting(waiters: u64, finished: i64, now: u64) -> u64 {
    let count = waiters >> COUNT_SHIFT;
    let starts = (waiters & START_MASK) << UNIT_BITS;
    let sum = finished.wrapping_add(count.wrapping_mul(now).wrapping_sub(starts) as i64);
    if sum > 0 { sum as u64 } else { 0 }
}

/// Waiters now.
#[inline(always)]
pub fn count(waiters: u64) -> u64 {
    waiters >> COUNT_SHIFT
}

/// Whether one more waiter could make the record run over.
#[inline(always)]
pub fn is_full(waiters: u64) -> bool {
    (waiters >> COUNT_SHIFT) >= WAITERS_LIMIT || (waiters & START_MASK) >= STARTS_LIMIT
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::SeqCst};
    use std::sync::{Arc, Barrier};
    use std::time::Instant;

    use super::{UNIT, close, count, is_full, open, waiting};

    #[derive(Default)]
    struct Lock {
        waiters: AtomicU64,
        finished: AtomicI64,
        charged: AtomicU64,
    }

    impl Lock {
        fn open(&self, start: u64) {
            let change = open(start);
            self.finished.fetch_add(change.finished, SeqCst);
            self.waiters.fetch_add(change.waiters, SeqCst);
        }

        fn close(&self, start: u64, end: u64) {
            let change = close(start, end);
            self.waiters.fetch_add(change.waiters, SeqCst);
            self.finished.fetch_add(change.finished, SeqCst);
        }

        fn charge(&self, clock: impl Fn() -> u64) -> u64 {
            let before = self.finished.load(SeqCst);
            let waiters = self.waiters.load(SeqCst);
            if self.finished.load(SeqCst) != before {
                return 0;
            }
            let total = waiting(waiters, before, clock());
            let charged = self.charged.load(SeqCst);
            let moved =
                total > charged && self.charged.compare_exchange(charged, total, SeqCst, SeqCst).is_ok();
            if moved { total - charged } else { 0 }
        }
    }

    #[test]
    fn a_wait_counts_while_it_lasts_and_after() {
        let lock = Lock::default();
        lock.open(100_000);
        assert_eq!(lock.charge(|| 150_000), 50_000);
        assert_eq!(lock.charge(|| 150_000), 0);
        lock.open(160_000);
        lock.close(100_000, 200_000);
        assert_eq!(lock.charge(|| 200_000), 50_000 + 40_000);
        lock.close(160_000, 300_000);
        assert_eq!(lock.charge(|| 900_000), 100_000);
        assert_eq!(count(lock.waiters.load(SeqCst)), 0);
    }

    #[test]
    fn three_releases_share_what_one_waiter_waited() {
        let lock = Lock::default();
        lock.open(0);
        let charges = [lock.charge(|| 10), lock.charge(|| 20)];
        lock.close(0, 30);
        assert_eq!(charges, [10, 10]);
        assert_eq!(lock.charge(|| 1_000), 10);
    }

    #[test]
    fn a_record_refuses_before_it_runs_over() {
        let change = open(1);
        assert!(!is_full(change.waiters));
        assert!(is_full(change.waiters.wrapping_mul(60_000)));
        // 1,000 threads that have been waiting since 150 days after the epoch.
        let late = open(150 * 86_400 * 1_000_000_000);
        assert!(is_full(late.waiters.wrapping_mul(1_000)));
    }

    /// Eight threads open, close and charge at once: no charge exceeds what its waiters can have waited
    /// since the beginning, and in the end nothing is missing, to the nanosecond.
    #[test]
    fn charges_are_conserved_under_concurrency() {
        const THREADS: u64 = 8;
        const ROUNDS: u64 = 100_000;
        let lock = Arc::new(Lock::default());
        let clock = Instant::now();
        let gate = Arc::new(Barrier::new(THREADS as usize));
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let (lock, gate) = (Arc::clone(&lock), Arc::clone(&gate));
                std::thread::spawn(move || {
                    let now = || clock.elapsed().as_nanos() as u64 + 3 * UNIT;
                    let (mut waited, mut charged) = (0, 0);
                    gate.wait();
                    for _ in 0..ROUNDS {
                        let start = now();
                        lock.open(start);
                        charged += lock.charge(now);
                        let end = now();
                        lock.close(start, end);
                        waited += end - start;
                        let charge = lock.charge(now);
                        assert!(charge <= THREADS * now(), "charged {charge}");
                        charged += charge;
                    }
                    (waited, charged)
                })
            })
            .collect();
        let (mut waited, mut charged) = (0, 0);
        for thread in threads {
            let (w, c) = thread.join().expect("no thread panics");
            waited += w;
            charged += c;
        }
        charged += lock.charge(|| clock.elapsed().as_nanos() as u64);
        assert_eq!(lock.waiters.load(SeqCst), 0, "nobody waits");
        assert_eq!(lock.finished.load(SeqCst) as u64, waited, "all waiting is in the record");
        assert_eq!(lock.charged.load(SeqCst), charged, "all charges have reached somebody");
        // More only where a thread here lost the CPU between the end that it had noted and its closing: a
        // program in the kernel is not interrupted there.
        assert!(charged >= waited, "{} ns charged to nobody", waited - charged);
    }
}
