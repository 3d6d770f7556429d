//! Numbers and names as people read them, in a given width.

/// A time in ns with three digits and its unit: `1.23s`, `45.6ms`, `7.8us`; from a minute on
/// `1m23s`, from an hour on `2h05m`.
pub(super) fn duration(ns: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    // Seconds that would be rounded to 60 are a minute.
    if ns >= 59_950_000_000 {
        let seconds = ns / SECOND + u64::from(ns % SECOND >= SECOND / 2);
        let (minutes, seconds) = (seconds / 60, seconds % 60);
        return match minutes / 60 {
            0 => format!("{minutes}m{seconds:02}s"),
            hours => format!("{hours}h{:02}m", minutes % 60),
        };
    }
    if ns < 1000 {
        return format!("{ns}ns");
    }
    [(1e3, "us"), (1e6, "ms"), (1e9, "s")]
        .into_iter()
        .map(|(unit, name)| (three_digits(ns as f64 / unit), name))
        .find(|(text, _)| text != "1000")
        .map_or_else(String::new, |(text, name)| text + name)
}

/// The value with three digits, at most 1000, which is also what larger ones become.
fn three_digits(value: f64) -> String {
    let decimals = match value {
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        value if value < 999.5 => 0,
        _ => return "1000".to_owned(),
    };
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// The part of the whole in per cent: `66.1%`.
pub(super) fn share(part: u64, whole: u64) -> String {
    match whole {
        0 => "-".to_owned(),
        _ => format!("{:.1}%", part as f64 / whole as f64 * 100.0),
    }
}

/// A time in ns per event; `-` without events.
pub(super) fn mean(ns: u64, events: u64) -> String {
    ns.checked_div(events).map_or_else(|| "-".to_owned(), duration)
}

/// A number and its noun: `1 wait`, `2 waits`.
pub(super) fn count(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// The text in at most so many characters, its middle replaced by `…` when it is longer.
///
/// Two thirds of what is kept are the end: there the namespaces end and the function is.
/// Control characters, which names from a foreign process may hold, become `?`.
pub(super) fn shorten(text: &str, width: usize) -> String {
    let characters: Vec<char> = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    if characters.len() <= width {
        return characters.into_iter().collect();
    }
    let kept = width.saturating_sub(1);
    let start = kept / 3;
    let end = characters.len() - (kept - start);
    let (start, end) = (&characters[..start], &characters[end..]);
    start.iter().chain(&['…']).chain(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits() {
        for (ns, expected) in [
            (0, "0ns"),
            (999, "999ns"),
            (1000, "1us"),
            (7_800, "7.8us"),
            (9_996, "10us"),
            (99_960, "100us"),
            (999_499, "999us"),
            (999_500, "1ms"),
            (45_600_000, "45.6ms"),
            (1_234_000_000, "1.23s"),
            (12_340_000_000, "12.3s"),
            (59_949_999_999, "59.9s"),
            (59_950_000_000, "1m00s"),
            (83_400_000_000, "1m23s"),
            (3_599_600_000_000, "1h00m"),
            (7_500_000_000_000, "2h05m"),
            (u64::MAX, "5124095h34m"),
        ] {
            assert_eq!(duration(ns), expected, "{ns}");
        }
    }

    #[test]
    fn shares_means_and_counts() {
        assert_eq!(share(661, 1000), "66.1%");
        assert_eq!(share(1, 0), "-");
        assert_eq!(mean(300, 2), "150ns");
        assert_eq!(mean(300, 0), "-");
        assert_eq!((count(0, "wait"), count(1, "wait")), ("0 waits".into(), "1 wait".into()));
    }

    #[test]
    fn long_names_lose_their_middle() {
        assert_eq!(shorten("short", 5), "short");
        assert_eq!(shorten("abcdefghij", 7), "ab…ghij");
        assert_eq!(shorten("ünïcödé", 4), "ü…dé");
        assert_eq!(shorten("a\x1b[2Jb\n", 9), "a?[2Jb?");
        assert_eq!(shorten("abc", 0), "…");
    }
}
