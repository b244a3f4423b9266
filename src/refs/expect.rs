//! What the message of a chunk must be, as far as the set's metadata and coordinates tell.
//!
//! Chunk `3.0.0` of `t2m(valid_times, latitude, longitude)`: the name says 2 m temperature, the fourth cell of `valid_time` when.
//! A set that points elsewhere is caught by that, cell by cell.

use serde_json::Value;

use super::array::{Coding, GribVar};
use super::chunks::Target;
use super::set::{Kind, RefSet};
use crate::zarr::key::chunk_positions;

/// Most elements of a coordinate that is read whole.
const MAX_COORDINATE: u64 = 1 << 22;

/// What a chunk's message must be; `None` where the set does not say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expectation {
    /// Elements of the chunk: points of the grid.
    pub elements: u64,
    /// Whether the values of a field are wanted; the latitudes and longitudes of its grid are had from any message on it.
    pub is_values: bool,
    /// ecCodes' `cfVarName` or `shortName`.
    pub name: Option<String>,
    /// ecCodes' `paramId`.
    pub param_id: Option<u64>,
    /// ecCodes' `typeOfLevel`.
    pub level_type: Option<String>,
    /// ecCodes' `stepType`.
    pub step_type: Option<String>,
    /// Level in the units of its type.
    pub level: Option<f64>,
    /// Reference time of the run, seconds since 1970.
    pub run: Option<i64>,
    /// Valid time, seconds since 1970.
    pub valid_time: Option<i64>,
    /// Member.
    pub member: Option<i64>,
    /// Whether it is one member of an ensemble for certain: a scalar number 0 is written for all kinds of products.
    pub is_member: bool,
}

impl RefSet {
    /// What the message of a GRIB array's chunk must be.
    #[must_use]
    pub fn expectation(&self, node: usize, number: u64) -> Expectation {
        let Some(at) = self.nodes.get(node) else {
            return Expectation::default();
        };
        let Kind::Array { info, .. } = &at.kind else {
            return Expectation::default();
        };
        let text = |name: &str| {
            at.attributes
                .get(name)
                .and_then(Value::as_str)
                .filter(|text| *text != "unknown")
                .map(str::to_owned)
        };
        let mut wanted = Expectation {
            elements: info.chunk_elements(),
            ..Expectation::default()
        };
        let Coding::Grib {
            var: GribVar::Values(name),
            ..
        } = &info.coding
        else {
            return wanted;
        };
        wanted.is_values = true;
        wanted.name = Some(name.clone()).filter(|name| !name.is_empty() && name != "unknown");
        wanted.param_id = at
            .attributes
            .get("GRIB_paramId")
            .and_then(Value::as_u64)
            .filter(|id| *id != 0);
        wanted.level_type = text("GRIB_typeOfLevel");
        wanted.step_type = text("GRIB_stepType");
        let dimensions = self.dimensions(node);
        let positions = chunk_positions(number, &info.grid);
        let index: Vec<(String, u64)> = dimensions
            .into_iter()
            .zip(positions.iter().zip(&info.chunks))
            .map(|(name, (position, chunk))| (name, position * chunk))
            .collect();
        // An array may have coordinates of its own beside those that others share: `time_tp_bucket6h`.
        let listed = at.attributes.get("coordinates").and_then(Value::as_str);
        let coordinate = |name: &str| {
            let own = format!("{name}_{}", at.name);
            let has_own =
                listed.is_some_and(|names| names.split_whitespace().any(|word| word == own));
            self.coordinate(at.parent, if has_own { &own } else { name }, &index)
        };
        let scalar = |name: &str| {
            let node = self.find_in(at.parent, name);
            node.is_some_and(|node| self.rank(node) == Some(0))
        };
        let moment = |name: &str| {
            let (value, attributes) = coordinate(name)?;
            let (scale, origin) = time_units(attributes.get("units")?.as_str()?)?;
            whole(value * scale).map(|seconds| seconds + origin)
        };
        wanted.run = moment("time");
        wanted.valid_time = moment("valid_time");
        if wanted.valid_time.is_none()
            && let (Some(run), Some((step, attributes))) = (wanted.run, coordinate("step"))
            && let Some(scale) = attributes
                .get("units")
                .and_then(Value::as_str)
                .and_then(unit_seconds)
        {
            wanted.valid_time = whole(step * scale).map(|step| run + step);
        }
        wanted.member = coordinate("number").and_then(|(value, _)| whole(value));
        let is_control = text("GRIB_dataType").is_some_and(|kind| kind == "cf");
        wanted.is_member = wanted
            .member
            .is_some_and(|number| number != 0 || !scalar("number") || is_control);
        if let Some(level_type) = &wanted.level_type {
            wanted.level = coordinate(level_type)
                .map(|(value, _)| value)
                // A scalar 0 is what writers leave who lost the level.
                .filter(|value| !scalar(level_type) || *value != 0.0);
        }
        wanted
    }

