//! CCSDS packing (template 5.42): the adaptive entropy coder of CCSDS 121.0-B, as libaec writes it.
//!
//! The stream is a sequence of blocks of 8 to 64 samples, each coded by the option that its first bits name: all zero,
//! second extension, split samples with `k` low bits apart, or plain. With preprocessing a sample is a mapped difference
//! from its predecessor; every `interval` blocks one sample is given whole, the reference. Samples are unsigned offsets.
//!
//! The unary codes of a block stand together, so they are read an octet at a time, through a table of the codes that end
//! in it. Low bits are unpacked by one loop per width. Differences are undone a batch at a time; as long as a batch
//! stays clear of the ends of the range, which is tested once, that is a plain running sum.
//!
//! Source: CCSDS 121.0-B-3, sections 3 to 5; flags as in libaec (`AEC_*`).

use super::error::DecodeError;
use super::request::Ccsds;
use super::scale::Value;
use super::simple::enough;
use super::unpack::{for_width, top, unpack, window};

const PACKING: &str = "CCSDS";
/// Samples between entropy decoding and scaling, and one block more.
const BATCH: usize = 1024;
const LONGEST_BLOCK: usize = 64;
/// Unary codes are written eight at a time, so up to so many places behind the last one.
const SLACK: usize = 8;
/// Zero blocks are counted within segments of so many blocks.
const SEGMENT: usize = 64;
/// Highest code of the second extension option: pairs with a sum of at most 12.
const HIGHEST_PAIR: u32 = 90;

const SIGNED: u8 = 1;
const PREPROCESS: u8 = 8;
const RESTRICTED: u8 = 16;
const PAD_INTERVAL: u8 = 32;

/// All values of a field.
///
/// # Errors
/// [`DecodeError::Truncated`] if the stream ends early, [`DecodeError::Stream`] for codes that no encoder writes.
pub(super) fn decode<V: Value>(
    packing: &Ccsds,
    data: &[u8],
    out: &mut [V],
) -> Result<(), DecodeError> {
    let flag = |flag| packing.flags & flag != 0;
    let id_bits = match packing.bits {
        17.. => 5,
        9..=16 => 4,
        3..=4 if flag(RESTRICTED) => 2,
        1..=2 if flag(RESTRICTED) => 1,
        _ if flag(RESTRICTED) => {
            return Err(DecodeError::stream(
                PACKING,
                "restricted codes with more than 4 bits per sample",
            ));
        }
        _ => 3,
    };
    let mut field = Field {
        packing,
        stream: Stream { data, bit: 0 },
        highest: u32::MAX >> (32 - packing.bits),
        preprocess: flag(PREPROCESS),
        signed: flag(PREPROCESS) && flag(SIGNED),
        sample: 0,
        too_large: false,
        fresh: true,
        samples: [0; BATCH + LONGEST_BLOCK + SLACK],
        filled: 0,
        out,
    };
    while !field.is_done() {
        field.interval(id_bits)?;
        if flag(PAD_INTERVAL) {
            field.stream.bit = field.stream.bit.next_multiple_of(8);
        }
    }
    field.flush();
    if field.too_large {
        return Err(too_large());
    }
    Ok(())
}

/// A field being unpacked.
struct Field<'a, V> {
    packing: &'a Ccsds,
    stream: Stream<'a>,
    /// Highest sample.
    highest: u32,
    preprocess: bool,
    signed: bool,
    /// The last sample whose difference was undone.
    sample: u32,
    /// Whether a sample was found to exceed its bits.
    too_large: bool,
    /// Whether `samples` begins with a reference sample.
    fresh: bool,
    samples: [u32; BATCH + LONGEST_BLOCK + SLACK],
    filled: usize,
    /// What is still to be written.
    out: &'a mut [V],
}

