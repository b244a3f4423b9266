//! Which chunks a reader will want next: the walks that readers make through an array.
//!
//! Readers go through an array as odometers turn: along one axis by a stride, then one further on a slower axis and again from
//! where the first axis began. Two neighbours are a guess (two chunks ahead), three chunks at even distances are a walk. The
//! distance kept ahead doubles whenever the reader had to wait, up to a limit, and not otherwise: it grows to what latency and the
//! reader's pace ask for. Worked example, grid 4 x 17: `0.0`, `0.1` -> ahead `0.2 0.3`; the reader waits at `0.2` -> ahead to `0.6`,
//! ...; behind `0.16` comes `1.0`.
//!
//! Knows positions. Knows no rows, no bytes, no time.

use std::collections::VecDeque;

use crate::zarr::key::chunk_positions;

/// Walks of one array that are followed at once, such as those of several readers.
const WALKS: usize = 8;
/// Chunks that were read last, among which walks are looked for.
const REMEMBERED: usize = 64;
/// Chunks kept ahead on a guess, and beyond the first turn of a slower axis, which is another.
const GUESS: usize = 2;
/// Cells without a message that one step may pass over, so that sparse arrays cost no more.
const GAPS: usize = 256;

/// The walks through one array's chunk grid.
#[derive(Debug)]
pub(super) struct Walks {
    grid: Vec<u64>,
    recent: VecDeque<u64>,
    /// The one that was stepped along last is at the end.
    walks: Vec<Walk>,
}

/// One walk.
#[derive(Debug)]
struct Walk {
    /// The axis walked along.
    axis: usize,
    /// Distance of neighbours along it, in chunks.
    stride: i64,
    /// Where each axis began, and where it ended if it ended before the grid does.
    starts: Vec<u64>,
    ends: Vec<Option<u64>>,
    /// Where the reader is.
    at: Vec<u64>,
    /// The last chunk that was asked for ahead of the reader.
    head: Vec<u64>,
    /// Chunks asked for that the reader has not come to; `true` behind the first turn.
    upcoming: VecDeque<(u64, bool)>,
    /// Chunks to keep ahead.
    window: usize,
    turn: Turn,
}

/// What is known of the slower axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// The end of the axis has not been seen.
    Unseen,
    /// Chunks behind it were asked for, on a guess.
    Guessed,
    /// The reader went on behind it.
    Seen,
}

impl Walks {
    pub(super) fn new(grid: &[u64]) -> Self {
        Self {
            grid: grid.to_vec(),
            recent: VecDeque::new(),
            walks: Vec::new(),
        }
    }

    /// The reader comes to a chunk, and has to wait for it or not. Hands the chunks to fetch ahead to `fetch`, the nearest first, which
    /// says what became of each; at most `longest` are kept ahead.
    pub(super) fn step(
        &mut self,
        linear: u64,
        waited: bool,
        longest: usize,
        mut fetch: impl FnMut(u64) -> Ahead,
    ) {
        let at = chunk_positions(linear, &self.grid);
        let recent = &self.recent;
        // What the reader has had already is not ahead of it, whichever way the walk seems to lead.
        let mut fetch = |chunk: u64| {
            if chunk == linear || recent.contains(&chunk) {
                Ahead::Nothing
            } else {
                fetch(chunk)
            }
        };
        if let Some(number) = self.walks.iter().position(|walk| walk.is_ahead(linear)) {
            // The walk that was stepped along last is the last to be forgotten.
            let mut walk = self.walks.remove(number);
            walk.come_to(linear, at, waited, longest);
            walk.look_ahead(&self.grid, &mut fetch);
            self.walks.push(walk);
        } else if let Some(walk) = self.walks.iter_mut().rev().find(|walk| walk.turns_to(&at)) {
            walk.turn_early(at);
            walk.look_ahead(&self.grid, &mut fetch);
        } else if let Some(mut walk) = self.begin(linear, at, longest) {
            walk.look_ahead(&self.grid, &mut fetch);
            if self.walks.len() == WALKS {
                self.walks.remove(0);
            }
            self.walks.push(walk);
        }
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(linear);
    }

