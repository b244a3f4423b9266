//! What section 5 says, checked: a [`Packing`] that exists is one that the unpackers can run on.
//!
//! Every number of the header that could make an unpacker fail, overflow or allocate is tested here once. What depends on
//! the data (group lengths, code streams) is tested where it is read.
//!
//! Source: WMO Manual on Codes, FM 92 GRIB, templates 5.0 to 5.200; Code Table 5.0.

use super::error::DecodeError;
use super::scale::Scale;

/// How the values of one field are packed (section 5), ready to unpack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Packing {
    template: u16,
    values: usize,
    pub(super) layout: Layout,
}

/// The part of a packing that depends on the template.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Layout {
    /// Every present value is this one (0 bits per value, or no groups).
    Constant(f64),
    /// 5.0: `bits` per value, 1..=32.
    Simple { scale: Scale, bits: u32 },
    /// 5.2 and 5.3.
    Complex(Complex),
    /// 5.4: 4 or 8 octets per value.
    Ieee { octets: usize },
    /// 5.40.
    Jpeg2000 { scale: Scale },
    /// 5.41.
    Png { scale: Scale },
    /// 5.42.
    Ccsds(Ccsds),
    /// 5.200.
    RunLength(RunLength),
}

/// Templates 5.2 and 5.3.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Complex {
    pub(super) scale: Scale,
    /// Bits per group reference, 0..=32.
    pub(super) bits: u32,
    /// Missing-value management: how many of the highest packed values mean "missing", 0..=2.
    pub(super) missing: u32,
    /// Number of groups, at least 1.
    pub(super) groups: u32,
    pub(super) width_reference: u32,
    pub(super) width_bits: u32,
    pub(super) length_reference: u32,
    pub(super) length_increment: u32,
    pub(super) last_length: u32,
    pub(super) length_bits: u32,
    /// Order of spatial differencing: 0 (template 5.2), 1 or 2.
    pub(super) order: u32,
    /// Octets of each first value and of the minimum, 0..=8.
    pub(super) extra_octets: usize,
}

/// Template 5.42.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ccsds {
    pub(super) scale: Scale,
    /// Bits per sample, 1..=32.
    pub(super) bits: u32,
    /// Compression options mask, as coded.
    pub(super) flags: u8,
    /// Samples per block: 8, 16, 32 or 64.
    pub(super) block: usize,
    /// Reference sample interval in blocks, 1..=4096.
    pub(super) interval: usize,
}

/// Template 5.200; the level values stay in section 5.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RunLength {
    /// Bits per number, 1..=16.
    pub(super) bits: u32,
    /// Highest level in use.
    pub(super) top: u32,
    /// 10^-D.
    pub(super) decimal: f64,
}

impl Packing {
    /// What one more of the packed integers is in values, 2^E x 10^-D: the finest difference that the packing tells. `None` where values are
    /// not integers (IEEE, run length) or all the same.
    #[must_use]
    pub fn step(&self) -> Option<f64> {
        let scale = match &self.layout {
            Layout::Simple { scale, .. } | Layout::Jpeg2000 { scale } | Layout::Png { scale } => {
                scale
            }
            Layout::Complex(complex) => &complex.scale,
            Layout::Ccsds(ccsds) => &ccsds.scale,
            Layout::Constant(_) | Layout::Ieee { .. } | Layout::RunLength(_) => return None,
        };
        Some(scale.step())
    }

