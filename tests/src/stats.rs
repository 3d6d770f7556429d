//! How far an estimate from a sample may lie from the truth.

/// Half-widths in standard deviations: an unbiased estimate lies outside about once in 150,000 runs.
pub const DEVIATIONS: f64 = 4.5;

/// Asserts that two sums differ by no more than a share of the expected one.
///
/// # Panics
///
/// When they do; `what` names them.
#[track_caller]
pub fn assert_within(what: &str, measured: f64, expected: f64, share: f64) {
    let error = (measured - expected) / expected;
    assert!(
        error.abs() <= share,
        "{what}: {measured:.0} measured, {expected:.0} expected: {:+.2} %, allowed ± {:.2} %",
        100.0 * error,
        100.0 * share
    );
}

/// Asserts that an estimate lies within the confidence interval that its variance gives, widened
/// by the share `exact` that an unsampled measurement may be off.
///
/// # Panics
///
/// When it does not; `what` names it.
#[track_caller]
pub fn assert_estimate(what: &str, estimate: f64, expected: f64, variance: f64, exact: f64) {
    let allowed = DEVIATIONS * variance.sqrt() + exact * expected;
    assert!(
        (estimate - expected).abs() <= allowed,
        "{what}: {estimate:.0} estimated, {expected:.0} expected ± {allowed:.0} ({:+.2} %, allowed ± {:.2} %)",
        100.0 * (estimate - expected) / expected,
        100.0 * allowed / expected
    );
}

/// Variance of the estimated number of events, each kept with probability 1/`fraction` and then
/// counted `fraction` times.
#[must_use]
pub fn fraction_variance(squares: f64, fraction: f64) -> f64 {
    squares * (fraction - 1.0)
}

#[cfg(test)]
mod tests {
    use super::{assert_estimate, assert_within, fraction_variance};

    #[test]
    fn variance_of_one_in_n() {
        // 100 events of weight 1, one in 10 kept: binomial variance 100·0.1·0.9, times 10².
        assert!((fraction_variance(100.0, 10.0) - 900.0).abs() < 1e-9);
    }

    #[test]
    #[should_panic(expected = "expected")]
    fn too_far() {
        assert_within("sum", 103.0, 100.0, 0.02);
    }

    #[test]
    #[should_panic(expected = "estimated")]
    fn outside_the_interval() {
        assert_estimate("sum", 146.0, 100.0, 100.0, 0.0);
    }

    #[test]
    fn inside() {
        assert_within("sum", 101.9, 100.0, 0.02);
        assert_estimate("sum", 144.0, 100.0, 100.0, 0.0);
    }
}