    /// The walk that leads to a chunk from those read before, if one does.
    fn begin(&self, linear: u64, at: Vec<u64>, longest: usize) -> Option<Walk> {
        let mut best: Option<(usize, u64, usize, i64)> = None;
        for before in self.recent.iter().rev().filter(|before| **before != linear) {
            let Some((axis, stride)) = difference(&chunk_positions(*before, &self.grid), &at)
            else {
                continue;
            };
            let length = self.length(&at, axis, stride);
            // Single steps that are not between neighbours are no sign of a walk.
            if length < 2 && stride.unsigned_abs() > 1 {
                continue;
            }
            let better = best.is_none_or(|(known, distance, ..)| {
                length > known || (length == known && stride.unsigned_abs() < distance)
            });
            if better {
                best = Some((length, stride.unsigned_abs(), axis, stride));
            }
        }
        let (length, _, axis, stride) = best?;
        let mut starts = at.clone();
        let back = stride.checked_mul(i64::try_from(length).ok()?)?;
        let start = starts.get_mut(axis)?;
        *start = start.checked_add_signed(back.checked_neg()?)?;
        Some(Walk {
            axis,
            stride,
            starts,
            ends: vec![None; at.len()],
            head: at.clone(),
            at,
            upcoming: VecDeque::new(),
            window: (GUESS * length).min(longest),
            turn: Turn::Unseen,
        })
    }

    /// How many chunks at a stride's distances before `at` were read lately.
    fn length(&self, at: &[u64], axis: usize, stride: i64) -> usize {
        let mut place = at.to_vec();
        let mut length = 0;
        while length < self.recent.len() {
            let Some(before) = place
                .get(axis)
                .and_then(|position| position.checked_add_signed(-stride))
            else {
                break;
            };
            if let Some(position) = place.get_mut(axis) {
                *position = before;
            }
            if linear_of(&place, &self.grid).is_none_or(|linear| !self.recent.contains(&linear)) {
                break;
            }
            length += 1;
        }
        length
    }
}

/// What became of a chunk that is to be fetched ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ahead {
    /// It is on its way or there.
    Asked,
    /// There is no message for it.
    Nothing,
    /// There is no room for it now.
    Full,
}

impl Walk {
    fn is_ahead(&self, linear: u64) -> bool {
        self.upcoming.iter().any(|(chunk, _)| *chunk == linear)
    }

    /// The reader has come to a chunk that was asked for.
    fn come_to(&mut self, linear: u64, at: Vec<u64>, waited: bool, longest: usize) {
        while let Some((chunk, behind_turn)) = self.upcoming.pop_front() {
            if behind_turn && self.turn == Turn::Guessed {
                self.turn = Turn::Seen;
            }
            if chunk == linear {
                break;
            }
        }
        if waited {
            self.window = (self.window * 2).min(longest);
        }
        self.at = at;
    }

    /// Whether a chunk is where this walk goes on if its axis ends where the reader is.
    fn turns_to(&self, to: &[u64]) -> bool {
        let Some(slower) = (0..self.axis)
            .rev()
            .find(|axis| self.at.get(*axis) != to.get(*axis))
        else {
            return false;
        };
        let same = |axis: usize| self.at.get(axis) == to.get(axis);
        let further = match (self.at.get(slower), to.get(slower)) {
            (Some(from), Some(to)) => from.checked_add(1) == Some(*to),
            _ => false,
        };
        further
            && self.at.get(self.axis) != self.starts.get(self.axis)
            && to.get(self.axis) == self.starts.get(self.axis)
            && (0..slower).all(same)
            && (self.axis + 1..to.len()).all(same)
    }

    /// The reader has turned before the end of the axis, which is thus where it was.
    fn turn_early(&mut self, to: Vec<u64>) {
        if let (Some(end), Some(last)) = (self.ends.get_mut(self.axis), self.at.get(self.axis)) {
            *end = Some(*last);
        }
        self.upcoming.clear();
        self.turn = Turn::Seen;
        self.head.clone_from(&to);
        self.at = to;
    }

