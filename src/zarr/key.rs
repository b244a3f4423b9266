//! Chunk keys: `3.0.12` names the chunk at those positions; the linear number counts them row by row.

/// The linear number (row-major) of the chunk that `name` names in a chunk grid, or `None` if it names none.
///
/// Strict: decimal digits without sign or leading zero, one number per dimension, separated by `.`, each inside the grid.
#[must_use]
pub fn parse_chunk_key(name: &str, grid: &[u64]) -> Option<u64> {
    let mut rest = name.as_bytes();
    let mut linear = 0_u64;
    for (at, length) in grid.iter().enumerate() {
        if at > 0 {
            rest = rest.strip_prefix(b".")?;
        }
        let mut position = 0_u64;
        let mut digits = 0;
        while let Some((byte, tail)) = rest.split_first()
            && byte.is_ascii_digit()
        {
            if digits > 0 && position == 0 {
                return None;
            }
            position = position
                .checked_mul(10)?
                .checked_add((byte - b'0').into())?;
            digits += 1;
            rest = tail;
        }
        if digits == 0 || position >= *length {
            return None;
        }
        linear = linear.checked_mul(*length)?.checked_add(position)?;
    }
    (rest.is_empty() && !grid.is_empty()).then_some(linear)
}

/// Positions of the chunk with a linear number.
#[must_use]
pub fn chunk_positions(linear: u64, grid: &[u64]) -> Vec<u64> {
    let mut rest = linear;
    let mut positions: Vec<u64> = grid
        .iter()
        .rev()
        .map(|length| {
            let position = rest % (*length).max(1);
            rest /= (*length).max(1);
            position
        })
        .collect();
    positions.reverse();
    positions
}

/// The key of the chunk with a linear number: `3.0.12`.
#[must_use]
pub fn chunk_key(linear: u64, grid: &[u64]) -> String {
    ChunkKeys::new(grid).key(linear).to_owned()
}

/// Keys of many chunks of a grid: of those that follow each other only what changes is written anew, as a listing makes a million of them.
#[derive(Clone, Debug)]
pub struct ChunkKeys<'g> {
    grid: &'g [u64],
    /// The chunk that the key stands for; none yet.
    linear: Option<u64>,
    positions: Vec<u64>,
    text: String,
    /// Where each position begins in the text.
    starts: Vec<usize>,
}

impl<'g> ChunkKeys<'g> {
    /// Keys of chunks of this grid.
    #[must_use]
    pub fn new(grid: &'g [u64]) -> Self {
        Self {
            grid,
            linear: None,
            positions: Vec::new(),
            text: String::new(),
            starts: vec![0; grid.len()],
        }
    }

    /// The key of the chunk with a linear number.
    pub fn key(&mut self, linear: u64) -> &str {
        let next = self.linear.and_then(|last| last.checked_add(1));
        let follows = (next == Some(linear)).then(|| self.step()).flatten();
        let changed = follows.unwrap_or_else(|| {
            self.positions = chunk_positions(linear, self.grid);
            0
        });
        self.linear = Some(linear);
        self.write(changed);
        &self.text
    }

    /// One chunk on: the first dimension whose position changed, or none if the grid ends.
    fn step(&mut self) -> Option<usize> {
        let dimensions = self.positions.iter_mut().zip(self.grid);
        for (dimension, (position, length)) in dimensions.enumerate().rev() {
            *position += 1;
            if *position < *length {
                return Some(dimension);
            }
            *position = 0;
        }
        None
    }

    /// Writes the positions from a dimension on.
    fn write(&mut self, from: usize) {
        let kept = self.starts.get(from).copied().unwrap_or(0);
        self.text.truncate(kept);
        let mut digits = itoa::Buffer::new();
        let places = self.positions.iter().zip(&mut self.starts);
        for (dimension, (position, start)) in places.enumerate().skip(from) {
            // The point before the first of them is there already.
            if dimension > from {
                self.text.push('.');
            }
            *start = self.text.len();
            self.text.push_str(digits.format(*position));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_exact_names_are_chunks() {
        let grid = [4, 20, 1];
        assert_eq!(parse_chunk_key("3.19.0", &grid), Some(79));
        for name in [
            "", "3", "3.19", "3.19.0.0", "4.0.0", "3.20.0", "03.1.0", "+3.1.0", "3..0", "3.1.0 ",
            "3/1/0", ".zarray",
        ] {
            assert_eq!(parse_chunk_key(name, &grid), None, "{name}");
        }
        assert_eq!(parse_chunk_key("99999999999999999999.0.0", &grid), None);
    }

    proptest! {
        #[test]
        fn keys_come_back_as_their_number(grid in proptest::collection::vec(1_u64..9, 1..6), seed in any::<u64>()) {
            let linear = seed % grid.iter().product::<u64>();
            prop_assert_eq!(parse_chunk_key(&chunk_key(linear, &grid), &grid), Some(linear));
        }

        #[test]
        fn keys_of_a_walk_are_those_of_its_chunks(grid in proptest::collection::vec(1_u64..13, 1..5), steps in proptest::collection::vec(1_u64..4, 1..200)) {
            let mut keys = ChunkKeys::new(&grid);
            let mut linear = 0;
            for step in steps {
                let positions: Vec<String> = chunk_positions(linear, &grid).iter().map(u64::to_string).collect();
                prop_assert_eq!(keys.key(linear), positions.join("."));
                linear = (linear + step) % grid.iter().product::<u64>();
            }
        }
    }
}