    /// Reads and checks section 5 (with its 5 octet head). Looks at nothing else, so an index can ask it.
    ///
    /// # Errors
    /// [`DecodeError::Template`] names a packing that is not supported; [`DecodeError::Short`], [`DecodeError::Header`] and
    /// [`DecodeError::Scale`] a section that is broken.
    ///
    /// Source: Code Table 5.0.
    pub fn parse(section5: &[u8]) -> Result<Self, DecodeError> {
        let read = Octets(section5);
        if read.u8(5)? != 5 {
            return Err(header("section number", read.u8(5)?));
        }
        let values = usize::try_from(read.u32(6)?).unwrap_or(usize::MAX);
        let template = read.u16(10)?;
        let layout = match template {
            0 => match read.head(21)? {
                (Some(scale), bits) => Layout::Simple { scale, bits },
                (None, _) => read.constant()?,
            },
            2 => read.complex(47, 0, 0)?,
            3 => {
                read.need(49)?;
                let order = read.u8(48)?;
                if !matches!(order, 1 | 2) {
                    return Err(header("order of spatial differencing", order));
                }
                let octets = read.u8(49)?;
                if octets > 8 {
                    return Err(header("octets per extra descriptor", octets));
                }
                read.complex(49, u32::from(order), usize::from(octets))?
            }
            4 => match read.u8(12)? {
                1 => Layout::Ieee { octets: 4 },
                2 => Layout::Ieee { octets: 8 },
                3 => {
                    return Err(DecodeError::Template {
                        number: 4,
                        name: "IEEE floating point, 128 bits",
                    });
                }
                other => return Err(header("precision of floating-point numbers", other)),
            },
            40 => match read.head(23)? {
                (Some(scale), _) => Layout::Jpeg2000 { scale },
                (None, _) => read.constant()?,
            },
            41 => match read.head(21)? {
                (Some(scale), _) => Layout::Png { scale },
                (None, _) => read.constant()?,
            },
            42 => match read.head(25)? {
                (Some(scale), bits) => Layout::Ccsds(read.ccsds(scale, bits)?),
                (None, _) => read.constant()?,
            },
            200 => Layout::RunLength(read.run_length()?),
            number => {
                return Err(DecodeError::Template {
                    number,
                    name: name(number),
                });
            }
        };
        Ok(Self {
            template,
            values,
            layout,
        })
    }

    /// Data representation template number, Code Table 5.0.
    #[must_use]
    pub fn template(&self) -> u16 {
        self.template
    }

    /// Name of the packing, for people.
    #[must_use]
    pub fn name(&self) -> &'static str {
        name(self.template)
    }

    /// Number of values packed (section 5 octets 6-9): the points that the bitmap does not mask.
    #[must_use]
    pub fn values(&self) -> usize {
        self.values
    }
}

/// Name of a data representation template, for people.
fn name(template: u16) -> &'static str {
    match template {
        0 => "simple",
        1 => "matrix, simple",
        2 => "complex",
        3 => "complex with spatial differencing",
        4 => "IEEE floating point",
        40 => "JPEG2000",
        41 => "PNG",
        42 => "CCSDS",
        50 => "spectral, simple",
        51 => "spectral, complex",
        53 => "spectral, bi-Fourier",
        61 => "simple with logarithm pre-processing",
        200 => "run length with level values",
        49152..=65534 => "local to the centre",
        _ => "unknown",
    }
}

fn header(what: &'static str, found: impl Into<i64>) -> DecodeError {
    DecodeError::Header {
        what,
        found: found.into(),
    }
}

/// A section, read by octet numbers that count from 1.
#[derive(Clone, Copy)]
struct Octets<'a>(&'a [u8]);

