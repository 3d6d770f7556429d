//! The stacks with the most delay.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use super::table::{self, Row, TEXT_WIDTH};
use super::{Recorded, Summary};
use crate::output::quantity::{count, duration, share, shorten};
use crate::profile::model::{Line, Location, Profile, Sample};

/// Stacks that are shown of each profile.
const STACKS: usize = 5;

/// Frames that are shown of each stack, inlined ones included.
const FRAMES: usize = 8;

/// Both profiles' paragraphs.
pub(super) fn paragraphs(summary: &Summary<'_>, processes: &[&Recorded<'_>]) -> [String; 2] {
    let several = processes.len() > 1;
    let mutex = Ranking::new(processes.iter().filter_map(|r| Some((*r, r.mutex?))));
    let block = Ranking::new(processes.iter().filter_map(|r| Some((*r, r.block?))));
    [
        match summary.mutex_fraction {
            0 => "Mutex profile: off\n".to_owned(),
            _ => mutex.paragraph("Mutex profile: releases that made others wait", several),
        },
        match summary.block_rate {
            0 => "Block profile: off\n".to_owned(),
            _ => block.paragraph("Block profile: waits", several),
        },
    ]
}

/// Sums of one stack of one process.
struct Stack<'a> {
    recorded: &'a Recorded<'a>,
    profile: &'a Profile,
    locations: &'a [usize],
    contentions: u64,
    delay: u64,
}

/// A profile's stacks over all processes, the longest delay first, and what is idle.
struct Ranking<'a> {
    stacks: Vec<Stack<'a>>,
    delay: u64,
    contentions: u64,
    idle_delay: u64,
    idle_stacks: usize,
}

impl<'a> Ranking<'a> {
    fn new(profiles: impl Iterator<Item = (&'a Recorded<'a>, &'a Profile)>) -> Self {
        let mut ranking = Self { stacks: vec![], delay: 0, contentions: 0, idle_delay: 0, idle_stacks: 0 };
        for (recorded, profile) in profiles {
            ranking.add(recorded, profile);
        }
        ranking.stacks.sort_by_cached_key(|stack| {
            let address = |&index: &usize| stack.profile.locations.get(index).map(|l| l.address);
            let addresses: Vec<_> = stack.locations.iter().map(address).collect();
            let process = stack.recorded.process.key;
            (Reverse(stack.delay), Reverse(stack.contentions), process, addresses)
        });
        ranking
    }

    /// Adds a process's samples; those that differ only in labels are one stack.
    fn add(&mut self, recorded: &'a Recorded<'a>, profile: &'a Profile) {
        let mut sums = HashMap::<&[usize], (u64, u64)>::new();
        let mut idle = HashSet::<&[usize]>::new();
        for sample in &profile.samples {
            if is_idle(sample) {
                self.idle_delay += sample.delay;
                idle.insert(&sample.stack);
            } else {
                self.delay += sample.delay;
                self.contentions += sample.contentions;
                let sum = sums.entry(&sample.stack).or_default();
                *sum = (sum.0 + sample.contentions, sum.1 + sample.delay);
            }
        }
        self.idle_stacks += idle.len();
        let stacks = sums.into_iter();
        self.stacks.extend(stacks.map(|(locations, (contentions, delay))| Stack {
            recorded,
            profile,
            locations,
            contentions,
            delay,
        }));
    }

    fn paragraph(&self, title: &str, several: bool) -> String {
        let mut text = match self.stacks.is_empty() {
            true => format!("{title}, none sampled\n"),
            false => format!(
                "{title}, {} delay in {}\n{}",
                duration(self.delay),
                count(self.contentions, "contention"),
                table::header("contentions", "stack, the innermost function first"),
            ),
        };
        for stack in self.stacks.iter().take(STACKS) {
            text += &stack.row(self.delay, several).to_string();
        }
        if let Some(more) = self.stacks.get(STACKS..).filter(|more| !more.is_empty()) {
            let delay: u64 = more.iter().map(|stack| stack.delay).sum();
            let stacks = if more.len() == 1 { "stack" } else { "stacks" };
            let more = format!("and {} more {stacks}, {} delay", more.len(), duration(delay));
            text += &table::remark(&more);
        }
        if self.idle_stacks > 0 {
            text += &format!(
                "  Idle, hidden: {} delay in {}, {} of all. The file has them, labelled idle.\n",
                duration(self.idle_delay),
                count(self.idle_stacks as u64, "stack"),
                share(self.idle_delay, self.idle_delay.saturating_add(self.delay)),
            );
        }
        text
    }
}

/// Whether the sample waits for work: the label is there only when it does.
fn is_idle(sample: &Sample) -> bool {
    sample.labels.iter().any(|label| label.key == "idle")
}

impl Stack<'_> {
    fn row(&self, whole: u64, several: bool) -> Row {
        let mut lines = Vec::new();
        if several {
            lines.push(self.recorded.title(TEXT_WIDTH));
        }
        let frames = self.frames();
        lines.extend(frames.iter().take(FRAMES).cloned());
        if frames.len() > FRAMES {
            lines.push(format!("… {} more", frames.len() - FRAMES));
        }
        if frames.is_empty() {
            lines.push("(no stack)".to_owned());
        }
        Row { delay: self.delay, whole, count: self.contentions, lines }
    }

    fn frames(&self) -> Vec<String> {
        let locations = self.locations.iter().filter_map(|&index| self.profile.locations.get(index));
        let mut frames = Vec::new();
        for location in locations {
            let named = location.lines.iter().filter(|line| !line.function.is_empty());
            let before = frames.len();
            frames.extend(named.map(named_frame));
            if frames.len() == before {
                frames.push(unnamed_frame(self.profile, location));
            }
        }
        frames
    }
}

/// `function file.c:12`
fn named_frame(line: &Line) -> String {
    let place = match (base_name(&line.file), line.line) {
        ("", _) => String::new(),
        (file, 0) => format!(" {file}"),
        (file, number) => format!(" {file}:{number}"),
    };
    let place = shorten(&place, TEXT_WIDTH / 2);
    shorten(&line.function, TEXT_WIDTH - place.chars().count()) + &place
}

/// `[libc.so.6]+0x1234`, the offset being that in the file.
fn unnamed_frame(profile: &Profile, location: &Location) -> String {
    match location.mapping.and_then(|mapping| profile.mappings.get(mapping)) {
        Some(mapping) => {
            let offset = location.address.wrapping_sub(mapping.start);
            let offset = format!("+{:#x}", offset.wrapping_add(mapping.file_offset));
            let file = shorten(base_name(&mapping.file), TEXT_WIDTH - 2 - offset.len());
            format!("[{file}]{offset}")
        }
        None => format!("{:#x}", location.address),
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}
