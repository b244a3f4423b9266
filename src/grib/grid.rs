//! Grids: what section 3 says about where the cells lie.
//!
//! [`Grid::parse`] checks the template and that the count of points is that of rows and columns, so a grid that exists can
//! be served: it has a shape, an order of cells, coordinates and a CF grid mapping. Axes come from first point, last point
//! and count, never from increments, which files round and some get wrong: 721 rows from 90 to -90 are 0.25 degrees apart,
//! whatever octets 68-71 say. (ecCodes counts latitudes by increments, so on 1/6-degree grids it is 1e-5 degrees off at the
//! far end.) Only where the last point is coded one increment too far is the increment heeded.
//!
//! Templates that are not read are refused by name. Source: WMO Manual on Codes, FM 92 GRIB, section 3.

use super::bytes::Octets;
use super::coordinates::{Attribute, Coordinates, Locator};
use super::earth::Earth;
use super::grid_names::template_name;
use super::scan::{CellOrder, Scan};

/// Most points of a grid that is taken: 200 million, or 800 MB of float32. The largest in operation have 37 million.
pub const MAX_POINTS: u32 = 200_000_000;

/// Most rows and most columns of a grid that is taken: a million, 8 MB of coordinates.
pub const MAX_AXIS: u32 = 1 << 20;

/// Why a grid cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GridError {
    /// A grid definition template that is not read.
    #[error("grid template 3.{template} ({name}) is not supported")]
    Unsupported {
        /// Code Table 3.1.
        template: u16,
        /// What it is, in words.
        name: &'static str,
    },
    /// Section 3 is shorter than its template, or than its list of rows.
    #[error("grid template 3.{template} needs {need} octets, section 3 has {have}")]
    Length {
        /// Code Table 3.1.
        template: u16,
        /// Octets needed.
        need: usize,
        /// Octets there.
        have: usize,
    },
    /// More points than [`MAX_POINTS`].
    #[error("{points} grid points are more than {MAX_POINTS}")]
    TooManyPoints {
        /// Section 3 octets 7-10.
        points: u32,
    },
    /// The count of points is not that of rows and columns.
    #[error("{points} grid points announced, rows and columns make {cells}")]
    PointCount {
        /// Section 3 octets 7-10.
        points: u32,
        /// Cells of all rows.
        cells: u64,
    },
    /// The shape of the earth is unknown, or its radius missing, and the projection needs it.
    #[error("the shape of the earth ({shape}) is unknown or has no radius")]
    Earth {
        /// Code Table 3.2.
        shape: u8,
    },
    /// The template contradicts itself.
    #[error("grid template 3.{template} contradicts itself: {what}")]
    Invalid {
        /// Code Table 3.1.
        template: u16,
        /// What is wrong.
        what: &'static str,
    },
}

/// A grid that can be served.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    template: u16,
    kind: &'static str,
    earth: Option<Earth>,
    scan: Scan,
    vectors_on_grid: bool,
    coordinates: Coordinates,
    locator: Locator,
}

/// What a template's reader yields.
pub(super) struct Parsed {
    pub(super) kind: &'static str,
    pub(super) scan: Scan,
    pub(super) resolution: u8,
    pub(super) coordinates: Coordinates,
    pub(super) locator: Locator,
}

/// A reader of one or more templates.
type Reader = fn(&Source<'_>) -> Result<Parsed, GridError>;

/// What all readers of templates get: section 3 and what stands before the template.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) octets: Octets<'a>,
    pub(super) template: u16,
    pub(super) points: u32,
    pub(super) earth: Option<Earth>,
}

impl Source<'_> {
    /// Checks that section 3 has so many octets.
    pub(super) const fn need(&self, need: usize) -> Result<(), GridError> {
        let have = self.octets.len();
        if have < need {
            let template = self.template;
            return Err(GridError::Length {
                template,
                need,
                have,
            });
        }
        Ok(())
    }

    pub(super) const fn invalid(&self, what: &'static str) -> GridError {
        GridError::Invalid {
            template: self.template,
            what,
        }
    }

    pub(super) const fn unsupported(&self, name: &'static str) -> GridError {
        GridError::Unsupported {
            template: self.template,
            name,
        }
    }

    /// Checks rows and columns against the count of points and the caps, before anything is made of them.
    pub(super) fn check_shape(&self, ni: u32, nj: u32) -> Result<(), GridError> {
        let cells = u64::from(ni) * u64::from(nj);
        if cells != u64::from(self.points) || cells == 0 {
            return Err(GridError::PointCount {
                points: self.points,
                cells,
            });
        }
        if ni > MAX_AXIS || nj > MAX_AXIS {
            return Err(self.unsupported("grid with more than a million rows or columns"));
        }
        Ok(())
    }

    /// The earth, for those who cannot do without.
    pub(super) fn earth(&self) -> Result<Earth, GridError> {
        self.earth.ok_or(GridError::Earth {
            shape: self.octets.u8(15).unwrap_or(255),
        })
    }
}

