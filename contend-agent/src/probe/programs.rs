//! The programs: loaded and attached.

use std::io;

use aya::maps::{MapData, MapError, RingBuf};
use aya::programs::{BtfTracePoint, ProgramError};
use aya::{Btf, BtfError, Ebpf, EbpfError, EbpfLoader};
use aya_log::EbpfLogger;
use contend_ebpf::record::Settings;
use thiserror::Error;
use tokio::io::unix::AsyncFd;

use super::layout::{LayoutError, kernel_layout};
use super::maps::Maps;
use super::privilege::Privileges;
use super::tables::Tables;
use crate::sys::readiness::await_readable;

/// Kernel-side messages on their way to the agent's log.
pub type Logger = EbpfLogger<&'static dyn log::Log>;

/// The tracepoints; each program has the name of its own.
const TRACEPOINTS: [&str; 5] =
    ["sched_process_fork", "sched_process_exec", "sched_process_exit", "sched_waking", "sched_switch"];

/// `AYA_LOG_LEVEL` of nothing, and of everything up to debug: constants to the verifier, which takes
/// the messages' code out of the programs when they are off.
const LOG_OFF: u8 = 0;
const LOG_DEBUG: u8 = 4;

/// Why the kernel side does not run.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// Not allowed to.
    #[error(
        "loading eBPF programs needs {missing}, which this process lacks; run contend-agent as root (sudo), \
         or give it these capabilities"
    )]
    Privileges {
        /// The capabilities that are not there.
        missing: String,
    },
    /// The kernel's layout is not known.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The kernel's type information is not one that aya can read.
    #[error("cannot read the kernel's type information: {0}")]
    Btf(#[from] BtfError),
    /// The kernel refuses the object.
    #[error(
        "the kernel refuses contend's eBPF maps or programs: {0}; `contend-agent check` tells what this kernel allows"
    )]
    Load(#[from] EbpfError),
    /// The kernel refuses one program.
    #[error(
        "the kernel refuses the program on tracepoint {tracepoint}: {source}; `contend-agent check` tells what this kernel allows"
    )]
    Program {
        /// Its tracepoint and name.
        tracepoint: &'static str,
        /// Why.
        source: ProgramError,
    },
    /// The compiled object is not the one that this agent knows.
    #[error("the eBPF object has no `{0}`; rebuild it by `cargo xtask ebpf build`")]
    Object(&'static str),
    /// A developer's object cannot be read.
    #[error("cannot read the eBPF object {path} named by CONTEND_BPF_OBJECT: {source}")]
    OtherObject {
        /// Its path.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A map cannot be used.
    #[error("cannot use an eBPF map: {0}")]
    Map(#[from] MapError),
    /// A map cannot be read.
    #[error("cannot read the eBPF map of {map}: {source}")]
    ReadMap {
        /// What it holds.
        map: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// How to begin.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// What to record; watched processes are named before [`Probes::attach`].
    pub settings: Settings,
    /// Whether the programs send diagnostics.
    pub kernel_log: bool,
}

/// The loaded programs. They are detached when this is dropped, and when the agent dies: nothing is pinned.
pub struct Probes {
    ebpf: Ebpf,
    /// The maps.
    pub maps: Maps,
    /// The unwind tables.
    pub tables: Tables,
}

/// The object to load: the one compiled in, or a developer's own.
fn object() -> Result<Vec<u8>, ProbeError> {
    let Some(path) = std::env::var_os("CONTEND_BPF_OBJECT") else {
        return Ok(contend_ebpf::OBJECT.to_vec());
    };
    std::fs::read(&path)
        .map_err(|source| ProbeError::OtherObject { path: path.to_string_lossy().into_owned(), source })
}

impl Probes {
    /// Loads the programs; they do not run yet.
    ///
    /// # Errors
    ///
    /// When privileges are missing or the kernel refuses.
    pub fn load(setup: &Setup) -> Result<(Self, RingBuf<MapData>), ProbeError> {
        let missing = Privileges::own().missing();
        if !missing.is_empty() {
            let names: Vec<_> = missing.iter().map(|c| c.name()).collect();
            return Err(ProbeError::Privileges { missing: names.join(", ") });
        }
        let layout = kernel_layout()?;
        let btf = Btf::from_sys_fs()?;
        let log_level = if setup.kernel_log { LOG_DEBUG } else { LOG_OFF };
        let mut ebpf = EbpfLoader::new()
            .btf(Some(&btf))
            .allow_unsupported_maps()
            .override_global("LAYOUT", &layout, true)
            .override_global("AYA_LOG_LEVEL", &log_level, true)
            .load(&object()?)?;
        for tracepoint in TRACEPOINTS {
            program(&mut ebpf, tracepoint)?
                .load(tracepoint, &btf)
                .map_err(|source| ProbeError::Program { tracepoint, source })?;
        }
        let (mut maps, events) = Maps::new(&mut ebpf)?;
        maps.change_settings(setup.settings)?;
        let tables = Tables::new(&mut ebpf)?;
        Ok((Self { ebpf, maps, tables }, events))
    }

    /// Lets the programs run.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn attach(&mut self) -> Result<(), ProbeError> {
        for tracepoint in TRACEPOINTS {
            program(&mut self.ebpf, tracepoint)?
                .attach()
                .map_err(|source| ProbeError::Program { tracepoint, source })?;
        }
        Ok(())
    }

    /// Ends the programs; the maps stay as they are.
    #[must_use]
    pub fn detach(self) -> (Maps, Tables) {
        let Self { ebpf, maps, tables } = self;
        drop(ebpf);
        (maps, tables)
    }

    /// The programs' messages, to be read when the file descriptor is readable.
    ///
    /// # Errors
    ///
    /// When the object has no room for messages, or the descriptor cannot be watched.
    pub fn logger(&mut self) -> io::Result<AsyncFd<Logger>> {
        let logger = EbpfLogger::init(&mut self.ebpf).map_err(io::Error::other)?;
        await_readable(logger)
    }
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut BtfTracePoint, ProbeError> {
    let program = ebpf.program_mut(name).ok_or(ProbeError::Object(name))?;
    program.try_into().map_err(|source| ProbeError::Program { tracepoint: name, source })
}
