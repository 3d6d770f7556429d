//! Live runs with sampling: the estimates lie within the confidence interval of their sample size.
//!
//! Block, rate R: a wait d < R is kept with probability p = d/R and then counts 1/p times and with
//! delay R. The variance of its count is 1/p − 1 = R/d − 1, that of its delay R²·p(1 − p) = d(R − d).
//! The programs sum both over their own waits. Mutex, fraction N: a release charged with c is kept
//! with probability 1/N and then counts N times; the variances are N − 1 and c²(N − 1).

use contend_tests::agent::{Finished, profile_command};
use contend_tests::requirements::alone;
use contend_tests::stats::{assert_estimate, fraction_variance};
use contend_tests::workload::RATES_NS;

#[track_caller]
fn block(rate: &str, index: usize, name: &str, arguments: &[&str]) -> Finished {
    let _alone = alone();
    let run = profile_command(&["--block-rate", rate, "--mutex-fraction", "1"], name, arguments);
    let truth = run.truth();
    let profile = run.block(truth.pid);
    let what = format!("{name} at {rate}");
    let (count, delay) = (truth.count_variance[index], truth.delay_variance[index]);
    assert_estimate(
        &format!("{what}: count"),
        profile.contentions() as f64,
        truth.sleeps as f64,
        count,
        0.01,
    );
    assert_estimate(&format!("{what}: delay"), profile.delay() as f64, truth.delay_ns as f64, delay, 0.02);
    run
}

#[test]
fn block_rate_below_every_wait_keeps_all() {
    assert_eq!(RATES_NS[0], 1_000);
    block("1us", 0, "hot_mutex", &[]);
}

#[test]
fn block_rate_of_production() {
    assert_eq!(RATES_NS[1], 10_000);
    block("10us", 1, "rwlock", &[]);
}

#[test]
fn block_rate_above_most_waits() {
    assert_eq!(RATES_NS[2], 1_000_000);
    // Two threads and 200 µs: most waits are a fifth to a third of the rate.
    block("1ms", 2, "hot_mutex", &["2", "200", "4000"]);
    block("1ms", 2, "rwlock", &[]);
}

/// Waits of a few microseconds: too short for the program's clocks, so only their number is known,
/// and the variance by a bound: a wait is two context switches and the other thread's turn between
/// them, which takes half a microsecond at least, so R/d − 1 is below 19.
#[test]
fn block_rate_above_very_short_waits() {
    let _alone = alone();
    let run = profile_command(&["--block-rate", "10us"], "storm", &["1500"]);
    let truth = run.truth();
    let count = run.block(truth.pid).contentions() as f64;
    let variance = 19.0 * truth.sleeps as f64;
    assert_estimate("storm at 10us: count", count, truth.sleeps as f64, variance, 0.01);
}

#[track_caller]
fn mutex(fraction: u32) {
    let _alone = alone();
    let options = ["--mutex-fraction", &fraction.to_string(), "--block-rate", "1", "--run-queue", "split"];
    let run = profile_command(&options, "hot_mutex", &["8", "200", "5000"]);
    let truth = run.truth();
    let (mutex, block) = (run.mutex(truth.pid), run.block(truth.pid));
    let waited = block.only(|s| !s.labels.contains_key("phase")).delay() as f64;
    let (n, releases) = (f64::from(fraction), truth.number("contended_releases"));
    let count = fraction_variance(releases, n);
    assert_estimate(&format!("1 in {fraction}: count"), mutex.contentions() as f64, releases, count, 0.02);
    let delay = fraction_variance(truth.number("charge_squares"), n);
    assert_estimate(&format!("1 in {fraction}: delay"), mutex.delay() as f64, waited, delay, 0.02);
    assert_eq!(mutex.contentions() % i64::from(fraction), 0, "each kept release counts {fraction} times");
}

#[test]
fn every_release() {
    mutex(1);
}

#[test]
fn one_release_in_ten() {
    mutex(10);
}

#[test]
fn one_release_in_a_hundred() {
    mutex(100);
}

#[test]
fn zero_switches_a_profile_off() {
    let _alone = alone();
    let run = profile_command(&["--mutex-fraction", "0"], "hot_mutex", &["4", "300", "500"]);
    let pid = run.truth().pid;
    assert_eq!((run.mutex(pid).contentions(), run.mutex(pid).delay()), (0, 0));
    assert!(run.block(pid).contentions() > 0);
    let run = profile_command(&["--block-rate", "0"], "hot_mutex", &["4", "300", "500"]);
    let pid = run.truth().pid;
    assert_eq!((run.block(pid).contentions(), run.block(pid).delay()), (0, 0));
    assert!(run.mutex(pid).contentions() > 0);
}
