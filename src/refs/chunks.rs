//! References of an array's chunks, in columns: 16 bytes each where they are in order, 24 where there are holes.

use std::collections::HashMap;

use bytes::Bytes;

use super::urls::{MAX_URLS, Urls};

const ABSENT: u32 = u32::MAX;
const INLINE: u32 = u32::MAX - 1;
const NO_TARGET: u32 = u32::MAX - 2;
/// Length that stands for the whole object, and one for a length that does not fit.
const WHOLE: u32 = u32::MAX;
const LONG: u32 = u32::MAX - 1;
/// No slot.
const NOWHERE: usize = usize::MAX;

/// Where one chunk lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The bytes themselves.
    Inline(Bytes),
    /// A range of an object, or all of it; the URL by number.
    Object {
        /// Number of the URL.
        url: u32,
        /// First byte.
        offset: u64,
        /// Count of bytes; `None` is the whole object.
        length: Option<u64>,
    },
    /// A reference to the set's default target, which the set does not hold.
    NoTarget,
}

/// Where the bytes of a chunk lie, its URL as the set writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The bytes themselves.
    Inline(Bytes),
    /// A range of an object, or all of it.
    Object {
        /// The URL.
        url: String,
        /// First byte.
        offset: u64,
        /// Count of bytes; `None` is the whole object.
        length: Option<u64>,
    },
    /// The set's default target, which nobody tells.
    NoTarget,
}

impl Slot {
    /// The same with its URL written out; `None` if there is no URL of that number.
    pub(crate) fn target(&self, urls: &Urls) -> Option<Target> {
        Some(match self {
            Self::Inline(bytes) => Target::Inline(bytes.clone()),
            Self::NoTarget => Target::NoTarget,
            Self::Object {
                url,
                offset,
                length,
            } => Target::Object {
                url: urls.get(*url)?.to_owned(),
                offset: *offset,
                length: *length,
            },
        })
    }
}

/// References of one array by linear chunk number.
#[derive(Clone, Debug, Default)]
pub struct ChunkTable {
    /// Chunk numbers, ascending; `None` where slot and number are the same.
    numbers: Option<Vec<u64>>,
    urls: Vec<u32>,
    offsets: Vec<u64>,
    lengths: Vec<u32>,
    long: HashMap<usize, u64>,
    inline: Bytes,
    growing: Vec<u8>,
    present: u64,
}

impl ChunkTable {
    /// Adds a chunk, in any order; the later of two stands until [`Self::seal`] finds both.
    pub(crate) fn push(&mut self, number: u64, slot: &Slot) {
        let count = self.urls.len();
        if let Some(numbers) = &mut self.numbers {
            numbers.push(number);
        } else if u64::try_from(count) != Ok(number) {
            let mut numbers: Vec<u64> = (0..).take(count).collect();
            numbers.push(number);
            self.numbers = Some(numbers);
        }
        self.present += 1;
        self.push_slot(slot);
    }

    /// Adds a place without a reference, in order only.
    pub(crate) fn push_absent(&mut self) {
        self.urls.push(ABSENT);
        self.offsets.push(0);
        self.lengths.push(0);
    }

    /// Makes room for so many places more.
    pub(crate) fn reserve(&mut self, places: usize) {
        self.urls.reserve_exact(places);
        self.offsets.reserve_exact(places);
        self.lengths.reserve_exact(places);
    }

    /// Adds the next place in order, with a part of an object, or the whole of it.
    pub(crate) fn push_object(&mut self, url: u32, offset: u64, length: Option<u64>) {
        self.present += 1;
        self.push_columns(url, offset, length);
    }

    /// Adds the next place in order, with a reference.
    pub(crate) fn push_row(&mut self, slot: &Slot) {
        self.present += 1;
        self.push_slot(slot);
    }

    fn push_slot(&mut self, slot: &Slot) {
        let (url, offset, length) = match slot {
            Slot::Inline(bytes) => {
                let start = self.growing.len();
                self.growing.extend_from_slice(bytes);
                (INLINE, start as u64, Some(bytes.len() as u64))
            }
            Slot::Object {
                url,
                offset,
                length,
            } => (*url, *offset, *length),
            Slot::NoTarget => (NO_TARGET, 0, None),
        };
        self.push_columns(url, offset, length);
    }

