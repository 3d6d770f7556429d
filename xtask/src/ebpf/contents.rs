//! What the agent relies on in a BPF object: programs, maps, constants and BTF, by name.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionKind, SymbolKind};

/// The names in an object, and of each what must not change unseen.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Contents {
    /// Functions by section and name: the programs and the functions they share.
    pub(super) functions: BTreeMap<String, Size>,
    /// Maps by name, with their definitions where these are plain bytes.
    pub(super) maps: BTreeMap<String, Vec<u8>>,
    /// Constants that the agent sets at load, by name, with their sizes.
    pub(super) constants: BTreeMap<String, u64>,
    /// Sections without which the object does not load, and the licence.
    pub(super) required: BTreeMap<String, Vec<u8>>,
}

/// Size of a function in bytes. Two compilers may differ in it, so that it takes no part in comparing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size(u64);

impl PartialEq for Size {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Size {}

impl Contents {
    /// Reads an object.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        let file = object::File::parse(bytes).context("cannot read the BPF object as ELF")?;
        let mut contents = Self {
            functions: BTreeMap::new(),
            maps: BTreeMap::new(),
            constants: BTreeMap::new(),
            required: BTreeMap::new(),
        };
        for symbol in file.symbols() {
            contents.add_symbol(&file, &symbol)?;
        }
        for section in file.sections() {
            match section.name()? {
                // Offsets and strings in BTF depend on the compiler; that it is there does not.
                name @ (".BTF" | ".BTF.ext") => {
                    contents.required.insert(name.to_owned(), Vec::new());
                }
                name @ "license" => {
                    contents.required.insert(name.to_owned(), section.data()?.to_vec());
                }
                _ => {}
            }
        }
        Ok(contents)
    }

    fn add_symbol(&mut self, file: &object::File<'_>, symbol: &object::Symbol<'_, '_>) -> Result<()> {
        let Some(index) = symbol.section_index() else {
            return Ok(());
        };
        let section = file.section_by_index(index)?;
        let (section_name, name) = (section.name()?, symbol.name()?.to_owned());
        if symbol.kind() == SymbolKind::Text && section.kind() == SectionKind::Text {
            // What is in .text is shared by the programs, or inlined into them, as the compiler likes.
            if section_name != ".text" {
                let size = Size(symbol.size());
                self.functions.insert(format!("{section_name} {name}"), size);
            }
        } else if symbol.is_global() && matches!(section_name, "maps" | ".maps") {
            let definition = section.data_range(symbol.address(), symbol.size())?;
            self.maps.insert(name, definition.unwrap_or_default().to_vec());
        } else if symbol.is_global()
            && (section_name.starts_with(".rodata") || section_name.starts_with(".data"))
        {
            self.constants.insert(name, symbol.size());
        }
        Ok(())
    }

    /// Differences to another object, one line each; none when the agent cannot tell them apart.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        differences("program", &self.functions, &other.functions, &mut found);
        differences("map", &self.maps, &other.maps, &mut found);
        differences("constant", &self.constants, &other.constants, &mut found);
        differences("section", &self.required, &other.required, &mut found);
        found
    }
}

fn differences<V: PartialEq>(
    what: &str,
    ours: &BTreeMap<String, V>,
    theirs: &BTreeMap<String, V>,
    found: &mut Vec<String>,
) {
    for (name, value) in ours {
        match theirs.get(name) {
            None => found.push(format!("{what} {name}: only in the committed object")),
            Some(other) if other != value => found.push(format!("{what} {name}: defined differently")),
            Some(_) => {}
        }
    }
    for name in theirs.keys().filter(|name| !ours.contains_key(*name)) {
        found.push(format!("{what} {name}: only in the object built now"));
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, Size(size)) in &self.functions {
            writeln!(formatter, "program   {name}: {} instructions", size / 8)?;
        }
        for name in self.maps.keys() {
            writeln!(formatter, "map       {name}")?;
        }
        for (name, size) in &self.constants {
            writeln!(formatter, "constant  {name}: {size} bytes")?;
        }
        let sections: Vec<_> = self.required.keys().map(String::as_str).collect();
        write!(formatter, "sections  {}", sections.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::{BTreeMap, Contents, Size};

    fn contents(maps: &[(&str, &[u8])], program_size: u64) -> Contents {
        Contents {
            functions: [("tp_btf/sched_switch switch".to_owned(), Size(program_size))].into(),
            maps: maps.iter().map(|(name, definition)| ((*name).to_owned(), definition.to_vec())).collect(),
            constants: BTreeMap::new(),
            required: BTreeMap::new(),
        }
    }

    #[test]
    fn sizes_of_programs_may_differ() {
        let (one, two) = (contents(&[("LOCKS", b"1")], 80), contents(&[("LOCKS", b"1")], 88));
        assert_eq!(one.differences(&two), Vec::<String>::new());
    }

    #[test]
    fn maps_may_not() {
        let one = contents(&[("LOCKS", b"1"), ("OLD", b"1")], 80);
        let two = contents(&[("LOCKS", b"2"), ("NEW", b"1")], 80);
        assert_eq!(
            one.differences(&two),
            [
                "map LOCKS: defined differently",
                "map OLD: only in the committed object",
                "map NEW: only in the object built now",
            ]
        );
    }
}
