//! Text of `/proc/PID/maps`.

use std::io::{self, BufRead, Read};

/// Longest line that is read: the kernel shows paths of at most a page, its line ends fourfold.
const MAX_LINE: u64 = 17 * 1024;
/// Most lines that are read: 16 times the kernel's default limit of mappings.
const MAX_LINES: usize = 1 << 20;

/// An executable mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// First address.
    pub(super) start: u64,
    /// First address behind it.
    pub(super) limit: u64,
    /// Offset in the file of the first address.
    pub(super) offset: u64,
    /// Major and minor number of the file's device.
    pub(super) device: (u32, u32),
    /// The file's inode; 0 without a file.
    pub(super) inode: u64,
    /// Path as the process sees it, a name in brackets, or nothing.
    pub(super) path: Vec<u8>,
}

/// What was read of one process.
#[derive(Debug, Default)]
pub(super) struct Maps {
    /// Its executable mappings, by rising address.
    pub(super) entries: Vec<Entry>,
    /// Whether there was more than the bounds allow.
    pub(super) cut: bool,
    /// Whether there was any mapping at all; a thread that has ended shows none.
    pub(super) any: bool,
}

/// Reads the executable mappings, `most` at most.
pub(super) fn read(mut text: impl BufRead, most: usize) -> io::Result<Maps> {
    let mut maps = Maps::default();
    let mut line = Vec::new();
    for _ in 0..MAX_LINES {
        line.clear();
        if text.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(maps);
        }
        maps.any = true;
        let Some(line) = line.strip_suffix(b"\n") else {
            maps.cut = true;
            return Ok(maps);
        };
        let Some(entry) = parse_line(line) else {
            continue;
        };
        if maps.entries.len() == most {
            maps.cut = true;
            return Ok(maps);
        }
        maps.entries.push(entry);
    }
    maps.cut = true;
    Ok(maps)
}

/// Reads one line without its end; `None` when it is not executable or not of the form.
pub(super) fn parse_line(line: &[u8]) -> Option<Entry> {
    let mut fields = line.splitn(6, |&byte| byte == b' ');
    let mut field = || std::str::from_utf8(fields.next()?).ok();
    let (start, limit) = field()?.split_once('-')?;
    let permissions = field()?;
    if permissions.as_bytes().get(2) != Some(&b'x') {
        return None;
    }
    let offset = field()?;
    let (major, minor) = field()?.split_once(':')?;
    let inode = field()?;
    let entry = Entry {
        start: hexadecimal(start)?,
        limit: hexadecimal(limit)?,
        offset: hexadecimal(offset)?,
        device: (hexadecimal(major)?.try_into().ok()?, hexadecimal(minor)?.try_into().ok()?),
        inode: inode.parse().ok()?,
        path: unescape(fields.next().unwrap_or_default().trim_ascii_start()),
    };
    (entry.start < entry.limit).then_some(entry)
}

fn hexadecimal(digits: &str) -> Option<u64> {
    u64::from_str_radix(digits, 16).ok()
}

/// The path without what the kernel added: line ends as `\012`, and the mark of a deleted file. A
/// file that really is called so is told apart by its device and inode.
fn unescape(path: &[u8]) -> Vec<u8> {
    const LINE_END: &[u8] = b"\\012";
    let mut rest = path.strip_suffix(b" (deleted)").unwrap_or(path);
    let mut plain = Vec::with_capacity(rest.len());
    while let Some((&byte, tail)) = rest.split_first() {
        match rest.strip_prefix(LINE_END) {
            Some(behind) => {
                plain.push(b'\n');
                rest = behind;
            }
            None => {
                plain.push(byte);
                rest = tail;
            }
        }
    }
    plain
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn line(path: &str) -> String {
        format!("7f01a000-7f01c000 r-xp 00002000 fe:1a 4242                       {path}")
    }

    #[test]
    fn an_executable_mapping() {
        let entry = parse_line(line("/usr/lib/libc.so.6").as_bytes()).unwrap();
        let expected = Entry {
            start: 0x7f01_a000,
            limit: 0x7f01_c000,
            offset: 0x2000,
            device: (0xfe, 0x1a),
            inode: 4242,
            path: b"/usr/lib/libc.so.6".to_vec(),
        };
        assert_eq!(entry, expected);
    }

    #[test]
    fn hostile_paths() {
        let path = |shown: &str| parse_line(line(shown).as_bytes()).unwrap().path;
        assert_eq!(path("/a b/c  d (deleted)"), b"/a b/c  d");
        assert_eq!(path("/a\\012b (deleted)"), b"/a\nb");
        assert_eq!(path("/a (deleted) (deleted)"), b"/a (deleted)");
        assert_eq!(path("[vdso]"), b"[vdso]");
        assert_eq!(path("/memfd:jit (deleted)"), b"/memfd:jit");
        assert_eq!(path("/a\\01"), b"/a\\01");
        let mut bytes = line("/x").into_bytes();
        bytes.push(0xff);
        assert_eq!(parse_line(&bytes).unwrap().path, b"/x\xff");
    }

    #[test]
    fn anonymous_memory_has_no_path() {
        let entry = parse_line(b"7f01a000-7f01c000 rwxp 00000000 00:00 0 ").unwrap();
        assert_eq!((entry.inode, entry.path.as_slice()), (0, b"".as_slice()));
        assert_eq!(parse_line(b"7f01a000-7f01c000 rwxp 00000000 00:00 0").unwrap(), entry);
    }

    #[test]
    fn what_is_not_executable_or_malformed_is_left_out() {
        for text in [
            "7f01a000-7f01c000 r--p 00002000 fe:1a 4242 /a",
            "",
            "x",
            "7f01c000-7f01a000 r-xp 00002000 fe:1a 4242 /a",
            "7f01a000-7f01c000 r-xp 00002000 fe 4242 /a",
            "17f01a00000000000-7f01c000 r-xp 0 fe:1a 4242 /a",
            "7f01a000-7f01c000 r-xp 0 fe:1a x /a",
        ] {
            assert_eq!(parse_line(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn reading_is_bounded() {
        let text: String = (1..=5)
            .map(|i| format!("{i}000-{i}800 r-xp 0 0:0 0 /a\n{i}800-{i}900 rw-p 0 0:0 0 \n"))
            .collect();
        let all = read(text.as_bytes(), 5).unwrap();
        assert_eq!((all.entries.len(), all.cut), (5, false));
        let some = read(text.as_bytes(), 3).unwrap();
        assert_eq!((some.entries.len(), some.cut), (3, true));
        let long = format!("1000-2000 r-xp 0 0:0 0 /{}\n", "a".repeat(1 << 20));
        assert!(read(long.as_bytes(), 3).unwrap().cut);
        let none = read(b"".as_slice(), 3).unwrap();
        assert_eq!((none.entries.len(), none.cut, none.any), (0, false, false));
    }

    #[test]
    fn own_mappings_hold_this_code() {
        let maps = read(std::fs::read("/proc/self/maps").unwrap().as_slice(), 10_000).unwrap();
        let here = own_mappings_hold_this_code as fn() as usize as u64;
        let entry = maps.entries.iter().find(|entry| (entry.start..entry.limit).contains(&here)).unwrap();
        assert_eq!(entry.path, std::env::current_exe().unwrap().as_os_str().as_encoded_bytes());
    }
}
