//! The tree above the stores: which names stand where.

use std::collections::BTreeSet;

use crate::dataset::Collection;
use crate::slices::SliceKind;
use crate::time::Instant;

/// A place above the stores; its number is the local part of the inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// The root, or the root of `asof/<instant>`.
    Root = 1,
    /// `runs/`.
    Runs = 2,
    /// `leads/`.
    Leads = 3,
    /// `valid/`.
    Valid = 4,
    /// `asof/`.
    AsOf = 5,
    /// `.gribfs/`.
    Status = 6,
    /// `latest`.
    Latest = 7,
    /// `.gribfs/status.json`.
    StatusFile = 8,
    /// `.gribfs/metrics`.
    MetricsFile = 9,
}

impl Place {
    pub(super) fn of(local: u64) -> Option<Self> {
        [
            Self::Root,
            Self::Runs,
            Self::Leads,
            Self::Valid,
            Self::AsOf,
            Self::Status,
            Self::Latest,
            Self::StatusFile,
            Self::MetricsFile,
        ]
        .into_iter()
        .find(|place| *place as u64 == local)
    }

    pub(super) const fn is_directory(self) -> bool {
        !matches!(self, Self::Latest | Self::StatusFile | Self::MetricsFile)
    }

    pub(super) const fn parent(self) -> Self {
        match self {
            Self::StatusFile | Self::MetricsFile => Self::Status,
            Self::Root
            | Self::Runs
            | Self::Leads
            | Self::Valid
            | Self::AsOf
            | Self::Status
            | Self::Latest => Self::Root,
        }
    }
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Place(Place),
    Store(SliceKind),
    /// The collection as it stood at an instant.
    AsOf(Instant),
}

/// Places of a root, in listing order; those of `asof/` have no `asof` or status of their own.
pub(super) const ROOT_STORES: [SliceKind; 4] = [
    SliceKind::RunTime,
    SliceKind::ValidTime,
    SliceKind::Horizon,
    SliceKind::BestAvailable,
];
pub(super) const ROOT_PLACES: [(Place, &str, bool); 6] = [
    (Place::Runs, "runs", false),
    (Place::Leads, "leads", false),
    (Place::Valid, "valid", false),
    (Place::AsOf, "asof", true),
    (Place::Latest, "latest", false),
    (Place::Status, ".gribfs", true),
];

/// The files of `.gribfs/`.
pub(super) const STATUS_FILES: [(Place, &str); 2] = [
    (Place::StatusFile, "status.json"),
    (Place::MetricsFile, "metrics"),
];

/// What `name` stands for in `place` of a collection.
pub(super) fn find(place: Place, name: &str, collection: &Collection, base: bool) -> Option<Named> {
    match place {
        Place::Root => {
            let place = ROOT_PLACES
                .iter()
                .find(|(_, known, base_only)| *known == name && (base || !base_only));
            let store = || {
                let kind = name.strip_suffix(".zarr")?;
                ROOT_STORES
                    .into_iter()
                    .find(|store| store.to_string() == kind)
                    .map(Named::Store)
            };
            place.map(|(place, ..)| Named::Place(*place)).or_else(store)
        }
        Place::Runs | Place::Leads | Place::Valid => {
            let folder = ROOT_PLACES.iter().find(|(known, ..)| *known == place)?.1;
            let text = format!("{folder}/{}", name.strip_suffix(".zarr")?);
            let kind: SliceKind = text.parse().ok()?;
            // One name per store: `runs/2026-11-22T0000` is not another spelling of it.
            (kind.to_string() == text && exists(kind, collection)).then_some(Named::Store(kind))
        }
        Place::AsOf => {
            let instant = Instant::parse(name)?;
            let some = collection
                .runs
                .first()
                .is_some_and(|first| *first <= instant);
            (instant.path_name() == name && some).then_some(Named::AsOf(instant))
        }
        Place::Status => STATUS_FILES
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(place, _)| Named::Place(*place)),
        Place::Latest | Place::StatusFile | Place::MetricsFile => None,
    }
}

fn exists(kind: SliceKind, collection: &Collection) -> bool {
    match kind {
        SliceKind::Run(run) => collection.runs.binary_search(&run).is_ok(),
        SliceKind::Lead(step) => collection
            .groups
            .iter()
            .any(|group| group.steps.binary_search(&step).is_ok()),
        SliceKind::Valid(moment) => moments(collection).any(|at| at == moment),
        SliceKind::RunTime
        | SliceKind::BestAvailable
        | SliceKind::ValidTime
        | SliceKind::Horizon => true,
    }
}

/// The stores of a folder, in order.
pub(super) fn stores(place: Place, collection: &Collection) -> Vec<SliceKind> {
    match place {
        Place::Root => ROOT_STORES.to_vec(),
        Place::Runs => collection
            .runs
            .iter()
            .map(|run| SliceKind::Run(*run))
            .collect(),
        Place::Leads => {
            let mut steps: Vec<i64> = collection
                .groups
                .iter()
                .flat_map(|group| group.steps.iter().copied())
                .collect();
            steps.sort_unstable();
            steps.dedup();
            steps.into_iter().map(SliceKind::Lead).collect()
        }
        Place::Valid => valid_times(collection)
            .into_iter()
            .map(SliceKind::Valid)
            .collect(),
        Place::AsOf | Place::Status | Place::Latest | Place::StatusFile | Place::MetricsFile => {
            Vec::new()
        }
    }
}

/// Every moment for which some array has a message, in order.
fn valid_times(collection: &Collection) -> Vec<Instant> {
    let moments: BTreeSet<Instant> = moments(collection).collect();
    moments.into_iter().collect()
}

/// The same as they come, with repetition.
fn moments(collection: &Collection) -> impl Iterator<Item = Instant> + '_ {
    collection.groups.iter().flat_map(|group| {
        group
            .arrays
            .iter()
            .flat_map(|field| field.cells.coverage())
            .filter_map(|cover| {
                let run = collection.runs.get(cover.run as usize)?;
                Some(run.plus(*group.steps.get(cover.step as usize)?))
            })
    })
}
