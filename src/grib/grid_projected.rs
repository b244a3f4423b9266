//! Grids on a plane: Mercator (3.10), polar stereographic (3.20), Lambert conformal (3.30) and azimuthal (3.140), and what a
//! geostationary satellite sees (3.90).
//!
//! The first point is projected, the increments give the rest: a projected grid has no last point that counts (Mercator
//! codes one, rounded). The view of a satellite says instead which cell lies below it, and how many cells wide and high the
//! earth appears.

use super::coordinates::{Axis, Coordinates, Locator, Placement};
use super::grid::{GridError, Parsed, Source};
use super::projection::{Azimuthal, Lambert, Mercator, Polar, Projection, SpaceView};
use super::scan::Scan;

/// Octets that the four templates of maps share, at their various places.
struct Frame {
    ni: u32,
    nj: u32,
    /// First point, in degrees north and east.
    first: (f64, f64),
    /// Increments along +i and +j, in metres, positive.
    steps: (f64, f64),
    scan: Scan,
    resolution: u8,
}

impl Frame {
    fn parse(
        source: &Source<'_>,
        resolution: usize,
        steps: (usize, usize),
        scan: usize,
    ) -> Result<Self, GridError> {
        let octets = source.octets;
        let scan = Scan(octets.u8(scan).unwrap_or(0));
        if scan.shifted() {
            return Err(source.unsupported("grid with shifted rows"));
        }
        let step = |octet| f64::from(octets.u32(octet).unwrap_or(0)) / 1000.0;
        let frame = Self {
            ni: octets.u32(31).unwrap_or(0),
            nj: octets.u32(35).unwrap_or(0),
            first: (degrees(source, 39), degrees(source, 43)),
            steps: (step(steps.0), step(steps.1)),
            scan,
            resolution: octets.u8(resolution).unwrap_or(0),
        };
        source.check_shape(frame.ni, frame.nj)?;
        if frame.first.0.abs() > 90.0 {
            return Err(source.invalid("a latitude beyond the pole"));
        }
        // Missing increments are all ones: 4295 km.
        let steps = 0.0..4_294_967.0;
        let usable = |count: u32, step: f64| count == 1 || (steps.contains(&step) && step > 0.0);
        if usable(frame.ni, frame.steps.0) && usable(frame.nj, frame.steps.1) {
            Ok(frame)
        } else {
            Err(source.invalid("an increment is missing"))
        }
    }

    fn signed_steps(&self) -> (f64, f64) {
        let sign = |forward: bool| if forward { 1.0 } else { -1.0 };
        (
            self.steps.0 * sign(!self.scan.i_negative()),
            self.steps.1 * sign(self.scan.j_positive()),
        )
    }
}

/// A signed angle in micro-degrees, in degrees.
fn degrees(source: &Source<'_>, octet: usize) -> f64 {
    f64::from(source.octets.i32(octet).unwrap_or(0)) / 1e6
}

/// Reads 3.10, 3.20, 3.30, 3.90 and 3.140.
pub(super) fn read(source: &Source<'_>) -> Result<Parsed, GridError> {
    match source.template {
        10 => mercator(source),
        20 => polar(source),
        30 => lambert(source),
        90 => space_view(source),
        _ => azimuthal(source),
    }
}

fn lambert(source: &Source<'_>) -> Result<Parsed, GridError> {
    source.need(81)?;
    let frame = Frame::parse(source, 47, (56, 60), 65)?;
    let parallels = (degrees(source, 66), degrees(source, 70));
    let (origin, central) = (degrees(source, 48), degrees(source, 52));
    let projection = Lambert::new(source.earth()?, parallels, origin, central)
        .ok_or_else(|| source.invalid("its standard parallels make no cone"))?;
    placed(source, &frame, Projection::Lambert(projection), "lambert")
}

fn polar(source: &Source<'_>) -> Result<Parsed, GridError> {
    source.need(65)?;
    let frame = Frame::parse(source, 47, (56, 60), 65)?;
    let south = source.octets.u8(64).unwrap_or(0) & 0x80 != 0;
    let (standard, central) = (degrees(source, 48), degrees(source, 52));
    let projection = Polar::new(source.earth()?, south, standard, central)
        .ok_or_else(|| source.invalid("its parallel of true scale"))?;
    placed(
        source,
        &frame,
        Projection::Polar(projection),
        "polar_stereographic",
    )
}

fn azimuthal(source: &Source<'_>) -> Result<Parsed, GridError> {
    source.need(64)?;
    let frame = Frame::parse(source, 55, (56, 60), 64)?;
    let (latitude, longitude) = (degrees(source, 47), degrees(source, 51));
    if latitude.abs() > 90.0 {
        return Err(source.invalid("a latitude beyond the pole"));
    }
    let projection = Azimuthal::new(source.earth()?, latitude, longitude)
        .ok_or_else(|| source.invalid("its centre"))?;
    placed(
        source,
        &frame,
        Projection::Azimuthal(projection),
        "lambert_azimuthal_equal_area",
    )
}

