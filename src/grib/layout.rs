//! Where a product template keeps what: octet numbers of section 4.
//!
//! Four blocks recur in the templates of Code Table 4.0, only their places differ: generation, time and surfaces (23
//! octets); the window of a statistic; the ensemble; the limits of a probability. `Layout::of(8, ..)` says that the
//! window of template 4.8 starts at octet 35.
//!
//! Knows numbers of octets. Reads only the counts that move them.

use super::bytes::Octets;

/// Unit and forecast time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Times {
    /// The template has no forecast time.
    None,
    /// Unit, then four octets.
    Wide { unit: usize },
    /// Unit, then two octets (4.44 as its table has it).
    Short { unit: usize },
}

/// Ensemble block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ensemble {
    /// Type, member, size.
    Typed(usize),
    /// Member, size: 4.56 has no type.
    Bare(usize),
}

/// Octet numbers of one template.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Octets that the template needs, one time range included where it has a window.
    pub(super) length: usize,
    /// Type of generating process.
    pub(super) process: usize,
    /// Generating process identifier.
    pub(super) process_id: Option<usize>,
    /// Unit and forecast time.
    pub(super) times: Times,
    /// First of the twelve octets of both surfaces.
    pub(super) surfaces: Option<usize>,
    /// First octet of the end of the window.
    pub(super) window: Option<usize>,
    /// Ensemble block.
    pub(super) ensemble: Option<Ensemble>,
    /// Derived forecast.
    pub(super) derived: Option<usize>,
    /// First octet of the probability block.
    pub(super) probability: Option<usize>,
    /// Percentile.
    pub(super) percentile: Option<usize>,
    /// Constituent or aerosol type, two octets.
    pub(super) constituent: Option<usize>,
    further: [(usize, usize); 2],
    furthers: usize,
}

impl Layout {
    /// The layout of a template, or `None` for one that is not known here. Counts that the section does not reach are
    /// taken as 0; the caller compares `length` with the section's.
    pub(super) fn of(template: u16, four: Octets<'_>) -> Option<Self> {
        let layout = match template {
            0..=15 => Self::plain(template)?,
            20 => Self::bare(43).further_to(13, 43),
            31 => {
                let bands = 11 * count(four, 14);
                let mut layout = Self::bare(14 + bands).further_to(14, 14 + bands);
                layout.process_id = Some(13);
                layout
            }
            32..=34 => Self::satellite(template, 11 * count(four, 23)),
            40..=49 => Self::chemistry(template, four),
            51 | 91 => Self::categories(template, 12 * count(four, 35)),
            53 | 54 => Self::partition(template, 2 * count(four, 13)),
            55 | 56 | 59 => Self::tiles(template),
            57 | 58 | 67 | 68 => Self::distribution(template, 5 * count(four, 20)),
            60 => Self::new(12, 44).ensemble_at(35),
            61 => Self::new(12, 68).ensemble_at(35).window_at(45),
            70..=73 => Self::post_processed(template),
            103 => Self::new(23, 45).further_to(12, 22),
            104 => Self::new(23, 48).further_to(12, 22).ensemble_at(46),
            105..=107 => Self::referenced(template, 12 * count(four, 42).max(1)),
            108 => Self::new(23, 45).further_to(12, 22),
            _ => return None,
        };
        Some(layout)
    }

    /// Inclusive ranges of octets that are part of what the field is.
    pub(super) fn further(&self) -> &[(usize, usize)] {
        self.further.get(..self.furthers).unwrap_or_default()
    }

    fn plain(template: u16) -> Option<Self> {
        Some(match template {
            0 | 7 => Self::new(12, 34),
            1 => Self::new(12, 37).ensemble_at(35),
            2 => Self::new(12, 36).derived_at(35),
            3 => Self::cluster(68, 57),
            4 => Self::cluster(64, 53),
            5 => Self::new(12, 47).probability_at(35),
            6 => Self::new(12, 35).percentile_at(35),
            8 => Self::new(12, 58).window_at(35),
            9 => Self::new(12, 71).probability_at(35).window_at(48),
            10 => Self::new(12, 59).percentile_at(35).window_at(36),
            11 => Self::new(12, 61).ensemble_at(35).window_at(38),
            12 => Self::new(12, 60).derived_at(35).window_at(37),
            13 => Self::cluster(92, 57).window_at(69),
            14 => Self::cluster(88, 53).window_at(65),
            15 => Self::new(12, 37).further_to(35, 37),
            _ => return None,
        })
    }

    /// Derived forecasts of a cluster: its number, the method and the area are identity, its members are not.
    fn cluster(length: usize, area_end: usize) -> Self {
        Self::new(12, length)
            .derived_at(35)
            .further_to(37, 37)
            .further_to(41, area_end)
    }

    /// Simulated satellite data: no surfaces, `bands` octets of bands from octet 24.
    fn satellite(template: u16, bands: usize) -> Self {
        let mut layout = Self::new(12, 23 + bands).further_to(23, 23 + bands);
        layout.surfaces = None;
        match template {
            33 => layout.ensemble_at(24 + bands).length(26 + bands),
            34 => layout
                .ensemble_at(24 + bands)
                .window_at(27 + bands)
                .length(50 + bands),
            _ => layout,
        }
    }

