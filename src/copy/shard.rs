//! Shards of Zarr v3: chunk files that hold the chunks inside them one after the other, and behind those an index.
//!
//! Source: Zarr v3 codec `sharding_indexed` 1.0: the index has offset and length of each inner chunk as little-endian u64, row by row, both
//! 2^64 - 1 where a chunk is empty, and ends with its CRC32C (as `index_codecs` say).

use std::ops::Range;

/// Bytes of an index entry, and of the checksum behind all.
const ENTRY: usize = 16;
const CHECKSUM: usize = 4;

/// Where the inner chunks of a shard lie in its values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    shard: &'a [usize],
    inner: &'a [usize],
    item_bytes: usize,
}

impl<'a> Parts<'a> {
    /// Of a shard and inner chunks with these lengths; each axis of the shard holds whole chunks.
    pub(crate) const fn new(shard: &'a [usize], inner: &'a [usize], item_bytes: usize) -> Self {
        Self {
            shard,
            inner,
            item_bytes,
        }
    }

    /// Count of inner chunks.
    pub(crate) fn count(&self) -> usize {
        let axes = self.shard.iter().zip(self.inner);
        axes.map(|(shard, inner)| shard / inner).product()
    }

    /// Calls `sink` with the ranges of each run of an inner chunk: in the shard's values, and in its own.
    fn runs(&self, number: usize, sink: &mut dyn FnMut(Range<usize>, Range<usize>)) {
        let axes = self.shard.len();
        let length = |list: &[usize], axis: usize| list.get(axis).copied().unwrap_or(1);
        let mut first = vec![0; axes];
        let mut rest = number;
        for axis in (0..axes).rev() {
            let along = length(self.shard, axis) / length(self.inner, axis);
            if let Some(first) = first.get_mut(axis) {
                *first = rest % along * length(self.inner, axis);
            }
            rest /= along;
        }
        let run = length(self.inner, axes.saturating_sub(1));
        let runs = self.inner.iter().product::<usize>() / run;
        for row in 0..runs {
            let mut rest = row;
            let mut at = 0;
            let mut stride = length(self.shard, axes.saturating_sub(1));
            for axis in (0..axes.saturating_sub(1)).rev() {
                let own = length(self.inner, axis);
                at += (length(&first, axis) + rest % own) * stride;
                rest /= own;
                stride *= length(self.shard, axis);
            }
            at += if axes == 0 {
                0
            } else {
                length(&first, axes - 1)
            };
            let bytes = run * self.item_bytes;
            let from = at * self.item_bytes;
            sink(from..from + bytes, row * bytes..(row + 1) * bytes);
        }
    }

    /// Copies an inner chunk out of the values of a shard.
    pub(super) fn take(&self, number: usize, values: &[u8], part: &mut [u8]) {
        self.runs(number, &mut |from, to| {
            if let (Some(from), Some(to)) = (values.get(from), part.get_mut(to)) {
                to.copy_from_slice(from);
            }
        });
    }

    /// Copies an inner chunk into the values of a shard.
    pub(crate) fn put(&self, number: usize, part: &[u8], values: &mut [u8]) {
        self.runs(number, &mut |to, from| {
            if let (Some(from), Some(to)) = (part.get(from), values.get_mut(to)) {
                to.copy_from_slice(from);
            }
        });
    }
}

/// A shard while its chunks come.
#[derive(Debug)]
pub(super) struct Writer {
    file: Vec<u8>,
    index: Vec<u8>,
}

impl Writer {
    pub(super) fn new(chunks: usize) -> Self {
        Self {
            file: Vec::new(),
            index: vec![0xff; chunks * ENTRY],
        }
    }

    pub(super) fn push(&mut self, number: usize, chunk: &[u8]) {
        let numbers = [self.file.len() as u64, chunk.len() as u64];
        let entry = numbers.iter().flat_map(|number| number.to_le_bytes());
        let place = self.index.iter_mut().skip(number * ENTRY);
        for (place, byte) in place.zip(entry) {
            *place = byte;
        }
        self.file.extend_from_slice(chunk);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.file.extend_from_slice(&self.index);
        self.file
            .extend_from_slice(&crc32c(&self.index).to_le_bytes());
        self.file
    }
}

/// Where the chunks of a shard lie; `None` for empty ones.
pub(crate) fn read_index(file: &[u8], chunks: usize) -> Result<Vec<Option<Range<usize>>>, String> {
    let damaged = || "the index of the shard is damaged".to_owned();
    let length = chunks.checked_mul(ENTRY).ok_or_else(damaged)?;
    let end = file.len().checked_sub(CHECKSUM).ok_or_else(damaged)?;
    let start = end.checked_sub(length).ok_or_else(damaged)?;
    let index = file.get(start..end).ok_or_else(damaged)?;
    if file.get(end..) != Some(crc32c(index).to_le_bytes().as_slice()) {
        return Err(damaged());
    }
    let (numbers, _) = index.as_chunks::<8>();
    let entries = numbers.chunks_exact(2).map(|entry| {
        let [offset, length] = entry else {
            return Err(damaged());
        };
        let (offset, length) = (u64::from_le_bytes(*offset), u64::from_le_bytes(*length));
        if (offset, length) == (u64::MAX, u64::MAX) {
            return Ok(None);
        }
        let end = offset
            .checked_add(length)
            .filter(|end| *end <= start as u64);
        let range = |end| Some(usize::try_from(offset).ok()?..usize::try_from(end).ok()?);
        end.and_then(range).map(Some).ok_or_else(damaged)
    });
    entries.collect()
}

/// CRC32C (Castagnoli) of bytes.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let low = crc & 1;
            crc = (crc >> 1) ^ (0x82f6_3b78 & 0_u32.wrapping_sub(low));
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnoli_s() {
        // RFC 3720, B.4, and the usual check value.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    }

    #[test]
    fn parts_are_cut_out_and_put_back() {
        let (shard, inner) = ([2, 4, 6], [1, 2, 3]);
        let parts = Parts::new(&shard, &inner, 1);
        assert_eq!(parts.count(), 8);
        let values: Vec<u8> = (0..48).collect();
        let mut part = [0; 6];
        parts.take(7, &values, &mut part);
        assert_eq!(part, [39, 40, 41, 45, 46, 47]);
        let mut back = vec![0; 48];
        for number in 0..8 {
            parts.take(number, &values, &mut part);
            parts.put(number, &part, &mut back);
        }
        assert_eq!(back, values);
    }

    #[test]
    fn an_index_is_read_and_damage_is_told() {
        let mut writer = Writer::new(3);
        writer.push(2, b"abc");
        writer.push(0, b"de");
        let file = writer.finish();
        assert_eq!(
            read_index(&file, 3).unwrap(),
            [Some(3..5), None, Some(0..3)]
        );
        for at in 5..file.len() {
            let mut broken = file.clone();
            broken[at] ^= 1;
            assert!(read_index(&broken, 3).is_err());
        }
        assert!(read_index(&file, 4).is_err() && read_index(b"", 1).is_err());
    }
}
