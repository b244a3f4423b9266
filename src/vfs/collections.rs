//! The collections of a mount: the one that was mounted, as it stood at some instant, and runs that came later.
//!
//! What a number stands for never changes. The mounted collection is the snapshot of the start; a run that completes later is a
//! collection of its own, made of the tables as they were when it was complete; `asof/<instant>` is what was known when it was first
//! looked up. So a mount that follows its tables adds names and takes no meaning away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::inode::NODES;
use crate::dataset::archive::Part;
use crate::dataset::{Archive, Collection, Selection};
use crate::time::Instant;

/// Most names of `asof/` that are listed without having been looked up.
const MOST_NAMES: usize = 256;

/// How a mount follows its tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follow {
    /// Whether runs are shown before they are complete.
    pub partial: bool,
}

/// What a collection is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// All that was there when it was mounted.
    Mounted,
    /// What stood at an instant.
    AsOf(Instant),
    /// A run that came later.
    Run(Instant),
}

#[derive(Debug)]
struct Entry {
    scope: Scope,
    archive: Arc<Archive>,
    built: OnceLock<Arc<Collection>>,
}

/// All collections; number 0 is the mounted one.
#[derive(Debug)]
pub(super) struct Collections {
    follow: Option<Follow>,
    as_of: Option<Instant>,
    selection: Selection,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    all: Vec<Arc<Entry>>,
    /// What is known now.
    now: Arc<Archive>,
    /// Runs that are listed now, and whether each is complete.
    runs: BTreeMap<Instant, bool>,
    /// Runs that came later, with the tables that held them when they came.
    arrived: BTreeMap<Instant, Arc<Archive>>,
    /// Instants listed in `asof/`, with what was known then.
    stood: BTreeMap<Instant, Arc<Archive>>,
}

impl Collections {
    pub(super) fn new(mounted: Arc<Collection>, follow: Option<Follow>) -> Self {
        let archive = Arc::clone(&mounted.archive);
        let runs = mounted.runs.iter();
        let runs = runs.map(|run| (*run, archive.is_complete(*run))).collect();
        Self {
            follow,
            as_of: mounted.as_of,
            selection: mounted.selection.clone(),
            state: RwLock::new(State {
                now: Arc::clone(&archive),
                runs,
                arrived: BTreeMap::new(),
                stood: BTreeMap::new(),
                all: vec![Arc::new(Entry {
                    scope: Scope::Mounted,
                    archive,
                    built: OnceLock::from(mounted),
                })],
            }),
        }
    }

    /// A collection, built if need be: that may take time.
    pub(super) fn get(&self, number: usize) -> Option<Arc<Collection>> {
        let entry = Arc::clone(self.read().all.get(number)?);
        let built = entry.built.get_or_init(|| Arc::new(self.build(&entry)));
        Some(Arc::clone(built))
    }

    /// Whether a collection is in memory.
    pub(super) fn is_built(&self, number: usize) -> bool {
        let state = self.read();
        let entry = state.all.get(number);
        entry.is_none_or(|entry| entry.built.get().is_some())
    }

    pub(super) fn scope(&self, number: usize) -> Option<Scope> {
        self.read().all.get(number).map(|entry| entry.scope)
    }

    fn build(&self, entry: &Entry) -> Collection {
        let archive = Arc::clone(&entry.archive);
        let shown = |run| self.shows(&entry.archive, run);
        let built = match entry.scope {
            Scope::Run(only) => Collection::of_runs(archive, None, |run| run == only),
            Scope::Mounted => Collection::of_runs(archive, self.as_of, shown),
            // As it stood then, and no later than what is mounted itself.
            Scope::AsOf(instant) => {
                let limit = self.as_of.map_or(instant, |limit| limit.min(instant));
                Collection::of_runs(archive, Some(limit), shown)
            }
        };
        self.selection.apply(built)
    }

    /// Whether a run of an archive is shown.
    fn shows(&self, archive: &Archive, run: Instant) -> bool {
        match self.follow {
            Some(Follow { partial: false }) => archive.is_complete(run),
            Some(Follow { partial: true }) | None => true,
        }
    }

    /// Runs that are listed.
    pub(super) fn runs(&self) -> Vec<Instant> {
        self.read().runs.keys().copied().collect()
    }

    /// The newest complete run; the newest one where no run is called complete.
    pub(super) fn latest(&self) -> Option<Instant> {
        let state = self.read();
        let complete = state.runs.iter().rfind(|(_, complete)| **complete);
        complete
            .or(state.runs.last_key_value())
            .map(|(run, _)| *run)
    }

    /// Count of rows that are known now.
    pub(super) fn rows(&self) -> u64 {
        self.read().now.rows()
    }

