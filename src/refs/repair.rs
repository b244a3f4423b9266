//! Known defects of sets in the wild, repaired where the right value is in the set itself, and always told.

use bytes::Bytes;
use serde_json::{Value, json};

use super::chunks::{ChunkTable, Slot, Target};
use super::expect::{time_units, unit_seconds};
use super::set::{Kind, RefSet};
use crate::zarr::key::chunk_positions;

/// Most cells of a coordinate that is made anew.
const MAX_REPAIRED: u64 = 1 << 20;

impl RefSet {
    /// Repairs what can be repaired.
    pub(crate) fn repair(&mut self) {
        self.check_dimensions();
        self.check_coordinates();
        if self.records.is_none() {
            self.repair_lost_steps();
            self.repair_lost_valid_times();
            self.repair_lost_runs();
        }
    }

    /// An array whose dimension names are not as many as its dimensions has no sound meaning.
    fn check_dimensions(&mut self) {
        let wrong: Vec<(usize, usize, usize)> = self
            .arrays()
            .filter_map(|(number, node, info)| {
                let listed = node.attributes.get("_ARRAY_DIMENSIONS")?.as_array()?.len();
                (listed != info.shape.len()).then_some((number, listed, info.shape.len()))
            })
            .collect();
        for (number, listed, rank) in wrong {
            self.refuse(
                number,
                &format!("{listed} dimension names for {rank} dimensions"),
            );
        }
    }

    /// `coordinates` names only what is there.
    fn check_coordinates(&mut self) {
        for number in 0..self.nodes.len() {
            let Some(node) = self.nodes.get(number) else {
                continue;
            };
            let Some(Value::String(names)) = node.attributes.get("coordinates") else {
                continue;
            };
            let group = match node.kind {
                Kind::Group => number,
                Kind::Array { .. } => node.parent,
            };
            let Some(children) = self.nodes.get(group).map(|group| &group.children) else {
                continue;
            };
            // A group without arrays tells of what lies deeper.
            if children.is_empty()
                || names
                    .split_whitespace()
                    .all(|name| children.contains_key(name))
            {
                continue;
            }
            let holds_arrays = children.values().any(|child| {
                matches!(
                    self.nodes.get(*child).map(|node| &node.kind),
                    Some(Kind::Array { .. })
                )
            });
            if !holds_arrays {
                continue;
            }
            let kept: Vec<&str> = names
                .split_whitespace()
                .filter(|name| children.contains_key(*name))
                .collect();
            let kept = kept.join(" ");
            let path = node.path.clone();
            if let Some(node) = self.nodes.get_mut(number) {
                node.attributes
                    .insert("coordinates".to_owned(), json!(kept));
            }
            self.defect(
                "coordinates",
                path,
                "its coordinates name arrays that are not there; those are left out",
            );
        }
    }

    /// `time` that equals `valid_time` although some step is longer than 0: the run was lost, and is valid time less step.
    fn repair_lost_runs(&mut self) {
        for group in 0..self.nodes.len() {
            let Some((time, step, valid)) = self.nodes.get(group).and_then(|node| {
                let child = |name: &str| node.children.get(name).copied();
                Some((child("time")?, child("step")?, child("valid_time")?))
            }) else {
                continue;
            };
            let (Some(times), Some(steps), Some(valids)) =
                (self.values(time), self.values(step), self.values(valid))
            else {
                continue;
            };
            if times != valids
                || steps.len() != times.len()
                || !steps.iter().any(|step| *step > 0.0)
            {
                continue;
            }
            let units = |node: usize| {
                self.nodes
                    .get(node)
                    .and_then(|node| node.attributes.get("units"))
                    .and_then(Value::as_str)
                    .map(str::to_owned)
            };
            let (Some(time_unit), Some(step_unit)) = (units(time), units(step)) else {
                continue;
            };
            let (Some((scale, _)), Some(step_seconds)) =
                (time_units(&time_unit), unit_seconds(&step_unit))
            else {
                continue;
            };
            let data_type = match self.nodes.get(time).map(|node| &node.kind) {
                Some(Kind::Array { info, .. }) if info.chunk_count() == 1 => info.data_type.clone(),
                _ => continue,
            };
            let mut bytes = Vec::new();
            for (valid, step) in valids.iter().zip(&steps) {
                let run = valid - step * step_seconds / scale;
                match data_type.as_str() {
                    "<f8" => bytes.extend_from_slice(&run.to_le_bytes()),
                    "<i8" => {
                        let whole: i64 = format!("{:.0}", run.round()).parse().unwrap_or(i64::MIN);
                        bytes.extend_from_slice(&whole.to_le_bytes());
                    }
                    _ => {}
                }
            }
            if bytes.len() != valids.len() * 8 {
                continue;
            }
            self.set_inline(time, &bytes);
            let note = "recomputed as valid_time - step: the set held the valid time here";
            if let Some(node) = self.nodes.get_mut(time) {
                node.attributes
                    .insert("gribfs_note".to_owned(), json!(note));
            }
            let path = self.path(time).to_owned();
            self.defect(
                "time",
                path,
                format!("equals valid_time, the run is lost; {note}"),
            );
        }
    }

