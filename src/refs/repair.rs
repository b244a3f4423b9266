//! Known defects of sets in the wild, repaired where the right value is in the set itself, and always told.

use serde_json::{Value, json};

use super::expect::{time_units, unit_seconds};
use super::set::{Kind, RefSet};

impl RefSet {
    /// Repairs what can be repaired.
    pub(crate) fn repair(&mut self) {
        self.check_dimensions();
        self.check_coordinates();
        if self.records.is_none() {
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
            self.refuse(number, &format!("{listed} dimension names for {rank} dimensions"));
        }
    }

    /// `coordinates` names only what is there.
    fn check_coordinates(&mut self) {
        for number in 0..self.nodes.len() {
            let Some(node) = self.nodes.get(number) else { continue };
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
            if children.is_empty() || names.split_whitespace().all(|name| children.contains_key(name)) {
                continue;
            }
            let holds_arrays = children
                .values()
                .any(|child| matches!(self.nodes.get(*child).map(|node| &node.kind), Some(Kind::Array { .. })));
            if !holds_arrays {
                continue;
            }
            let kept: Vec<&str> = names.split_whitespace().filter(|name| children.contains_key(*name)).collect();
            let kept = kept.join(" ");
            let path = node.path.clone();
            if let Some(node) = self.nodes.get_mut(number) {
                node.attributes.insert("coordinates".to_owned(), json!(kept));
            }
            self.defect("coordinates", path, "its coordinates name arrays that are not there; those are left out");
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
            let (Some(times), Some(steps), Some(valids)) = (self.values(time), self.values(step), self.values(valid)) else {
                continue;
            };
            if times != valids || steps.len() != times.len() || !steps.iter().any(|step| *step > 0.0) {
                continue;
            }
            let units = |node: usize| {
                self.nodes.get(node).and_then(|node| node.attributes.get("units")).and_then(Value::as_str).map(str::to_owned)
            };
            let (Some(time_unit), Some(step_unit)) = (units(time), units(step)) else {
                continue;
            };
            let (Some((scale, _)), Some(step_seconds)) = (time_units(&time_unit), unit_seconds(&step_unit)) else {
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
                node.attributes.insert("gribfs_note".to_owned(), json!(note));
            }
            let path = self.path(time).to_owned();
            self.defect("time", path, format!("equals valid_time, the run is lost; {note}"));
        }
    }
}
