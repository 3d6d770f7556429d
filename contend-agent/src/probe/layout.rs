//! Where the running kernel keeps what the programs read, from its own type information (BTF).

use std::path::Path;

use btf_rs::{Btf, BtfType, Type};
use contend_ebpf::layout::{ABSENT, Layout, Registers};
use thiserror::Error;

/// Where the kernel shows its types.
pub(super) const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

/// Why the kernel's layout could not be found out.
#[derive(Debug, Error)]
pub enum LayoutError {
    /// No type information.
    #[error(
        "cannot read the kernel's type information at {path}: {source}; \
         contend needs a kernel built with CONFIG_DEBUG_INFO_BTF (Debian, Ubuntu, Fedora, RHEL 8.2 and later have it)"
    )]
    NoBtf {
        /// Where it was looked for.
        path: String,
        /// What reading it said.
        source: btf_rs::Error,
    },
    /// A type that should be there is not.
    #[error(
        "the kernel's type information has no {0}; contend needs Linux 5.15 or later; on such a kernel, please report this"
    )]
    Missing(String),
    /// Another processor.
    #[error("contend runs on x86_64 and aarch64, not on {0}")]
    Architecture(&'static str),
}

/// A structure in the kernel's type information.
pub struct KernelType<'a> {
    btf: &'a Btf,
    name: &'static str,
    layout: Type,
}

impl<'a> KernelType<'a> {
    /// Looks up the structure.
    ///
    /// # Errors
    ///
    /// When the kernel has none of this name.
    pub fn find(btf: &'a Btf, name: &'static str) -> Result<Self, LayoutError> {
        let types = btf.resolve_types_by_name(name).unwrap_or_default();
        let layout = types.into_iter().find(|t| matches!(t, Type::Struct(_)));
        let layout = layout.ok_or_else(|| LayoutError::Missing(format!("struct {name}")))?;
        Ok(Self { btf, name, layout })
    }

    /// Byte offset of a member, also of one in an unnamed structure or union within, or behind dots.
    #[must_use]
    pub fn offset(&self, path: &str) -> Option<u32> {
        let mut layout = self.layout.clone();
        let mut bits = 0;
        for name in path.split('.') {
            let (offset, member) = find_member(self.btf, &layout, name)?;
            bits += offset;
            layout = member;
        }
        Some(bits / 8)
    }

    /// The first of several names that the kernel has, since some changed.
    ///
    /// # Errors
    ///
    /// When it has none.
    pub fn offset_of_any(&self, paths: &[&str]) -> Result<u32, LayoutError> {
        paths
            .iter()
            .find_map(|path| self.offset(path))
            .ok_or_else(|| LayoutError::Missing(format!("{}.{}", self.name, paths[0])))
    }
}

/// Offset in bits and type of a member.
fn find_member(btf: &Btf, layout: &Type, name: &str) -> Option<(u32, Type)> {
    let (Type::Struct(layout) | Type::Union(layout)) = layout else { return None };
    for member in &layout.members {
        let found = btf.resolve_name(member).unwrap_or_default();
        if !found.is_empty() && found != name {
            continue;
        }
        let member_type = resolve(btf, member)?;
        if found == name {
            return Some((member.bit_offset(), member_type));
        }
        if let Some((offset, inner)) = find_member(btf, &member_type, name) {
            return Some((member.bit_offset() + offset, inner));
        }
    }
    None
}

/// The type behind names and qualifiers.
fn resolve(btf: &Btf, of: &dyn BtfType) -> Option<Type> {
    let mut found = btf.resolve_type_by_id(of.get_type_id()?).ok()?;
    while let Type::Typedef(_) | Type::Const(_) | Type::Volatile(_) | Type::Restrict(_) | Type::TypeTag(_) =
        found
    {
        let next = found.as_btf_type()?.get_type_id()?;
        found = btf.resolve_type_by_id(next).ok()?;
    }
    Some(found)
}

