//! Objects of this machine that the tests read: those of them that are there.

use std::path::{Path, PathBuf};

/// A generator of numbers that are the same in every run (splitmix64, from its publication).
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        scramble(self.0)
    }

    /// A number below `limit`.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}

/// A number that looks unlike `value` and is always the same for it.
pub(super) fn scramble(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Libraries and programs from other hands, and the test itself as a program in Rust.
pub(super) fn objects() -> Vec<PathBuf> {
    let libraries = Path::new("/lib/x86_64-linux-gnu");
    let names = ["libc.so.6", "ld-linux-x86-64.so.2", "libstdc++.so.6", "libcrypto.so.3"];
    let mut found: Vec<_> = names.iter().map(|name| libraries.join(name)).collect();
    found.push("/usr/bin/python3".into());
    found.push(std::env::current_exe().expect("the test has a path"));
    if let Ok(machines) = std::fs::read_dir("/usr/lib/jvm") {
        let newest = machines.flatten().map(|entry| entry.path().join("lib/server/libjvm.so"));
        found.extend(newest.filter(|path| path.exists()).take(1));
    }
    found.retain(|path| path.exists());
    found
}
