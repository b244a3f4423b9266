//! What is left to gribberish: JPEG2000 code streams (template 5.40). And the fence around all decoding.
//!
//! gribberish sees a message that is made here, of one field, with a reference value of 0 and no scaling, and only after
//! the sizes in the code stream's header agree with the field; what comes back are the integers, which are counted and
//! scaled here. So none of its bounds, counts and powers of ten matter.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::DecodeError;
use super::scale::{Scale, Value};

const PACKING: &str = "JPEG2000";

/// Runs a decoder; a panic in it becomes an error.
///
/// # Errors
/// [`DecodeError::Panicked`], or what the decoder returns.
pub(super) fn fence<T>(decode: impl FnOnce() -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    // Whatever a panic leaves behind is a buffer whose content is void after any error.
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no text");
        Err(DecodeError::Panicked { text: text.into() })
    })
}

/// All values of a field of template 5.40.
///
/// # Errors
/// [`DecodeError::Stream`] if the data are no such code stream, [`DecodeError::Count`] if its size is not the field's.
pub(super) fn jpeg2000<V: Value>(
    scale: &Scale,
    data: &[u8],
    out: &mut [V],
) -> Result<(), DecodeError> {
    check_size(data, out.len() as u64)?;
    let message = message(data, out.len())?;
    let integers = gribberish::message::read_message(&message, 0)
        .ok_or_else(|| DecodeError::stream(PACKING, "not taken by gribberish"))?
        .data()
        .map_err(|error| DecodeError::stream(PACKING, error.to_string()))?;
    if integers.len() != out.len() {
        return Err(DecodeError::Count {
            what: "points of the image",
            expected: out.len() as u64,
            found: integers.len() as u64,
        });
    }
    for (out, integer) in out.iter_mut().zip(integers) {
        *out = V::nearest(scale.apply(integer));
    }
    Ok(())
}

/// A message of the code stream alone: no scaling, no bitmap, a grid of which nothing but the size is said.
fn message(data: &[u8], points: usize) -> Result<Vec<u8>, DecodeError> {
    let too_large = |_| DecodeError::stream(PACKING, "too large");
    let points = u32::try_from(points).map_err(too_large)?.to_be_bytes();
    let length = u32::try_from(data.len() + 5).map_err(too_large)?;
    let mut message = Vec::with_capacity(data.len() + 160);
    message.extend(*b"GRIB\0\0\0\x02");
    message.extend((u64::from(length) + 16 + 72 + 23 + 6 + 4).to_be_bytes());
    let mut section = |number: u8, length: u32, content: &[&[u8]]| {
        let end = message.len() + length as usize;
        message.extend(length.to_be_bytes());
        message.push(number);
        for part in content {
            message.extend(*part);
        }
        message.resize(end, 0);
    };
    section(3, 72, &[&[0], &points]);
    section(5, 23, &[&points, &[0, 40], &[0; 8], &[32]]);
    section(6, 6, &[&[255]]);
    section(7, length, &[data]);
    message.extend(*b"7777");
    Ok(message)
}

/// Compares the SIZ marker segment, the first of a code stream, with the number of points.
///
/// Source: ISO/IEC 15444-1, A.5.1.
fn check_size(data: &[u8], points: u64) -> Result<(), DecodeError> {
    let broken = || DecodeError::stream(PACKING, "no code stream of one component");
    let rest = data
        .strip_prefix(&[0xff, 0x4f, 0xff, 0x51])
        .ok_or_else(broken)?;
    // Lsiz, Rsiz, then eight sizes of 4 octets, then the components: Csiz, depth, subsampling.
    let (_, rest) = rest.split_first_chunk::<4>().ok_or_else(broken)?;
    let (sizes, rest) = rest.split_first_chunk::<32>().ok_or_else(broken)?;
    let mut numbers = [0; 8];
    for (number, octets) in numbers.iter_mut().zip(sizes.as_chunks::<4>().0) {
        *number = u64::from(u32::from_be_bytes(*octets));
    }
    let [
        x,
        y,
        x_offset,
        y_offset,
        tile_x,
        tile_y,
        tile_x_offset,
        tile_y_offset,
    ] = numbers;
    let Some(([0, 1, depth, 1, 1], _)) = rest.split_first_chunk::<5>() else {
        return Err(broken());
    };
    // gribberish masks samples to their depth in 32 signed bits.
    if *depth >= 30 {
        return Err(DecodeError::stream(
            PACKING,
            "signed samples, or more than 30 bits",
        ));
    }
    let found = x.saturating_sub(x_offset) * y.saturating_sub(y_offset);
    if found != points {
        return Err(DecodeError::Count {
            what: "points of the image",
            expected: points,
            found,
        });
    }
    if tile_x == 0 || tile_y == 0 || tile_x_offset > x_offset || tile_y_offset > y_offset {
        return Err(broken());
    }
    let tiles = (x - tile_x_offset).div_ceil(tile_x) * (y - tile_y_offset).div_ceil(tile_y);
    if tiles > 65_535 {
        return Err(DecodeError::stream(PACKING, "too many tiles"));
    }
    Ok(())
}