impl<V: Value> Field<'_, V> {
    fn is_done(&self) -> bool {
        self.filled >= self.out.len()
    }

    /// The blocks from one reference sample to the next, or to the end.
    fn interval(&mut self, id_bits: u32) -> Result<(), DecodeError> {
        self.flush();
        self.fresh = self.preprocess;
        let block = self.packing.block;
        let plain = (1 << id_bits) - 1;
        let mut number = 0;
        while number < self.packing.interval && !self.is_done() {
            let with_reference = self.preprocess && number == 0;
            match self.stream.take(id_bits) {
                0 if self.stream.take(1) == 0 => {
                    self.reference(with_reference);
                    let blocks = self.zero_blocks(number)?;
                    self.zeros(blocks * block - usize::from(with_reference));
                    number += blocks;
                    continue;
                }
                0 => {
                    self.reference(with_reference);
                    self.pairs(with_reference)?;
                }
                id if id == plain => self.plain(block),
                id => {
                    self.reference(with_reference);
                    self.split(id - 1, block - usize::from(with_reference))?;
                }
            }
            enough(self.stream.data, self.stream.bit, 0, 0)?;
            number += 1;
            if self.filled >= BATCH {
                self.flush();
            }
        }
        Ok(())
    }

    /// Room for the next samples of a block.
    fn room(&mut self, count: usize) -> &mut [u32] {
        let from = self.filled;
        self.filled += count;
        self.samples.get_mut(from..from + count).unwrap_or_default()
    }

    fn reference(&mut self, present: bool) {
        if present {
            let sample = self.stream.take(self.packing.bits);
            self.room(1).fill(sample);
        }
    }

    /// Samples as they are.
    fn plain(&mut self, count: usize) {
        let Stream { data, bit } = self.stream;
        let bits = self.packing.bits;
        unpack(data, bit, bits, self.room(count));
        self.stream.bit += count as u64 * u64::from(bits);
    }

    /// Samples of which the low bits stand apart from the rest, the rest in unary.
    fn split(&mut self, low_bits: u32, count: usize) -> Result<(), DecodeError> {
        let mut stream = self.stream;
        let from = self.filled;
        self.filled += count;
        let samples = self.samples.get_mut(from..).unwrap_or_default();
        let large = stream.unary(count, samples)?;
        // Numbers up to 7 have room above 29 bits. That samples are within their own range is tested when all is there.
        if low_bits > 29 || u64::from(large) << low_bits > u64::from(u32::MAX) {
            return Err(too_large());
        }
        let samples = samples.get_mut(..count).unwrap_or_default();
        for_width!(low_bits, (), join[](stream.data, stream.bit, samples));
        stream.bit += count as u64 * u64::from(low_bits);
        self.stream = stream;
        Ok(())
    }

    /// Second extension: one unary code for two samples.
    fn pairs(&mut self, with_reference: bool) -> Result<(), DecodeError> {
        let mut codes = [0; LONGEST_BLOCK / 2 + SLACK];
        let count = self.packing.block / 2;
        self.stream.unary(count, &mut codes)?;
        let codes = codes.get(..count).unwrap_or_default();
        let skipped = usize::from(with_reference);
        let samples = codes.iter().flat_map(|&code| {
            // The codes of all pairs of one sum stand together: 1 of sum 0, 2 of sum 1, 3 of sum 2, ...
            let mut sum = 0;
            let mut before = 0;
            while before + sum < code {
                sum += 1;
                before += sum;
            }
            let second = code - before;
            [sum - second, second]
        });
        if codes.iter().any(|&code| code > HIGHEST_PAIR) {
            return Err(DecodeError::stream(PACKING, "pair code out of range"));
        }
        let room = self.room(self.packing.block - skipped);
        for (to, sample) in room.iter_mut().zip(samples.skip(skipped)) {
            *to = sample;
        }
        Ok(())
    }

    /// How many blocks from this one on are all zero.
    fn zero_blocks(&mut self, number: usize) -> Result<usize, DecodeError> {
        let mut code = [0; SLACK];
        self.stream.unary(1, &mut code)?;
        let left = self.packing.interval - number;
        let [code, ..] = code;
        let blocks = match code {
            0..=3 => code as usize + 1,
            // The rest of the segment.
            4 => left.min(SEGMENT - number % SEGMENT),
            more => more as usize,
        };
        if blocks > left {
            return Err(DecodeError::stream(
                PACKING,
                "more zero blocks than the interval has",
            ));
        }
        Ok(blocks)
    }

    fn zeros(&mut self, mut count: usize) {
        while count > 0 && !self.is_done() {
            if self.filled >= BATCH {
                self.flush();
            }
            let now = count.min(BATCH + LONGEST_BLOCK - self.filled);
            self.room(now).fill(0);
            count -= now;
        }
        if self.filled >= BATCH {
            self.flush();
        }
    }

    /// Undoes the differences of the batch and scales it into the output.
    fn flush(&mut self) {
        let samples = self.samples.get_mut(..self.filled).unwrap_or_default();
        if self.preprocess {
            let whole = usize::from(self.fresh).min(samples.len());
            let (reference, differences) = samples.split_at_mut(whole);
            if let [reference] = reference {
                if self.signed {
                    *reference ^= self.highest ^ self.highest >> 1;
                }
                self.sample = *reference;
                self.fresh = false;
            }
            for batch in differences.chunks_mut(16) {
                self.too_large |= undo(&mut self.sample, self.highest, batch);
            }
            if self.signed {
                as_buffer_octets(samples, self.packing.bits);
            }
        } else {
            let all = samples.iter().fold(0, |all, sample| all | sample);
            self.too_large |= all > self.highest;
        }
        let count = samples.len().min(self.out.len());
        let (now, later) = std::mem::take(&mut self.out)
            .split_at_mut_checked(count)
            .unwrap_or_default();
        if self.packing.bits < 32 && !self.signed {
            self.packing.scale.small(samples, now);
        } else {
            self.packing.scale.full(samples, now);
        }
        self.out = later;
        self.filled = 0;
    }
}