    fn find_in(&self, group: usize, name: &str) -> Option<usize> {
        self.nodes.get(group)?.children.get(name).copied()
    }

    fn rank(&self, node: usize) -> Option<usize> {
        match &self.nodes.get(node)?.kind {
            Kind::Array { info, .. } => Some(info.shape.len()),
            Kind::Group => None,
        }
    }

    /// Names of an array's dimensions, as many as it has.
    #[must_use]
    pub fn dimensions(&self, node: usize) -> Vec<String> {
        let listed = self
            .nodes
            .get(node)
            .and_then(|node| node.attributes.get("_ARRAY_DIMENSIONS"))
            .and_then(Value::as_array);
        listed
            .map(|names| {
                names
                    .iter()
                    .map(|name| name.as_str().unwrap_or_default().to_owned())
                    .collect()
            })
            .unwrap_or_default()
    }

    /// The cell of a coordinate that belongs to a place in another array of the group.
    fn coordinate(
        &self,
        group: usize,
        name: &str,
        index: &[(String, u64)],
    ) -> Option<(f64, &serde_json::Map<String, Value>)> {
        let node = self.find_in(group, name)?;
        let dimensions = self.dimensions(node);
        if dimensions.len() != self.rank(node)? {
            return None;
        }
        let place: Option<Vec<u64>> = dimensions
            .iter()
            .map(|dimension| {
                index
                    .iter()
                    .find(|(name, _)| name == dimension)
                    .map(|(_, at)| *at)
            })
            .collect();
        let value = self.value_at(node, &place?)?;
        Some((value, &self.nodes.get(node)?.attributes))
    }

    /// One element of an array whose chunks are plain and inline.
    #[must_use]
    pub fn value_at(&self, node: usize, place: &[u64]) -> Option<f64> {
        let Kind::Array { info, .. } = &self.nodes.get(node)?.kind else {
            return None;
        };
        let Coding::Plain { item_bytes } = info.coding else {
            return None;
        };
        if place.len() != info.shape.len()
            || place
                .iter()
                .zip(&info.shape)
                .any(|(at, length)| at >= length)
        {
            return None;
        }
        let (mut number, mut inside) = (0_u64, 0_u64);
        for ((at, chunk), count) in place.iter().zip(&info.chunks).zip(&info.grid) {
            number = number.checked_mul(*count)?.checked_add(at / chunk)?;
            inside = inside.checked_mul(*chunk)?.checked_add(at % chunk)?;
        }
        let Ok(Some(Target::Inline(bytes))) = self.chunk(node, number) else {
            return None;
        };
        let start = usize::try_from(inside.checked_mul(item_bytes)?).ok()?;
        let cell = bytes.get(start..start.checked_add(usize::try_from(item_bytes).ok()?)?)?;
        element(cell, &info.data_type)
    }

    /// All elements of a one-dimensional array whose chunks are plain and inline.
    #[must_use]
    pub fn values(&self, node: usize) -> Option<Vec<f64>> {
        let Kind::Array { info, .. } = &self.nodes.get(node)?.kind else {
            return None;
        };
        let [length] = info.shape.as_slice() else {
            return None;
        };
        if *length > MAX_COORDINATE {
            return None;
        }
        (0..*length).map(|at| self.value_at(node, &[at])).collect()
    }
}

