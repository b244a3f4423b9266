//! PNG packing (template 5.41): the integers are the samples of an image, whose depth may exceed the bits per value.
//!
//! Grey images hold 1, 2, 4, 8 or 16 bits per value, RGB ones 24, RGBA ones 32. Rows are scaled as they are inflated, so
//! no image is held.

use super::error::DecodeError;
use super::scale::{Scale, Value};
use super::simple;

use ::png::{BitDepth, ColorType, Decoder, Limits, Transformations};

const PACKING: &str = "PNG";

/// All values of a field.
///
/// # Errors
/// [`DecodeError::Stream`] if the data are no such image, [`DecodeError::Count`] if it has not as many points as `out`.
pub(super) fn decode<V: Value>(
    scale: &Scale,
    data: &[u8],
    mut out: &mut [V],
) -> Result<(), DecodeError> {
    // What the decoder may hold beside the rows: 4 octets per point is a row buffer at its largest.
    let bytes = out.len().saturating_mul(8).saturating_add(1 << 20);
    let mut decoder = Decoder::new_with_limits(data, Limits { bytes });
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::IDENTITY);
    let refuse = |error: ::png::DecodingError| DecodeError::stream(PACKING, error.to_string());
    let header = decoder.read_header_info().map_err(refuse)?;
    let bits = match (header.color_type, header.bit_depth) {
        (ColorType::Grayscale, depth) => depth as u32,
        (ColorType::Rgb, BitDepth::Eight) => 24,
        (ColorType::Rgba, BitDepth::Eight) => 32,
        (ColorType::Rgb | ColorType::Rgba | ColorType::Indexed | ColorType::GrayscaleAlpha, _) => {
            return Err(DecodeError::stream(
                PACKING,
                "colours that hold no integers",
            ));
        }
    };
    if header.interlaced {
        return Err(DecodeError::stream(PACKING, "an interlaced image"));
    }
    let points = u64::from(header.width) * u64::from(header.height);
    if points != out.len() as u64 {
        return Err(DecodeError::Count {
            what: "points of the image",
            expected: out.len() as u64,
            found: points,
        });
    }
    let width = header.width as usize;
    let mut reader = decoder.read_info().map_err(refuse)?;
    while !out.is_empty() {
        let Some(row) = reader.next_row().map_err(refuse)? else {
            return Err(DecodeError::stream(PACKING, "the image ends early"));
        };
        let (now, later) = out.split_at_mut_checked(width).unwrap_or_default();
        simple::decode(scale, bits, row.data(), 0, now)?;
        out = later;
    }
    Ok(())
}
