//! The ring buffer's records, as values.

use contend_ebpf::event::{EventType, MAX_FRAMES, Notice, StackHeader};
use contend_ebpf::record::ProcessKey;

/// What the kernel side tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A stack that is new in its process.
    Stack {
        /// The process.
        process: ProcessKey,
        /// The number that names the stack there.
        stack: u64,
        /// Addresses, the innermost first.
        frames: Vec<u64>,
    },
    /// A process has begun another program.
    Exec(ProcessKey),
    /// A process has ended.
    Exit(ProcessKey),
    /// A watched process has a child, which is watched as well.
    Fork {
        /// The child.
        process: ProcessKey,
        /// Process id of the parent.
        parent: u32,
    },
}

impl Event {
    /// Reads one record; nothing when it is none that this agent knows.
    #[must_use]
    pub fn parse(record: &[u8]) -> Option<Self> {
        let kind = word(record, 0)?;
        if kind == EventType::Stack as u32 {
            return parse_stack(record);
        }
        let process = ProcessKey {
            tgid: word(record, std::mem::offset_of!(Notice, process))?,
            start_ticks: word(record, std::mem::offset_of!(Notice, process) + 4)?,
        };
        if kind == EventType::Exec as u32 {
            Some(Self::Exec(process))
        } else if kind == EventType::Exit as u32 {
            Some(Self::Exit(process))
        } else if kind == EventType::Fork as u32 {
            Some(Self::Fork { process, parent: word(record, std::mem::offset_of!(Notice, parent))? })
        } else {
            None
        }
    }
}

fn parse_stack(record: &[u8]) -> Option<Event> {
    let count = word(record, std::mem::offset_of!(StackHeader, frames))? as usize;
    let process = std::mem::offset_of!(StackHeader, process);
    let addresses = record.get(size_of::<StackHeader>()..)?.get(..count.min(MAX_FRAMES) * 8)?;
    let frames = addresses
        .chunks_exact(8)
        .map(|bytes| u64::from_ne_bytes(bytes.try_into().expect("chunks are of eight bytes")));
    let stack = std::mem::offset_of!(StackHeader, stack);
    Some(Event::Stack {
        process: ProcessKey { tgid: word(record, process)?, start_ticks: word(record, process + 4)? },
        stack: u64::from_ne_bytes(record.get(stack..stack + 8)?.try_into().ok()?),
        frames: frames.collect(),
    })
}

fn word(record: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(record.get(offset..offset + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::Event;
    use contend_ebpf::record::ProcessKey;

    fn bytes(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_ne_bytes()).collect()
    }

    #[test]
    fn a_stack_is_read() {
        let record = bytes(&[1, 2, 100, 7, 0xabcd, 0, 0x1000, 0, 0x2000, 0]);
        let expected = Event::Stack {
            process: ProcessKey { tgid: 100, start_ticks: 7 },
            stack: 0xabcd,
            frames: vec![0x1000, 0x2000],
        };
        assert_eq!(Event::parse(&record), Some(expected));
    }

    #[test]
    fn notices_are_read() {
        let process = ProcessKey { tgid: 100, start_ticks: 7 };
        assert_eq!(Event::parse(&bytes(&[2, 0, 100, 7, 0, 0, 0, 0])), Some(Event::Exec(process)));
        assert_eq!(Event::parse(&bytes(&[3, 0, 100, 7, 0, 0, 0, 0])), Some(Event::Exit(process)));
        let fork = Event::Fork { process, parent: 99 };
        assert_eq!(Event::parse(&bytes(&[4, 99, 100, 7, 0, 0, 0, 0])), Some(fork));
    }

    #[test]
    fn short_and_unknown_records_are_no_events() {
        assert_eq!(Event::parse(&[]), None);
        assert_eq!(Event::parse(&bytes(&[9, 0, 1, 1, 0, 0, 0, 0])), None);
        assert_eq!(Event::parse(&bytes(&[1, 5, 100, 7, 1, 0, 0x1000, 0])), None, "frames are missing");
        assert_eq!(Event::parse(&bytes(&[1, u32::MAX, 100, 7, 1, 0])), None);
    }
}