    /// Instants that are listed in `asof/`.
    pub(super) fn instants(&self) -> Vec<Instant> {
        let state = self.read();
        let mut all: BTreeSet<Instant> = state.stood.keys().copied().collect();
        if self.follow.is_some() {
            all.extend(state.all.iter().filter_map(|entry| match entry.scope {
                Scope::AsOf(instant) => Some(instant),
                Scope::Mounted | Scope::Run(_) => None,
            }));
        }
        all.into_iter().collect()
    }

    /// Number of the collection that shows a run at `runs/` of the mount, if there is such a run.
    pub(super) fn of_run(&self, run: Instant) -> Option<usize> {
        let mounted = self.get(0)?;
        if mounted.runs.binary_search(&run).is_ok() {
            return Some(0);
        }
        let archive = Arc::clone(self.read().arrived.get(&run)?);
        self.number(Scope::Run(run), archive)
    }

    /// Number of the collection as it stood at an instant, if any run is as old.
    pub(super) fn as_of(&self, instant: Instant) -> Option<usize> {
        let archive = {
            let state = self.read();
            let known = |scope| state.all.iter().position(|entry| entry.scope == scope);
            if let Some(number) = known(Scope::AsOf(instant)) {
                return Some(number);
            }
            match state.stood.get(&instant) {
                Some(archive) => Arc::clone(archive),
                None => {
                    let (first, _) = state.runs.first_key_value()?;
                    // What stands at an instant to come is not known while runs still arrive.
                    let (last, _) = state.runs.last_key_value()?;
                    let is_past = self.follow.is_none() || instant <= *last;
                    (*first <= instant && is_past).then(|| Arc::clone(&state.now))?
                }
            }
        };
        self.number(Scope::AsOf(instant), archive)
    }

    /// Number of a collection, given when it is first asked for.
    fn number(&self, scope: Scope, archive: Arc<Archive>) -> Option<usize> {
        let mut state = self.write();
        if let Some(known) = state.all.iter().position(|entry| entry.scope == scope) {
            return Some(known);
        }
        (state.all.len() < NODES).then(|| {
            state.all.push(Arc::new(Entry {
                scope,
                archive,
                built: OnceLock::new(),
            }));
            state.all.len() - 1
        })
    }

    /// Takes note of what the tables are now, at `moment` by the clock. Gives the runs that came.
    ///
    /// What is shown already stays as it is. Only where nothing was shown yet, what came is the mounted collection.
    pub(super) fn renew(&self, now: Arc<Archive>, moment: Instant) -> Vec<Instant> {
        let shown: BTreeMap<Instant, bool> = now
            .parts
            .iter()
            .flat_map(|part| part.runs.iter().copied())
            .filter(|run| self.selection.takes_run(*run) && self.shows(&now, *run))
            .map(|run| (run, now.is_complete(run)))
            .collect();
        let is_first = self.get(0).is_none_or(|mounted| mounted.groups.is_empty());
        let mounted = is_first.then(|| {
            self.build(&Entry {
                scope: Scope::Mounted,
                archive: Arc::clone(&now),
                built: OnceLock::new(),
            })
        });
        let mut state = self.write();
        let came: Vec<Instant> = shown
            .keys()
            .filter(|run| !state.runs.contains_key(run))
            .copied()
            .collect();
        let changed = shown != state.runs || !same_parts(&shown, &state.now, &now);
        let newest = shown.keys().next_back() > state.runs.keys().next_back();
        if let (Some(mounted), Some(first)) = (mounted, state.all.first_mut())
            && !mounted.groups.is_empty()
        {
            *first = Arc::new(Entry {
                scope: Scope::Mounted,
                archive: Arc::clone(&now),
                built: OnceLock::from(Arc::new(mounted)),
            });
        } else if changed {
            for run in &came {
                let parts = now.parts.iter().filter(|part| part.runs.contains(run));
                let parts = parts.cloned().collect();
                state
                    .arrived
                    .entry(*run)
                    .or_insert_with(|| Arc::new(Archive { parts }));
            }
            if let Some(newest) = shown.keys().next_back().filter(|_| newest) {
                state
                    .stood
                    .entry(*newest)
                    .or_insert_with(|| Arc::clone(&now));
            }
            let mut moment = moment;
            while state.stood.contains_key(&moment) {
                moment = Instant(moment.seconds().saturating_add(1));
            }
            state.stood.insert(moment, Arc::clone(&now));
            while state.stood.len() > MOST_NAMES {
                state.stood.pop_first();
            }
        }
        state.runs = shown;
        state.now = now;
        came
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the runs shown lie in the same tables as before.
fn same_parts(shown: &BTreeMap<Instant, bool>, before: &Archive, now: &Archive) -> bool {
    let of_shown = |archive: &Archive| -> BTreeSet<*const Part> {
        let parts = archive.parts.iter();
        parts
            .filter(|part| part.runs.iter().any(|run| shown.contains_key(run)))
            .map(Arc::as_ptr)
            .collect()
    };
    of_shown(before) == of_shown(now)
}
