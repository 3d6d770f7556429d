//! Programs that the tests compile, and that tell where their code is.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use contend_ebpf::record::ProcessKey;

use crate::target::identify;

/// Prints an address in `inner`, inlined at line 7 into `outer`, and waits for the end of its input.
const C: &str = "\
#include <stdio.h>
__attribute__((noinline)) void *here(void) { return __builtin_return_address(0); }
static inline __attribute__((always_inline)) void *inner(void) {
    return (char *)here() + 0;
}
__attribute__((noinline)) void *outer(void) {
    void *address = inner();
    __asm__ volatile(\"\");
    return (char *)address - 1;
}
int main(void) {
    printf(\"%p\\n\", outer());
    fflush(stdout);
    getchar();
    return 0;
}
";

/// The same in Rust; `inner` is at line 4, its call at line 10.
const RUST: &str = "\
#[inline(always)]
fn inner() -> usize {
    let address: usize;
    #[cfg(target_arch = \"x86_64\")] unsafe { std::arch::asm!(\"lea {}, [rip]\", out(reg) address) };
    #[cfg(target_arch = \"aarch64\")] unsafe { std::arch::asm!(\"adr {}, .\", out(reg) address) };
    address
}
mod deep {
    #[inline(never)]
    pub fn outer() -> usize { super::inner() - 1 }
}
fn main() {
    println!(\"{:#x}\", deep::outer());
    let _ = std::io::stdin().read_line(&mut String::new());
}
";

/// Compiles the C program in `directory`.
pub(super) fn c(directory: &Path, flags: &[&str]) -> PathBuf {
    compile(directory, "program.c", C, Command::new("cc").args(["-O2"]).args(flags).arg("-o"))
}

/// Compiles the Rust program in `directory`, with debug information.
pub(super) fn rust(directory: &Path) -> PathBuf {
    compile(directory, "program.rs", RUST, Command::new("rustc").args(["-O", "-g", "--edition=2021", "-o"]))
}

fn compile(directory: &Path, source: &str, text: &str, compiler: &mut Command) -> PathBuf {
    let (source, program) = (directory.join(source), directory.join("program"));
    std::fs::write(&source, text).unwrap();
    assert!(compiler.args([&program, &source]).status().unwrap().success());
    program
}

/// A program that waits.
pub(super) struct Running {
    child: Child,
    /// Its key.
    pub(super) key: ProcessKey,
    /// The address that it printed.
    pub(super) address: u64,
}

impl Running {
    /// Starts it and waits for its address.
    pub(super) fn start(program: &Path) -> Self {
        let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = u64::from_str_radix(line.trim().trim_start_matches("0x"), 16).unwrap();
        let key = identify(child.id()).unwrap().key;
        Self { child, key, address }
    }

    /// Ends and reaps it.
    pub(super) fn end(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