/// One element of a Zarr type, as a double.
fn element(cell: &[u8], data_type: &str) -> Option<f64> {
    Some(match data_type {
        "<f8" => f64::from_le_bytes(cell.try_into().ok()?),
        "<f4" => f32::from_le_bytes(cell.try_into().ok()?).into(),
        "<i4" => i32::from_le_bytes(cell.try_into().ok()?).into(),
        "<i8" => {
            let number = i64::from_le_bytes(cell.try_into().ok()?);
            // Beyond 2^53 lies nothing but the marks for "no time".
            i32::try_from(number / (1 << 21))
                .ok()
                .map(|high| f64::from(high) * 2_097_152.0)?
                + i32::try_from(number % (1 << 21)).ok().map(f64::from)?
        }
        _ => return None,
    })
}

/// An integral value in the range of times.
fn whole(value: f64) -> Option<i64> {
    if !value.is_finite() || value.abs() > 1e15 {
        return None;
    }
    format!("{:.0}", value.round()).parse().ok()
}

/// Seconds of a CF unit.
pub(crate) fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit.trim() {
        "seconds" | "second" | "s" => 1.0,
        "minutes" | "minute" | "min" => 60.0,
        "hours" | "hour" | "h" => 3600.0,
        "days" | "day" | "d" => 86_400.0,
        "nanoseconds" => 1e-9,
        "milliseconds" => 1e-3,
        "microseconds" => 1e-6,
        _ => return None,
    })
}

/// Seconds per unit and the origin in seconds since 1970 of `hours since 2023-09-28 00:00:00`.
pub(crate) fn time_units(units: &str) -> Option<(f64, i64)> {
    let (unit, origin) = units.split_once(" since ")?;
    let parts: Vec<i32> = origin
        .split(|c: char| !c.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .take(6)
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    let part = |at: usize| parts.get(at).copied().unwrap_or_default();
    let (year, month, day) = (parts.first()?, parts.get(1)?, parts.get(2)?);
    let text = format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}",
        part(3),
        part(4)
    );
    let origin = crate::time::Instant::parse(&text)?;
    Some((unit_seconds(unit)?, origin.seconds() + i64::from(part(5))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coordinate_of_an_arrays_own_goes_before_the_shared_one() {
        let zarray = |filters: &str| {
            format!(
                r#"{{\"zarr_format\":2,\"shape\":[1],\"chunks\":[1],\"dtype\":\"<f8\",\"fill_value\":null,\"filters\":{filters}}}"#
            )
        };
        let grib = zarray(r#"[{\"id\":\"grib\",\"var\":\"tp\"}]"#);
        let hours =
            r#"{\"_ARRAY_DIMENSIONS\":[\"x\"],\"units\":\"hours since 1970-01-01 00:00:00\"}"#;
        let plain = zarray("null");
        let text = format!(
            r#"{{"a/.zarray":"{grib}","a/.zattrs":"{{\"_ARRAY_DIMENSIONS\":[\"x\"],\"coordinates\":\"time_a step_a\"}}",
            "b/.zarray":"{grib}","b/.zattrs":"{{\"_ARRAY_DIMENSIONS\":[\"x\"],\"coordinates\":\"time step\"}}",
            "time/.zarray":"{plain}","time/.zattrs":"{hours}","time/0":"base64:AAAAAAAA8D8=",
            "time_a/.zarray":"{plain}","time_a/.zattrs":"{hours}","time_a/0":"base64:AAAAAAAAAEA="}}"#
        );
        let set = crate::refs::read_json(text.as_bytes()).unwrap();
        let run = |path: &str| set.expectation(set.find(path).unwrap(), 0).run;
        assert_eq!((run("a"), run("b")), (Some(7200), Some(3600)));
    }

    #[test]
    fn cf_units_are_read() {
        assert_eq!(
            time_units("seconds since 1970-01-01T00:00:00"),
            Some((1.0, 0))
        );
        assert_eq!(
            time_units("hours since 1970-01-02 00:00:00"),
            Some((3600.0, 86_400))
        );
        assert_eq!(time_units("metres"), None);
    }

    #[test]
    fn integers_are_read_exactly() {
        for number in [0_i64, -5, 1_695_880_800, 4_102_444_800] {
            let read = element(&number.to_le_bytes(), "<i8").and_then(whole);
            assert_eq!(read, Some(number));
        }
        assert_eq!(element(&i64::MIN.to_le_bytes(), "<i8"), None);
    }
}
