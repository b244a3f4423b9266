//! What several rooms of the test house use.

pub(crate) mod http;
pub(crate) mod sets;

use std::path::Path;

use gribfs::location::Location;
use gribfs::scan::{Progress, ScanConfig, Source, build};
use gribfs::storage::{Storage, StorageConfig};
use gribfs::table::row::Table;

/// The table of one file of the fixtures' GFS archive.
pub(crate) fn messages_table(runtime: &tokio::runtime::Runtime) -> Table {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/archive/gfs.20261122");
    let file = root.join("00/atmos/gfs.t00z.pgrb2.3p00.f000");
    let storage = Storage::new(StorageConfig::default()).unwrap();
    let sources = vec![Source::named(Location::from_path(&file))];
    let built = runtime.block_on(build(
        sources,
        &storage,
        &ScanConfig::default(),
        &Progress::default(),
    ));
    built.unwrap().0
}
