//! The bitmap of section 6: which points have a value.
//!
//! Values are unpacked to the end of the output first and spread out to their points from there, so no second buffer is
//! needed: with `p` of `n` points present, value `k` waits at `n - p + k`, never before the point it belongs to.

use super::error::DecodeError;
use super::scale::Value;
use super::unpack::word;

/// A bitmap of at least as many bits as there are points; 1 = present, most significant bit first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bitmap<'a> {
    octets: &'a [u8],
}

impl<'a> Bitmap<'a> {
    /// From the octets behind the indicator (section 6 from octet 7 on).
    ///
    /// # Errors
    /// [`DecodeError::Short`] if there are fewer bits than points.
    pub(super) fn try_new(octets: &'a [u8], points: usize) -> Result<Self, DecodeError> {
        let needed = points.div_ceil(8);
        match octets.get(..needed) {
            Some(octets) => Ok(Self { octets }),
            None => Err(DecodeError::Short {
                section: 6,
                needed: needed.saturating_add(6),
                found: octets.len().saturating_add(6),
            }),
        }
    }

    /// Number of ones among the first `points` bits: the padding behind them is not defined.
    pub(super) fn ones(self, points: usize) -> usize {
        let whole = self.octets.get(..points / 8).unwrap_or(self.octets);
        let (words, rest) = whole.as_chunks::<8>();
        let mut ones = 0_usize;
        for word in words {
            ones += u64::from_be_bytes(*word).count_ones() as usize;
        }
        for octet in rest {
            ones += octet.count_ones() as usize;
        }
        if let (1.., Some(last)) = (points % 8, self.octets.get(points / 8)) {
            ones += (last >> (8 - points % 8)).count_ones() as usize;
        }
        ones
    }

    /// The eight bits from a point on; 0 past the end.
    #[inline(always)]
    fn eight(self, point: usize) -> u8 {
        let at = point / 8;
        let octet = |at: usize| self.octets.get(at).copied().unwrap_or(0);
        match point % 8 {
            0 => octet(at),
            shift => octet(at) << shift | octet(at + 1) >> (8 - shift),
        }
    }

    /// The 64 bits from a point on; 0 past the end.
    #[inline(always)]
    fn sixty_four(self, point: usize) -> u64 {
        let next = u64::from(self.octets.get(point / 8 + 8).copied().unwrap_or(0));
        match point % 8 {
            0 => word(self.octets, point / 8),
            shift => word(self.octets, point / 8) << shift | next >> (8 - shift),
        }
    }

    /// Spreads the last `present` values of `out` to their points, `out` being the points from `first` on. Points without
    /// a value become missing. `present` must be the number of ones among those points.
    pub(super) fn spread<V: Value>(self, first: usize, present: usize, out: &mut [V]) {
        let mut from = out.len().saturating_sub(present);
        let mut to = 0;
        while to + 8 <= out.len() {
            if from == to {
                return; // No gap is left: all are where they belong.
            }
            // Land and sea: most words are all of one kind.
            if to + 64 <= out.len() {
                match self.sixty_four(first + to) {
                    0 => {
                        if let Some(points) = out.get_mut(to..to + 64) {
                            points.fill(V::MISSING);
                        }
                        to += 64;
                        continue;
                    }
                    u64::MAX if from + 64 <= out.len() => {
                        out.copy_within(from..from + 64, to);
                        from += 64;
                        to += 64;
                        continue;
                    }
                    _ => {}
                }
            }
            let bits = self.eight(first + to);
            let mut values = [V::MISSING; 8];
            if bits != 0 {
                let waiting = out.get(from..).unwrap_or_default();
                if let Some(whole) = waiting.first_chunk::<8>() {
                    values = *whole;
                } else {
                    for (value, waiting) in values.iter_mut().zip(waiting) {
                        *value = *waiting;
                    }
                }
                if bits != 0xff {
                    values = scatter(bits, values);
                }
                from += bits.count_ones() as usize;
            }
            if let Some(points) = out.get_mut(to..).and_then(<[V]>::first_chunk_mut::<8>) {
                *points = values;
            }
            to += 8;
        }
        let bits = self.eight(first + to);
        while to < out.len() {
            let value = if bits >> (7 - to % 8) & 1 == 1 {
                from += 1;
                out.get(from - 1).copied().unwrap_or(V::MISSING)
            } else {
                V::MISSING
            };
            if let Some(point) = out.get_mut(to) {
                *point = value;
            }
            to += 1;
        }
    }
}

/// Eight points from their bits and the values that are next.
#[inline(always)]
fn scatter<V: Value>(bits: u8, values: [V; 8]) -> [V; 8] {
    let mut next = 0_usize;
    let mut points = [V::MISSING; 8];
    for (k, point) in points.iter_mut().enumerate() {
        let present = usize::from(bits >> (7 - k) & 1);
        let value = values.get(next & 7).copied().unwrap_or(V::MISSING);
        *point = if present == 1 { value } else { V::MISSING };
        next += present;
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_spread_to_the_points_of_any_bitmap_from_any_point() {
        let mut state = 1_u32;
        for points in [1, 7, 8, 9, 64, 77, 200] {
            for kind in 0..4 {
                let octets: Vec<u8> = (0..points / 8 + 1)
                    .map(|_| {
                        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        match kind {
                            0 => 0xff,
                            1 => 0,
                            2 => (state >> 24) as u8,
                            _ => [0, 0xff, 0xf0, 0x01][(state >> 30) as usize],
                        }
                    })
                    .collect();
                let bitmap = Bitmap::try_new(&octets, points).unwrap();
                for first in [0, 1, 5, 8, 13].into_iter().filter(|&f| f < points) {
                    let bit = |i: usize| octets[i / 8] >> (7 - i % 8) & 1 == 1;
                    let present = bitmap.ones(points) - bitmap.ones(first);
                    assert_eq!(present, (first..points).filter(|&i| bit(i)).count());
                    let mut out = vec![-1.0_f32; points - first];
                    let gap = out.len() - present;
                    for (k, v) in out[gap..].iter_mut().enumerate() {
                        *v = k as f32;
                    }
                    bitmap.spread(first, present, &mut out);
                    let mut k = 0;
                    for (i, v) in out.iter().enumerate() {
                        if bit(first + i) {
                            assert_eq!(*v, k as f32);
                            k += 1;
                        } else {
                            assert_eq!(v.to_bits(), 0x7fc0_0000);
                        }
                    }
                }
            }
        }
    }
}