    /// Constituents (40 to 43), aerosols by size (44 to 47) and by size and wavelength (48, 49).
    fn chemistry(template: u16, four: Octets<'_>) -> Self {
        let layout = match template {
            40 => Self::new(14, 36),
            41 => Self::new(14, 39).ensemble_at(37),
            42 => Self::new(14, 60).window_at(37),
            43 => Self::new(14, 63).ensemble_at(37).window_at(40),
            44 => Self::aerosol_44(four),
            45 => Self::new(25, 50).ensemble_at(48),
            46 => Self::new(25, 71).window_at(48),
            47 => Self::new(25, 74).ensemble_at(48).window_at(51),
            48 => Self::new(36, 58),
            _ => Self::new(36, 61).ensemble_at(59),
        };
        let layout = match template {
            44..=47 => layout.further_to(14, 24),
            48 | 49 => layout.further_to(14, 35),
            _ => layout,
        };
        layout.constituent_at(12)
    }

    /// 4.44 has a forecast time of two octets in its own table, and of four as many encoders write it: the length tells.
    fn aerosol_44(four: Octets<'_>) -> Self {
        let vertical = 4 * usize::from(four.u16(6).unwrap_or(0));
        if four.len().checked_sub(vertical) != Some(45) {
            return Self::new(25, 47);
        }
        let mut layout = Self::new(25, 45);
        layout.times = Times::Short { unit: 31 };
        layout.surfaces = Some(34);
        layout
    }

    fn categories(template: u16, octets: usize) -> Self {
        let layout = Self::new(12, 35 + octets).further_to(35, 35 + octets);
        if template == 91 {
            layout.window_at(36 + octets).length(59 + octets)
        } else {
            layout
        }
    }

    fn partition(template: u16, octets: usize) -> Self {
        let layout = Self::new(16 + octets, 38 + octets).further_to(12, 15 + octets);
        if template == 54 {
            layout.ensemble_at(39 + octets).length(41 + octets)
        } else {
            layout
        }
    }

    fn tiles(template: u16) -> Self {
        let layout = Self::new(18, 40).further_to(12, 17);
        match template {
            56 => {
                let mut bare = layout.length(42);
                bare.ensemble = Some(Ensemble::Bare(41));
                bare
            }
            59 => layout.ensemble_at(41).length(43),
            _ => layout,
        }
    }

    /// Constituents by a distribution function, `octets` of its parameters from octet 21.
    fn distribution(template: u16, octets: usize) -> Self {
        let layout = Self::new(21 + octets, 43 + octets)
            .constituent_at(12)
            .further_to(14, 20 + octets);
        match template {
            58 => layout.ensemble_at(44 + octets).length(46 + octets),
            67 => layout.window_at(44 + octets).length(67 + octets),
            68 => layout
                .ensemble_at(44 + octets)
                .window_at(47 + octets)
                .length(70 + octets),
            _ => layout,
        }
    }

    /// Post-processed products: centre of the input and kind of processing are identity, the input's model number is not.
    fn post_processed(template: u16) -> Self {
        let layout = Self::new(17, 39).further_to(14, 16);
        match template {
            71 => layout.ensemble_at(40).length(42),
            72 => layout.window_at(40).length(63),
            73 => layout.ensemble_at(40).window_at(43).length(66),
            _ => layout,
        }
    }

    /// Products relative to a reference period: kind of reference data and relation to it are identity, its dates are not.
    /// `ranges` is the octets of the time ranges that stand before.
    fn referenced(template: u16, ranges: usize) -> Self {
        let layout = Self::new(12, 0).window_at(35);
        let after = 47 + ranges;
        match template {
            105 => layout.length(79).further_to(after, after + 1),
            106 => layout
                .length(82)
                .ensemble_at(after)
                .further_to(after + 3, after + 4),
            _ => layout
                .length(81)
                .derived_at(after)
                .further_to(after + 2, after + 3),
        }
    }

    /// A template with the generation block from octet `generation`.
    const fn new(generation: usize, length: usize) -> Self {
        Self {
            length,
            process: generation,
            process_id: Some(generation + 2),
            times: Times::Wide {
                unit: generation + 6,
            },
            surfaces: Some(generation + 11),
            window: None,
            ensemble: None,
            derived: None,
            probability: None,
            percentile: None,
            constituent: None,
            further: [(0, 0); 2],
            furthers: 0,
        }
    }

    /// A template with the process at octet 12, without times and surfaces.
    const fn bare(length: usize) -> Self {
        let mut layout = Self::new(12, length);
        layout.process_id = None;
        layout.times = Times::None;
        layout.surfaces = None;
        layout
    }

    const fn length(mut self, length: usize) -> Self {
        self.length = length;
        self
    }

    const fn window_at(mut self, octet: usize) -> Self {
        self.window = Some(octet);
        self
    }

    const fn ensemble_at(mut self, octet: usize) -> Self {
        self.ensemble = Some(Ensemble::Typed(octet));
        self
    }

    const fn derived_at(mut self, octet: usize) -> Self {
        self.derived = Some(octet);
        self
    }

    const fn probability_at(mut self, octet: usize) -> Self {
        self.probability = Some(octet);
        self
    }

    const fn percentile_at(mut self, octet: usize) -> Self {
        self.percentile = Some(octet);
        self
    }

    const fn constituent_at(mut self, octet: usize) -> Self {
        self.constituent = Some(octet);
        self
    }

    fn further_to(mut self, first: usize, last: usize) -> Self {
        if let Some(slot) = self.further.get_mut(self.furthers) {
            *slot = (first, last);
            self.furthers += 1;
        }
        self
    }
}

/// A count in one octet; missing (255) is none.
fn count(four: Octets<'_>, octet: usize) -> usize {
    match four.u8(octet) {
        None | Some(255) => 0,
        Some(count) => usize::from(count),
    }
}
