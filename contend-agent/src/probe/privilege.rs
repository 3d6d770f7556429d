//! What the agent is allowed to do.

use std::fs;

/// A capability that the agent uses (numbers from `linux/capability.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Loads programs and maps.
    Bpf,
    /// Attaches to tracepoints and reads kernel memory in programs.
    Perfmon,
    /// Reads other users' `/proc/PID/maps` and executables.
    SysPtrace,
    /// Everything above in one, on kernels before 5.8 as well.
    SysAdmin,
}

impl Capability {
    fn bit(self) -> u32 {
        match self {
            Self::Bpf => 39,
            Self::Perfmon => 38,
            Self::SysPtrace => 19,
            Self::SysAdmin => 21,
        }
    }

    /// Its name as `capsh` and systemd write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bpf => "CAP_BPF",
            Self::Perfmon => "CAP_PERFMON",
            Self::SysPtrace => "CAP_SYS_PTRACE",
            Self::SysAdmin => "CAP_SYS_ADMIN",
        }
    }
}

/// The capabilities in effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Privileges(u64);

impl Privileges {
    /// The agent's own.
    #[must_use]
    pub fn own() -> Self {
        Self::parse(&fs::read_to_string("/proc/self/status").unwrap_or_default())
    }

    fn parse(status: &str) -> Self {
        let digits = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        Self(digits.and_then(|d| u64::from_str_radix(d.trim(), 16).ok()).unwrap_or(0))
    }

    /// Whether `capability` is in effect, by itself or by a wider one.
    #[must_use]
    pub fn has(self, capability: Capability) -> bool {
        let set = |c: Capability| self.0 & (1 << c.bit()) != 0;
        let by_admin =
            matches!(capability, Capability::Bpf | Capability::Perfmon) && set(Capability::SysAdmin);
        set(capability) || by_admin
    }

    /// Those that recording cannot do without and that are not there.
    #[must_use]
    pub fn missing(self) -> Vec<Capability> {
        [Capability::Bpf, Capability::Perfmon, Capability::SysPtrace]
            .into_iter()
            .filter(|c| !self.has(*c))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Capability, Privileges};

    #[test]
    fn an_ordinary_user_lacks_all_three() {
        let none = Privileges::parse("Name:\tx\nCapEff:\t0000000000000000\n");
        assert_eq!(none.missing(), [Capability::Bpf, Capability::Perfmon, Capability::SysPtrace]);
    }

    #[test]
    fn the_three_are_enough() {
        let three = format!("CapEff:\t{:016x}\n", (1u64 << 39) | (1 << 38) | (1 << 19));
        assert!(Privileges::parse(&three).missing().is_empty());
    }

    #[test]
    fn sys_admin_stands_for_bpf_and_perfmon_only() {
        let admin = format!("CapEff:\t{:016x}\n", 1u64 << 21);
        assert_eq!(Privileges::parse(&admin).missing(), [Capability::SysPtrace]);
    }
}
