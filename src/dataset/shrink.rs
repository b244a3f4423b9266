//! Axes shrink to the positions that cells use, and the cells move with them.

use std::collections::BTreeSet;

use super::cells::CellKey;
use super::collection::{FieldArray, GridGroup};

/// Positions that the cells of groups use along an axis.
pub(super) fn used(
    groups: &[GridGroup],
    of: impl Fn(&FieldArray, CellKey) -> Option<u32>,
) -> BTreeSet<u32> {
    groups
        .iter()
        .flat_map(|group| &group.arrays)
        .flat_map(|array| array.cells.iter().map(move |(key, ..)| (array, key)))
        .filter_map(|(array, key)| of(array, key))
        .collect()
}

/// Drops the positions that are not used; gives the new position of each old one.
pub(super) fn shrink<T>(values: &mut Vec<T>, used: &BTreeSet<u32>) -> Vec<Option<u32>> {
    let mut next = 0;
    let mut at = 0;
    let mut moved = Vec::with_capacity(values.len());
    values.retain(|_| {
        let stays = used.contains(&at);
        moved.push(stays.then_some(next));
        next += u32::from(stays);
        at += 1;
        stays
    });
    moved
}

/// Shrinks the axes of a group to what its cells use; `runs` are the new positions of the runs.
pub(super) fn compact(group: &mut GridGroup, runs: &[Option<u32>]) {
    let alone = std::slice::from_ref(group);
    let used_steps = used(alone, |_, key| Some(key.step));
    let used_members = used(alone, |array, key| array.members.then_some(key.member));
    let used_levels: Vec<BTreeSet<u32>> = (0..group.levels.len())
        .map(|axis| {
            used(alone, |array, key| {
                (array.level_axis == Some(axis)).then_some(key.level)
            })
        })
        .collect();
    let steps = shrink(&mut group.steps, &used_steps);
    let members = shrink(&mut group.members, &used_members);
    let levels: Vec<Vec<Option<u32>>> = group
        .levels
        .iter_mut()
        .zip(&used_levels)
        .map(|(axis, used)| shrink(&mut axis.values, used))
        .collect();
    let new = |moved: &[Option<u32>], at: u32| moved.get(at as usize).copied().flatten();
    for array in &mut group.arrays {
        let levels = array.level_axis.and_then(|axis| levels.get(axis));
        let has_members = array.members;
        array.cells.remap(|key| {
            Some(CellKey {
                run: new(runs, key.run)?,
                step: new(&steps, key.step)?,
                level: levels.map_or(Some(key.level), |levels| new(levels, key.level))?,
                member: if has_members {
                    new(&members, key.member)?
                } else {
                    key.member
                },
            })
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_shrink_to_what_is_used() {
        let mut values = vec![10, 20, 30, 40];
        let moved = shrink(&mut values, &BTreeSet::from([1, 3]));
        assert_eq!(values, [20, 40]);
        assert_eq!(moved, [None, Some(0), None, Some(1)]);
    }
}
