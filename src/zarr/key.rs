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
    // Written from its end, as the last dimension counts fastest: a listing makes a million of these.
    let mut digits = [0_u8; 256];
    let mut at = digits.len();
    let mut put = |byte: u8| {
        at = at.saturating_sub(1);
        if let Some(slot) = digits.get_mut(at) {
            *slot = byte;
        }
    };
    let mut rest = linear;
    for (number, length) in grid.iter().rev().enumerate() {
        if number > 0 {
            put(b'.');
        }
        let mut position = rest % (*length).max(1);
        rest /= (*length).max(1);
        loop {
            put(b'0' + u8::try_from(position % 10).unwrap_or_default());
            position /= 10;
            if position == 0 {
                break;
            }
        }
    }
    let key = digits.get(at..).unwrap_or_default();
    std::str::from_utf8(key).unwrap_or_default().to_owned()
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
    }
}
