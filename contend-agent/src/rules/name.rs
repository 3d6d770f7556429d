//! Function names without what differs between builds of the same function.

/// A function's name and its bare form.
///
/// Bare is: without leading underscores and glibc's `GI_`, without symbol versions and the
/// suffixes of compilers (`@@GLIBC_2.34`, `.constprop.0`), and without what is in angle brackets
/// and parentheses; `<T as Trait>::method` is `T::method`, `drop_in_place<T>` is `T`.
pub(super) struct Name<'a> {
    pub(super) raw: &'a str,
    pub(super) bare: String,
}

impl<'a> Name<'a> {
    pub(super) fn new(raw: &'a str) -> Self {
        Self { raw, bare: bare(raw) }
    }
}

fn bare(raw: &str) -> String {
    let name = raw.strip_prefix("core::ptr::drop_in_place").map_or(raw, |rest| rest.trim_start_matches("::"));
    let name = name.trim_start_matches('_');
    let name = name.strip_prefix("GI_").unwrap_or(name).trim_start_matches('_');
    let end = name.find(['@', '.']).unwrap_or(name.len());
    without_arguments(&name[..end])
}

/// Drops generic and call arguments, but keeps the type that the name begins with.
fn without_arguments(name: &str) -> String {
    let (own_type, rest) = name.strip_prefix('<').map_or(("", name), split_own_type);
    let mut depth = 0_usize;
    let mut bare = String::with_capacity(name.len());
    for c in own_type.chars() {
        outside(c, &mut depth, &mut bare);
    }
    depth = 0;
    for c in rest.chars() {
        outside(c, &mut depth, &mut bare);
    }
    bare
}

fn outside(c: char, depth: &mut usize, bare: &mut String) {
    match c {
        '<' | '(' => *depth += 1,
        '>' | ')' => *depth = depth.saturating_sub(1),
        _ if *depth == 0 => bare.push(c),
        _ => {}
    }
}

/// Splits what follows an opening `<` into the type, without its `as Trait`, and what is behind
/// the closing `>`.
fn split_own_type(name: &str) -> (&str, &str) {
    let mut depth = 1_usize;
    for (at, c) in name.char_indices() {
        match c {
            '<' => depth += 1,
            '>' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return (before_trait(&name[..at]), &name[at + 1..]);
        }
    }
    (name, "")
}

fn before_trait(qualified: &str) -> &str {
    let mut depth = 0_usize;
    for (at, c) in qualified.char_indices() {
        match c {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            ' ' if depth == 0 && qualified[at..].starts_with(" as ") => return &qualified[..at],
            _ => {}
        }
    }
    qualified
}

#[cfg(test)]
mod tests {
    use super::bare;

    #[test]
    fn names_are_bared() {
        for (raw, expected) in [
            ("pthread_mutex_lock", "pthread_mutex_lock"),
            ("__GI___pthread_mutex_lock", "pthread_mutex_lock"),
            ("pthread_cond_wait@@GLIBC_2.3.2", "pthread_cond_wait"),
            ("__new_sem_wait_slow64.constprop.0", "new_sem_wait_slow64"),
            ("<std::sync::Mutex<T>>::lock", "std::sync::Mutex::lock"),
            ("<a::B<C<D>> as core::ops::Drop>::drop", "a::B::drop"),
            ("<<a::B as c::D>::E as f::G>::h", "::E::h"),
            ("core::ptr::drop_in_place<a::Guard<b::C>>", "a::Guard"),
            ("core::ptr::drop_in_place::<a::Guard<b::C>>", "a::Guard"),
            ("void std::cv::wait<f()::{lambda()#1}>(std::unique_lock<std::mutex>&)", "void std::cv::wait"),
            ("(anonymous namespace)::f(int)", "::f"),
            ("a::operator<(b const&)", "a::operator"),
            ("<unclosed", "unclosed"),
            (">>>(((", ""),
            ("ünï<ö>::x", "ünï::x"),
            ("", ""),
        ] {
            assert_eq!(bare(raw), expected, "{raw}");
        }
    }
}