#[cold]
fn too_large() -> DecodeError {
    DecodeError::stream(PACKING, "a sample is larger than its bits allow")
}

/// Turns mapped differences into samples, starting from the sample before them.
///
/// A difference maps to 2d or -2d - 1 as long as both directions are possible; beyond that only its size is coded, the
/// direction being the one that is left.
///
/// Returns whether a difference is larger than any can be; then the samples are of no use.
fn undo(sample: &mut u32, highest: u32, batch: &mut [u32]) -> bool {
    let mut largest = 0;
    for mapped in &mut *batch {
        largest |= *mapped;
    }
    // No sample of the batch can be nearer to the ends of the range than its differences are large.
    let reach = (u64::from(largest) / 2 + 1) * (batch.len() as u64 + 1);
    let mut last = *sample;
    if largest == 0 {
        batch.fill(last);
    } else if u64::from(last) >= reach && u64::from(last) + reach <= u64::from(highest) {
        for mapped in &mut *batch {
            *mapped = (*mapped >> 1) ^ (*mapped & 1).wrapping_neg();
        }
        for sample in batch {
            last = last.wrapping_add(*sample);
            *sample = last;
        }
    } else {
        for mapped in batch {
            let room = last.min(highest.wrapping_sub(last));
            let size = (*mapped >> 1) + (*mapped & 1);
            if size <= room {
                last = last.wrapping_add((*mapped >> 1) ^ (*mapped & 1).wrapping_neg());
            } else if room == last {
                last = *mapped;
            } else {
                last = highest.wrapping_sub(*mapped);
            }
            *mapped = last;
        }
    }
    *sample = last;
    largest > highest
}

/// Signed samples as ecCodes takes them out of libaec's buffer: sign-extended to 1, 2 or 4 octets, then read as unsigned.
fn as_buffer_octets(samples: &mut [u32], bits: u32) {
    let octets = match bits {
        ..=8 => 1,
        9..=16 => 2,
        _ => 4,
    };
    let keep = u32::MAX >> (32 - 8 * octets);
    let sign = 1_u32 << (bits - 1);
    for sample in samples {
        *sample = (*sample).wrapping_sub(sign) & keep;
    }
}

