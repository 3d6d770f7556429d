//! Map operations of bpf(2) that aya does not have: whole maps read by a few calls.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use aya::Pod;

const BPF_MAP_LOOKUP_BATCH: libc::c_long = 24;
const BPF_MAP_LOOKUP_AND_DELETE_BATCH: libc::c_long = 25;
/// Entries asked for at once.
const BATCH: u32 = 4_096;

/// `union bpf_attr`'s member for the batch commands (ABI, `linux/bpf.h`).
#[repr(C)]
#[derive(Default)]
struct BatchAttr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// What to do with the entries that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// They stay.
    Keep,
    /// They are taken out.
    Take,
}

/// Reads all entries of a hash map. With [`Read::Take`] nothing else may be writing to it, or what is
/// added to an entry between its being read and taken out is lost.
///
/// # Errors
///
/// Those of bpf(2).
pub fn read_map<K: Pod, V: Pod>(map: BorrowedFd<'_>, read: Read) -> io::Result<Vec<(K, V)>> {
    let command = match read {
        Read::Keep => BPF_MAP_LOOKUP_BATCH,
        Read::Take => BPF_MAP_LOOKUP_AND_DELETE_BATCH,
    };
    let mut entries = Vec::new();
    // Where the kernel goes on: an opaque number of at most the key's size, or of four bytes.
    let mut position = vec![0u8; size_of::<K>().max(size_of::<u64>())];
    let mut is_first = true;
    let mut room = BATCH;
    loop {
        let mut keys: Vec<K> = Vec::with_capacity(room as usize);
        let mut values: Vec<V> = Vec::with_capacity(room as usize);
        let mut attr = BatchAttr {
            in_batch: if is_first { 0 } else { position.as_ptr() as u64 },
            out_batch: position.as_mut_ptr() as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: room,
            map_fd: map.as_raw_fd() as u32,
            ..BatchAttr::default()
        };
        // SAFETY: the attribute has the kernel's layout, and its pointers have room for `count` keys
        // and values and for the position.
        let result = unsafe {
            libc::syscall(libc::SYS_bpf, command, &raw mut attr, size_of::<BatchAttr>() as libc::c_long)
        };
        let error = (result < 0).then(io::Error::last_os_error);
        let code = error.as_ref().and_then(io::Error::raw_os_error);
        match code {
            // One bucket of the hash holds more than there is room for.
            Some(libc::ENOSPC) if room < 1 << 20 => {
                room *= 2;
                continue;
            }
            None | Some(libc::ENOENT) => {}
            Some(_) => return Err(error.expect("there is a code, so there is an error")),
        }
        let count = attr.count.min(room) as usize;
        // SAFETY: the kernel has written `count` keys and values, and every bit pattern is one of them.
        unsafe {
            keys.set_len(count);
            values.set_len(count);
        }
        entries.extend(keys.into_iter().zip(values));
        if code.is_some() {
            return Ok(entries);
        }
        is_first = false;
    }
}
