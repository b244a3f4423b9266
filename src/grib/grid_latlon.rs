//! Grids on parallels: lat/lon and Gaussian, rotated or not, regular or reduced (3.0, 3.1, 3.40, 3.41), and HEALPix (3.150).

use super::coordinates::{Attribute, Axis, Coordinates, Locator, Placement};
use super::gaussian;
use super::grid::{GridError, Parsed, Source};
use super::healpix::{Healpix, MAX_SIDE};
use super::projection::Rotation;
use super::scan::Scan;

/// Missing value of a count of columns: the grid is reduced.
const MISSING: u32 = u32::MAX;

/// How far a coded latitude may lie from the Gaussian one that it means, in degrees: milli-degrees are in use, and one
/// digit lost.
const GAUSSIAN_TOLERANCE: f64 = 0.01;

/// Angles as whole numbers: `raw * basic / (subdivisions)` degrees, in units of 1 / subdivisions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit {
    basic: i128,
    per_degree: i128,
}

impl Unit {
    /// Octets 39-46 of 3.0 and its kin; a millionth of a degree where they are 0 or missing.
    fn parse(source: &Source<'_>) -> Self {
        let number = |octet| {
            source
                .octets
                .u32(octet)
                .filter(|value| *value != 0 && *value != MISSING)
        };
        match (number(39), number(43)) {
            (Some(basic), Some(subdivisions)) => Self {
                basic: basic.into(),
                per_degree: subdivisions.into(),
            },
            _ => Self {
                basic: 1,
                per_degree: 1_000_000,
            },
        }
    }

    fn angle(self, source: &Source<'_>, octet: usize) -> i128 {
        i128::from(source.octets.i32(octet).unwrap_or(0)) * self.basic
    }

    pub(super) const fn turn(self) -> i128 {
        360 * self.per_degree
    }

    pub(super) fn degrees(self, angle: i128) -> f64 {
        ratio(angle, self.per_degree)
    }

    /// `count` angles evenly from first to last, in degrees. One division each, so that a coordinate is the double
    /// nearest to the exact fraction.
    fn axis(self, first: i128, last: i128, count: u32) -> Vec<f64> {
        let steps = i128::from(count.saturating_sub(1)).max(1);
        (0..i128::from(count))
            .map(|k| ratio(first * steps + (last - first) * k, self.per_degree * steps))
            .collect()
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "micro-degrees times a count are below 2^53; other units lose an ulp"
)]
fn ratio(numerator: i128, denominator: i128) -> f64 {
    // Nearly all fit 64 bits, whose conversion is an instruction; that of 128 bits is a call.
    let float = |value: i128| i64::try_from(value).map_or(value as f64, |value| value as f64);
    float(numerator) / float(denominator)
}

/// Octets that 3.0, 3.1, 3.40 and 3.41 share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) unit: Unit,
    ni: u32,
    pub(super) nj: u32,
    latitudes: (i128, i128),
    pub(super) longitudes: (i128, i128),
    pub(super) scan: Scan,
    pub(super) resolution: u8,
    pub(super) rotation: Option<Rotation>,
    gaussian: bool,
}

impl Frame {
    fn parse(source: &Source<'_>) -> Result<Self, GridError> {
        let rotated = matches!(source.template, 1 | 41);
        source.need(if rotated { 84 } else { 72 })?;
        let octets = source.octets;
        let unit = Unit::parse(source);
        let scan = Scan(octets.u8(72).unwrap_or(0));
        if scan.shifted() {
            return Err(source.unsupported("grid with shifted rows"));
        }
        let frame = Self {
            unit,
            ni: octets.u32(31).unwrap_or(0),
            nj: octets.u32(35).unwrap_or(0),
            latitudes: (unit.angle(source, 47), unit.angle(source, 56)),
            longitudes: (unit.angle(source, 51), unit.angle(source, 60)),
            scan,
            resolution: octets.u8(55).unwrap_or(0),
            rotation: if rotated {
                Some(rotation(source)?)
            } else {
                None
            },
            gaussian: matches!(source.template, 40 | 41),
        };
        frame.check(source)
    }

    fn check(self, source: &Source<'_>) -> Result<Self, GridError> {
        let (first, last) = self.latitudes;
        let quarter = self.unit.turn() / 4;
        if first.abs() > quarter || last.abs() > quarter {
            return Err(source.invalid("a latitude beyond the pole"));
        }
        let turns = self.longitudes.0.abs().max(self.longitudes.1.abs());
        if turns > self.unit.turn() * 2 {
            return Err(source.invalid("a longitude beyond two turns"));
        }
        if self.nj > 1 && (last > first) != self.scan.j_positive() {
            return Err(source.invalid("its latitudes run against the scanning mode"));
        }
        Ok(self)
    }

