//! The last stack of a thread, and what proves that it is the same again.
//!
//! A walk is a function of the registers that it starts with, of the tables, and of the words of the
//! thread's memory that it reads. When all of these are what they were, so is the stack: then one read
//! of the top of the thread's stack and a comparison take the place of the walk. A lock is mostly
//! waited for from the same place.

use aya_ebpf::helpers::generated::bpf_probe_read_user;

use super::mix;
use crate::kernel::UserRegisters;
use crate::maps::{STACK, StackBuffer};

/// Words that a walk may read and be remembered: that of some twelve frames.
pub const WORDS: usize = 24;
/// They lie within so many bytes from the stack pointer.
const REACH: u64 = 1 << 10;

/// A walk that is remembered; `count` is 0 for none.
#[repr(C)]
pub struct Memo {
    memory: u64,
    generation: u64,
    ip: u64,
    sp: u64,
    fp: u64,
    /// Of the words, in the order of the walk.
    hash: u64,
    /// The stack's name.
    pub stack: u64,
    /// How the walk ended.
    pub end: u32,
    count: u32,
    /// Bytes from the stack pointer to behind the last word.
    size: u64,
    /// Where each word is, in words from the stack pointer.
    places: [u16; WORDS],
}

/// What a walk notes for a memo as it reads.
#[repr(C)]
pub struct Notes {
    sp: u64,
    hash: u64,
    size: u64,
    count: u32,
    /// The walk read more, or further off, than is remembered.
    spoiled: u32,
    places: [u16; WORDS],
}

impl Notes {
    /// A walk begins.
    #[inline(always)]
    pub fn begin(&mut self, sp: u64) {
        self.sp = sp;
        self.hash = 0;
        self.size = 0;
        self.count = 0;
        self.spoiled = 0;
    }

    /// The walk has read `word` at `address`.
    #[inline(always)]
    pub fn add(&mut self, address: u64, word: u64) {
        let offset = address.wrapping_sub(self.sp);
        let count = self.count as usize;
        if offset & 7 != 0 || offset >= REACH || count >= WORDS {
            self.spoiled = 1;
            return;
        }
        self.places[count] = (offset / 8) as u16;
        self.count = count as u32 + 1;
        self.hash = mix(self.hash, word);
        if offset + 8 > self.size {
            self.size = offset + 8;
        }
    }
}

impl Memo {
    /// Whether the thread's stack is the one that is remembered.
    #[inline(always)]
    pub fn holds(&self, memory: u64, generation: u64, registers: UserRegisters) -> bool {
        let same_start = self.count != 0
            && self.sp == registers.sp()
            && self.ip == registers.ip()
            && self.fp == registers.fp()
            && self.memory == memory
            && self.generation == generation;
        same_start && self.hash_now() == self.hash
    }

    /// The hash of the words as they are now; another one when they cannot be read.
    #[inline(always)]
    fn hash_now(&self) -> u64 {
        let Some(buffer) = STACK.get_ptr_mut(0) else { return !self.hash };
        // SAFETY: this CPU's own buffer, and programs that run on it do not nest.
        let buffer: &mut StackBuffer = unsafe { &mut *buffer };
        // The mask is for the verifier: the size is a multiple of 8 from 8 to REACH.
        let size = ((self.size - 8) & (REACH - 8)) + 8;
        // SAFETY: the frames' room is REACH bytes; a bad user address is an error, not a fault.
        let error = unsafe {
            bpf_probe_read_user(buffer.frames.as_mut_ptr().cast(), size as u32, self.sp as *const _)
        };
        if error != 0 {
            return !self.hash;
        }
        let mut hash = 0;
        for index in 0..WORDS {
            if index as u32 >= self.count {
                break;
            }
            hash = mix(hash, buffer.frames[self.places[index] as usize & (buffer.frames.len() - 1)]);
        }
        hash
    }

    /// Remembers the walk that has just ended, if it can be.
    #[inline(always)]
    pub fn keep(&mut self, memory: u64, generation: u64, registers: UserRegisters, stack: u64, end: u32) {
        self.count = 0;
        let Some(buffer) = STACK.get_ptr(0) else { return };
        // SAFETY: as in `hash_now`.
        let notes = unsafe { &(*buffer).notes };
        if notes.spoiled != 0 {
            return;
        }
        self.memory = memory;
        self.generation = generation;
        self.ip = registers.ip();
        self.sp = registers.sp();
        self.fp = registers.fp();
        self.hash = notes.hash;
        self.stack = stack;
        self.end = end;
        self.size = notes.size;
        self.places = notes.places;
        self.count = notes.count;
    }
}
