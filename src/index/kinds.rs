//! The distinct words of a file's lines, each kept once.
//!
//! A file of an ensemble repeats its 160 kinds for each of 51 members: a line holds a number, the words stand here.

use std::borrow::Cow;
use std::hash::{BuildHasher as _, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::ecmwf::EcmwfWords;
use super::noaa::NoaaWords;

/// A kind of field as the lines of one file name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindText<'a> {
    /// The words as one text: equal texts in files of one product mean the same kind of field. Holds neither run nor time nor
    /// member.
    pub words: Cow<'a, str>,
    /// Index of the first line of this kind in `IndexFile::lines`: a sample.
    pub sample: u32,
    /// The words one by one.
    pub parts: KindWords<'a>,
}

/// The parts of a kind's words, by dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KindWords<'a> {
    /// Of a wgrib2 inventory.
    Noaa(NoaaWords<'a>),
    /// Of ECMWF's JSON lines.
    Ecmwf(EcmwfWords<'a>),
}

/// Gives equal words one number.
#[derive(Debug, Default)]
pub(super) struct Interner<'a> {
    kinds: Vec<KindText<'a>>,
    table: HashTable<(u64, u32)>,
    hasher: DefaultHashBuilder,
}

impl<'a> Interner<'a> {
    /// The hash of what makes kinds equal, seeded by chance: index files are written by others.
    pub(super) fn hash(&self, words: &impl Hash) -> u64 {
        self.hasher.hash_one(words)
    }

    /// The number of the kind with this hash that is the `same`; a new one, if there is none, is what `make` returns.
    pub(super) fn intern(
        &mut self,
        hash: u64,
        same: impl Fn(&KindText<'a>) -> bool,
        make: impl FnOnce() -> KindText<'a>,
    ) -> u32 {
        let known = self.table.find(hash, |(other, number)| {
            *other == hash
                && usize::try_from(*number)
                    .ok()
                    .and_then(|at| self.kinds.get(at))
                    .is_some_and(&same)
        });
        if let Some((_, number)) = known {
            return *number;
        }
        // There are fewer kinds than lines, and lines are counted in u32.
        let number = u32::try_from(self.kinds.len()).unwrap_or(u32::MAX);
        self.kinds.push(make());
        self.table
            .insert_unique(hash, (hash, number), |(hash, _)| *hash);
        number
    }

    pub(super) fn into_kinds(self) -> Vec<KindText<'a>> {
        self.kinds
    }
}
