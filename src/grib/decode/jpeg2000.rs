//! JPEG2000 packing (template 5.40): the integers are the samples of a code stream of one component, which OpenJPEG decodes.
//!
//! OpenJPEG is C and believes headers, so the whole structure is walked here first: sizes that agree with the field, one
//! tile, markers that an encoder of fields writes, no precincts or layers in numbers that would make it allocate far more
//! than the field, and tile-parts that end where the data do. It runs in its strict mode: a code stream that ends early
//! is an error, not an image with a rest of zeros.
//!
//! (gribberish 1.9.0 has OpenJPEG too, but loops forever where a code stream ends early.)
//!
//! Source: ISO/IEC 15444-1, annex A.

use jpeg2k::{DecodeParameters, Image};

use super::error::DecodeError;
use super::scale::{Scale, Value};

const PACKING: &str = "JPEG2000";

// Markers.
const SOC: u16 = 0xff4f;
const SIZ: u16 = 0xff51;
const COD: u16 = 0xff52;
const COC: u16 = 0xff53;
const TLM: u16 = 0xff55;
const PLM: u16 = 0xff57;
const PLT: u16 = 0xff58;
const QCD: u16 = 0xff5c;
const QCC: u16 = 0xff5d;
const RGN: u16 = 0xff5e;
const CRG: u16 = 0xff63;
const COM: u16 = 0xff64;
const SOT: u16 = 0xff90;
const SOD: u16 = 0xff93;
const EOC: u16 = 0xffd9;

/// Most quality layers and smallest precinct (as a power of two) that are accepted; encoders of fields write one layer and
/// precincts as large as there are.
const MOST_LAYERS: u16 = 64;
const SMALLEST_PRECINCT: u8 = 4;

/// All values of a field.
///
/// # Errors
/// [`DecodeError::Stream`] if the data are no such code stream, [`DecodeError::Count`] if its size is not the field's.
pub(super) fn decode<V: Value>(
    scale: &Scale,
    data: &[u8],
    out: &mut [V],
) -> Result<(), DecodeError> {
    walk(data, out.len() as u64)?;
    let image = Image::from_bytes_with(data, DecodeParameters::new().strict(true))
        .map_err(|error| DecodeError::stream(PACKING, error.to_string()))?;
    let [component] = image.components() else {
        return Err(refuse("not one component"));
    };
    let integers = component.data();
    if integers.len() != out.len() {
        return Err(DecodeError::Count {
            what: "points of the image",
            expected: out.len() as u64,
            found: integers.len() as u64,
        });
    }
    for (out, &integer) in out.iter_mut().zip(integers) {
        *out = V::nearest(scale.apply(f64::from(integer)));
    }
    Ok(())
}

fn refuse(what: &'static str) -> DecodeError {
    DecodeError::stream(PACKING, what)
}

/// Checks the structure of a code stream.
fn walk(data: &[u8], points: u64) -> Result<(), DecodeError> {
    let mut main = Octets(data);
    if main.u16()? != SOC || main.u16()? != SIZ {
        return Err(refuse("no code stream"));
    }
    size(main.segment()?, points)?;
    let mut coded = false;
    loop {
        match main.u16()? {
            SOT => break,
            marker => coded |= segment(marker, main.segment()?)? == COD,
        }
    }
    if !coded {
        return Err(refuse("no coding style"));
    }
    // Behind a SOT marker: tile-parts, each as long as it says, the last one possibly to the end.
    loop {
        let mut part = main;
        let mut head = part.segment()?;
        let (tile, length) = (head.u16()?, head.u32()?);
        if tile != 0 {
            return Err(refuse("more than one tile"));
        }
        loop {
            match part.u16()? {
                SOD => break,
                marker => segment(marker, part.segment()?)?,
            };
        }
        if length == 0 {
            return Ok(());
        }
        // The length counts from the SOT marker on, which has been read.
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let head = main.0.len() - part.0.len() + 2;
        main.skip(length.checked_sub(2).ok_or_else(cut)?)?;
        if length < head {
            return Err(refuse("a tile-part shorter than its head"));
        }
        match main.u16() {
            Ok(SOT) => {}
            // Some encoders leave the end marker out.
            Ok(EOC) | Err(_) => return Ok(()),
            Ok(_) => return Err(refuse("no tile-part where one should be")),
        }
    }
}

