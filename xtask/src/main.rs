//! contend's chores. `cargo xtask --help` lists them.

mod bench;
mod command;
mod debian;
mod ebpf;
mod run;
mod test;
mod workspace;

use clap::{Parser, Subcommand};

/// contend's chores: build the kernel side, run, test, bench
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Build, check or verify the kernel side (the committed BPF object)
    Ebpf(ebpf::Arguments),
    /// Build the agent and run it as root with the arguments given
    Run(run::Arguments),
    /// Install what the tests need, run all of them, and print the counts
    Test(test::Arguments),
    /// Measure what the agent costs the programs it watches, and its peers in the same way
    Bench(bench::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().chore {
        Chore::Ebpf(arguments) => ebpf::main(&arguments),
        Chore::Run(arguments) => run::main(&arguments),
        Chore::Test(arguments) => test::main(&arguments),
        Chore::Bench(arguments) => bench::main(&arguments),
    }
}
