//! What a table needs of an ELF object: where its code is loaded, and its call frame information.

use gimli::{BaseAddresses, EhFrameHdr, LittleEndian, Pointer};
use object::elf::{EM_X86_64, FileHeader64, PF_X, PT_GNU_EH_FRAME, PT_LOAD, ProgramHeader64, SHF_COMPRESSED};
use object::read::elf::{FileHeader as _, ProgramHeader as _, SectionHeader as _};
use object::{Endianness, ReadRef};

use super::TableError;
use super::functions::MAX_FRAME_BYTES;

type Header = FileHeader64<Endianness>;
type Program = ProgramHeader64<Endianness>;

/// The page size that file offsets of mappings are multiples of, at least.
const PAGE: u64 = 4_096;
/// The same, at most (arm64 and others allow 64 KiB).
const LARGE_PAGE: u64 = 65_536;

/// An executable segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// Its address by the program headers.
    pub address: u64,
    /// Its bytes in the file.
    pub size: u64,
}

/// Where an object's code is in the file and in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code {
    /// Lowest address of all loaded segments; the table's addresses count from here.
    pub lowest: u64,
    /// Executable segments by offset.
    pub segments: Vec<Segment>,
}

impl Code {
    /// The table's address of what a mapping of the file from `offset` on begins with, or nothing when no
    /// code is there. Negative when the mapping, being whole pages, begins before the lowest segment.
    pub fn address_of(&self, offset: u64) -> Option<i64> {
        let covers = |segment: &&Segment, page: u64| {
            segment.offset & !(page - 1) <= offset && offset < segment.offset.saturating_add(segment.size)
        };
        let segment = self
            .segments
            .iter()
            .rev()
            .find(|segment| covers(segment, PAGE))
            .or_else(|| self.segments.iter().find(|segment| covers(segment, LARGE_PAGE)))?;
        let address = segment.address.wrapping_add(offset).wrapping_sub(segment.offset);
        Some(address.wrapping_sub(self.lowest) as i64)
    }

    /// The end of the executable segment that `address` (by the program headers) is in.
    pub(super) fn end_of(&self, address: u64) -> Option<u64> {
        let within = |segment: &&Segment| address.wrapping_sub(segment.address) < segment.size;
        self.segments.iter().find(within).map(|segment| segment.address.saturating_add(segment.size))
    }
}

/// A section's bytes and address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frames<'data> {
    pub(super) bytes: &'data [u8],
    pub(super) address: u64,
}

/// An object as far as a table needs it.
pub(super) struct Image<'data> {
    pub(super) code: Code,
    pub(super) eh_frame: Option<Frames<'data>>,
    pub(super) debug_frame: Option<Frames<'data>>,
    /// For pointers relative to the code; 0 when sections are stripped.
    pub(super) text: u64,
}

impl<'data> Image<'data> {
    /// Reads the headers and the frames' bytes of `data`, and no more of it.
    pub(super) fn parse<R: ReadRef<'data>>(data: R) -> Result<Self, TableError> {
        let header = Header::parse(data).map_err(|_| TableError::NotElf("file header"))?;
        let endian = header.endian().map_err(|_| TableError::NotElf("byte order"))?;
        if endian != Endianness::Little {
            return Err(TableError::NotElf("byte order"));
        }
        let machine = header.e_machine(endian);
        if machine != EM_X86_64 {
            return Err(TableError::Machine(machine));
        }
        let programs =
            header.program_headers(endian, data).map_err(|_| TableError::NotElf("program headers"))?;
        let code = code(programs, endian)?;
        let mut image = Self { code, eh_frame: None, debug_frame: None, text: 0 };
        image.read_sections(header, endian, data)?;
        if image.eh_frame.is_none() {
            image.eh_frame = by_program_header(programs, endian, data);
        }
        Ok(image)
    }

    /// Takes the sections by name. Headers that make no sense count as stripped.
    fn read_sections<R: ReadRef<'data>>(
        &mut self,
        header: &'data Header,
        endian: Endianness,
        data: R,
    ) -> Result<(), TableError> {
        let Ok(sections) = header.sections(endian, data) else { return Ok(()) };
        for section in sections.iter() {
            let name = sections.section_name(endian, section).unwrap_or_default();
            let address = section.sh_addr(endian);
            let frames = match name {
                b".text" => {
                    self.text = address;
                    continue;
                }
                b".eh_frame" => &mut self.eh_frame,
                b".debug_frame" if section.sh_flags(endian) & u64::from(SHF_COMPRESSED) == 0 => {
                    &mut self.debug_frame
                }
                _ => continue,
            };
            if section.sh_size(endian) > MAX_FRAME_BYTES as u64 {
                return Err(TableError::TooLarge {
                    what: "bytes of call frame information",
                    limit: MAX_FRAME_BYTES,
                });
            }
            // A separate debug file has the section's header without its bytes.
            let bytes = section.data(endian, data).unwrap_or_default();
            *frames = (!bytes.is_empty()).then_some(Frames { bytes, address });
        }
        Ok(())
    }
}

