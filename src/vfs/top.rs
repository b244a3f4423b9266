//! The tree above the stores: which names stand where.

use std::collections::{BTreeSet, HashSet};

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

/// What `name` stands for in `place`, if there can be such a name; whether the collection has such a store is not asked.
pub(super) fn read_name(place: Place, name: &str, is_mounted: bool) -> Option<Named> {
    match place {
        Place::Root => {
            let place = ROOT_PLACES
                .iter()
                .find(|(_, known, mounted_only)| *known == name && (is_mounted || !mounted_only));
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
            (kind.to_string() == text).then_some(Named::Store(kind))
        }
        Place::AsOf => {
            let instant = Instant::parse(name)?;
            (instant.path_name() == name).then_some(Named::AsOf(instant))
        }
        Place::Status => STATUS_FILES
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(place, _)| Named::Place(*place)),
        Place::Latest | Place::StatusFile | Place::MetricsFile => None,
    }
}

/// Whether a collection has a store.
pub(super) fn exists(kind: SliceKind, collection: &Collection) -> bool {
    match kind {
        SliceKind::Run(run) => collection.runs.binary_search(&run).is_ok(),
        SliceKind::Lead(step) => collection
            .groups
            .iter()
            .any(|group| group.steps.binary_search(&step).is_ok()),
        SliceKind::Valid(moment) => collection.groups.iter().any(|group| {
            let lead = |run: &Instant| moment.seconds().checked_sub(run.seconds());
            (0_u32..).zip(&collection.runs).any(|(run, at)| {
                let step = lead(at).and_then(|step| group.steps.binary_search(&step).ok());
                let step = step.and_then(|step| u32::try_from(step).ok());
                step.is_some_and(|step| group.arrays.iter().any(|array| array.cells.has(run, step)))
            })
        }),
        SliceKind::RunTime
        | SliceKind::BestAvailable
        | SliceKind::ValidTime
        | SliceKind::Horizon => !collection.groups.is_empty(),
    }
}

/// The names of a place above the stores, in order. `runs` and `instants` are those that are listed.
pub(super) fn names(
    place: Place,
    collection: &Collection,
    is_mounted: bool,
    runs: &[Instant],
    instants: &[Instant],
) -> Vec<(String, Named)> {
    let stores = |kinds: Vec<SliceKind>| -> Vec<(String, Named)> {
        let named = |kind: SliceKind| {
            let path = kind.to_string();
            let name = path.rsplit('/').next().unwrap_or_default();
            (format!("{name}.zarr"), Named::Store(kind))
        };
        kinds.into_iter().map(named).collect()
    };
    match place {
        Place::Root => {
            let is_empty = collection.groups.is_empty();
            let mut names = stores(if is_empty {
                Vec::new()
            } else {
                ROOT_STORES.to_vec()
            });
            let shown = ROOT_PLACES
                .iter()
                .filter(|(.., mounted_only)| is_mounted || !mounted_only);
            names.extend(shown.map(|(place, name, _)| ((*name).to_owned(), Named::Place(*place))));
            names
        }
        Place::Runs => stores(runs.iter().map(|run| SliceKind::Run(*run)).collect()),
        Place::Leads => {
            let steps: BTreeSet<i64> = collection
                .groups
                .iter()
                .flat_map(|group| group.steps.iter().copied())
                .collect();
            stores(steps.into_iter().map(SliceKind::Lead).collect())
        }
        Place::Valid => stores(
            valid_times(collection)
                .into_iter()
                .map(SliceKind::Valid)
                .collect(),
        ),
        Place::AsOf => instants
            .iter()
            .map(|instant| (instant.path_name(), Named::AsOf(*instant)))
            .collect(),
        Place::Status => STATUS_FILES
            .iter()
            .map(|(place, name)| ((*name).to_owned(), Named::Place(*place)))
            .collect(),
        Place::Latest | Place::StatusFile | Place::MetricsFile => Vec::new(),
    }
}

/// Every moment for which some array has a message, in order.
fn valid_times(collection: &Collection) -> BTreeSet<Instant> {
    let mut moments = BTreeSet::new();
    for group in &collection.groups {
        let mut seen = HashSet::new();
        for (runs, steps) in group.arrays.iter().flat_map(|array| array.cells.blocks()) {
            if !seen.insert((runs.clone(), steps.clone())) {
                continue;
            }
            let runs = runs
                .iter()
                .filter_map(|run| collection.runs.get(*run as usize));
            for run in runs {
                let steps = steps
                    .iter()
                    .filter_map(|step| group.steps.get(*step as usize));
                moments.extend(steps.map(|step| run.plus(*step)));
            }
        }
    }
    moments
}
