//! The mappings and locations of one profile.

use std::collections::HashMap;

use super::files::FileId;
use super::names::Names;
use super::space::{AddressSpaces, Place, PlacedMapping};
use crate::profile::model::{Location, Mapping};

/// What makes two places one location: the address, and what is mapped there. Address alone would
/// do but for a process that replaced its program, and profiles of several processes.
type Identity = (u64, Option<(Option<FileId>, String, u64)>);

/// Gathers the locations of one profile's stacks, each once.
#[derive(Debug, Default)]
pub struct LocationTable {
    places: Vec<Place>,
    mapping_of: Vec<Option<usize>>,
    indexes: HashMap<Identity, usize>,
    mappings: Vec<Mapping>,
    mapping_indexes: HashMap<(u64, u64, u64, Option<FileId>, String), usize>,
    known: HashMap<Place, usize>,
}

impl LocationTable {
    /// Without any location.
    pub fn new() -> Self {
        Self::default()
    }

    /// Index of the place's location; `None` for address 0, which is no place.
    pub fn index(&mut self, spaces: &AddressSpaces, place: Place) -> Option<usize> {
        if place.address == 0 {
            return None;
        }
        if let Some(&index) = self.known.get(&place) {
            return Some(index);
        }
        let mapping = place.mapping.and_then(|id| spaces.mapping(id));
        let identity =
            (place.address, mapping.map(|it| (it.file, it.path.to_string(), it.offset_of(place.address))));
        let index = match self.indexes.get(&identity) {
            Some(&index) => index,
            None => {
                let mapping = mapping.map(|mapping| self.mapping_index(spaces, mapping));
                self.places.push(place);
                self.mapping_of.push(mapping);
                self.indexes.insert(identity, self.places.len() - 1);
                self.places.len() - 1
            }
        };
        self.known.insert(place, index);
        Some(index)
    }

    /// The profile's mappings and locations, with names; indexes are those that [`Self::index`] gave.
    ///
    /// Mappings are in the order of their addresses: the executable lies below its libraries, and
    /// readers take the first mapping for it.
    pub fn finish(self, names: &mut Names, spaces: &mut AddressSpaces) -> (Vec<Mapping>, Vec<Location>) {
        let lines = names.locations(spaces, &self.places);
        let mut order: Vec<usize> = (0..self.mappings.len()).collect();
        order.sort_by_key(|&index| self.mappings[index].start);
        let mut rank = vec![0; order.len()];
        for (position, &index) in order.iter().enumerate() {
            rank[index] = position;
        }
        let mappings = order.iter().map(|&index| self.mappings[index].clone()).collect();
        let locations = self.places.iter().zip(self.mapping_of).zip(lines);
        let locations = locations.map(|((place, mapping), lines)| Location {
            address: place.address,
            mapping: mapping.map(|index| rank[index]),
            lines,
        });
        (mappings, locations.collect())
    }

    fn mapping_index(&mut self, spaces: &AddressSpaces, mapping: &PlacedMapping) -> usize {
        let path = mapping.path.to_string();
        let key = (mapping.start, mapping.limit, mapping.file_offset, mapping.file, path.clone());
        *self.mapping_indexes.entry(key).or_insert_with(|| {
            self.mappings.push(Mapping {
                start: mapping.start,
                limit: mapping.limit,
                file_offset: mapping.file_offset,
                file: path,
                build_id: mapping.file.map(|file| spaces.build_id(file).into()).unwrap_or_default(),
            });
            self.mappings.len() - 1
        })
    }
}
