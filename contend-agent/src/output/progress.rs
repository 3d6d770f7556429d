//! One line on the terminal that says how the recording goes.

use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use super::quantity;

/// What the line shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProgressState {
    /// Since the recording began.
    pub elapsed: Duration,
    /// Waits that ended so far.
    pub waits: u64,
    /// Their delay, in ns.
    pub delay: u64,
    /// Processes that waited.
    pub processes: u64,
    /// Events that were lost, for whatever reason.
    pub lost: u64,
}

/// The line, without a line end and of fewer than 80 characters: one that wraps cannot be redrawn.
pub fn line(state: &ProgressState) -> String {
    let mut line = format!(
        "{:>6}  {}, {} delay, {}",
        clock(state.elapsed.as_secs()),
        quantity::count(state.waits, "wait"),
        quantity::duration(state.delay),
        match state.processes {
            1 => "1 process".to_owned(),
            processes => format!("{processes} processes"),
        },
    );
    if state.lost > 0 {
        line += &format!(", {} lost", state.lost);
    }
    quantity::shorten(&line, 79)
}

/// Whole seconds: the line must not flicker between units.
fn clock(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes:02}m{seconds:02}s"),
    }
}

/// Draws the line over and over in the same place, and removes it when dropped.
///
/// Errors of the terminal are ignored: they are no reason to end a recording.
#[derive(Debug)]
pub struct Progress<W: Write> {
    terminal: Option<W>,
    drawn: bool,
}

impl Progress<io::Stderr> {
    /// On standard error; draws nothing when that is not a terminal.
    pub fn on_stderr() -> Self {
        let stderr = io::stderr();
        Self { terminal: stderr.is_terminal().then_some(stderr), drawn: false }
    }
}

impl<W: Write> Progress<W> {
    /// On a terminal.
    pub fn new(terminal: W) -> Self {
        Self { terminal: Some(terminal), drawn: false }
    }

    /// Draws nothing.
    pub fn off() -> Self {
        Self { terminal: None, drawn: false }
    }

    /// Whether anything is drawn: if not, there is no need to gather the numbers.
    pub fn is_on(&self) -> bool {
        self.terminal.is_some()
    }

    /// Draws the line in place of the one before.
    pub fn draw(&mut self, state: &ProgressState) {
        if self.terminal.is_some() {
            self.put(&format!("\r{}{ERASE_REST}", line(state)));
            self.drawn = true;
        }
    }

    /// Removes the line, so that other text can be written; the next [`Self::draw`] brings it back.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            self.put(&format!("\r{ERASE_REST}"));
        }
    }

    fn put(&mut self, text: &str) {
        if let Some(terminal) = &mut self.terminal {
            // In one piece, lest other output comes in between.
            let _ignored = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
        }
    }
}

impl<W: Write> Drop for Progress<W> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Erases from the cursor to the end of the line.
const ERASE_REST: &str = "\x1b[K";

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: ProgressState = ProgressState {
        elapsed: Duration::from_millis(12_900),
        waits: 34_567,
        delay: 62_000_000_000,
        processes: 1,
        lost: 0,
    };

    #[test]
    fn says_how_it_goes() {
        assert_eq!(line(&STATE), "   12s  34567 waits, 1m02s delay, 1 process");
        let later =
            ProgressState { elapsed: Duration::from_secs(3725), waits: 1, processes: 20, lost: 3, ..STATE };
        assert_eq!(line(&later), "1h02m05s  1 wait, 1m02s delay, 20 processes, 3 lost");
        assert_eq!(line(&ProgressState::default()), "    0s  0 waits, 0ns delay, 0 processes");
    }

    #[test]
    fn fits_a_terminal() {
        let large = ProgressState {
            elapsed: Duration::MAX,
            waits: u64::MAX,
            delay: u64::MAX,
            processes: u64::MAX,
            lost: u64::MAX,
        };
        assert_eq!(line(&large).chars().count(), 79);
        assert!(line(&STATE).len() < 79);
    }

    #[test]
    fn is_redrawn_in_place_and_removed_at_the_end() {
        let mut written = Vec::new();
        let mut progress = Progress::new(&mut written);
        progress.draw(&STATE);
        progress.draw(&STATE);
        drop(progress);
        let line = line(&STATE);
        let expected = format!("\r{line}\x1b[K\r{line}\x1b[K\r\x1b[K");
        assert_eq!(String::from_utf8_lossy(&written), expected);
    }

    #[test]
    fn draws_nothing_when_off_or_never_drawn() {
        let mut off = Progress::<Vec<u8>>::off();
        off.draw(&STATE);
        assert!(!off.is_on());
        let mut written = Vec::new();
        Progress::new(&mut written).clear();
        assert!(written.is_empty());
    }
}
