//! Where the rows of a kind belong: group, array, level.

use std::collections::HashMap;

use super::levels::LevelAxis;
use crate::grib::identity::Identity;
use crate::grib::levels::LevelType;
use crate::grib::naming::{ArrayNaming, name_array};
use crate::table::row::Kind;

/// Draft of an array, while rows are being placed.
#[derive(Debug)]
pub(super) struct ArrayDraft {
    pub(super) naming: ArrayNaming,
    pub(super) level_axis: Option<usize>,
    pub(super) members: bool,
    /// Reset period in seconds if this holds buckets, 0 if it holds run totals.
    pub(super) bucket_seconds: Option<i64>,
}

/// Draft of a grid's group.
#[derive(Debug, Default)]
pub(super) struct GroupDraft {
    pub(super) arrays: Vec<ArrayDraft>,
    pub(super) by_name: HashMap<String, usize>,
    pub(super) levels: Vec<LevelAxis>,
    /// Bucket arrays that share a run total's base name: base name -> (period, array).
    pub(super) buckets: HashMap<String, Vec<(i64, usize)>>,
}

/// Place of a kind: its group and array, and its level value there.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) group: usize,
    pub(super) array: usize,
    pub(super) level: Option<(f64, Option<f64>)>,
    /// Bucket arrays that windows from the start of the run belong to as well: (period, array).
    pub(super) also: Vec<(i64, usize)>,
}

/// Places every kind of an archive. `group_of_grid[i]` is the group of grid `i`.
pub(super) fn place_kinds(
    kinds: &[Kind],
    group_of_grid: &[Option<usize>],
    groups: &mut [GroupDraft],
) -> Vec<Vec<Place>> {
    let mut places: Vec<Vec<Place>> = vec![Vec::new(); kinds.len()];
    let mut namings: Vec<Option<ArrayNaming>> = Vec::with_capacity(kinds.len());
    for kind in kinds {
        namings.push(
            kind.identity
                .as_ref()
                .map(|identity| name_array(identity, kind.bucket_seconds)),
        );
    }
    for (index, kind) in kinds.iter().enumerate() {
        let Some(Some(naming)) = namings.get(index) else {
            continue;
        };
        let Some(group) = kind
            .grid
            .and_then(|grid| group_of_grid.get(grid as usize).copied().flatten())
        else {
            continue;
        };
        let Some(draft) = groups.get_mut(group) else {
            continue;
        };
        let Some(identity) = &kind.identity else {
            continue;
        };
        let array = draft.array(naming, identity, kind.bucket_seconds);
        if let Some(period) = kind.bucket_seconds.filter(|period| *period > 0) {
            let base = name_array(identity, Some(0)).array;
            let siblings = draft.buckets.entry(base).or_default();
            if !siblings.contains(&(period, array)) {
                siblings.push((period, array));
            }
        }
        if let Some(place) = places.get_mut(index) {
            place.push(Place {
                group,
                array,
                level: naming.level,
                also: Vec::new(),
            });
        }
    }
    for (index, kind) in kinds.iter().enumerate() {
        if let (Some(0), Some([place]), Some(Some(naming))) = (
            kind.bucket_seconds,
            places.get_mut(index).map(Vec::as_mut_slice),
            namings.get(index),
        ) {
            place.also = groups
                .get(place.group)
                .and_then(|g| g.buckets.get(&naming.array))
                .cloned()
                .unwrap_or_default();
        }
    }
    place_by_words(kinds, &namings, groups, &mut places);
    places
}

/// Kinds without a grid or an identity take the places of all kinds that have the same words or the same name, so that their cells
/// raise instead of reading as gaps. What has neither belongs to no array: nobody can read it as anything.
fn place_by_words(
    kinds: &[Kind],
    namings: &[Option<ArrayNaming>],
    groups: &[GroupDraft],
    places: &mut [Vec<Place>],
) {
    let mut by_words: HashMap<&str, Vec<Place>> = HashMap::new();
    for (kind, placed) in kinds.iter().zip(places.iter()) {
        if !kind.words.is_empty() {
            by_words
                .entry(&kind.words)
                .or_default()
                .extend(placed.iter().cloned());
        }
    }
    for (index, kind) in kinds.iter().enumerate() {
        let Some(place) = places.get_mut(index).filter(|place| place.is_empty()) else {
            continue;
        };
        place.extend(
            by_words
                .get(kind.words.as_str())
                .into_iter()
                .flatten()
                .cloned(),
        );
        if let (true, Some(Some(naming))) = (place.is_empty(), namings.get(index)) {
            place.extend(groups.iter().enumerate().filter_map(|(group, draft)| {
                let array = *draft.by_name.get(&naming.array)?;
                Some(Place {
                    group,
                    array,
                    level: naming.level,
                    also: Vec::new(),
                })
            }));
        }
    }
}

impl GroupDraft {
    /// The array of a kind, made if it is not there yet; its level is on the axis afterwards.
    fn array(
        &mut self,
        naming: &ArrayNaming,
        identity: &Identity,
        bucket_seconds: Option<i64>,
    ) -> usize {
        let level_axis = naming
            .level_axis
            .as_ref()
            .map(|level_type| self.level_axis(level_type, naming.level));
        let name = self.name_of(naming, identity);
        if let Some(known) = self.by_name.get(&name) {
            if let Some(draft) = self.arrays.get_mut(*known) {
                draft.members |= identity.ensemble;
            }
            return *known;
        }
        let naming = ArrayNaming {
            array: name.clone(),
            ..naming.clone()
        };
        self.arrays.push(ArrayDraft {
            naming,
            level_axis,
            members: identity.ensemble,
            bucket_seconds,
        });
        self.by_name.insert(name, self.arrays.len() - 1);
        self.arrays.len() - 1
    }

    /// A kind's name; with its centre where another centre has the name for the quantity in other units (ECMWF counts `tp` in
    /// metres, NCEP in kg m-2): one array never mixes units.
    fn name_of(&self, naming: &ArrayNaming, identity: &Identity) -> String {
        let known = self
            .by_name
            .get(&naming.array)
            .and_then(|known| self.arrays.get(*known));
        if known.is_some_and(|known| known.naming.units != naming.units) {
            format!("{}_centre{}", naming.array, identity.parameter.centre)
        } else {
            naming.array.clone()
        }
    }

    fn level_axis(&mut self, level_type: &LevelType, level: Option<(f64, Option<f64>)>) -> usize {
        let known = self
            .levels
            .iter()
            .position(|axis| axis.level_type.name == level_type.name);
        let axis = known.unwrap_or_else(|| {
            self.levels.push(LevelAxis {
                level_type: level_type.clone(),
                values: Vec::new(),
            });
            self.levels.len() - 1
        });
        if let (Some(axis), Some(level)) = (self.levels.get_mut(axis), level) {
            axis.insert(level);
        }
        axis
    }
}