    /// Asks for chunks until the window is full, once half of it is used up: what is asked for together can share requests.
    fn look_ahead(&mut self, grid: &[u64], fetch: &mut impl FnMut(u64) -> Ahead) {
        if self.upcoming.len() > self.window / 2 {
            return;
        }
        for _ in 0..GAPS + self.window {
            if self.upcoming.len() >= self.window {
                return;
            }
            let Some((next, turned)) = self.next(grid) else {
                return;
            };
            let behind_turn = turned || self.upcoming.back().is_some_and(|(_, behind)| *behind);
            if behind_turn && self.turn != Turn::Seen {
                let guessed = self.upcoming.iter().filter(|(_, behind)| *behind).count();
                if guessed >= GUESS {
                    return;
                }
                self.turn = Turn::Guessed;
            }
            let Some(linear) = linear_of(&next, grid) else {
                return;
            };
            match fetch(linear) {
                Ahead::Asked => self.upcoming.push_back((linear, behind_turn)),
                Ahead::Nothing => {}
                Ahead::Full => return,
            }
            self.head = next;
        }
    }

    /// The chunk after the last one asked for, and whether a slower axis turned for it.
    fn next(&self, grid: &[u64]) -> Option<(Vec<u64>, bool)> {
        let mut next = self.head.clone();
        let end = self.ends.get(self.axis).copied().flatten();
        let position = next.get_mut(self.axis)?;
        let within = |position: u64| {
            let in_grid = grid.get(self.axis).is_some_and(|length| position < *length);
            // A walk that was seen to end stays on its side of that.
            let passed = end.is_some_and(|end| {
                if self.stride > 0 {
                    position > end
                } else {
                    position < end
                }
            });
            in_grid && !passed
        };
        if let Some(further) = position
            .checked_add_signed(self.stride)
            .filter(|position| within(*position))
        {
            *position = further;
            return Some((next, false));
        }
        *position = *self.starts.get(self.axis)?;
        for axis in (0..self.axis).rev() {
            let (position, length) = (next.get_mut(axis)?, grid.get(axis)?);
            if *position + 1 < *length {
                *position += 1;
                return Some((next, true));
            }
            *position = *self.starts.get(axis)?;
        }
        None
    }
}

/// The only axis along which two chunks differ, and by how much; none if they differ along several.
fn difference(from: &[u64], to: &[u64]) -> Option<(usize, i64)> {
    let mut differing = from
        .iter()
        .zip(to)
        .enumerate()
        .filter(|(_, (from, to))| from != to);
    let (axis, (from, to)) = differing.next()?;
    if differing.next().is_some() {
        return None;
    }
    let stride = i64::try_from(i128::from(*to) - i128::from(*from)).ok()?;
    Some((axis, stride))
}