/// SIZ: one component, one tile, as many points as the field.
fn size(mut siz: Octets<'_>, points: u64) -> Result<(), DecodeError> {
    let _capabilities = siz.u16()?;
    let [width, height] = [siz.u32()?, siz.u32()?];
    let offset = [siz.u32()?, siz.u32()?];
    let tile = [siz.u32()?, siz.u32()?];
    let tile_offset = [siz.u32()?, siz.u32()?];
    let components = siz.u16()?;
    let [depth, step_x, step_y] = [siz.u8()?, siz.u8()?, siz.u8()?];
    if components != 1 || step_x != 1 || step_y != 1 {
        return Err(refuse("not one component"));
    }
    // The top bit says signed; the rest is the number of bits less 1.
    if depth & 0x7f > 31 {
        return Err(refuse("samples of more than 32 bits"));
    }
    let found = u64::from(width) * u64::from(height);
    if found != points {
        return Err(DecodeError::Count {
            what: "points of the image",
            expected: points,
            found,
        });
    }
    // OpenJPEG may give no samples at all for tiles that are not there, without an error.
    if offset != [0, 0] || tile_offset != [0, 0] || tile != [width, height] {
        return Err(refuse("an image in tiles"));
    }
    Ok(())
}

/// A marker segment of a main or tile-part header. Returns its marker.
fn segment(marker: u16, mut content: Octets<'_>) -> Result<u16, DecodeError> {
    match marker {
        COD => {
            let style = content.u8()?;
            let _progression = content.u8()?;
            if content.u16()? > MOST_LAYERS {
                return Err(refuse("too many layers"));
            }
            let _component_transform = content.u8()?;
            precincts(style, content)?;
        }
        COC => {
            let _component = content.u8()?;
            let style = content.u8()?;
            precincts(style, content)?;
        }
        QCD | QCC | RGN | TLM | PLM | PLT | CRG | COM => {}
        _ => return Err(refuse("a marker that no field needs")),
    }
    Ok(marker)
}

/// The precinct sizes that end COD and COC, if the style says that there are some.
fn precincts(style: u8, mut content: Octets<'_>) -> Result<(), DecodeError> {
    let levels = content.u8()?;
    let _blocks = [content.u8()?, content.u8()?, content.u8()?, content.u8()?];
    if levels > 32 {
        return Err(refuse("too many resolutions"));
    }
    if style & 1 == 1 {
        for _ in 0..=levels {
            let size = content.u8()?;
            if size & 15 < SMALLEST_PRECINCT || size >> 4 < SMALLEST_PRECINCT {
                return Err(refuse("precincts too small"));
            }
        }
    }
    Ok(())
}

fn cut() -> DecodeError {
    refuse("cut short")
}

/// What is still to be read.
#[derive(Clone, Copy)]
struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (array, rest) = self.0.split_first_chunk::<N>().ok_or_else(cut)?;
        self.0 = rest;
        Ok(*array)
    }

    fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array::<2>().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array::<4>().map(u32::from_be_bytes)
    }

    fn skip(&mut self, count: usize) -> Result<(), DecodeError> {
        self.0 = self.0.get(count..).ok_or_else(cut)?;
        Ok(())
    }

    /// The content of a marker segment, behind its length, which counts itself.
    fn segment(&mut self) -> Result<Octets<'a>, DecodeError> {
        let length = usize::from(self.u16()?).checked_sub(2).ok_or_else(cut)?;
        let (content, rest) = self.0.split_at_checked(length).ok_or_else(cut)?;
        self.0 = rest;
        Ok(Octets(content))
    }
}