    pub(super) fn kind(self, reduced: bool) -> &'static str {
        match (reduced, self.rotation.is_some(), self.gaussian) {
            (false, false, false) => "regular_ll",
            (false, true, false) => "rotated_ll",
            (false, false, true) => "regular_gg",
            (false, true, true) => "rotated_gg",
            (true, false, false) => "reduced_ll",
            (true, true, false) => "reduced_rotated_ll",
            (true, false, true) => "reduced_gg",
            (true, true, true) => "reduced_rotated_gg",
        }
    }

    /// Latitudes of the rows, in degrees.
    pub(super) fn rows(self, source: &Source<'_>) -> Result<Vec<f64>, GridError> {
        let (first, last) = self.latitudes;
        if !self.gaussian {
            let last = self.inclusive((first, last), self.nj, self.increment(source, 0x10, 68));
            return Ok(self.unit.axis(first, last, self.nj));
        }
        let parallels = source.octets.u32(68).unwrap_or(0);
        if parallels > gaussian::MAX_PARALLELS || self.nj > parallels.saturating_mul(2) {
            return Err(source.invalid("rows and number of Gaussian parallels"));
        }
        let mut all = gaussian::latitudes(parallels);
        if self.scan.j_positive() {
            all.reverse();
        }
        let (first, last) = (self.unit.degrees(first), self.unit.degrees(last));
        let spacing = 180.0 / f64::from(parallels.max(1) * 2);
        let tolerance = GAUSSIAN_TOLERANCE.min(spacing / 4.0);
        let meant = |coded: f64| move |latitude: &f64| (latitude - coded).abs() < tolerance;
        let from = all.iter().position(meant(first));
        let count = usize::try_from(self.nj).unwrap_or(usize::MAX);
        from.and_then(|from| all.get(from..from.checked_add(count)?))
            .filter(|rows| rows.last().is_some_and(meant(last)))
            .map(<[f64]>::to_vec)
            .ok_or_else(|| source.invalid("its latitudes are not those of its Gaussian number"))
    }

    /// Longitudes of the columns of a regular grid, in degrees, monotonic.
    fn columns(self, source: &Source<'_>) -> Result<Vec<f64>, GridError> {
        let (first, mut last) = self.longitudes;
        if self.ni <= 1 {
            return Ok(self.unit.axis(first, first, self.ni));
        }
        if self.scan.i_negative() && last >= first {
            last -= self.unit.turn();
        } else if !self.scan.i_negative() && last <= first {
            last += self.unit.turn();
        }
        let increment = self.increment(source, 0x20, 64);
        let end = if self.longitudes.0 == self.longitudes.1 {
            self.full_turn(first, last, increment)
        } else {
            Some(self.inclusive((first, last), self.ni, increment))
        };
        let end = end
            .filter(|end| (end - first).abs() <= self.unit.turn())
            .ok_or_else(|| source.invalid("first and last longitude"))?;
        // From 180 east through 179.75 is -180 to 179.75, as ecCodes has it, rather than 180 to 539.75.
        let turn = self.unit.turn();
        let back = if end > turn && first * 2 >= turn {
            turn
        } else {
            0
        };
        Ok(self.unit.axis(first - back, end - back, self.ni))
    }

    /// The last of the columns where first and last longitude are coded as one: the increment tells whether the circle
    /// is closed by repeating the first column or by stopping before it.
    fn full_turn(self, first: i128, last: i128, increment: Option<i128>) -> Option<i128> {
        let (span, count) = (last - first, i128::from(self.ni));
        let increment = increment?;
        if increment * (count - 1) == span.abs() {
            Some(last)
        } else if increment * count == span.abs() {
            Some(last - span / count)
        } else {
            None
        }
    }

    /// The increment in an octet, if its resolution flag says that it is given and it is neither 0 nor missing.
    fn increment(self, source: &Source<'_>, flag: u8, octet: usize) -> Option<i128> {
        let coded = source.octets.u32(octet)?;
        let given = self.resolution & flag != 0 && coded != 0 && coded != MISSING;
        given.then_some(i128::from(coded) * self.unit.basic)
    }

    /// The last point of an axis. Some writers code the end of the half-open range, one increment too far (55 E for the
    /// last of 220 columns 0.25 degrees apart from 0). Taken for that only if the increment meets it exactly and the
    /// range cut by the count is no whole number.
    fn inclusive(self, (first, last): (i128, i128), count: u32, increment: Option<i128>) -> i128 {
        let (span, count) = (last - first, i128::from(count));
        match increment {
            Some(increment)
                if count > 1
                    && increment * count == span.abs()
                    && span % ((count - 1) * self.unit.basic) != 0 =>
            {
                last - span / count
            }
            _ => last,
        }
    }

    /// CF attributes without the figure of the earth.
    pub(super) fn mapping(self) -> Vec<(&'static str, Attribute)> {
        self.rotation.map_or_else(
            || vec![("grid_mapping_name", Attribute::Text("latitude_longitude"))],
            |rotation| rotation.attributes(),
        )
    }
}

