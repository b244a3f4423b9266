//! Axes shrink to the positions that cells use, and the cells move with them.

use std::collections::{BTreeSet, HashSet};

use super::cells::{Moves, Used};
use super::collection::GridGroup;
use super::slab::Shared;

/// Runs that the cells of groups use.
pub(super) fn used_runs(groups: &[GridGroup]) -> BTreeSet<u32> {
    let mut used = Used::default();
    let mut seen = HashSet::new();
    for array in groups.iter().flat_map(|group| &group.arrays) {
        array.cells.mark(&mut used, &mut seen);
    }
    used.runs
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
pub(super) fn compact(group: &mut GridGroup, runs: &[Option<u32>], shared: &mut Shared) {
    let mut all = Used::default();
    let mut members = BTreeSet::new();
    let mut levels = vec![BTreeSet::new(); group.levels.len()];
    for array in &group.arrays {
        let mut own = Used::default();
        array.cells.mark(&mut own, &mut HashSet::new());
        all.steps.extend(own.steps);
        if array.members {
            members.extend(own.members);
        }
        if let Some(levels) = array.level_axis.and_then(|axis| levels.get_mut(axis)) {
            levels.extend(own.levels);
        }
    }
    let steps = shrink(&mut group.steps, &all.steps);
    let members = shrink(&mut group.members, &members);
    let levels: Vec<Vec<Option<u32>>> = group
        .levels
        .iter_mut()
        .zip(&levels)
        .map(|(axis, used)| shrink(&mut axis.values, used))
        .collect();
    for array in &mut group.arrays {
        let moves = Moves {
            runs,
            steps: &steps,
            levels: array
                .level_axis
                .and_then(|axis| levels.get(axis))
                .map(Vec::as_slice),
            members: array.members.then_some(members.as_slice()),
        };
        array.cells.remap(moves, shared);
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
