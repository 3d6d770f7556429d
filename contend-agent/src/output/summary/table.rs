//! Tables of delay, its share, a count, the mean, and what they are about.

use std::fmt::{self, Display};

use crate::output::quantity::{duration, mean, share};

/// Columns that the last column may take, so that lines fit 100.
pub(super) const TEXT_WIDTH: usize = 58;

/// Columns before it.
const INDENT: usize = 100 - TEXT_WIDTH;

/// The line above the rows.
pub(super) fn header(count: &str, text: &str) -> String {
    columns("delay", "share", count, "mean", text)
}

/// A line in the last column.
pub(super) fn remark(text: &str) -> String {
    format!("{:INDENT$}{text}\n", "")
}

/// One row.
pub(super) struct Row {
    /// In ns.
    pub(super) delay: u64,
    /// What the share is of, in ns.
    pub(super) whole: u64,
    /// Events that the delay is the sum of.
    pub(super) count: u64,
    /// The last column, each line in [`TEXT_WIDTH`].
    pub(super) lines: Vec<String>,
}

impl Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = self.lines.iter();
        f.write_str(&columns(
            &duration(self.delay),
            &share(self.delay, self.whole),
            &self.count.to_string(),
            &mean(self.delay, self.count),
            lines.next().map_or("", String::as_str),
        ))?;
        lines.try_for_each(|line| f.write_str(&remark(line)))
    }
}

fn columns(delay: &str, share: &str, count: &str, mean: &str, text: &str) -> String {
    format!("  {delay:>8} {share:>7} {count:>11} {mean:>9}  {text}\n")
}
