//! Which dialect a file speaks, by its first bytes, and under which names an index file lies beside a GRIB.
//!
//! Names prove nothing: cfgrib's caches, error pages and other producers' JSON all come as `.idx` or `.index`.

use super::Dialect;
use super::error::{Excerpt, IndexError};

/// The dialect of an index file, by its first bytes.
///
/// # Errors
/// [`IndexError`] by name for what is no index file: nothing, a Python pickle, other binary formats, HTML, XML, JSON that
/// is no object per line. Whether JSON lines have ECMWF's keys is seen when they are parsed.
pub fn sniff(bytes: &[u8]) -> Result<Dialect, IndexError> {
    let Some(start) = bytes.iter().position(|b| !b.is_ascii_whitespace()) else {
        return Err(IndexError::Empty { bytes: bytes.len() });
    };
    let body = bytes.get(start..).unwrap_or_default();
    let first = body.first().copied().unwrap_or_default();
    let excerpt = || {
        let head = body.get(..body.len().min(512)).unwrap_or_default();
        Excerpt::new(&String::from_utf8_lossy(head))
    };
    if let Some(what) = binary(bytes) {
        return Err(IndexError::Binary { what });
    }
    match first {
        b'{' => Ok(Dialect::Ecmwf),
        b'0'..=b'9' => Ok(Dialect::Noaa),
        b'<' => Err(IndexError::Markup {
            what: markup(body),
            text: excerpt(),
        }),
        _ => Err(IndexError::Unknown { text: excerpt() }),
    }
}

/// What binary files that bear an index's name are.
fn binary(bytes: &[u8]) -> Option<&'static str> {
    let magics: [(&[u8], &str); 8] = [
        (b"\x80", "a Python pickle (a cache of cfgrib's)"),
        (b"GRIB", "GRIB data"),
        (b"\x1f\x8b", "gzip data"),
        (b"BZh", "bzip2 data"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x28\xb5\x2f\xfd", "Zstandard data"),
        (b"\x89HDF", "an HDF5 file"),
        (b"PAR1", "a Parquet file"),
    ];
    let known = magics
        .into_iter()
        .find_map(|(magic, what)| bytes.starts_with(magic).then_some(what));
    known.or_else(|| {
        let head = bytes.get(..bytes.len().min(64)).unwrap_or_default();
        if head.windows(6).any(|window| window == b"GRBIDX") {
            return Some("a binary index of ecCodes (grib_index_build)");
        }
        head.contains(&0).then_some("binary data")
    })
}

fn markup(body: &[u8]) -> &'static str {
    let head = body.get(..body.len().min(512)).unwrap_or_default();
    let lower = head.to_ascii_lowercase();
    let has = |word: &[u8]| lower.windows(word.len()).any(|window| window == word);
    if has(b"<html") || has(b"<!doctype") {
        "an HTML page of a server"
    } else {
        "an XML answer of a server"
    }
}

/// Names under which the index of the GRIB `file_name` may lie beside it, in the order in which to ask.
///
/// `.idx` appended is NOAA's rule and comes first; ECMWF's `.index` replaces `.grib2`, and comes first for names of its
/// open data (`20250301000000-24h-oper-fc.grib2`). `.inv` is NCEI's. Each name is asked for once.
#[must_use]
pub fn sidecar_names(file_name: &str) -> Vec<String> {
    let stem = [".grib2", ".grb2", ".grib", ".grb"]
        .into_iter()
        .find_map(|suffix| file_name.strip_suffix(suffix))
        .filter(|stem| !stem.is_empty());
    let mut names = vec![format!("{file_name}.idx")];
    match stem {
        Some(stem) => {
            names.extend(
                [".index", ".idx", ".grib2.idx", ".grb2.idx", ".grib.idx"]
                    .map(|s| format!("{stem}{s}")),
            );
            names.push(format!("{file_name}.inv"));
            names.extend([".inv", ".grb2.inv"].map(|s| format!("{stem}{s}")));
            names.push(format!("{file_name}.index"));
        }
        None => names.extend(
            [
                ".grib2.idx",
                ".grb2.idx",
                ".grib.idx",
                ".inv",
                ".grb2.inv",
                ".index",
            ]
            .map(|s| format!("{file_name}{s}")),
        ),
    }
    if let Some(stem) = stem
        && is_ecmwf_name(stem)
    {
        names.insert(0, format!("{stem}.index"));
    }
    let mut seen = Vec::with_capacity(names.len());
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

/// `YYYYMMDDHHMMSS-{step}h-{stream}-{type}`.
fn is_ecmwf_name(stem: &str) -> bool {
    let mut parts = stem.split('-');
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let date = parts.next().is_some_and(|p| p.len() == 14 && digits(p));
    let step = parts
        .next()
        .is_some_and(|p| p.strip_suffix(['h', 'm']).is_some_and(digits));
    date && step && parts.count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dialects_are_told_by_their_first_bytes() {
        assert_eq!(sniff(b"1:0:d=2025080100:"), Ok(Dialect::Noaa));
        assert_eq!(sniff(b"\r\n  1:0:"), Ok(Dialect::Noaa));
        assert_eq!(sniff(b"{\"param\""), Ok(Dialect::Ecmwf));
    }

    #[test]
    fn what_is_no_index_is_named() {
        assert_eq!(sniff(b""), Err(IndexError::Empty { bytes: 0 }));
        assert_eq!(sniff(b" \n\n"), Err(IndexError::Empty { bytes: 3 }));
        let says = |bytes: &[u8], word: &str| {
            let text = sniff(bytes).unwrap_err().to_string();
            assert!(text.contains(word), "{text}");
        };
        says(b"\x80\x04\x95\x55", "pickle");
        says(b"GRIB\0\0\0\x02", "GRIB data");
        says(b"\x1f\x8b\x08", "gzip");
        says(b"\0\0\0\x07GRBIDX1", "grib_index_build");
        says(b"1:0\0\0", "binary");
        says(b"<!DOCTYPE html>\n<html>", "HTML");
        says(
            b"<?xml version=\"1.0\"?><Error><Code>SlowDown</Code>",
            "SlowDown",
        );
        says(b"[{\"param\": 1}]", "begins with `[{");
        says(b"Not Found", "begins with `Not Found`");
    }

    #[test]
    fn sidecars_are_asked_for_in_the_order_of_likelihood() {
        let gfs = sidecar_names("gfs.t00z.pgrb2.0p25.f006");
        assert_eq!(gfs[0], "gfs.t00z.pgrb2.0p25.f006.idx");
        assert!(gfs.contains(&"gfs.t00z.pgrb2.0p25.f006.grib2.idx".to_owned()));
        let hrrr = sidecar_names("hrrr.t00z.wrfsfcf00.grib2");
        assert_eq!(hrrr[0], "hrrr.t00z.wrfsfcf00.grib2.idx");
        assert!(hrrr.contains(&"hrrr.t00z.wrfsfcf00.idx".to_owned()));
        let ecmwf = sidecar_names("20250301000000-24h-oper-fc.grib2");
        assert_eq!(ecmwf[0], "20250301000000-24h-oper-fc.index");
        assert_eq!(ecmwf[1], "20250301000000-24h-oper-fc.grib2.idx");
        assert_eq!(ecmwf.iter().filter(|n| n.ends_with("fc.index")).count(), 1);
        let ncei = sidecar_names("rap_130_20160217_2200_000.grb2");
        assert!(ncei.contains(&"rap_130_20160217_2200_000.inv".to_owned()));
        assert!(ncei.contains(&"rap_130_20160217_2200_000.grb2.inv".to_owned()));
    }
}
