//! Level axes: the sorted union of the levels that a group's arrays have, one axis per level type.

use crate::grib::levels::LevelType;

/// A level axis: its type and its values, ascending, each with the second surface of a layer.
#[derive(Clone, Debug)]
pub struct LevelAxis {
    /// Type of the levels; its name is the dimension's.
    pub level_type: LevelType,
    /// Value in the axis' unit, and the other surface's for layers.
    pub values: Vec<(f64, Option<f64>)>,
}

impl LevelAxis {
    /// Position of a level, exact to the last bit.
    #[must_use]
    pub fn position_of(&self, level: (f64, Option<f64>)) -> Option<u32> {
        let at = self
            .values
            .binary_search_by(|other| compare(*other, level))
            .ok()?;
        u32::try_from(at).ok()
    }

    /// Adds a level unless it is there.
    pub(super) fn insert(&mut self, level: (f64, Option<f64>)) {
        if let Err(at) = self.values.binary_search_by(|other| compare(*other, level)) {
            self.values.insert(at, level);
        }
    }
}

fn compare(a: (f64, Option<f64>), b: (f64, Option<f64>)) -> std::cmp::Ordering {
    let second = |level: (f64, Option<f64>)| level.1.unwrap_or(f64::NEG_INFINITY);
    a.0.total_cmp(&b.0).then(second(a).total_cmp(&second(b)))
}