/// Mercator's origin of x is free: it is put in the middle of the grid, so that x stays within half a turn.
fn mercator(source: &Source<'_>) -> Result<Parsed, GridError> {
    source.need(72)?;
    let frame = Frame::parse(source, 47, (65, 69), 60)?;
    let standard = degrees(source, 48);
    let invalid = || source.invalid("its parallel of true scale");
    let flat = Mercator::new(source.earth()?, standard, 0.0).ok_or_else(invalid)?;
    let width = frame.signed_steps().0 * f64::from(frame.ni - 1);
    let span = flat.span(width);
    if span.abs() > 360.0 {
        return Err(source.invalid("it is wider than the earth"));
    }
    let central = frame.first.1 + span / 2.0;
    let projection = Mercator::new(source.earth()?, standard, central).ok_or_else(invalid)?;
    placed_at(
        source,
        &frame,
        Projection::Mercator(projection),
        "mercator",
        Some(-width / 2.0),
    )
}

fn placed(
    source: &Source<'_>,
    frame: &Frame,
    projection: Projection,
    kind: &'static str,
) -> Result<Parsed, GridError> {
    placed_at(source, frame, projection, kind, None)
}

/// Lays the grid out from its first point; `left` is that point's x where it is known better than by projecting it.
fn placed_at(
    source: &Source<'_>,
    frame: &Frame,
    projection: Projection,
    kind: &'static str,
    left: Option<f64>,
) -> Result<Parsed, GridError> {
    let (x0, y0) = projection.forward(frame.first.0, frame.first.1);
    let x0 = left.unwrap_or(x0);
    if !x0.is_finite() || !y0.is_finite() {
        return Err(source.invalid("its projection does not show its first point"));
    }
    let (dx, dy) = frame.signed_steps();
    Ok(laid_out(
        kind,
        frame.scan,
        frame.resolution,
        projection,
        axis(y0, dy, frame.nj),
        axis(x0, dx, frame.ni),
        frame.first.1 < 0.0,
    ))
}

/// The view of a satellite above the equator that is not turned, from its north-western corner: what ecCodes places.
fn space_view(source: &Source<'_>) -> Result<Parsed, GridError> {
    source.need(80)?;
    let octets = source.octets;
    let number = |octet| match octets.u32(octet) {
        None | Some(0 | u32::MAX) => Err(source.invalid("a count of cells is missing")),
        Some(number) => Ok(f64::from(number)),
    };
    // Signed, and 0 where the whole disc is there.
    let offset = |octet| match octets.u32(octet) {
        Some(u32::MAX) => Err(source.invalid("the cell below the satellite is missing")),
        _ => Ok(f64::from(octets.i32(octet).unwrap_or(0))),
    };
    let (ni, nj) = (octets.u32(31).unwrap_or(0), octets.u32(35).unwrap_or(0));
    source.check_shape(ni, nj)?;
    let scan = Scan(octets.u8(64).unwrap_or(0));
    if scan.i_negative() || scan.j_positive() || scan.shifted() {
        return Err(
            source.unsupported("space view scanned from another corner than the north-western")
        );
    }
    if octets.i32(39) != Some(0) || octets.u32(65) != Some(0) {
        return Err(source.unsupported("space view from off the equator, or turned"));
    }
    let radii = octets.u32(69).filter(|radii| *radii != u32::MAX);
    let radii = radii.ok_or_else(|| source.unsupported("space view, orthographic"))?;
    let earth = source.earth()?;
    let view = SpaceView::new(earth, f64::from(radii) / 1e6, degrees(source, 43))
        .ok_or_else(|| source.invalid("its camera is inside of the earth"))?;
    let apparent = 2.0 * (1e6 / f64::from(radii)).asin() * view.height();
    let (dx, dy) = (apparent / number(48)?, apparent / number(52)?);
    let dy = dy * (earth.minor / earth.major);
    let (left, top) = (
        offset(56)? / 1000.0 - offset(73)?,
        offset(60)? / 1000.0 - offset(77)?,
    );
    Ok(laid_out(
        "space_view",
        scan,
        octets.u8(47).unwrap_or(0),
        Projection::SpaceView(view),
        axis(top * dy, -dy, nj),
        axis(-left * dx, dx, ni),
        octets.i32(43).unwrap_or(0) < 0,
    ))
}

/// `count` places, from a start by equal steps.
fn axis(start: f64, step: f64, count: u32) -> Vec<f64> {
    (0..count)
        .map(|k| step.mul_add(f64::from(k), start))
        .collect()
}

/// The grid of two axes on a plane.
fn laid_out(
    kind: &'static str,
    scan: Scan,
    resolution: u8,
    projection: Projection,
    y: Vec<f64>,
    x: Vec<f64>,
    signed: bool,
) -> Parsed {
    let (ny, nx) = (y.len(), x.len());
    Parsed {
        kind,
        scan,
        resolution,
        coordinates: Coordinates {
            axes: vec![Axis::y(y.clone()), Axis::x(x.clone())],
            mapping: projection.attributes(),
            has_locations: true,
        },
        locator: Locator {
            placement: Placement::Projected { y, x, projection },
            ny,
            nx,
            signed,
        },
    }
}