fn rotation(source: &Source<'_>) -> Result<Rotation, GridError> {
    let degrees = |octet| ratio(source.octets.i32(octet).unwrap_or(0).into(), 1_000_000);
    let angle = source.octets.f32(81).unwrap_or(0.0);
    if angle != 0.0 {
        return Err(source.unsupported("grid turned about its own rotated pole"));
    }
    let rotation = Rotation {
        south_latitude: degrees(73),
        south_longitude: degrees(77),
    };
    if rotation.south_latitude.abs() > 90.0 {
        return Err(source.invalid("its southern pole lies beyond the pole"));
    }
    Ok(rotation)
}

/// Reads 3.0, 3.1, 3.40 and 3.41.
pub(super) fn read(source: &Source<'_>) -> Result<Parsed, GridError> {
    let frame = Frame::parse(source)?;
    if frame.ni == MISSING {
        return super::grid_reduced::read(source, frame);
    }
    source.check_shape(frame.ni, frame.nj)?;
    let (y, x) = (frame.rows(source)?, frame.columns(source)?);
    let (ny, nx) = (y.len(), x.len());
    let (axes, placement) = match frame.rotation {
        None => (
            vec![Axis::latitude(y.clone()), Axis::longitude(x.clone())],
            Placement::Plain { y, x },
        ),
        Some(rotation) => (
            vec![
                Axis::rotated_latitude(y.clone()),
                Axis::rotated_longitude(x.clone()),
            ],
            Placement::Rotated { y, x, rotation },
        ),
    };
    Ok(Parsed {
        kind: frame.kind(false),
        scan: frame.scan,
        resolution: frame.resolution,
        coordinates: Coordinates {
            axes,
            mapping: frame.mapping(),
            has_locations: frame.rotation.is_some(),
        },
        locator: Locator {
            placement,
            ny,
            nx,
            signed: frame.longitudes.0 < 0,
        },
    })
}

/// Reads 3.150.
pub(super) fn read_healpix(source: &Source<'_>) -> Result<Parsed, GridError> {
    source.need(42)?;
    let octets = source.octets;
    let side = octets.u32(32).unwrap_or(0);
    let cells = 12 * u64::from(side) * u64::from(side.min(MAX_SIDE));
    if side > MAX_SIDE || cells != u64::from(source.points) || cells == 0 {
        return Err(GridError::PointCount {
            points: source.points,
            cells,
        });
    }
    let nested = octets.u8(41) == Some(1);
    if octets.u8(41) > Some(1) || (nested && !side.is_power_of_two()) {
        return Err(source.invalid("the order of its cells"));
    }
    if octets.u8(42) != Some(0) {
        return Err(source.unsupported("HEALPix in another order than west to east"));
    }
    let first = ratio(octets.i32(36).unwrap_or(0).into(), 1_000_000);
    let mut mapping = vec![
        ("grid_mapping_name", Attribute::Text("healpix")),
        (
            "indexing_scheme",
            Attribute::Text(if nested { "nested" } else { "ring" }),
        ),
        ("nside", Attribute::Number(side.into())),
    ];
    if side.is_power_of_two() {
        mapping.push(("refinement_level", Attribute::Number(side.ilog2().into())));
    }
    let nx = usize::try_from(cells).unwrap_or(0);
    Ok(Parsed {
        kind: "healpix",
        scan: Scan(0),
        resolution: octets.u8(31).unwrap_or(0),
        coordinates: Coordinates {
            axes: vec![Axis::cells(nx)],
            mapping,
            has_locations: true,
        },
        locator: Locator {
            placement: Placement::Healpix {
                grid: Healpix { side, nested },
                turn: first - 45.0,
            },
            ny: 1,
            nx,
            signed: first < 0.0,
        },
    })
}