/// The linear number of the chunk at some positions, if they lie in the grid.
fn linear_of(positions: &[u64], grid: &[u64]) -> Option<u64> {
    positions
        .iter()
        .zip(grid)
        .try_fold(0_u64, |linear, (position, length)| {
            let inside = position < length;
            inside.then(|| linear.checked_mul(*length)?.checked_add(*position))?
        })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// A reader that waits for whatever was not asked for ahead of it, and what it cost.
    struct Reader {
        walks: Walks,
        asked: BTreeSet<u64>,
        read: BTreeSet<u64>,
        waits: usize,
    }

    impl Reader {
        fn new(grid: &[u64]) -> Self {
            Self {
                walks: Walks::new(grid),
                asked: BTreeSet::new(),
                read: BTreeSet::new(),
                waits: 0,
            }
        }

        fn read(&mut self, positions: &[u64]) {
            let linear = linear_of(positions, &self.walks.grid).unwrap();
            let waited = !self.asked.contains(&linear);
            self.waits += usize::from(waited);
            self.read.insert(linear);
            self.step(linear, waited);
        }

        fn step(&mut self, linear: u64, waited: bool) {
            let asked = &mut self.asked;
            self.walks.step(linear, waited, 32, |chunk| {
                asked.insert(chunk);
                Ahead::Asked
            });
        }

        fn in_vain(&self) -> usize {
            self.asked.difference(&self.read).count()
        }
    }

    #[test]
    fn a_walk_through_two_axes_waits_at_its_beginning_alone() {
        let mut reader = Reader::new(&[4, 17]);
        for run in 0..4 {
            for step in 0..17 {
                reader.read(&[run, step]);
            }
        }
        assert_eq!((reader.waits, reader.in_vain()), (2, 0));
    }

    #[test]
    fn a_reader_that_has_to_wait_is_given_twice_as_much() {
        let mut walks = Walks::new(&[1000]);
        let mut ahead = 0;
        let mut kept = Vec::new();
        for chunk in 0..20 {
            walks.step(chunk, true, 32, |next| {
                ahead = next;
                Ahead::Asked
            });
            kept.push(ahead.saturating_sub(chunk));
        }
        assert_eq!(kept[..6], [0, 2, 4, 8, 16, 32]);
        assert!(kept[19] >= 16 && kept[19] <= 32);
    }

    #[test]
    fn strides_and_backward_walks_are_followed() {
        for stride in [2_i64, 7, -1, -3] {
            let mut reader = Reader::new(&[3, 200]);
            for number in 0..25 {
                let first = if stride > 0 { 0 } else { 199 };
                reader.read(&[1, u64::try_from(first + number * stride).unwrap()]);
            }
            assert!(reader.waits <= 3, "stride {stride}: {}", reader.waits);
        }
    }

    #[test]
    fn a_slower_axis_alone_is_a_walk() {
        let mut reader = Reader::new(&[40, 17, 5]);
        for run in 0..40 {
            reader.read(&[run, 3, 2]);
        }
        assert_eq!((reader.waits, reader.in_vain()), (2, 0));
    }

    #[test]
    fn the_end_of_a_box_is_learned_at_its_first_turn() {
        let mut reader = Reader::new(&[10, 50]);
        for run in 2..8 {
            for step in 10..30 {
                reader.read(&[run, step]);
            }
        }
        // Beyond the box: what was ahead at the first turn and, at the box's end, of the next run.
        assert!(reader.waits <= 4, "{}", reader.waits);
        assert!(reader.in_vain() <= 40, "{}", reader.in_vain());
    }

    #[test]
    fn readers_side_by_side_keep_their_walks() {
        let mut reader = Reader::new(&[6, 100]);
        for step in 0..100 {
            for member in 0..6 {
                reader.read(&[member, step]);
            }
        }
        assert!(reader.waits <= 18, "{}", reader.waits);
        assert_eq!(reader.in_vain(), 0);
    }

    #[test]
    fn single_reads_here_and_there_ask_for_nothing() {
        let mut reader = Reader::new(&[50, 50]);
        for (run, step) in [
            (1, 40),
            (20, 3),
            (7, 22),
            (33, 9),
            (7, 30),
            (48, 30),
            (2, 2),
        ] {
            reader.read(&[run, step]);
        }
        assert!(reader.asked.is_empty());
    }

    #[test]
    fn gaps_are_passed_over_and_a_full_house_ends_the_asking() {
        let mut walks = Walks::new(&[100]);
        let mut asked = Vec::new();
        for chunk in [0, 6, 12] {
            walks.step(chunk, true, 32, |next| {
                if next % 12 != 0 {
                    return Ahead::Nothing;
                }
                asked.push(next);
                if asked.len() > 3 {
                    return Ahead::Full;
                }
                Ahead::Asked
            });
        }
        assert_eq!(asked, [24, 36, 48, 60]);
    }

    proptest! {
        #[test]
        fn no_order_of_reading_breaks_it(
            grid in proptest::collection::vec(1_u64..8, 1..5),
            order in proptest::collection::vec(any::<u64>(), 1..200),
        ) {
            let count: u64 = grid.iter().product();
            let mut walks = Walks::new(&grid);
            for seed in order {
                let mut asked = 0;
                walks.step(seed % count, seed % 3 == 0, 8, |next| {
                    assert!(next < count);
                    asked += 1;
                    if next % 5 == 0 { Ahead::Nothing } else { Ahead::Asked }
                });
                prop_assert!(asked <= 8 + GAPS);
            }
        }
    }
}