impl Octets<'_> {
    fn need(self, needed: usize) -> Result<(), DecodeError> {
        if self.0.len() < needed {
            return Err(DecodeError::Short {
                section: 5,
                needed,
                found: self.0.len(),
            });
        }
        Ok(())
    }

    fn array<const N: usize>(self, octet: usize) -> Result<[u8; N], DecodeError> {
        let from = octet.saturating_sub(1);
        self.0
            .get(from..)
            .and_then(|rest| rest.first_chunk::<N>())
            .copied()
            .ok_or(DecodeError::Short {
                section: 5,
                needed: from.saturating_add(N),
                found: self.0.len(),
            })
    }

    fn u8(self, octet: usize) -> Result<u8, DecodeError> {
        self.array::<1>(octet).map(u8::from_be_bytes)
    }

    fn u16(self, octet: usize) -> Result<u16, DecodeError> {
        self.array::<2>(octet).map(u16::from_be_bytes)
    }

    fn u32(self, octet: usize) -> Result<u32, DecodeError> {
        self.array::<4>(octet).map(u32::from_be_bytes)
    }

    /// A bit count of at most 32.
    fn bits(self, octet: usize, what: &'static str) -> Result<u32, DecodeError> {
        match self.u8(octet)? {
            bits @ 0..=32 => Ok(u32::from(bits)),
            more => Err(header(what, more)),
        }
    }

    /// The head that most templates share: scaling and bits per value. Without scaling where there are 0 bits.
    fn head(self, length: usize) -> Result<(Option<Scale>, u32), DecodeError> {
        self.need(length)?;
        let bits = self.bits(20, "bits per value")?;
        if bits == 0 {
            return Ok((None, 0));
        }
        Ok((Some(self.scale()?), bits))
    }

    fn scale(self) -> Result<Scale, DecodeError> {
        Scale::try_new(self.reference()?, self.signed(16)?, self.signed(18)?)
    }

    fn reference(self) -> Result<f64, DecodeError> {
        let reference = f64::from(f32::from_bits(self.u32(12)?));
        if reference.is_finite() {
            Ok(reference)
        } else {
            Err(DecodeError::Scale)
        }
    }

    /// A constant field: the reference value itself, without 10^-D, as ecCodes has it (wgrib2 applies 10^-D).
    fn constant(self) -> Result<Layout, DecodeError> {
        Ok(Layout::Constant(self.reference()?))
    }

    /// Sign and magnitude in two octets.
    fn signed(self, octet: usize) -> Result<i32, DecodeError> {
        let raw = self.u16(octet)?;
        let magnitude = i32::from(raw & 0x7fff);
        Ok(if raw & 0x8000 == 0 {
            magnitude
        } else {
            -magnitude
        })
    }

    fn complex(
        self,
        length: usize,
        order: u32,
        extra_octets: usize,
    ) -> Result<Layout, DecodeError> {
        self.need(length)?;
        let missing = match self.u8(23)? {
            // 255 is "missing": some encoders leave it so.
            0 | 255 => 0,
            kinds @ (1 | 2) => u32::from(kinds),
            other => return Err(header("missing value management", other)),
        };
        let groups = self.u32(32)?;
        if groups == 0 {
            return self.constant();
        }
        Ok(Layout::Complex(Complex {
            scale: self.scale()?,
            bits: self.bits(20, "bits per group reference")?,
            missing,
            groups,
            width_reference: u32::from(self.u8(36)?),
            width_bits: self.bits(37, "bits per group width")?,
            length_reference: self.u32(38)?,
            length_increment: u32::from(self.u8(42)?),
            last_length: self.u32(43)?,
            length_bits: self.bits(47, "bits per group length")?,
            order,
            extra_octets,
        }))
    }

    fn ccsds(self, scale: Scale, bits: u32) -> Result<Ccsds, DecodeError> {
        let block = self.u8(23)?;
        if !matches!(block, 8 | 16 | 32 | 64) {
            return Err(header("CCSDS block size", block));
        }
        let interval = self.u16(24)?;
        if !(1..=4096).contains(&interval) {
            return Err(header("CCSDS reference sample interval", interval));
        }
        Ok(Ccsds {
            scale,
            bits,
            flags: self.u8(22)?,
            block: usize::from(block),
            interval: usize::from(interval),
        })
    }

    fn run_length(self) -> Result<RunLength, DecodeError> {
        let bits = self.u8(12)?;
        if !(1..=16).contains(&bits) {
            return Err(header("bits per run length number", bits));
        }
        let top = self.u16(13)?;
        let levels = self.u16(15)?;
        self.need(17 + 2 * usize::from(levels))?;
        if top > levels {
            return Err(header("highest level in use", top));
        }
        let scale = self.u8(17)?;
        let magnitude = i32::from(scale & 0x7f);
        let exponent = if scale & 0x80 == 0 {
            magnitude
        } else {
            -magnitude
        };
        Ok(RunLength {
            bits: u32::from(bits),
            top: u32::from(top),
            decimal: super::scale::power_of_ten(-exponent),
        })
    }
}