impl Grid {
    /// Reads section 3, given as a whole with its 5-octet head.
    ///
    /// # Errors
    /// [`GridError`]: a template that is not read, by name; a section too short for it; a count of points that is not that
    /// of rows and columns, or above [`MAX_POINTS`]; a description that contradicts itself.
    pub fn parse(section3: &[u8]) -> Result<Self, GridError> {
        let octets = Octets(section3);
        let template = octets.u16(13).ok_or(GridError::Length {
            template: u16::MAX,
            need: 14,
            have: section3.len(),
        })?;
        let source = Source {
            octets,
            template,
            points: octets.u32(7).unwrap_or(0),
            earth: Earth::parse(octets),
        };
        // Before the count: an unsupported grid is told by its name, whatever its size.
        let read =
            Self::reader(template).ok_or_else(|| source.unsupported(template_name(template)))?;
        if octets.u8(6) != Some(0) {
            return Err(source.unsupported("defined outside of the message"));
        }
        if source.points > MAX_POINTS {
            return Err(GridError::TooManyPoints {
                points: source.points,
            });
        }
        if source.points == 0 {
            return Err(GridError::PointCount {
                points: 0,
                cells: 0,
            });
        }
        let parsed = read(&source)?;
        let mut grid = Self {
            template,
            kind: parsed.kind,
            earth: source.earth,
            scan: parsed.scan,
            vectors_on_grid: parsed.resolution & 0x08 != 0,
            coordinates: parsed.coordinates,
            locator: parsed.locator,
        };
        grid.coordinates.mapping.extend(figure(source.earth));
        Ok(grid)
    }

    fn reader(template: u16) -> Option<Reader> {
        Some(match template {
            0 | 1 | 40 | 41 => super::grid_latlon::read,
            10 | 20 | 30 | 90 | 140 => super::grid_projected::read,
            150 => super::grid_latlon::read_healpix,
            _ => return None,
        })
    }

    /// Grid definition template number, Code Table 3.1.
    #[must_use]
    pub const fn template(&self) -> u16 {
        self.template
    }

    /// ecCodes' name of the kind of grid: `regular_ll`, `lambert`, `reduced_gg`, ...
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        self.kind
    }

    /// The figure of the earth, if it is known.
    #[must_use]
    pub const fn earth(&self) -> Option<Earth> {
        self.earth
    }

    /// Scanning mode as coded.
    #[must_use]
    pub const fn scan(&self) -> Scan {
        self.scan
    }

    /// Whether u and v components run along the grid's own i and j, not east and north.
    #[must_use]
    pub const fn vectors_on_grid(&self) -> bool {
        self.vectors_on_grid
    }

    /// Number of cells.
    #[must_use]
    pub const fn points(&self) -> usize {
        self.locator.ny * self.locator.nx
    }

    /// Rows and columns of the delivered array; `(1, cells)` for a grid that is one axis of cells.
    #[must_use]
    pub const fn shape(&self) -> (usize, usize) {
        (self.locator.ny, self.locator.nx)
    }

    /// How the cells stand in the file, and how to bring them into rows.
    #[must_use]
    pub const fn cell_order(&self) -> CellOrder {
        CellOrder {
            ny: self.locator.ny,
            nx: self.locator.nx,
            alternating: self.scan.alternating(),
            j_consecutive: self.scan.j_consecutive(),
        }
    }

    /// Axes and CF grid mapping.
    #[must_use]
    pub const fn coordinates(&self) -> &Coordinates {
        &self.coordinates
    }

    /// Where each cell lies.
    #[must_use]
    pub const fn locator(&self) -> &Locator {
        &self.locator
    }
}

/// CF attributes of the figure of the earth.
fn figure(earth: Option<Earth>) -> Vec<(&'static str, Attribute)> {
    match earth {
        None => Vec::new(),
        Some(earth) if earth.is_sphere() => {
            vec![("earth_radius", Attribute::Number(earth.major))]
        }
        Some(earth) => vec![
            ("semi_major_axis", Attribute::Number(earth.major)),
            ("semi_minor_axis", Attribute::Number(earth.minor)),
            (
                "inverse_flattening",
                Attribute::Number(earth.major / (earth.major - earth.minor)),
            ),
        ],
    }
}

#[cfg(test)]
#[path = "grid_tests.rs"]
mod tests;
