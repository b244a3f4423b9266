//! Names in words of grid definition templates that are not read (Code Table 3.1), for messages to people.

/// What a template is, in words.
#[must_use]
pub(super) const fn template_name(template: u16) -> &'static str {
    match template {
        2 => "stretched latitude/longitude",
        3 => "stretched and rotated latitude/longitude",
        4 => "variable resolution latitude/longitude",
        5 => "variable resolution rotated latitude/longitude",
        12 => "transverse Mercator",
        13 => "Mercator with modelling subdomains",
        23 => "polar stereographic with modelling subdomains",
        31 => "Albers equal area",
        32 | 33 => "Lambert conformal with modelling subdomains",
        42 => "stretched Gaussian",
        43 => "stretched and rotated Gaussian",
        50..=53 => "spherical harmonic coefficients",
        60 => "cubed-sphere gnomonic",
        61 => "bi-Fourier coefficients, Mercator",
        62 => "bi-Fourier coefficients, polar stereographic",
        63 => "bi-Fourier coefficients, Lambert conformal",
        90 => "space view, perspective or orthographic",
        100 => "triangular grid of an icosahedron",
        101 => "general unstructured grid, its coordinates are in another file",
        110 => "equatorial azimuthal equidistant",
        120 => "azimuth and range of a radar",
        130 => "irregular latitude/longitude",
        204 => "curvilinear orthogonal",
        1000 => "cross-section",
        1100 => "Hovmoller diagram",
        1200 => "time section",
        32768 => "rotated latitude/longitude, Arakawa E, of NCEP",
        32769 => "rotated latitude/longitude, Arakawa other than E, of NCEP",
        32770.. => "local to the centre",
        _ => "unknown",
    }
}