/// Whether `sched_switch` passes the previous task's state behind the two tasks (since Linux 5.18).
fn switch_has_state(btf: &Btf) -> Result<bool, LayoutError> {
    let missing = || LayoutError::Missing("tracepoint sched_switch".to_owned());
    let types = btf.resolve_types_by_name("btf_trace_sched_switch").unwrap_or_default();
    let typedef = types.into_iter().find(|t| matches!(t, Type::Typedef(_))).ok_or_else(missing)?;
    let pointer = resolve(btf, typedef.as_btf_type().ok_or_else(missing)?).ok_or_else(missing)?;
    let prototype = resolve(btf, pointer.as_btf_type().ok_or_else(missing)?).ok_or_else(missing)?;
    let Type::FuncProto(prototype) = prototype else { return Err(missing()) };
    // The first parameter is the tracepoint's own data.
    let tasks_in_place = prototype.parameters.get(2).and_then(|p| resolve(btf, p));
    match (prototype.parameters.len(), tasks_in_place) {
        (4, Some(Type::Ptr(_))) => Ok(false),
        (5, Some(Type::Ptr(_))) => Ok(true),
        _ => Err(LayoutError::Missing("sched_switch with the parameters that contend knows".to_owned())),
    }
}

/// Reads the running kernel's layout.
///
/// # Errors
///
/// When the kernel has no type information, or none of a type that contend needs.
pub fn kernel_layout() -> Result<Layout, LayoutError> {
    read_layout(Path::new(KERNEL_BTF))
}

fn read_layout(path: &Path) -> Result<Layout, LayoutError> {
    let btf = Btf::from_file(path)
        .map_err(|source| LayoutError::NoBtf { path: path.display().to_string(), source })?;
    let registers = match std::env::consts::ARCH {
        "x86_64" => Registers::X86_64,
        "aarch64" => Registers::AARCH64,
        other => return Err(LayoutError::Architecture(other)),
    };
    let task = KernelType::find(&btf, "task_struct")?;
    let signal = KernelType::find(&btf, "signal_struct")?;
    let mm = KernelType::find(&btf, "mm_struct")?;
    let vma = KernelType::find(&btf, "vm_area_struct")?;
    let file = KernelType::find(&btf, "file")?;
    let compat_in_status = std::env::consts::ARCH == "x86_64";
    Ok(Layout {
        task_state: task.offset_of_any(&["__state", "state"])?,
        task_pid: task.offset_of_any(&["pid"])?,
        task_tgid: task.offset_of_any(&["tgid"])?,
        task_mm: task.offset_of_any(&["mm"])?,
        task_group_leader: task.offset_of_any(&["group_leader"])?,
        task_start_boottime: task.offset_of_any(&["start_boottime", "real_start_time"])?,
        task_clear_child_tid: task.offset_of_any(&["clear_child_tid"])?,
        task_bpf_storage: task.offset_of_any(&["bpf_storage"])?,
        task_signal: task.offset_of_any(&["signal"])?,
        signal_live: signal.offset_of_any(&["live"])?,
        task_thread_status: match task.offset("thread_info.status") {
            Some(offset) if compat_in_status => offset,
            _ => ABSENT,
        },
        mm_start_code: mm.offset_of_any(&["start_code"])?,
        mm_end_code: mm.offset_of_any(&["end_code"])?,
        mm_mmap_base: mm.offset_of_any(&["mmap_base"])?,
        vma_start: vma.offset_of_any(&["vm_start"])?,
        vma_pgoff: vma.offset_of_any(&["vm_pgoff"])?,
        vma_flags: vma.offset_of_any(&["vm_flags"])?,
        vma_file: vma.offset_of_any(&["vm_file"])?,
        file_inode: file.offset_of_any(&["f_inode"])?,
        switch_has_state: u32::from(switch_has_state(&btf)?),
        registers,
        agent_tgid: std::process::id(),
    })
}

#[cfg(test)]
mod tests {
    use super::{LayoutError, kernel_layout, read_layout};

    #[test]
    fn the_running_kernel_has_all_that_is_needed() {
        let layout = kernel_layout().expect("this machine's kernel has BTF");
        assert!(layout.task_tgid == layout.task_pid + 4, "pid and tgid are neighbours in every kernel");
        assert!(layout.task_state < layout.task_pid);
    }

    #[test]
    fn a_kernel_without_types_is_told_about() {
        let error =
            read_layout(std::path::Path::new("/nonexistent/vmlinux")).expect_err("there is no such file");
        assert!(matches!(error, LayoutError::NoBtf { .. }));
        assert!(error.to_string().contains("CONFIG_DEBUG_INFO_BTF"), "{error}");
    }
}