    /// `step` without a chunk: writers drop what is all zeros. It is valid time less run, where those are there.
    fn repair_lost_steps(&mut self) {
        for group in 0..self.nodes.len() {
            let Some((time, step, valid)) = self.times_of(group) else {
                continue;
            };
            if !self.is_empty_plain(step) || self.dimensions(step) != ["step"] {
                continue;
            }
            let (Some((time_scale, time_origin)), Some((valid_scale, valid_origin))) =
                (self.time_unit(time), self.time_unit(valid))
            else {
                continue;
            };
            let unit = self.unit(step).and_then(|unit| unit_seconds(&unit));
            let Some(unit) = unit else { continue };
            let names = self.dimensions(valid);
            let (Some(at_step), Some(length)) = (
                names.iter().position(|name| name == "step"),
                self.length(step),
            ) else {
                continue;
            };
            let first_run: Vec<u64> = self.dimensions(time).iter().map(|_| 0).collect();
            let Some(run) = self.value_at(time, &first_run) else {
                continue;
            };
            let steps: Option<Vec<f64>> = (0..length)
                .map(|number| {
                    let place: Vec<u64> = (0..names.len())
                        .map(|at| if at == at_step { number } else { 0 })
                        .collect();
                    let moment = self.value_at(valid, &place)? * valid_scale;
                    #[expect(
                        clippy::cast_precision_loss,
                        reason = "origins are whole seconds far below 2^53"
                    )]
                    let origins = (valid_origin - time_origin) as f64;
                    Some((moment - run * time_scale + origins) / unit)
                })
                .collect();
            let bytes = steps.and_then(|steps| self.elements(step, &steps));
            if let Some(bytes) = bytes {
                self.set_inline(step, &bytes);
                let path = self.path(step).to_owned();
                self.defect("step", path, "has no chunk; computed as valid_time - time");
            }
        }
    }

    /// `valid_time` without a chunk, where run and step are there.
    fn repair_lost_valid_times(&mut self) {
        for group in 0..self.nodes.len() {
            let Some((time, step, valid)) = self.times_of(group) else {
                continue;
            };
            if !self.is_empty_plain(valid) {
                continue;
            }
            let (Some((scale, origin)), Some((valid_scale, valid_origin))) =
                (self.time_unit(time), self.time_unit(valid))
            else {
                continue;
            };
            let Some(unit) = self.unit(step).and_then(|unit| unit_seconds(&unit)) else {
                continue;
            };
            let Some(Kind::Array { info, .. }) = self.nodes.get(valid).map(|node| &node.kind)
            else {
                continue;
            };
            // One chunk for each cell, as the writers have it.
            if info.chunk_elements() != 1 || info.chunk_count() > MAX_REPAIRED {
                continue;
            }
            let names = self.dimensions(valid);
            let grid = info.grid.clone();
            let mut table = ChunkTable::default();
            let mut whole = true;
            for number in 0..info.chunk_count() {
                let index = chunk_positions(number, &grid);
                let value = |node: usize| {
                    let place: Option<Vec<u64>> = self
                        .dimensions(node)
                        .iter()
                        .map(|name| {
                            names
                                .iter()
                                .position(|own| own == name)
                                .and_then(|at| index.get(at).copied())
                        })
                        .collect();
                    self.value_at(node, &place?)
                };
                let moment = value(time).zip(value(step)).map(|(run, step)| {
                    #[expect(
                        clippy::cast_precision_loss,
                        reason = "origins are whole seconds far below 2^53"
                    )]
                    let origins = (origin - valid_origin) as f64;
                    (run * scale + step * unit + origins) / valid_scale
                });
                match moment.and_then(|moment| self.elements(valid, &[moment])) {
                    Some(bytes) => table.push(number, &Slot::Inline(Bytes::from(bytes))),
                    None => whole = false,
                }
            }
            if whole && table.present() > 0 {
                table.seal();
                if let Some(Kind::Array { chunks, .. }) =
                    self.nodes.get_mut(valid).map(|node| &mut node.kind)
                {
                    *chunks = Some(table);
                }
                let path = self.path(valid).to_owned();
                self.defect("valid_time", path, "has no chunk; computed as time + step");
            }
        }
    }

    /// Gives every scalar `number` whose chunk has another size the member that its file's name tells.
    pub fn set_member(&mut self, member: u16) {
        let wrong: Vec<usize> = self
            .arrays()
            .filter(|(number, node, info)| {
                node.name == "number"
                    && info.shape.is_empty()
                    && info.data_type == "<i8"
                    && !matches!(self.chunk(*number, 0), Ok(Some(Target::Inline(bytes))) if bytes.len() == 8)
            })
            .map(|(number, ..)| number)
            .collect();
        for number in wrong {
            self.set_inline(number, &i64::from(member).to_le_bytes());
            let path = self.path(number).to_owned();
            self.defect(
                "number",
                path,
                format!("is not one member; {member}, as the file's name says"),
            );
        }
    }

    fn times_of(&self, group: usize) -> Option<(usize, usize, usize)> {
        let node = self.nodes.get(group)?;
        let child = |name: &str| node.children.get(name).copied();
        Some((child("time")?, child("step")?, child("valid_time")?))
    }

    fn is_empty_plain(&self, node: usize) -> bool {
        match self.nodes.get(node).map(|node| &node.kind) {
            Some(Kind::Array {
                info,
                chunks: Some(chunks),
            }) => {
                chunks.present() == 0
                    && matches!(info.data_type.as_str(), "<i8" | "<f8")
                    && !info.is_grib()
            }
            _ => false,
        }
    }

    fn length(&self, node: usize) -> Option<u64> {
        match &self.nodes.get(node)?.kind {
            Kind::Array { info, .. } if info.chunk_count() == 1 => info
                .shape
                .first()
                .copied()
                .filter(|length| *length < MAX_REPAIRED),
            Kind::Array { .. } | Kind::Group => None,
        }
    }

    fn unit(&self, node: usize) -> Option<String> {
        self.nodes
            .get(node)?
            .attributes
            .get("units")
            .and_then(Value::as_str)
            .map(str::to_owned)
    }

    fn time_unit(&self, node: usize) -> Option<(f64, i64)> {
        time_units(&self.unit(node)?)
    }

    /// Values in the type of an array.
    fn elements(&self, node: usize, values: &[f64]) -> Option<Vec<u8>> {
        let Kind::Array { info, .. } = &self.nodes.get(node)?.kind else {
            return None;
        };
        let mut bytes = Vec::with_capacity(values.len() * 8);
        for value in values {
            match info.data_type.as_str() {
                "<f8" => bytes.extend_from_slice(&value.to_le_bytes()),
                "<i8" if value.is_finite() && value.fract() == 0.0 => {
                    bytes.extend_from_slice(
                        &format!("{value:.0}").parse::<i64>().ok()?.to_le_bytes(),
                    );
                }
                _ => return None,
            }
        }
        Some(bytes)
    }
}
