//! Counting what the tests say.

use std::collections::BTreeSet;
use std::fmt;

/// Results so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Tests that passed, with those that skipped themselves: to the test program these passed.
    passed: usize,
    failed: usize,
    failures: Vec<String>,
    ignored: usize,
    skips: BTreeSet<String>,
}

impl Counts {
    /// How many failed.
    pub(super) fn failed(&self) -> usize {
        self.failed
    }

    /// Counts a check that is no test program's and passed.
    pub(super) fn pass(&mut self) {
        self.passed += 1;
    }

    /// Counts a failure that no test program reports.
    pub(super) fn fail(&mut self, what: &str, why: &str) {
        self.failed += 1;
        self.failures.push(format!("{what}: {why}"));
    }

    /// Counts one line of the output of `cargo test`.
    pub(super) fn read_line(&mut self, line: &str) {
        let words: Vec<_> = line.split_whitespace().collect();
        if let ["test", name, "...", "FAILED"] = words[..] {
            self.failures.push(name.to_owned());
        }
        let Some(results) = line.strip_prefix("test result: ") else {
            return;
        };
        for part in results.split(['.', ';']) {
            let Some((number, what)) = part.trim().split_once(' ') else {
                continue;
            };
            let number: usize = number.parse().unwrap_or(0);
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }

    /// Counts the lines `NAME: REASON` of tests that could not run here.
    pub(super) fn add_skips(&mut self, lines: &str) {
        let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
        self.skips.extend(lines.map(str::to_owned));
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for failure in &self.failures {
            writeln!(formatter, "failed:  {failure}")?;
        }
        for skip in &self.skips {
            writeln!(formatter, "skipped: {skip}")?;
        }
        if self.ignored > 0 {
            writeln!(formatter, "skipped: {} marked #[ignore]", self.ignored)?;
        }
        writeln!(
            formatter,
            "{} passed, {} failed, {} skipped",
            self.passed.saturating_sub(self.skips.len()),
            self.failed,
            self.ignored + self.skips.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn programs_add_up_and_skips_are_not_passes() {
        let mut counts = Counts::default();
        for line in [
            "running 3 tests",
            "test blame::holder ... ok",
            "test blame::waiters ... FAILED",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 4 filtered out; finished in 0.1s",
            "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s",
        ] {
            counts.read_line(line);
        }
        counts.add_skips("check: no kprobes in this kernel\n\ncheck: no kprobes in this kernel\n");
        assert_eq!(counts.failed(), 1);
        assert_eq!(
            counts.to_string(),
            "failed:  blame::waiters\n\
             skipped: check: no kprobes in this kernel\n\
             skipped: 1 marked #[ignore]\n\
             6 passed, 1 failed, 2 skipped\n"
        );
    }

    #[test]
    fn failures_outside_test_programs_count() {
        let mut counts = Counts::default();
        counts.pass();
        counts.fail("cargo test", "does not compile");
        assert_eq!(
            counts.to_string(),
            "failed:  cargo test: does not compile\n1 passed, 1 failed, 0 skipped\n"
        );
    }
}
