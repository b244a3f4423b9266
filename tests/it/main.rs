//! Integration tests: one binary, one module per room of the house.

// `cfg(test)` tells clippy that these modules are tests, helpers included.
#[cfg(test)]
mod architecture; // the house of the code
#[cfg(test)]
mod decode_buffers; // buffers that are used again
#[cfg(test)]
mod decode_corpus; // decoded values against ecCodes
#[cfg(test)]
mod decode_hostile; // hostile bytes into the decoder
#[cfg(test)]
mod decode_packings;
#[cfg(test)]
mod disk_cache; // messages on disk: crashes, broken files, full disks, no network
#[cfg(test)]
mod fuse_life; // mounting, unmounting, crashes
#[cfg(test)]
mod fuse_mount; // a tree on the real /dev/fuse
#[cfg(test)]
mod fuse_tree; // the tree that it shows
#[cfg(test)]
mod fuzz_finds; // what the fuzzer runs
#[cfg(test)]
mod grib_coordinates;
#[cfg(test)]
mod grib_corpus; // sections, identity, grids against ecCodes'
#[cfg(test)]
mod grib_editions;
#[cfg(test)]
mod grib_hops;
#[cfg(test)]
mod grib_products;
#[cfg(test)]
mod grib_projections;
#[cfg(test)]
mod index_dialects; // both index dialects, real files and odd ones
#[cfg(test)]
mod info; // what a table holds, in numbers and as a chart
#[cfg(test)]
mod library; // tables opened for a mount, against their rows
#[cfg(test)]
mod look_ahead; // walks, and the memory budget
#[cfg(test)]
mod mount_follow; // a tree that follows its tables, without a kernel
#[cfg(test)]
mod mount_tree; // the tree of a table, without a kernel
#[cfg(test)]
mod naming; // names against ecCodes'
#[cfg(test)]
mod refs; // reference sets, hostile ones too
#[cfg(test)]
mod refs_formats; // a set of each format, cell by cell
#[cfg(test)]
mod refs_messages; // what a message must be to be a chunk
#[cfg(test)]
mod refs_records; // records that change, fail or lead elsewhere
#[cfg(test)]
mod refs_sizes; // references to whole objects
#[cfg(test)]
mod refs_verify; // sets that claim too much
#[cfg(test)]
mod scan; // tables of archives that arrive, lie, grow
#[cfg(test)]
mod stale_index; // messages that are not where the index says
#[cfg(test)]
mod storage; // ranged reads, retries, faults
#[cfg(test)]
mod support;
#[cfg(test)]
mod table; // Parquet: round trips, readers, hostile bytes // servers and folders for the others