fn code(programs: &[Program], endian: Endianness) -> Result<Code, TableError> {
    let loads = || programs.iter().filter(|program| program.p_type(endian) == PT_LOAD);
    let mut segments: Vec<Segment> = loads()
        .filter(|program| program.p_flags(endian) & PF_X != 0 && program.p_filesz(endian) > 0)
        .map(|program| Segment {
            offset: program.p_offset(endian),
            address: program.p_vaddr(endian),
            size: program.p_filesz(endian),
        })
        .collect();
    segments.sort_by_key(|segment| segment.offset);
    let lowest = loads().map(|program| program.p_vaddr(endian)).min();
    match lowest {
        Some(lowest) if !segments.is_empty() => Ok(Code { lowest, segments }),
        _ => Err(TableError::NoCode),
    }
}

/// `.eh_frame` as the program itself finds it: its length is not known, a terminator ends it.
fn by_program_header<'data, R: ReadRef<'data>>(
    programs: &[Program],
    endian: Endianness,
    data: R,
) -> Option<Frames<'data>> {
    let program = programs.iter().find(|program| program.p_type(endian) == PT_GNU_EH_FRAME)?;
    // Of the header only the pointer is needed: a version, three encodings, and it.
    let start = data.read_bytes_at(program.p_offset(endian), program.p_filesz(endian).min(64)).ok()?;
    let bases = BaseAddresses::default().set_eh_frame_hdr(program.p_vaddr(endian));
    let header = EhFrameHdr::new(start, LittleEndian).parse(&bases, 8).ok()?;
    let Pointer::Direct(address) = header.eh_frame_ptr() else { return None };
    programs.iter().filter(|program| program.p_type(endian) == PT_LOAD).find_map(|program| {
        let behind = address.checked_sub(program.p_vaddr(endian))?;
        let size = program.p_filesz(endian).checked_sub(behind)?.min(MAX_FRAME_BYTES as u64);
        let bytes = data.read_bytes_at(program.p_offset(endian).checked_add(behind)?, size).ok()?;
        Some(Frames { bytes, address })
    })
}

#[cfg(test)]
mod tests {
    use super::{Code, Segment};

    #[test]
    fn a_mapping_is_placed_by_its_file_offset() {
        let segments = vec![
            Segment { offset: 0x2_6000, address: 0x2_6000, size: 0x15_5000 },
            Segment { offset: 0x1f_0234, address: 0x20_1234, size: 0x1000 },
        ];
        let code = Code { lowest: 0, segments };
        assert_eq!(code.address_of(0x2_6000), Some(0x2_6000));
        assert_eq!(code.address_of(0x2_7000), Some(0x2_7000));
        assert_eq!(code.address_of(0x1f_0000), Some(0x20_1000), "the page that the segment begins in");
        assert_eq!(code.address_of(0x2_5000), Some(0x2_5000), "by pages of 64 KiB");
        assert_eq!(code.address_of(0x1_f000), None);
        assert_eq!(code.address_of(0x1f_2000), None);
        let fixed = vec![Segment { offset: 0x234, address: 0x40_1234, size: 0x1000 }];
        let fixed = Code { lowest: 0x40_0000, segments: fixed };
        assert_eq!(fixed.address_of(0), Some(0x1000));
    }
}
