//! Go's sampling rule, scaled at the time of recording.
//!
//! As `blocksampled` and `mutexevent` in Go's `runtime/mprof.go`, so that an estimate's expectation
//! is the truth: a wait shorter than the rate is kept with probability delay/rate and then stands for
//! rate/delay waits and for `rate` nanoseconds.

/// One contention, in the fixed point of [`crate::record::SampleSums::contentions`].
pub const COUNT_ONE: u64 = 1 << 16;

/// What a kept sample adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// Contentions, in units of 1/[`COUNT_ONE`].
    pub contentions: u64,
    /// Delay in ns.
    pub delay: u64,
    /// Run-queue time within it, in ns.
    pub run_queue: u64,
}

/// Decides on a wait of `delay` ns, of which `run_queue` ns were spent runnable, at `rate` ns.
///
/// `random` is uniform over all 32-bit numbers. A rate of 0 keeps nothing, of 1 everything.
#[inline(always)]
pub fn block(delay: u64, run_queue: u64, rate: u64, random: u32) -> Option<Weight> {
    if rate == 0 {
        return None;
    }
    // Go counts a wait too short for its clock as one tick.
    let delay = if delay == 0 { 1 } else { delay };
    if delay >= rate {
        return Some(Weight { contentions: COUNT_ONE, delay, run_queue });
    }
    if below(rate, random) >= delay {
        return None;
    }
    Some(Weight { contentions: (rate << 16) / delay, delay: rate, run_queue: run_queue * rate / delay })
}

/// Decides on one release: keeps one in `fraction`. A fraction of 0 keeps nothing, of 1 everything.
#[inline(always)]
pub fn mutex(fraction: u64, random: u32) -> bool {
    fraction == 1 || (fraction != 0 && below(fraction, random) == 0)
}

/// What a kept release that caused `delay` ns of waiting adds; `first` is false for a further
/// waiter that the same release woke.
#[inline(always)]
pub fn mutex_weight(fraction: u64, delay: u64, first: bool) -> Weight {
    Weight {
        contentions: if first { fraction * COUNT_ONE } else { 0 },
        delay: delay * fraction,
        run_queue: 0,
    }
}

/// A number uniform in `0..limit`, for limits below 2^32; larger ones are taken as that.
#[inline(always)]
fn below(limit: u64, random: u32) -> u64 {
    let limit = if limit > u32::MAX as u64 { u32::MAX as u64 } else { limit };
    (limit * random as u64) >> 32
}

#[cfg(test)]
mod tests {
    use super::{COUNT_ONE, Weight, block, mutex};

    #[test]
    fn rate_one_keeps_everything_as_it_is() {
        for random in [0, 1, u32::MAX] {
            let kept = block(1, 0, 1, random);
            assert_eq!(kept, Some(Weight { contentions: COUNT_ONE, delay: 1, run_queue: 0 }));
            assert!(mutex(1, random));
        }
    }

    #[test]
    fn zero_switches_off() {
        assert_eq!(block(1_000_000, 0, 0, 0), None);
        assert!(!mutex(0, 0));
    }

    #[test]
    fn a_short_wait_stands_for_rate_over_delay() {
        let kept = block(2_500, 500, 10_000, 0).expect("random 0 is always kept");
        assert_eq!(kept.contentions, 4 * COUNT_ONE);
        assert_eq!(kept.delay, 10_000);
        assert_eq!(kept.run_queue, 2_000);
        assert_eq!(block(2_500, 500, 10_000, u32::MAX), None);
    }

    #[test]
    fn the_share_kept_is_delay_over_rate() {
        let steps = 1u64 << 16;
        let kept = (0..steps).filter(|&i| block(3_000, 0, 10_000, (i << 16) as u32).is_some()).count();
        let share = kept as f64 / steps as f64;
        assert!((share - 0.3).abs() < 1e-3, "kept {share}");
    }

    #[test]
    fn one_release_in_a_hundred_is_kept() {
        let steps = 1u64 << 16;
        let kept = (0..steps).filter(|&i| mutex(100, (i << 16) as u32)).count();
        let share = kept as f64 / steps as f64;
        assert!((share - 0.01).abs() < 1e-4, "kept {share}");
    }
}
