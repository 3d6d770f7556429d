//! The rules of all tables, numbered.

use std::collections::HashMap;

use contend_ebpf::rule::{MAX_RULES, Rule};
use contend_ebpf::table::Block;

use super::{Code, Table};

/// Rules that every set begins with.
pub const FIXED_RULES: [Rule; 3] = [Rule::NONE, Rule::UNSUPPORTED, Rule::FRAME_POINTER];
/// Number of [`Rule::NONE`].
pub const NO_RULE: u16 = 0;
/// Number of [`Rule::UNSUPPORTED`].
pub const UNSUPPORTED_RULE: u16 = 1;
/// Number of [`Rule::FRAME_POINTER`].
pub const FRAME_POINTER_RULE: u16 = 2;

/// Rules and their numbers. It only grows: what a table has used stays for the next one, and a host's
/// executables have the same few thousand.
#[derive(Clone, Debug)]
pub struct RuleSet {
    numbers: HashMap<Rule, u16>,
    rules: Vec<Rule>,
    capacity: usize,
}

impl Default for RuleSet {
    fn default() -> Self {
        Self::with_capacity(MAX_RULES)
    }
}

impl RuleSet {
    /// The fixed rules and room for others, at most `capacity` in all and at most [`MAX_RULES`].
    pub fn with_capacity(capacity: usize) -> Self {
        let numbers = FIXED_RULES.iter().copied().zip(0..).collect();
        Self { numbers, rules: FIXED_RULES.to_vec(), capacity: capacity.min(MAX_RULES) }
    }

    /// Every rule, by number.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule's number, given now if it is new; nothing when the set is full.
    pub fn number(&mut self, rule: Rule) -> Option<u16> {
        if let Some(number) = self.numbers.get(&rule) {
            return Some(*number);
        }
        let number = u16::try_from(self.rules.len()).ok().filter(|_| self.rules.len() < self.capacity)?;
        self.rules.push(rule);
        self.numbers.insert(rule, number);
        Some(number)
    }

    /// The table with this set's numbers in its rows. Rows whose rule finds no room become unsupported.
    pub fn adopt(&mut self, table: Table) -> Shared {
        let Table { code, rules, mut blocks, .. } = table;
        let numbers: Vec<_> = rules.into_iter().map(|rule| self.number(rule)).collect();
        let mut unsupported_rows = 0;
        for block in &mut blocks {
            let used = block.used().len();
            for (index, row) in block.rows.iter_mut().enumerate() {
                let number = numbers.get(usize::from(row.rule)).copied().flatten();
                unsupported_rows += u64::from(number.is_none() && index < used);
                row.rule = number.unwrap_or(UNSUPPORTED_RULE);
            }
        }
        Shared { code, blocks, unsupported_rows }
    }
}

/// A table whose rows name rules of a [`RuleSet`]: as it is loaded.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Where the object's code is.
    pub code: Code,
    /// Blocks by base; a block holds up to the next one's base.
    pub blocks: Vec<Block>,
    /// Rows that lost their rule because the set was full.
    pub unsupported_rows: u64,
}