    fn push_columns(&mut self, url: u32, offset: u64, length: Option<u64>) {
        let short = match length {
            None => WHOLE,
            Some(length) => match u32::try_from(length).ok().filter(|short| *short < LONG) {
                Some(short) => short,
                None => {
                    self.long.insert(self.urls.len(), length);
                    LONG
                }
            },
        };
        self.urls.push(url);
        self.offsets.push(offset);
        self.lengths.push(short);
    }

    /// Puts everything in order. Gives the numbers that occur twice with different references.
    pub(crate) fn seal(&mut self) -> Vec<u64> {
        self.inline = Bytes::from(std::mem::take(&mut self.growing));
        let mut twice = Vec::new();
        if let Some(numbers) = self.numbers.take() {
            let kept = self.present;
            let end = numbers.iter().max().map_or(0, |last| last + 1);
            // Where most chunks of the range are there, their places tell their numbers and nothing is sorted.
            let (order, numbers) = if end / 2 <= kept {
                (self.dense_order(&numbers, end, &mut twice), None)
            } else {
                let (order, numbers) = self.sorted_order(numbers, &mut twice);
                (order, Some(numbers))
            };
            self.arrange(&order);
            self.numbers = numbers;
        }
        self.urls.shrink_to_fit();
        self.offsets.shrink_to_fit();
        self.lengths.shrink_to_fit();
        twice
    }

    /// The slot of each number from 0 to `end`, [`NOWHERE`] for those without; the first of several.
    fn dense_order(&self, numbers: &[u64], end: u64, twice: &mut Vec<u64>) -> Vec<usize> {
        let mut order = vec![NOWHERE; usize::try_from(end).unwrap_or_default()];
        for (slot, number) in numbers.iter().enumerate() {
            let place = usize::try_from(*number)
                .ok()
                .and_then(|at| order.get_mut(at));
            match place {
                Some(place) if *place == NOWHERE => *place = slot,
                Some(place) => self.note_twice(*place, slot, *number, twice),
                None => {}
            }
        }
        order
    }

    /// The slots by ascending number, and those numbers; the first of several.
    fn sorted_order(&self, numbers: Vec<u64>, twice: &mut Vec<u64>) -> (Vec<usize>, Vec<u64>) {
        let mut pairs: Vec<(u64, usize)> = numbers.into_iter().zip(0..).collect();
        pairs.sort_unstable();
        pairs.dedup_by(|(later, slot), (number, first)| {
            let same = later == number;
            if same {
                self.note_twice(*first, *slot, *number, twice);
            }
            same
        });
        let order = pairs.iter().map(|(_, slot)| *slot).collect();
        (order, pairs.into_iter().map(|(number, _)| number).collect())
    }

    fn note_twice(&self, first: usize, second: usize, number: u64, twice: &mut Vec<u64>) {
        if self.at(first) != self.at(second) && twice.last() != Some(&number) {
            twice.push(number);
        }
    }

    /// Takes the slots of `order` in that order. One column after the other, so that little is in memory twice.
    fn arrange(&mut self, order: &[usize]) {
        fn column<T: Copy>(old: &[T], order: &[usize], absent: T) -> Vec<T> {
            let pick = |slot: &usize| old.get(*slot).copied().unwrap_or(absent);
            order.iter().map(pick).collect()
        }
        self.urls = column(&self.urls, order, ABSENT);
        self.offsets = column(&self.offsets, order, 0);
        self.lengths = column(&self.lengths, order, 0);
        if !self.long.is_empty() {
            let long = (0..).zip(order);
            let long = long.filter_map(|(to, slot)| Some((to, *self.long.get(slot)?)));
            self.long = long.collect();
        }
        self.present = self.urls.iter().filter(|url| **url != ABSENT).count() as u64;
    }

    fn at(&self, slot: usize) -> Option<Slot> {
        let (url, offset, length) = (
            *self.urls.get(slot)?,
            *self.offsets.get(slot)?,
            *self.lengths.get(slot)?,
        );
        let length = match length {
            WHOLE => None,
            LONG => self.long.get(&slot).copied(),
            short => Some(u64::from(short)),
        };
        match url {
            ABSENT => None,
            NO_TARGET => Some(Slot::NoTarget),
            INLINE => {
                let start = usize::try_from(offset).ok()?;
                let end = start.checked_add(usize::try_from(length?).ok()?)?;
                (end <= self.inline.len()).then(|| Slot::Inline(self.inline.slice(start..end)))
            }
            url if url < MAX_URLS => Some(Slot::Object {
                url,
                offset,
                length,
            }),
            _ => None,
        }
    }

