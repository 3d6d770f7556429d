//! GNU build ids. The files belong to whoever runs them, so nothing in them is trusted: reads are
//! bounded, and a file that is changed or cut short meanwhile is only a failed read.

use std::fs::File;
use std::os::unix::fs::FileExt;

use object::Endianness;
use object::elf;
use object::read::elf::{FileHeader, NoteIterator, ProgramHeader};

/// How much of the start of a file is read: program headers directly follow the file header.
const HEAD: usize = 16 * 1024;
/// Most bytes of notes that are read from one segment.
const MAX_NOTES: u64 = 64 * 1024;
/// Where the file header tells 32 from 64 bits (`EI_CLASS`).
const CLASS: usize = 4;
/// Longest build id that is believed, in bytes; linkers write 8 to 20.
const MAX_BUILD_ID: usize = 64;

/// The build id as lower-case hexadecimal digits; `None` when there is none or the file is no ELF
/// file.
pub(super) fn read(file: &File) -> Option<String> {
    let head = read_at(file, 0, HEAD)?;
    let id = if head.get(CLASS) == Some(&elf::ELFCLASS32) {
        find::<elf::FileHeader32<Endianness>>(file, &head)
    } else {
        find::<elf::FileHeader64<Endianness>>(file, &head)
    }?;
    (!id.is_empty() && id.len() <= MAX_BUILD_ID)
        .then(|| id.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn find<H: FileHeader<Endian = Endianness>>(file: &File, head: &[u8]) -> Option<Vec<u8>> {
    let header = H::parse(head).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, head).ok()?;
    segments.iter().filter(|segment| segment.p_type(endian) == elf::PT_NOTE).find_map(|segment| {
        let length = segment.p_filesz(endian).into().min(MAX_NOTES);
        let notes = read_at(file, segment.p_offset(endian).into(), usize::try_from(length).ok()?)?;
        let mut notes = NoteIterator::<H>::new(endian, segment.p_align(endian), &notes).ok()?;
        while let Ok(Some(note)) = notes.next() {
            if note.name() == elf::ELF_NOTE_GNU && note.n_type(endian) == elf::NT_GNU_BUILD_ID {
                return Some(note.desc().to_vec());
            }
        }
        None
    })
}

/// At most `length` bytes from `offset`; less at the end of the file.
fn read_at(file: &File, offset: u64, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], offset.checked_add(filled as u64)?) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    bytes.truncate(filled);
    Some(bytes)
}
