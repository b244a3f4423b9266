//! Where the rows of a kind belong: group, array, level.

use std::collections::HashMap;

use super::levels::LevelAxis;
use crate::grib::naming::{ArrayNaming, name_array};
use crate::table::row::Table;

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

/// Places every kind of a table. `group_of_grid[i]` is the group of grid `i`.
pub(super) fn place_kinds(
    table: &Table,
    group_of_grid: &[Option<usize>],
    groups: &mut [GroupDraft],
) -> Vec<Option<Place>> {
    let mut places: Vec<Option<Place>> = vec![None; table.kinds.len()];
    let mut namings: Vec<Option<ArrayNaming>> = Vec::with_capacity(table.kinds.len());
    for kind in &table.kinds {
        namings.push(
            kind.identity
                .as_ref()
                .map(|identity| name_array(identity, kind.bucket_seconds)),
        );
    }
    for (index, kind) in table.kinds.iter().enumerate() {
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
        let members = kind
            .identity
            .as_ref()
            .is_some_and(|identity| identity.ensemble);
        let array = draft.array(naming, members, kind.bucket_seconds);
        if let (Some(identity), Some(period)) = (
            &kind.identity,
            kind.bucket_seconds.filter(|period| *period > 0),
        ) {
            let base = name_array(identity, Some(0)).array;
            let siblings = draft.buckets.entry(base).or_default();
            if !siblings.contains(&(period, array)) {
                siblings.push((period, array));
            }
        }
        if let Some(place) = places.get_mut(index) {
            *place = Some(Place {
                group,
                array,
                level: naming.level,
                also: Vec::new(),
            });
        }
    }
    for (index, kind) in table.kinds.iter().enumerate() {
        if let (Some(0), Some(Some(place)), Some(Some(naming))) = (
            kind.bucket_seconds,
            places.get_mut(index),
            namings.get(index),
        ) {
            place.also = groups
                .get(place.group)
                .and_then(|g| g.buckets.get(&naming.array))
                .cloned()
                .unwrap_or_default();
        }
    }
    place_by_words(table, &namings, groups, &mut places);
    places
}

/// Kinds without a grid or an identity take the place of the kind that has the same name or the same words, so that their cells
/// raise instead of reading as gaps. What has neither belongs to no array: nobody can read it as anything.
fn place_by_words(
    table: &Table,
    namings: &[Option<ArrayNaming>],
    groups: &[GroupDraft],
    places: &mut [Option<Place>],
) {
    let mut by_words: HashMap<&str, Place> = HashMap::new();
    for (kind, place) in table.kinds.iter().zip(places.iter()) {
        if let (Some(place), false) = (place, kind.words.is_empty()) {
            by_words.entry(&kind.words).or_insert_with(|| place.clone());
        }
    }
    for (index, kind) in table.kinds.iter().enumerate() {
        let Some(place @ None) = places.get_mut(index) else {
            continue;
        };
        *place = by_words.get(kind.words.as_str()).cloned().or_else(|| {
            let naming = namings.get(index)?.as_ref()?;
            groups.iter().enumerate().find_map(|(group, draft)| {
                let array = *draft.by_name.get(&naming.array)?;
                Some(Place {
                    group,
                    array,
                    level: naming.level,
                    also: Vec::new(),
                })
            })
        });
    }
}

impl GroupDraft {
    fn array(&mut self, naming: &ArrayNaming, members: bool, bucket_seconds: Option<i64>) -> usize {
        let level_axis = naming.level_axis.as_ref().map(|level_type| {
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
            if let (Some(axis), Some(level)) = (self.levels.get_mut(axis), naming.level) {
                axis.insert(level);
            }
            axis
        });
        if let Some(known) = self.by_name.get(&naming.array) {
            if let Some(draft) = self.arrays.get_mut(*known) {
                draft.members |= members;
            }
            return *known;
        }
        self.arrays.push(ArrayDraft {
            naming: naming.clone(),
            level_axis,
            members,
            bucket_seconds,
        });
        self.by_name
            .insert(naming.array.clone(), self.arrays.len() - 1);
        self.arrays.len() - 1
    }
}