    fn slot_of(&self, number: u64) -> Option<usize> {
        match &self.numbers {
            None => usize::try_from(number).ok(),
            Some(numbers) => numbers.binary_search(&number).ok(),
        }
    }

    /// The reference of a chunk; `None` where there is none.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<Slot> {
        self.at(self.slot_of(number)?)
    }

    /// How many chunks have a reference.
    #[must_use]
    pub fn present(&self) -> u64 {
        self.present
    }

    /// Numbers of the chunks that have a reference, from `first` on, ascending.
    pub fn numbers_from(&self, first: u64) -> impl Iterator<Item = u64> {
        let start = match &self.numbers {
            None => usize::try_from(first).unwrap_or(usize::MAX),
            Some(numbers) => numbers.partition_point(|number| *number < first),
        };
        (start..self.urls.len())
            .filter(|slot| self.urls.get(*slot) != Some(&ABSENT))
            .filter_map(|slot| match &self.numbers {
                None => Some(slot as u64),
                Some(numbers) => numbers.get(slot).copied(),
            })
    }

    /// Numbers of the chunks that are whole objects, ascending.
    pub fn whole_objects(&self) -> impl Iterator<Item = u64> {
        let slots = (0..).zip(self.urls.iter().zip(&self.lengths));
        slots
            .filter(|(_, (url, length))| **url < MAX_URLS && **length == WHOLE)
            .filter_map(|(slot, _)| match &self.numbers {
                None => Some(slot as u64),
                Some(numbers) => numbers.get(slot).copied(),
            })
    }

    /// Bytes held in memory.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.urls.len() * 16 + self.numbers.as_ref().map_or(0, Vec::len) * 8 + self.inline.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(offset: u64, length: Option<u64>) -> Slot {
        Slot::Object {
            url: 3,
            offset,
            length,
        }
    }

    #[test]
    fn chunks_come_back_in_order_whatever_the_order_of_the_file() {
        let mut table = ChunkTable::default();
        table.push(0, &object(5, Some(7)));
        table.push(10, &Slot::Inline(Bytes::from_static(b"abc")));
        table.push(2, &object(6, None));
        table.push(4, &object(1, Some(1 << 40)));
        table.push(2, &object(6, None));
        assert!(table.seal().is_empty());
        assert_eq!(table.present(), 4);
        assert_eq!(table.numbers_from(1).collect::<Vec<_>>(), [2, 4, 10]);
        assert_eq!(
            table.get(10),
            Some(Slot::Inline(Bytes::from_static(b"abc")))
        );
        assert_eq!(table.get(4), Some(object(1, Some(1 << 40))));
        assert_eq!((table.get(2), table.get(1)), (Some(object(6, None)), None));
    }

    #[test]
    fn few_chunks_of_many_and_most_of_them_are_arranged_alike() {
        for stride in [1_u64, 7, 1000] {
            let mut table = ChunkTable::default();
            for number in (0..100_u64).rev() {
                table.push(number * stride, &object(number, Some(number + (1 << 32))));
            }
            table.push(50 * stride, &object(50, Some(50 + (1 << 32))));
            assert!(table.seal().is_empty());
            assert_eq!(table.present(), 100);
            let numbers: Vec<u64> = table.numbers_from(0).collect();
            assert_eq!(numbers, (0..100).map(|n| n * stride).collect::<Vec<_>>());
            for number in 0..100 {
                let slot = object(number, Some(number + (1 << 32)));
                assert_eq!(table.get(number * stride), Some(slot));
            }
            assert_eq!(table.get(100 * stride), None);
        }
    }

    #[test]
    fn a_chunk_with_two_references_is_told() {
        let mut table = ChunkTable::default();
        table.push(1, &object(5, Some(7)));
        table.push(1, &object(6, Some(7)));
        assert_eq!(table.seal(), [1]);
        let mut table = ChunkTable::default();
        for number in [1_000_000, 3, 1_000_000] {
            table.push(number, &object(table.present(), None));
        }
        assert_eq!(table.seal(), [1_000_000]);
    }
}