/// Puts `W` low bits below each sample.
fn join<const W: u32, const N: usize>(data: &[u8], mut bit: u64, samples: &mut [u32]) {
    let (chunks, rest) = samples.as_chunks_mut::<N>();
    for chunk in chunks {
        let mut word = window(data, bit);
        for sample in chunk {
            *sample = sample.unbounded_shl(W) | top(word, W);
            word <<= W;
        }
        bit += u64::from(W) * N as u64;
    }
    let mut word = window(data, bit);
    for sample in rest {
        *sample = sample.unbounded_shl(W) | top(word, W);
        word <<= W;
    }
}

/// The coded bits.
#[derive(Clone, Copy)]
struct Stream<'a> {
    data: &'a [u8],
    bit: u64,
}

impl Stream<'_> {
    /// The next `bits` (1..=32).
    #[inline(always)]
    fn take(&mut self, bits: u32) -> u32 {
        let taken = top(window(self.data, self.bit), bits);
        self.bit += u64::from(bits);
        taken
    }

    /// Unary codes: `count` numbers of zeros, each ended by a one, to the start of `out`, which holds [`SLACK`] more.
    /// Returns a number as large as the largest of those above 7, at most twice as large.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] if the stream ends before.
    #[inline(always)]
    fn unary(&mut self, count: usize, out: &mut [u32]) -> Result<u32, DecodeError> {
        let inside = self.bit & 7;
        // Bits before the first code are zeros that do not count.
        let mut carried = 0_u32.wrapping_sub(u32::from(inside as u8));
        let mut mask = 0xff_u8 >> inside;
        let mut large = 0;
        let mut filled = 0;
        let octets = self
            .data
            .get((self.bit >> 3) as usize..)
            .unwrap_or_default();
        for (at, octet) in octets.iter().enumerate() {
            let ones = octet & mask;
            mask = 0xff;
            let Codes {
                zeros,
                count: found,
                behind,
            } = CODES.get(usize::from(ones)).unwrap_or(&NO_CODES);
            let first = zeros[0].wrapping_add(carried);
            large |= first;
            if let Some(out) = out
                .get_mut(filled..)
                .and_then(<[u32]>::first_chunk_mut::<SLACK>)
            {
                *out = *zeros;
                out[0] = first;
            }
            filled += *found as usize;
            if filled >= count {
                // The octet may hold ones of what follows.
                let last = (count..filled).fold(ones, |ones, _| ones & ones.wrapping_sub(1));
                self.bit = (self.bit & !7) + 8 * (at as u64 + 1) - u64::from(last.trailing_zeros());
                return Ok(large);
            }
            carried = if *found == 0 { first } else { *behind };
        }
        let found = self.data.len() as u64 * 8;
        Err(DecodeError::Truncated {
            needed: found + 1,
            found,
        })
    }
}

/// The unary codes that end within an octet.
#[derive(Clone, Copy)]
struct Codes {
    /// Zeros before each one; 8 for the octet without ones. As wide as the samples, so that eight are copied at once.
    zeros: [u32; SLACK],
    /// Number of ones.
    count: u32,
    /// Zeros behind the last one.
    behind: u32,
}

const NO_CODES: Codes = Codes {
    zeros: [8, 0, 0, 0, 0, 0, 0, 0],
    count: 0,
    behind: 8,
};

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, where an index out of bounds is an error"
)]
static CODES: [Codes; 256] = {
    let mut table = [NO_CODES; 256];
    let mut octet = 1;
    while octet < 256 {
        let mut codes = Codes {
            zeros: [0; SLACK],
            count: 0,
            behind: 0,
        };
        let mut bit = 0;
        while bit < 8 {
            if octet >> (7 - bit) & 1 == 1 {
                codes.zeros[codes.count as usize] = codes.behind;
                codes.count += 1;
                codes.behind = 0;
            } else {
                codes.behind += 1;
            }
            bit += 1;
        }
        table[octet] = codes;
        octet += 1;
    }
    table
};
