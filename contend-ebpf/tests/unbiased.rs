//! The sampling rule on a recorded set of waits: its estimates are the truth on average.

use contend_ebpf::sample::{self, COUNT_ONE};

/// Repetitions with seeds of their own. Many more than the 200 that would do, because at a fraction
/// of 100 the mean of 200 estimates still scatters by more than the bias that is looked for.
const REPETITIONS: u64 = 20_000;
/// Greatest bias, relative.
const BIAS: f64 = 0.01;

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 32) as u32
    }
}

fn recorded_waits() -> Vec<u64> {
    let text = include_str!("data/waits.txt");
    let numbers = text.lines().filter(|line| !line.starts_with('#'));
    numbers.map(|line| line.parse().expect("a number of ns")).collect()
}

/// Means over all repetitions of the estimated contentions and delay, relative to the truth, and the
/// standard error of the latter.
fn estimate(mut sampled: impl FnMut(u64, u32) -> Option<sample::Weight>) -> [(f64, f64); 2] {
    let waits = recorded_waits();
    let truth = [waits.len() as f64, waits.iter().sum::<u64>() as f64];
    let mut sums = [0.0; 2];
    let mut squares = [0.0; 2];
    for seed in 0..REPETITIONS {
        let mut random = Random(seed);
        let mut estimate = [0.0; 2];
        for delay in &waits {
            if let Some(weight) = sampled(*delay, random.next()) {
                estimate[0] += weight.contentions as f64 / COUNT_ONE as f64;
                estimate[1] += weight.delay as f64;
            }
        }
        for i in 0..2 {
            let relative = estimate[i] / truth[i];
            sums[i] += relative;
            squares[i] += relative * relative;
        }
    }
    let n = REPETITIONS as f64;
    [0, 1].map(|i| {
        let mean = sums[i] / n;
        let variance = (squares[i] / n - mean * mean).max(0.0);
        (mean, (variance / n).sqrt())
    })
}

fn assert_unbiased(what: &str, estimates: [(f64, f64); 2]) {
    for (name, (mean, error)) in ["contentions", "delay"].iter().zip(estimates) {
        println!("{what}: {name} {mean:.5} of the truth, standard error {error:.5}");
        assert!(error < BIAS / 3.0, "{what}: {name}: {error} is too coarse to tell a bias of {BIAS}");
        assert!((mean - 1.0).abs() < BIAS, "{what}: {name} is {mean} of the truth");
    }
}

#[test]
fn block_estimates_are_unbiased() {
    for rate in [1_000, 10_000, 1_000_000] {
        assert_unbiased(
            &format!("rate {rate} ns"),
            estimate(|delay, random| sample::block(delay, 0, rate, random)),
        );
    }
}

#[test]
fn mutex_estimates_are_unbiased() {
    for fraction in [10, 100] {
        let estimates = estimate(|delay, random| {
            sample::mutex(fraction, random).then(|| sample::mutex_weight(fraction, delay, true))
        });
        assert_unbiased(&format!("fraction {fraction}"), estimates);
    }
}

#[test]
fn the_test_would_see_the_biases_of_others() {
    // A wait kept with probability d/R and not scaled.
    let unscaled = estimate(|delay, random| {
        sample::block(delay, 0, 1_000_000, random).map(|w| sample::Weight {
            contentions: COUNT_ONE,
            delay,
            ..w
        })
    });
    assert!(unscaled.iter().all(|(mean, _)| (mean - 1.0).abs() > BIAS));
    // A threshold: what is shorter is left out.
    let threshold =
        estimate(|delay, random| (delay >= 100_000).then(|| sample::block(delay, 0, 1, random)).flatten());
    assert!(threshold.iter().all(|(mean, _)| (mean - 1.0).abs() > BIAS));
}
