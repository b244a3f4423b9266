//! The demo's archive: three runs of a synthetic global forecast, made by `scripts/make_demo_archive.py` on ecCodes.

macro_rules! file {
    ($path:literal) => {
        (
            $path,
            include_bytes!(concat!("../../tests/data/archive/", $path)),
        )
    };
}

/// Path below the archive's root, and content.
pub(super) const FILES: &[(&str, &[u8])] = &[
    file!("gfs.20261122/00/atmos/gfs.t00z.pgrb2.3p00.f000"),
    file!("gfs.20261122/00/atmos/gfs.t00z.pgrb2.3p00.f000.idx"),
    file!("gfs.20261122/00/atmos/gfs.t00z.pgrb2.3p00.f003"),
    file!("gfs.20261122/00/atmos/gfs.t00z.pgrb2.3p00.f003.idx"),
    file!("gfs.20261122/00/atmos/gfs.t00z.pgrb2.3p00.f006"),
    file!("gfs.20261122/00/atmos/gfs.t00z.pgrb2.3p00.f006.idx"),
    file!("gfs.20261122/00/atmos/gfs.t00z.pgrb2.3p00.f009"),
    file!("gfs.20261122/00/atmos/gfs.t00z.pgrb2.3p00.f009.idx"),
    file!("gfs.20261122/00/atmos/gfs.t00z.pgrb2.3p00.f012"),
    file!("gfs.20261122/00/atmos/gfs.t00z.pgrb2.3p00.f012.idx"),
    file!("gfs.20261122/06/atmos/gfs.t06z.pgrb2.3p00.f000"),
    file!("gfs.20261122/06/atmos/gfs.t06z.pgrb2.3p00.f000.idx"),
    file!("gfs.20261122/06/atmos/gfs.t06z.pgrb2.3p00.f003"),
    file!("gfs.20261122/06/atmos/gfs.t06z.pgrb2.3p00.f003.idx"),
    file!("gfs.20261122/06/atmos/gfs.t06z.pgrb2.3p00.f006"),
    file!("gfs.20261122/06/atmos/gfs.t06z.pgrb2.3p00.f006.idx"),
    file!("gfs.20261122/06/atmos/gfs.t06z.pgrb2.3p00.f012"),
    file!("gfs.20261122/06/atmos/gfs.t06z.pgrb2.3p00.f012.idx"),
    file!("gfs.20261122/12/atmos/gfs.t12z.pgrb2.3p00.f000"),
    file!("gfs.20261122/12/atmos/gfs.t12z.pgrb2.3p00.f000.idx"),
    file!("gfs.20261122/12/atmos/gfs.t12z.pgrb2.3p00.f003"),
    file!("gfs.20261122/12/atmos/gfs.t12z.pgrb2.3p00.f003.idx"),
    file!("gfs.20261122/12/atmos/gfs.t12z.pgrb2.3p00.f006"),
    file!("gfs.20261122/12/atmos/gfs.t12z.pgrb2.3p00.f006.idx"),
    file!("gfs.20261122/12/atmos/gfs.t12z.pgrb2.3p00.f009"),
    file!("gfs.20261122/12/atmos/gfs.t12z.pgrb2.3p00.f009.idx"),
    file!("gfs.20261122/12/atmos/gfs.t12z.pgrb2.3p00.f012"),
    file!("gfs.20261122/12/atmos/gfs.t12z.pgrb2.3p00.f012.idx"),
];

/// What ecCodes reads from each message, as JSON.
pub(super) const TRUTH: &str = include_str!("../../tests/data/archive/manifest.json");
